"""The frame of a stage entry: run it, or print one clear error and exit with status 1."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline import orphaned, store
from pipeline.errors import PipelineError


def run(body: Callable[[], None]) -> None:
    """Run a stage's body; its files change all at once, or not at all.

    An expected error is printed as one message without a traceback. When the build that started the
    stage is killed, the stage ends within a second, and writes nothing.
    """
    _follow(orphaned, "The build that started this stage has ended: nothing was written. Run it again.")
    try:
        with store.together():
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


def followers() -> dict[str, Any]:
    """Return what makes joblib's workers end soon after their stage, should it be killed: keywords of ``Parallel``."""
    return {"initializer": _follow, "initargs": (partial(_has_left, os.getpid()),)}


def _has_left(parent: int) -> bool:
    """Say whether a worker's parent has ended; its number comes from the parent, which may end before this is asked."""
    return os.getppid() != parent


def _follow(ended: Callable[[], bool], message: str = "") -> None:
    """End this process soon after the one that started it."""

    def end() -> None:
        while not ended():
            time.sleep(0.5)
        store.discard()
        print(f"\n{message}\n" if message else "", end="", file=sys.stderr, flush=True)
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
