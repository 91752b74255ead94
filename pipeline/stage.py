"""The frame of a stage entry: run it, or print one clear error and exit with status 1."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable

from pipeline import store
from pipeline.errors import PipelineError


def run(body: Callable[[], None]) -> None:
    """Run a stage's body; its files change all at once, or not at all.

    An expected error is printed as one message without a traceback. When the build that started the
    stage is killed, the stage ends within a second, with its workers, and writes nothing.
    """
    threading.Thread(target=_end_with_the_build, daemon=True).start()
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


def _end_with_the_build() -> None:
    while not store.orphaned():
        time.sleep(0.5)
    for worker in multiprocessing.active_children():
        worker.terminate()
    store.discard()
    print("\nThe build that started this stage has ended: nothing was written. Run it again.", file=sys.stderr)
    os._exit(1)
