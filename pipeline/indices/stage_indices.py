"""Stage ``indices``: the panel in, composite indices and their weights out."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.indices.composition import compose, indicators, weight_values


def main() -> None:
    """Build every index of ``specs/indices.yaml``."""
    panel = store.load("panel")
    frames, weights = [], []
    for index in specs.indices().values():
        built = compose(indicators(panel, index), index)
        frames.append(built.scores.set_index(["province_code", "year"]))
        weights.append(weight_values(built.weights, index))
    store.save("indices", pd.concat(frames, axis=1).sort_index().reset_index())
    store.save(store.part("indices", "values"), store.part_frame("values", pd.concat(weights)))


if __name__ == "__main__":
    stage.run(main)
