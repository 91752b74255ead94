"""Run one specification: a model stanza and its rows in, tidy estimates and tests out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pipeline.econometrics import (
    Estimate,
    TestResult,
    event_study,
    minimum_detectable_effect,
    power,
    randomization_test,
    two_way_fe,
    wald,
    wild_cluster_bootstrap,
)
from pipeline.estimate import samples

if TYPE_CHECKING:
    from pipeline.specs import Model, Treatment

UNIT, TIME, CLUSTER = "province_code", "year", "cluster"
COUNTS = ("n_obs", "n_units", "n_treated", "n_clusters", "n_treated_clusters")


@dataclass(frozen=True)
class Settings:
    """What every specification shares: dates, level, draws, hashes."""

    event_year: int
    reference_year: int
    announcement_year: int
    level: float
    wild_draws: int
    data_sha256: str
    plan_sha256: str


def sample_of(model: Model, rows: pd.DataFrame, treatments: dict[str, Treatment], settings: Settings) -> pd.DataFrame:
    """Return the rows of one specification with its treatment columns and the hub cohort."""
    frame = samples.build(rows, model.outcome, model.sample.years, model.adjustment)
    for name in model.treatments:
        given = treatments.get(name)
        if given is not None:
            first = getattr(settings, given.first) if given.first else None
            frame[name] = samples.treated(frame, first=first, only=given.only)
    frame["cohort"] = np.where(frame["hubs"] == 1, float(settings.event_year), np.inf)
    return frame


def common(model: Model) -> dict[str, Any]:
    """Return the keywords that every estimator and test of a specification shares."""
    chosen = model.adjustment
    return {"unit": UNIT, "time": TIME, "cluster": CLUSTER, "by_time": chosen.by_time, "effects": chosen.effects}


def fit(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    """Estimate a specification with the covariance asked for."""
    shared = common(model) | {"covariance": covariance, "level": settings.level}
    if model.estimator == "event_study":
        reference = settings.reference_year - settings.event_year
        announced = settings.announcement_year - settings.event_year
        return event_study(
            frame,
            model.outcome,
            cohort="cohort",
            reference=reference,
            exclude=(announced,),
            term=model.treatments[0],
            **shared,
        )
    return two_way_fe(frame, model.outcome, list(model.treatments), **shared)


def estimates(model: Model, frame: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, Estimate, Estimate]:
    """Return the tidy rows of a specification, with the CRV3 and the CRV1 estimate they come from."""
    main, crv1 = fit(model, frame, settings, "CRV3"), fit(model, frame, settings, "CRV1")
    mean, sd = samples.pre_period(frame, model.outcome, settings.reference_year)
    estimated = main.table["std_error"].notna()  # all but the reference of an event study
    table = main.table.assign(std_error_crv1=crv1.table["std_error"].to_numpy())
    pairs = list(zip(table.loc[estimated, "std_error"], table.loc[estimated, "df"], strict=True))
    columns = {
        "half": [float(stdtrit(df, 0.95) * error) for error, df in pairs],
        "mde": [minimum_detectable_effect(error, df, level=settings.level) for error, df in pairs],
    }
    if model.outcome.endswith("_ln"):
        for name, effect in (("power_05", 0.05), ("power_10", 0.10)):
            columns[name] = [power(effect, error, df, level=settings.level) for error, df in pairs]
    table = table.join(pd.DataFrame(columns, index=table.index[estimated]))
    table["ci90_low"], table["ci90_high"] = table["estimate"] - table["half"], table["estimate"] + table["half"]
    table["mde_sd"] = table["mde"] / sd
    table = table.drop(columns="half")
    constants: dict[str, Any] = {
        "spec_id": model.spec_id,
        "estimator": model.estimator,
        "outcome": model.outcome,
        "fixed_effects": model.adjustment.fixed_effects,
        "controls": model.adjustment.controls,
        "covariance": "CRV3",
        "sample": model.sample.id,
        "outcome_mean": mean,
        "outcome_sd": sd,
        "data_sha256": settings.data_sha256,
        "plan_sha256": settings.plan_sha256,
    }
    return table.assign(**constants, **{name: getattr(main, name) for name in COUNTS}), main, crv1


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


def cheap_tests(
    model: Model, frame: pd.DataFrame, main: Estimate, crv1: Estimate, settings: Settings
) -> list[dict[str, object]]:
    """Return the tests that come with the estimates: CRV1, and the joint and the slope test of an event study."""
    rows = []
    if "crv1" in model.tests:
        rows.append(tidy_test(model, model.treatments[0], "crv1", coefficient_test(crv1)))
    if "joint" in model.tests:
        rows.append(tidy_test(model, "pre", "joint", wald(main, "pre")))
    if "slope" in model.tests:
        rows.append(tidy_test(model, "pre", "slope", coefficient_test(pre_trend_slope(model, frame, settings))))
    return rows


def resampling_tests(
    model: Model, frame: pd.DataFrame, settings: Settings, seeds: tuple[int, int]
) -> list[dict[str, object]]:
    """Return the wild cluster bootstrap and the exact hub-level randomisation of a specification.

    Parameters
    ----------
    model, frame, settings
        The specification, its rows, the shared settings.
    seeds : (int, int)
        Seeds of the bootstrap and of the randomisation (which draws nothing where it enumerates).
    """
    rows, term = [], model.treatments[0]
    if "wild_webb" in model.tests:
        wild = wild_cluster_bootstrap(
            frame, model.outcome, term, draws=settings.wild_draws, distribution="webb", seed=seeds[0], **common(model)
        )
        rows.append(tidy_test(model, term, "wild_webb", wild))
    if "randomization_hub" in model.tests:
        exact = randomization_test(
            frame,
            model.outcome,
            term,
            statistic="t",
            draws=None,
            interval=True,
            level=settings.level,
            seed=seeds[1],
            **common(model),
        )
        rows.append(tidy_test(model, term, "randomization_hub", exact))
    return rows
