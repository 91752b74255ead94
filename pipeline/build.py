"""``dvc repro``, one at a time in a folder, after mending what a kill or a full disk has left of DVC's own files.

``run.py`` starts it. DVC itself guards a plain ``dvc repro``, stage by stage; its message names the process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUSY = "Another build is running in this folder: wait until it has ended, or stop it, then run this again."
FULL = "The disk is full: free 1 GB, then run this again. Earlier results are untouched."
DONE = "Done. results/README.md lists the results: tables in results/tables, figures in results/figures."


def only_one() -> tuple[int, ...]:
    """Lock the folder and return the descriptors that hold the lock, until the last process that has them ends.

    ``dvc`` is given them too, so that it holds the folder should this process be killed. Windows, and file systems
    without locks, have DVC's own guard.
    """
    if sys.platform == "win32":
        return ()
    import fcntl

    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(BUSY)
    except OSError:
        return ()
    return (folder,)


def sound(path: Path) -> bool:
    """Say whether one of DVC's files is whole: DVC writes them in place, so a kill or a full disk can halve them."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        if path.name == "rwlock":
            return isinstance(json.loads(text), dict)
        stages: dict[str, Any] = yaml.safe_load(text)["stages"]
        entries = [entry for stage in stages.values() for kind in ("deps", "outs") for entry in stage.get(kind, ())]
        return all(isinstance(entry["path"], str) for entry in entries)
    except (ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return False


def mend() -> None:
    """Remove DVC's files that were written by half: DVC refuses to start with them, and makes them anew."""
    for path in (ROOT / ".dvc" / "tmp" / "rwlock", ROOT / "dvc.lock"):
        if path.exists() and not sound(path):
            path.unlink()
            print(f"{path.relative_to(ROOT)} was left half-written (a kill, a full disk): it is made anew.", flush=True)


def main(arguments: list[str]) -> int:
    """Run ``dvc`` with the arguments and return its exit status."""
    signal.signal(signal.SIGINT, lambda *_: None)  # dvc has it too, and tidies up
    held = only_one()
    mend()
    dvc = shutil.which("dvc") or sys.exit("dvc: no such command in this environment.")
    status = subprocess.call([dvc, *arguments], cwd=ROOT, pass_fds=held)
    if status == 0:
        print(DONE)
    elif shutil.disk_usage(ROOT).free < 2**20:
        print(FULL, file=sys.stderr)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{error.filename or 'The folder'}: {error.strerror}. Earlier results are untouched.")
