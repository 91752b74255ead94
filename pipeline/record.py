"""Record the raw figures as they are now: ``python -m pipeline.record`` after a change made on purpose."""

from __future__ import annotations

import hashlib

from pipeline import stage, store
from pipeline.clean.read import MANIFEST


def main() -> None:
    """Write the sha256 of every file of ``data/raw`` into its manifest."""
    raw = store.ROOT / "data" / "raw"
    files = {p.relative_to(raw).as_posix(): p for p in raw.rglob("*") if p.is_file() and p.name[0] != "."}
    files.pop(MANIFEST, None)
    lines = [f"{hashlib.sha256(files[name].read_bytes()).hexdigest()}  {name}\n" for name in sorted(files)]
    store.write_text(f"data/raw/{MANIFEST}", "".join(lines))
    print(f"{len(lines)} files recorded: data/raw/{MANIFEST}")


if __name__ == "__main__":
    stage.run(main)
