"""A raw folder to break: a copy of the real one, edited line by line."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from pipeline.store import ROOT

RAW = ROOT / "data" / "raw"


def copy_raw(target: Path, *folders: str) -> Path:
    """Copy the named folders of data/raw and return the copy."""
    for folder in folders:
        shutil.copytree(RAW / folder, target / folder)
    return target


def edit(path: Path, old: str, new: str) -> int:
    """Replace the one line ``old`` and return its number in the file (the header is 1)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = lines.index(old)
    assert lines.count(old) == 1
    lines[number : number + 1] = new.splitlines()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return number + 1


def write_manifest(raw: Path) -> None:
    """Record every file of ``raw`` as it is."""
    names = sorted(p.relative_to(raw).as_posix() for p in raw.rglob("*") if p.is_file() and p.name != "MANIFEST.sha256")
    lines = [f"{hashlib.sha256((raw / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (raw / "MANIFEST.sha256").write_text("".join(lines), encoding="utf-8", newline="\n")
