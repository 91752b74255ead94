"""A staggered shock by every staggered estimator, and what two-way fixed effects make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import (
    Estimate,
    bacon_decomposition,
    callaway_santanna,
    extended_twfe,
    imputation,
    local_projections,
    stacked,
    sun_abraham,
    twfe_weights,
    two_stage,
    two_way_fe,
)
from pipeline.errors import EstimationError
from pipeline.estimate.battery import not_computed, tidy_test
from pipeline.estimate.designs import TIME, UNIT, Settings
from pipeline.estimate.run import tidy_rows

if TYPE_CHECKING:
    from pipeline.specs import Shock

Estimator = Callable[..., Estimate]


def _twfe(frame: pd.DataFrame, outcome: str, **keywords: Any) -> Estimate:
    post = (frame[TIME] >= frame[keywords.pop("cohort")]).astype(float)
    return two_way_fe(frame.assign(post=post), outcome, "post", covariance="CRV3", **keywords)


def _callaway(control_group: str) -> Estimator:
    def estimator(frame: pd.DataFrame, outcome: str, **keywords: Any) -> Estimate:
        return callaway_santanna(frame, outcome, control_group=control_group, **keywords)

    return estimator


ESTIMATORS: dict[str, Estimator] = {
    "twfe": _twfe,
    "callaway_santanna_never": _callaway("never_treated"),
    "callaway_santanna_not_yet": _callaway("not_yet_treated"),
    "sun_abraham": sun_abraham,
    "imputation": imputation,
    "two_stage": two_stage,
    "extended_twfe": extended_twfe,
    "stacked": stacked,
    "local_projections": local_projections,
}
AGGREGATED = ("callaway_santanna_never", "callaway_santanna_not_yet", "imputation", "two_stage", "extended_twfe")


def pooled(
    name: str, shock: Shock, frame: pd.DataFrame, outcome: str, settings: Settings
) -> tuple[pd.DataFrame | None, list[dict[str, object]]]:
    """Return the average effect by one estimator as a tidy row, or a test row with the reason it has none."""
    spec_id = f"{shock.id}_{name}.{outcome}.none"
    keywords = {"unit": UNIT, "time": TIME, "cohort": "cohort", "level": settings.level}
    if name in AGGREGATED:
        keywords["aggregate"] = "simple"
    try:
        estimate = ESTIMATORS[name](frame, outcome, **keywords)
    except EstimationError as error:
        return None, [tidy_test(spec_id, shock.id, "estimate", not_computed(error))]
    row = pd.DataFrame(
        {
            "term": [shock.id],
            "estimate": [estimate.att],
            "std_error": [estimate.std_error],
            "df": [estimate.df],
            "ci_low": [estimate.ci[0]],
            "ci_high": [estimate.ci[1]],
            "p_value": [estimate.p_value],
        }
    )
    texts = {
        "spec_id": spec_id,
        "estimator": name,
        "outcome": outcome,
        "fixed_effects": "province + year",
        "controls": "",
        "covariance": estimate.meta.get("covariance", ""),
    }
    return tidy_rows(row, estimate, frame, settings, texts), []


def frame_of(shock: Shock, rows: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return province, year, cohort (infinite for never treated) and the outcome over the years of the shock."""
    kept = rows.loc[rows["year"].isin(shock.years), [UNIT, TIME, shock.cohort, outcome]].dropna(subset=[outcome])
    cohort = kept[shock.cohort].astype(float)
    return kept.assign(cohort=np.where(cohort <= max(shock.years), cohort, np.inf)).reset_index(drop=True)


def decompositions(shock: Shock, frame: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return the Goodman-Bacon decomposition, and the weights of two-way fixed effects on treated cells, as a view."""
    keywords: dict[str, Any] = {"unit": UNIT, "time": TIME, "cohort": "cohort"}
    bacon = bacon_decomposition(frame, outcome, **keywords)
    rows = [
        {"row": row["comparison"], "column": column, "value": row[column]}
        for row in bacon.to_dict("records")
        for column in ("weight", "estimate")
    ]
    weights = twfe_weights(frame, outcome, **keywords)["weight"].to_numpy()
    summary = {"cells": float(len(weights)), "negative": float((weights < 0).sum())}
    summary |= {"negative_sum": float(weights[weights < 0].sum())}
    rows += [{"row": "weights", "column": k, "value": v} for k, v in summary.items()]
    return pd.DataFrame(rows).assign(view_id=f"{shock.id}_decomposition")


def cohorts(shock: Shock, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the number of provinces by cohort as a view."""
    first = frame.drop_duplicates(UNIT)["cohort"]
    counts = first[np.isfinite(first)].astype(int).value_counts().sort_index()
    rows = [{"row": str(year), "column": "provinces", "value": float(n)} for year, n in counts.items()]
    rows.append({"row": "never", "column": "provinces", "value": float(np.isinf(first).sum())})
    return pd.DataFrame(rows).assign(view_id=f"{shock.id}_cohorts")
