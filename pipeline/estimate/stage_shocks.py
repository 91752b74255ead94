"""Stage ``shocks``: the auxiliary programmes by every staggered estimator, in parallel."""

from __future__ import annotations

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import designs, samples, shocks


def main() -> None:
    """Estimate, decompose, and write the stage's parts of ``estimates``, ``tests`` and ``values``."""
    rows = samples.merge(*store.load_rows("corrected"))
    settings = designs.Settings(**specs.settings(), **store.load_hashes())
    declared = specs.models().shocks
    jobs = [(name, shock, outcome) for shock in declared for outcome in shock.outcomes for name in shocks.ESTIMATORS]
    tasks = (
        delayed(shocks.pooled)(name, shock, shocks.frame_of(shock, rows, outcome), outcome, settings)
        for name, shock, outcome in jobs
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    tables, tests = zip(*tqdm(results, total=len(jobs), desc="shocks", unit="spec"), strict=True)
    found = pd.concat([table for table in tables if table is not None])
    store.save(store.part("shocks", "estimates"), store.part_frame("estimates", found))
    reasons = pd.DataFrame([row for part in tests for row in part])
    store.save(store.part("shocks", "tests"), store.part_frame("tests", reasons))
    views = []
    for shock in declared:
        frame = shocks.frame_of(shock, rows, shock.outcomes[0])
        views += [shocks.cohorts(shock, frame), shocks.decompositions(shock, frame, shock.outcomes[0])]
    store.save(store.part("shocks", "values"), store.part_frame("values", pd.concat(views)))


if __name__ == "__main__":
    stage.run(main)
