"""Which sets of covariates can be balanced at all, and how much of each region the comparison within regions uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.econometrics import entropy_balance
from pipeline.errors import EstimationError
from pipeline.estimate.designs import CLUSTER, Settings, fit

if TYPE_CHECKING:
    from pipeline.specs import Model


def subsets(variables: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every non-empty set of the variables, the smaller first."""
    for size in range(1, len(variables) + 1):
        yield from combinations(variables, size)


def feasibility(covariates: pd.DataFrame, hub: pd.Series, labels: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Return whether a convex combination of the controls balances each set of covariates, and the covariates' ranges.

    View ``balancing``, one row a set. ``outside`` of an infeasible set: its covariates whose mean over the hubs
    lies beyond every control province, or ``together``, where each can be balanced but not all at once. View
    ``balancing_covariates``, one row a covariate.

    Parameters
    ----------
    covariates : DataFrame by province
        Standardised means.
    hub : Series by province
        1 in hub provinces.
    labels : dict
        Labels of the covariates, zh and en.
    """
    rows: list[dict[str, object]] = []
    ranges = _ranges(covariates, hub)
    beyond = ranges.index[(ranges["mean_hub"] < ranges["low"]) | (ranges["mean_hub"] > ranges["high"])]
    for number, names in enumerate(subsets(list(covariates.columns)), 1):
        row, gap = "+".join(names), covariates[hub == 1].mean() - covariates[hub == 0].mean()
        numbers = {"order": float(number), "size": float(len(names)), "gap": float(gap[list(names)].abs().max())}
        try:
            weights = entropy_balance(covariates[list(names)], hub == 1)
            shares = weights / weights.sum()
            numbers |= {"feasible": 1.0, "effective_controls": float(1 / (shares @ shares))}
            numbers |= {"largest_weight": float(shares.max())}
            texts = {"reason": ""}
        except EstimationError as error:
            outside = [name for name in names if name in beyond] or ["together"]
            numbers["feasible"], texts = 0.0, {"reason": str(error), "outside": ", ".join(outside)}
        texts["set"] = ", ".join(names)
        for lang, join in (("zh", "、"), ("en", "; ")):
            texts[f"names_{lang}"] = join.join(labels[name][lang] for name in names)
        rows += [{"row": row, "column": k, "value": v} for k, v in numbers.items()]
        rows += [{"row": row, "column": k, "text": v} for k, v in texts.items() if v]
    long = ranges.rename_axis("row").reset_index().melt("row", var_name="column")
    return pd.concat([pd.DataFrame(rows).assign(view_id="balancing"), long.assign(view_id="balancing_covariates")])


def _ranges(covariates: pd.DataFrame, hub: pd.Series) -> pd.DataFrame:
    """Return means of hub and control provinces, their gap, and the range of the control provinces, by covariate."""
    treated, controls = covariates[hub == 1], covariates[hub == 0]
    return pd.DataFrame(
        {
            "order": np.arange(1.0, len(covariates.columns) + 1),
            "mean_hub": treated.mean(),
            "mean_control": controls.mean(),
            "gap": treated.mean() - controls.mean(),
            "low": controls.min(),
            "high": controls.max(),
        }
    )


def without_each(model: Model, frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the view ``weights_without``: the estimate with weights found anew without each cluster, or why none.

    Row ``<spec_id>|<cluster>``; column estimate, or in text ``outcome``, "no solution", and ``reason``.
    """
    rows: list[dict[str, object]] = []
    for cluster in sorted(frame[CLUSTER].unique()):
        row = f"{model.spec_id}|{cluster}"
        try:
            estimate = fit(model, frame[frame[CLUSTER] != cluster].reset_index(drop=True), settings, "CRV1")
            rows.append({"row": row, "column": "estimate", "value": estimate.att})
        except EstimationError as error:
            rows += [
                {"row": row, "column": k, "text": v} for k, v in (("outcome", "no solution"), ("reason", str(error)))
            ]
    return pd.DataFrame(rows).assign(view_id="weights_without")


def regions(units: pd.DataFrame) -> pd.DataFrame:
    """Return the view ``region_support``: what each region lends to the estimate with region × year effects.

    On a balanced panel that estimate is the mean over regions of the difference between hub and control provinces, with
    weights n₁n₀/(n₁ + n₀). ``effective_hubs`` counts the hubs of a region by (Σn)²/Σn² of their provinces.

    Parameters
    ----------
    units : DataFrame
        One row a province: region, hub (empty outside the hubs).
    """
    rows = []
    for region, own in units.groupby("region"):
        hub = own["hub"] != ""
        treated, controls = float(hub.sum()), float((~hub).sum())
        sizes = own.loc[hub, "hub"].value_counts().to_numpy(dtype=float)
        numbers = {
            "hub_provinces": treated,
            "control_provinces": controls,
            "hubs": float(len(sizes)),
            "effective_hubs": float(sizes.sum() ** 2 / (sizes @ sizes)) if len(sizes) else 0.0,
            "weight": treated * controls / (treated + controls),
        }
        rows.append(pd.Series(numbers, name=str(region)))
    table = pd.DataFrame(rows)
    table["weight"] /= table["weight"].sum()
    long = table.rename_axis("row").reset_index().melt("row", var_name="column")
    return long.assign(view_id="region_support", value=np.asarray(long["value"], dtype=float))
