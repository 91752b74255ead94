"""Stage ``collect``: join the stages' parts into the three tidy files that everything printed is read from."""

from __future__ import annotations

import pandas as pd

from pipeline import stage, store

PARTS = {
    "estimates": ("main", "industries", "shocks"),
    "tests": ("main", "inference", "industries", "shocks", "robust", "curve"),
    "values": (
        *("quality", "clean", "indices", "exposures", "describe", "main", "shocks", "robust"),
        *("curve", "simulation"),
    ),
}


def main() -> None:
    """Join and write; a key that two parts share is an error."""
    for name, stages in PARTS.items():
        frames = [store.load(store.part(origin, name)) for origin in stages]
        store.save(name, store.part_frame(name, pd.concat(frames, ignore_index=True)))


if __name__ == "__main__":
    stage.run(main)
