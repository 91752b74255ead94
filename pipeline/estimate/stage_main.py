"""Stage ``main``: every specification of ``specs/models.yaml`` with the tests that come with it."""

from __future__ import annotations

import pandas as pd
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import run, samples


def main() -> None:
    """Estimate and write the stage's part of ``estimates`` and ``tests``."""
    rows = samples.merge(store.load("panel"), store.load("indices"), store.load("units"))
    models, settings = specs.models(), run.Settings(**specs.settings(), **store.load_hashes())
    tables, tests = [], []
    for model in tqdm(models.specifications, desc="main", unit="spec"):
        frame = run.sample_of(model, rows, models.treatments, settings)
        table, crv3, crv1 = run.estimates(model, frame, settings)
        tables.append(table)
        tests += run.cheap_tests(model, frame, crv3, crv1, settings)
    store.save(store.part("main", "estimates"), store.part_frame("estimates", pd.concat(tables)))
    store.save(store.part("main", "tests"), store.part_frame("tests", pd.DataFrame(tests)))


if __name__ == "__main__":
    stage.run(main)
