"""Stage ``robust``: HonestDiD, pre-trend power, Romano–Wolf, balancing, synthetic controls, specification curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import balancing, designs, families, run, samples, sensitivity, synthetic

if TYPE_CHECKING:
    from pipeline.specs import Model, Models

EVENTS = ("event.chain_ln.none", "event.chain_ln.x", "event.chain_ln.region")
WEIGHTED = ("balanced.chain_ln.none", "sdid.chain_ln.none")
HEADLINES = ("did.chain_ln.none", "did.chain_ln.x", "did.chain_ln.region")
TARGETS = ("average", "2022", "2023")
RESTRICTIONS = ("relative_magnitude", "smoothness")
DRAWS = 9_999


def main() -> None:
    """Write the stage's parts of ``tests`` and ``values``."""
    rows = samples.merge(*store.load_rows("corrected"))
    models, settings = specs.models(), designs.Settings(**specs.settings(), **store.load_hashes())
    tests = [*_honest(rows, models, settings), *_families(rows, models, settings)]
    store.save(store.part("robust", "tests"), store.part_frame("tests", pd.DataFrame(tests)))
    by_id = {m.spec_id: m for m in models.specifications}
    events = [(by_id[e], run.sample_of(by_id[e], rows, models.treatments, settings)) for e in EVENTS]
    units = rows.drop_duplicates("province_code").set_index("province_code")
    declared = models.balancing
    means = samples.standardised_means(rows, tuple(declared["variables"]), tuple(declared["years"]))
    views = [
        *(sensitivity.pretrends(model, frame, settings) for model, frame in events),
        *(_power(by_id[e], rows, models, settings) for e in HEADLINES),
        *(
            sensitivity.distribution(by_id[e], run.sample_of(by_id[e], rows, models.treatments, settings), settings)
            for e in HEADLINES
        ),
        balancing.feasibility(means.loc[units.index], units["hubs"], specs.labels()),
        balancing.regions(units.reset_index()),
        *(
            balancing.without_each(by_id[e], run.sample_of(by_id[e], rows, models.treatments, settings), settings)
            for e in WEIGHTED
        ),
        *synthetic.views(by_id["sdid.chain_ln.none"], rows, models.treatments, settings),
    ]
    store.save(store.part("robust", "values"), store.part_frame("values", pd.concat(views)))


def _power(model: Model, rows: pd.DataFrame, models: Models, settings: designs.Settings) -> pd.DataFrame:
    frame = run.sample_of(model, rows, models.treatments, settings)
    estimate = designs.fit(model, frame, settings, "CRV3")
    return sensitivity.power_curve(model.spec_id, estimate.std_error, estimate.df, settings.level)


def _honest(rows: pd.DataFrame, models: Models, settings: designs.Settings) -> list[dict[str, Any]]:
    by_id = {m.spec_id: m for m in models.specifications}
    jobs = [(by_id[event], target, kind) for event in EVENTS for target in TARGETS for kind in RESTRICTIONS]
    tasks = (
        delayed(sensitivity.honest)(
            model, run.sample_of(model, rows, models.treatments, settings), settings, target, kind
        )
        for model, target, kind in jobs
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    return [row for part in tqdm(results, total=len(jobs), desc="HonestDiD", unit="target") for row in part]


def _families(rows: pd.DataFrame, models: Models, settings: designs.Settings) -> list[dict[str, Any]]:
    drawn = families.assignments(rows, DRAWS, specs.seed("robust", "romano_wolf"))
    jobs = []
    for family in models.families.values():
        for adjustment in ("none", "x"):
            members = families.members(models.specifications, family, adjustment)
            frames = [run.sample_of(model, rows, models.treatments, settings) for model in members]
            jobs.append((members, frames))
    tasks = (delayed(families.adjusted)(*job, drawn, specs.seed("robust", "romano_wolf")) for job in jobs)
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    return [row for part in tqdm(results, total=len(jobs), desc="Romano–Wolf", unit="family") for row in part]


if __name__ == "__main__":
    stage.run(main)
