"""Stage ``indices``: the panel in, composite indices and their weights out."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.indices.composition import compose, indicators, variants, weight_values
from pipeline.indices.structure import STRUCTURE, advancement


def main() -> None:
    """Build every index of ``specs/indices.yaml``."""
    weights = []
    for data, suffix in store.VARIANTS.items():
        panel, frames = store.load(f"panel{suffix}"), []
        for index in specs.indices().values():
            built = compose(indicators(panel, index), index)
            frames.append(built.scores.set_index(["province_code", "year"]))
            if data == "corrected":
                weights.append(weight_values(built.weights, index))
        keyed = panel.set_index(["province_code", "year"])
        frames.append(advancement(keyed[list(STRUCTURE["advancement"])]).to_frame())
        store.save(f"indices{suffix}", pd.concat(frames, axis=1).sort_index().reset_index())
    chain = specs.indices()["chain"]
    store.save("index_variants", variants(indicators(store.load("panel"), chain), chain).reset_index())
    store.save(store.part("indices", "values"), store.part_frame("values", pd.concat(weights)))


if __name__ == "__main__":
    stage.run(main)
