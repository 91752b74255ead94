"""Stage ``industries``: the triple difference over nine industries, its variants and tests, in parallel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.estimate import designs, industries, samples
from pipeline.estimate.industries import Triple


def main() -> None:
    """Estimate and write the stage's parts of ``estimates`` and ``tests``."""
    rows = samples.merge(*store.load_rows("corrected"))
    settings = designs.Settings(**specs.settings(), **store.load_hashes())
    x = specs.models().adjustments["x"]
    values = store.load("industries").assign(ln_value_added=lambda f: np.log(f["value_added"]))
    nine = industries.panel(values, store.load("exposures"), rows, x, settings)
    groups = store.load("exposures_employment")
    three = industries.panel(industries.employment(rows), groups, rows, x, settings)
    used, work = (frame[frame["year"] != settings.announcement_year] for frame in (nine, three))
    exposures = [f"{kind}_{name}" for name in specs.industries().inputs for kind in ("complete", "direct")]
    jobs: list[tuple[Callable[..., Any], Triple, pd.DataFrame]] = []
    gradients = []
    for adjustment, by_time in (("none", ()), ("x", x.by_time)):
        for number, exposure in enumerate(exposures):
            spec = f"triple_{exposure}"
            own = Triple(f"{spec}.ln_value_added.{adjustment}", "ln_value_added", f"{exposure}_z", by_time, number == 0)
            without = Triple(f"{spec}_narrow.ln_value_added.{adjustment}", "ln_value_added", f"{exposure}_z", by_time)
            jobs += [(industries.estimate, own, used)]
            jobs += [(industries.estimate, without, used[used["industry"] != "other_services"])]
        for left in sorted(used["industry"].unique()):
            own = Triple(
                f"triple_without_{left}.ln_value_added.{adjustment}", "ln_value_added", f"{exposures[0]}_z", by_time
            )
            jobs += [(industries.estimate, own, used[used["industry"] != left])]
        own = Triple(f"triple_employment.ln_employment.{adjustment}", "ln_employment", "exposure", by_time)
        jobs += [(industries.estimate, own, work)]
        own = Triple(f"triple_event.ln_value_added.{adjustment}", "ln_value_added", f"{exposures[0]}_z", by_time)
        jobs += [(industries.event_study, own, nine)]
        own = Triple(f"industry_gradient.ln_value_added.{adjustment}", "ln_value_added", f"{exposures[0]}_z", by_time)
        gradients.append(industries.gradient(own, used, settings))
    tasks = (
        delayed(function)(triple, frame, settings, specs.seed("industries", triple.spec_id))
        if function is industries.estimate
        else delayed(function)(triple, frame, settings)
        for function, triple, frame in jobs
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    tables, tests = zip(*tqdm(results, total=len(jobs), desc="industries", unit="spec"), strict=True)
    store.save(store.part("industries", "estimates"), store.part_frame("estimates", pd.concat([*tables, *gradients])))
    found = pd.DataFrame([row for part in tests for row in part])
    store.save(store.part("industries", "tests"), store.part_frame("tests", found))


if __name__ == "__main__":
    stage.run(main)
