"""The frame of a stage entry: run it, or print one clear error and exit with status 1."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pipeline.errors import PipelineError


def run(body: Callable[[], None]) -> None:
    """Run a stage's body; an expected error is printed as one message without a traceback."""
    try:
        body()
    except PipelineError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(
            f"OSError: {error.filename or ''} {error.strerror or error}. Earlier results are untouched.",
            file=sys.stderr,
        )
        sys.exit(1)
