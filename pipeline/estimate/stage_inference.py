"""Stage ``inference``: bootstrap, exact randomisation and spatial tests, in parallel over specifications."""

from __future__ import annotations

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import battery, designs, run, samples


def main() -> None:
    """Test and write the stage's part of ``tests``; the numbers do not depend on the number of workers."""
    rows = {data: samples.merge(*store.load_rows(data)) for data in store.VARIANTS}
    links = store.load("links")
    borders = links.loc[links["kind"] == "adjacency", ["source", "target"]]
    models, settings = specs.models(), designs.Settings(**specs.settings(), **store.load_hashes())
    jobs = [m for m in models.specifications if set(battery.RESAMPLED) & set(m.tests)]
    tasks = (
        delayed(battery.resampling_tests)(
            battery.Case(
                model,
                run.sample_of(model, rows[model.data], models.treatments, settings),
                settings,
                specs.seed("inference", model.spec_id),
                borders,
            )
        )
        for model in jobs
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    tests = [row for part in tqdm(results, total=len(jobs), desc="inference", unit="spec") for row in part]
    store.save(store.part("inference", "tests"), store.part_frame("tests", pd.DataFrame(tests)))


if __name__ == "__main__":
    stage.run(main)
