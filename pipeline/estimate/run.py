"""Run one specification: a model stanza and its rows in, tidy estimates out."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pipeline.econometrics import Estimate, minimum_detectable_effect, power
from pipeline.estimate import samples
from pipeline.estimate.designs import COVARIANCES, Settings, fit

if TYPE_CHECKING:
    from pipeline.specs import Model, Treatment

COUNTS = ("n_obs", "n_units", "n_treated", "n_clusters", "n_treated_clusters")


def sample_of(model: Model, rows: pd.DataFrame, treatments: dict[str, Treatment], settings: Settings) -> pd.DataFrame:
    """Return the rows of one specification with its treatment columns, covariates and the hub cohort."""
    years = samples.years_of(rows, model.outcome, model.sample, settings.announcement_year)
    frame = samples.keep(samples.build(rows, model.outcome, years, model.adjustment), model.sample, model.without)
    dates = {name: getattr(settings, name) for name in ("event_year", "reference_year", "announcement_year")}
    frame = samples.with_treatments(frame, rows, model, treatments, dates)
    if "covariates" in model.options:
        means = samples.standardised_means(rows, model.options["covariates"], model.options["covariate_years"])
        frame = frame.merge(means, left_on="province_code", right_index=True, how="left", validate="many_to_one")
    frame["cohort"] = np.where(frame["hubs"] == 1, float(settings.event_year), np.inf)
    return frame


def estimates(model: Model, frame: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, Estimate, Estimate | None]:
    """Return the tidy rows of a specification, with the CRV3 and the CRV1 estimate they come from.

    An estimator with a covariance of its own has no CRV1.
    """
    main = fit(model, frame, settings, "CRV3")
    crv1 = None if model.estimator in COVARIANCES else fit(model, frame, settings, "CRV1")
    table = main.table.assign(std_error_crv1=np.nan if crv1 is None else crv1.table["std_error"].to_numpy())
    if model.estimator == "event_study_by_role":
        table = _by_role(table, model.treatments, settings)
    elif not model.estimator.startswith("event_study"):
        table = table.head(len(model.treatments)).assign(term=model.treatments)
    texts = {
        "spec_id": model.spec_id,
        "estimator": model.estimator,
        "outcome": model.outcome,
        "fixed_effects": model.adjustment.fixed_effects,
        "controls": model.adjustment.controls,
        "covariance": COVARIANCES.get(model.estimator, "CRV3"),
    }
    return tidy_rows(table, main, frame, settings, texts), main, crv1


def tidy_rows(
    table: pd.DataFrame, estimate: Estimate, frame: pd.DataFrame, settings: Settings, texts: dict[str, str]
) -> pd.DataFrame:
    """Return rows of the ``estimates`` file: 90 % intervals, detectable effects and power, counts and hashes added.

    Parameters
    ----------
    table : DataFrame
        Rows of ``estimate.table``.
    estimate : Estimate
        Gives the counts.
    frame : DataFrame
        The rows used, for the moments of the outcome and the years.
    settings : Settings
    texts : dict
        spec_id, estimator, outcome, fixed_effects, controls, covariance.
    """
    outcome = texts["outcome"]
    mean, sd = samples.pre_period(frame, outcome, settings.reference_year)
    estimated = table["std_error"].notna()  # all but the reference of an event study
    pairs = list(zip(table.loc[estimated, "std_error"], table.loc[estimated, "df"], strict=True))
    columns = {
        "half": [float(stdtrit(df, 0.95) * error) for error, df in pairs],
        "mde": [minimum_detectable_effect(error, df, level=settings.level) for error, df in pairs],
    }
    if outcome.startswith("ln_") or outcome.endswith("_ln"):
        for name, effect in (("power_05", 0.05), ("power_10", 0.10)):
            columns[name] = [power(effect, error, df, level=settings.level) for error, df in pairs]
    table = table.join(pd.DataFrame(columns, index=table.index[estimated]))
    table["ci90_low"], table["ci90_high"] = table["estimate"] - table["half"], table["estimate"] + table["half"]
    table["mde_sd"] = table["mde"] / sd
    table["df"] = table["df"].where(np.isfinite(table["df"]))  # missing: normal
    constants: dict[str, Any] = {
        **texts,
        "sample": spans(sorted(frame["year"].unique())),
        "outcome_mean": mean,
        "outcome_sd": sd,
        "data_sha256": settings.data_sha256,
        "plan_sha256": settings.plan_sha256,
    }
    return table.drop(columns="half").assign(**constants, **{name: getattr(estimate, name) for name in COUNTS})


def _by_role(table: pd.DataFrame, roles: tuple[str, ...], settings: Settings) -> pd.DataFrame:
    """Read role and event time off the terms, and add the reference rows."""
    names = table["term"].str.split("|", expand=True)
    table = table.assign(term=names[0], event_time=names[1].astype("Int64"))
    reference = pd.DataFrame({"term": roles, "event_time": settings.reference, "estimate": 0.0})
    return pd.concat([table, reference.astype({"event_time": "Int64"})], ignore_index=True)


def spans(years: list[int]) -> str:
    """Return years as text, runs joined: ``2013–2016, 2018–2020, 2022, 2023``."""
    runs = [list(run) for _, run in groupby(enumerate(map(int, years)), key=lambda pair: pair[1] - pair[0])]
    texts = []
    for run in runs:
        first, last = run[0][1], run[-1][1]
        texts.append(str(first) if first == last else f"{first}, {last}" if last == first + 1 else f"{first}–{last}")
    return ", ".join(texts)
