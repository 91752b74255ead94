"""Stage ``describe``: moments, balance, trends and the hub map."""

from __future__ import annotations

import pandas as pd

from pipeline import overlap, specs, stage, store
from pipeline.estimate import describe, samples


def main() -> None:
    """Write the descriptive views."""
    units, links = store.load("units"), store.load("links")
    rows = samples.merge(store.load("panel"), store.load("indices"), units, links)
    models, reference_year = specs.models(), specs.params()["reference_year"]
    names, years = models.descriptives["variables"], models.samples[models.descriptives["sample"]].years
    fixed = models.adjustments["x"]
    registry = store.load(store.part("clean", "values"))
    views = [
        describe.descriptives(rows, names, years),
        describe.balance(
            rows,
            names,
            [y for y in years if y <= reference_year],
            own_years=dict.fromkeys(fixed.by_time, fixed.by_time_years),
        ),
        *(describe.trends(rows, outcome) for outcome in models.descriptives["trends"]),
        *(describe.ranks(rows, index, models.descriptives["rank_years"]) for index in specs.indices()),
        describe.variables(specs.dictionary()),
        pd.DataFrame(overlap.view()).assign(view_id="overlap"),
        describe.policy_overlap(units),
        describe.hub_map(units, links, registry[registry["view_id"] == "registry_clusters"]),
    ]
    store.save(store.part("describe", "values"), store.part_frame("values", pd.concat(views)))


if __name__ == "__main__":
    stage.run(main)
