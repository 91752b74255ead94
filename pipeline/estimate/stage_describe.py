"""Stage ``describe``: moments, balance, trends and the hub map."""

from __future__ import annotations

import pandas as pd

from pipeline import overlap, specs, stage, store
from pipeline.estimate import describe, samples


def main() -> None:
    """Write the descriptive views."""
    units, links = store.load("units"), store.load("links")
    rows = samples.merge(store.load("panel"), store.load("indices"), units, links)
    models, dates = specs.models(), specs.settings()
    names, years = models.descriptives["variables"], models.samples[models.descriptives["sample"]].years
    fixed = models.adjustments["x"]
    registry = store.load(store.part("clean", "values"))
    views = [
        describe.descriptives(rows, names, years),
        describe.balance(
            rows,
            names,
            [y for y in years if y <= dates["reference_year"]],
            own_years=dict.fromkeys(fixed.by_time, fixed.by_time_years),
        ),
        *(describe.trends(rows, outcome) for outcome in models.descriptives["trends"]),
        *(describe.ranks(rows, index, models.descriptives["rank_years"]) for index in specs.indices()),
        describe.variables(specs.dictionary()),
        pd.DataFrame(overlap.view()).assign(view_id="overlap"),
        describe.policy_overlap(units),
        describe.hub_map(units, links, registry[registry["view_id"] == "registry_clusters"]),
        describe.deviations(specs.deviations()),
        describe.lost_hub_cells(
            rows, [m for m in models.specifications if m.data == "corrected"], specs.labels(), dates
        ),
    ]
    store.save(store.part("describe", "values"), store.part_frame("values", pd.concat(views)))


if __name__ == "__main__":
    stage.run(main)
