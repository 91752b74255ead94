"""The tests of a specification, as rows of the ``tests`` file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import Estimate, TestResult, randomization_test, two_way_fe, wald, wild_cluster_bootstrap
from pipeline.estimate.run import Settings, common, estimates
from pipeline.estimate.samples import left_out

if TYPE_CHECKING:
    from pipeline.specs import Model

RESAMPLED = {"wild_webb", "randomization_hub", "permutation_role"}


def tidy_test(model: Model, term: str, method: str, result: TestResult) -> dict[str, object]:
    """Return one row of the ``tests`` file."""
    df1, df2 = result.df if isinstance(result.df, tuple) else (result.df, None)
    low, high = result.ci or (None, None)
    return {
        "spec_id": model.spec_id,
        "term": term,
        "method": method,
        "estimate": result.estimate,
        "statistic": result.statistic,
        "df1": df1,
        "df2": df2,
        "p_value": result.p_value,
        "ci_low": low,
        "ci_high": high,
        "draws": result.draws,
        "exact": result.exact,
        "reason": result.meta.get("reason"),
    }


def coefficient_test(estimate: Estimate, row: int = 0) -> TestResult:
    """Return the t test of one coefficient as a ``TestResult``."""
    line = estimate.table.iloc[row]
    return TestResult(
        statistic=float(line["estimate"] / line["std_error"]),
        p_value=float(line["p_value"]),
        df=float(line["df"]),
        estimate=float(line["estimate"]),
        ci=(float(line["ci_low"]), float(line["ci_high"])),
    )


def pre_trend_slope(model: Model, frame: pd.DataFrame, settings: Settings) -> Estimate:
    """Estimate Hub × (year – reference year) on the pre years alone, with the effects and X of the specification."""
    pre = frame[frame["year"] <= settings.reference_year]
    pre = pre.assign(hub_trend=pre["hubs"] * (pre["year"] - settings.reference_year))
    return two_way_fe(pre, model.outcome, "hub_trend", covariance="CRV3", level=settings.level, **common(model))


def equality(model: Model, frame: pd.DataFrame, settings: Settings) -> TestResult:
    """Test that two treatments have one effect: the coefficient of the first beside their sum is the difference."""
    first, second = model.treatments
    joint = frame.assign(both=frame[first] + frame[second])
    shared = common(model) | {"controls": ("both",), "covariance": "CRV3", "level": settings.level}
    return coefficient_test(two_way_fe(joint, model.outcome, first, **shared))


def cheap_tests(
    model: Model, frame: pd.DataFrame, main: Estimate, crv1: Estimate, settings: Settings
) -> list[dict[str, object]]:
    """Return the tests that come with the estimates: CRV1, equality, and the two pre-trend tests of an event study."""
    rows = []
    if "crv1" in model.tests:
        rows += [tidy_test(model, term, "crv1", coefficient_test(crv1, k)) for k, term in enumerate(model.treatments)]
    if "equality" in model.tests:
        rows.append(tidy_test(model, difference(model), "equality", equality(model, frame, settings)))
    if "joint" in model.tests:
        rows.append(tidy_test(model, "pre", "joint", wald(main, "pre")))
    if "slope" in model.tests:
        rows.append(tidy_test(model, "pre", "slope", coefficient_test(pre_trend_slope(model, frame, settings))))
    return rows


def evaluate(
    model: Model, rows: pd.DataFrame, frame: pd.DataFrame, settings: Settings
) -> tuple[pd.DataFrame, list[dict[str, object]], pd.DataFrame]:
    """Return a specification's tidy estimates, its cheap tests, and the province-years it lacks."""
    table, crv3, crv1 = estimates(model, frame, settings)
    return (
        table,
        cheap_tests(model, frame, crv3, crv1, settings),
        left_out(model.spec_id, rows, frame, model.outcome),
    )


def difference(model: Model) -> str:
    """Return the term of a contrast between the two treatments: ``demand_post - supply_post``."""
    return " - ".join(model.treatments)


def resampling_tests(model: Model, frame: pd.DataFrame, settings: Settings, seed: int) -> list[dict[str, object]]:
    """Return the wild cluster bootstrap and the exact randomisation tests of a specification.

    Parameters
    ----------
    model, frame, settings
        The specification, its rows, the shared settings.
    seed : int
        Of the bootstrap's draws; the randomisations enumerate and draw nothing.
    """
    rows, term = [], model.treatments[0]
    if "wild_webb" in model.tests:
        wild = wild_cluster_bootstrap(
            frame, model.outcome, term, draws=settings.wild_draws, distribution="webb", seed=seed, **common(model)
        )
        rows.append(tidy_test(model, term, "wild_webb", wild))
    shared: dict[str, Any] = {"draws": None, "seed": seed, "level": settings.level} | common(model)
    if "randomization_hub" in model.tests:
        exact = randomization_test(frame, model.outcome, term, statistic="t", interval=True, **shared)
        rows.append(tidy_test(model, term, "randomization_hub", exact))
    if "permutation_role" in model.tests:
        joint = frame.assign(both=frame[list(model.treatments)].sum(axis=1))
        labels = randomization_test(
            joint, model.outcome, term, statistic="coefficient", strata="hubs", controls=("both",), **shared
        )
        rows.append(
            tidy_test(model, difference(model), "permutation_role", replace(labels, statistic=np.abs(labels.statistic)))
        )
    return rows
