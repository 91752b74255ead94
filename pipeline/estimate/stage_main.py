"""Stage ``main``: every specification of ``specs/models.yaml`` with the tests that come with it, in parallel."""

from __future__ import annotations

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import battery, designs, run, samples


def main() -> None:
    """Estimate and write the stage's part of ``estimates``, ``tests`` and ``values``."""
    rows = {data: samples.merge(*store.load_rows(data)) for data in store.VARIANTS}
    models, settings = specs.models(), designs.Settings(**specs.settings(), **store.load_hashes())
    tasks = (
        delayed(battery.evaluate)(
            model,
            rows[model.data],
            run.sample_of(model, rows[model.data], models.treatments, settings),
            settings,
        )
        for model in models.specifications
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    total = len(models.specifications)
    tables, tests, missing = zip(*tqdm(results, total=total, desc="main", unit="spec"), strict=True)
    store.save(store.part("main", "estimates"), store.part_frame("estimates", pd.concat(tables)))
    store.save(
        store.part("main", "tests"), store.part_frame("tests", pd.DataFrame([t for part in tests for t in part]))
    )
    store.save(store.part("main", "values"), store.part_frame("values", pd.concat(missing)))


if __name__ == "__main__":
    stage.run(main)
