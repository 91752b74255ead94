"""Stage ``curve``: the specification curve and its joint permutation tests."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.estimate import curve, designs, samples

DRAWS = 499


def main() -> None:
    """Estimate every combination and write the stage's parts of ``tests`` and ``values``."""
    rows, variants = samples.merge(*store.load_rows("corrected")), store.load("index_variants")
    models, settings = specs.models(), designs.Settings(**specs.settings(), **store.load_hashes())
    x, years = models.adjustments["x"], models.samples["chain"].years
    frame = curve.panel(rows, variants, x, years, settings.event_year)
    declared = curve.specifications([c for c in variants.columns if "|" in c], x)
    view, tests = curve.estimate(frame, declared, settings, draws=DRAWS, seed=specs.seed("curve", "assignments"))
    store.save(store.part("curve", "values"), store.part_frame("values", view))
    store.save(store.part("curve", "tests"), store.part_frame("tests", pd.DataFrame(tests)))


if __name__ == "__main__":
    stage.run(main)
