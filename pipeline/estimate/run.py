"""Run one specification: a model stanza and its rows in, tidy estimates out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pipeline.econometrics import Estimate, event_study, minimum_detectable_effect, power, two_way_fe
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

    @property
    def reference(self) -> int:
        """Event time of the reference year."""
        return self.reference_year - self.event_year

    @property
    def announced(self) -> int:
        """Event time of the announcement."""
        return self.announcement_year - self.event_year


def sample_of(model: Model, rows: pd.DataFrame, treatments: dict[str, Treatment], settings: Settings) -> pd.DataFrame:
    """Return the rows of one specification with its treatment columns and the hub cohort."""
    years = samples.years_of(rows, model.outcome, model.sample, settings.announcement_year)
    frame = samples.build(rows, model.outcome, years, model.adjustment)
    for name in model.treatments:
        if name in treatments:
            given = treatments[name]
            first = getattr(settings, given.first) if given.first else None
            frame[name] = samples.treated(frame, given.group, first=first, only=given.only)
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
        window: dict[str, Any] = {"reference": settings.reference, "exclude": (settings.announced,)}
        window |= {"term": model.treatments[0], "bands": covariance == "CRV3"}
        return event_study(frame, model.outcome, cohort="cohort", **window, **shared)
    if model.estimator == "event_study_by_role":
        dummies = role_dummies(frame, model.treatments, settings)
        return two_way_fe(frame.join(dummies), model.outcome, dummies.columns.tolist(), **shared)
    return two_way_fe(frame, model.outcome, list(model.treatments), **shared)


def role_dummies(frame: pd.DataFrame, roles: tuple[str, ...], settings: Settings) -> pd.DataFrame:
    """Return one column a role and event time, all but the reference: ``demand|-9``."""
    time = frame["year"] - settings.event_year
    columns = {
        f"{role}|{event}": ((frame["role"] == role) & (time == event)).astype(float)
        for role in roles
        for event in sorted(time.unique())
        if event != settings.reference
    }
    return pd.DataFrame(columns, index=frame.index)


def estimates(model: Model, frame: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, Estimate, Estimate]:
    """Return the tidy rows of a specification, with the CRV3 and the CRV1 estimate they come from."""
    main, crv1 = fit(model, frame, settings, "CRV3"), fit(model, frame, settings, "CRV1")
    mean, sd = samples.pre_period(frame, model.outcome, settings.reference_year)
    table = main.table.assign(std_error_crv1=crv1.table["std_error"].to_numpy())
    if model.estimator == "event_study_by_role":
        table = _by_role(table, model.treatments, settings)
    estimated = table["std_error"].notna()  # all but the reference of an event study
    pairs = list(zip(table.loc[estimated, "std_error"], table.loc[estimated, "df"], strict=True))
    columns = {
        "half": [float(stdtrit(df, 0.95) * error) for error, df in pairs],
        "mde": [minimum_detectable_effect(error, df, level=settings.level) for error, df in pairs],
    }
    if model.outcome.startswith("ln_") or model.outcome.endswith("_ln"):
        for name, effect in (("power_05", 0.05), ("power_10", 0.10)):
            columns[name] = [power(effect, error, df, level=settings.level) for error, df in pairs]
    table = table.join(pd.DataFrame(columns, index=table.index[estimated]))
    table["ci90_low"], table["ci90_high"] = table["estimate"] - table["half"], table["estimate"] + table["half"]
    table["mde_sd"] = table["mde"] / sd
    constants: dict[str, Any] = {
        "spec_id": model.spec_id,
        "estimator": model.estimator,
        "outcome": model.outcome,
        "fixed_effects": model.adjustment.fixed_effects,
        "controls": model.adjustment.controls,
        "covariance": "CRV3",
        "sample": spans(sorted(frame["year"].unique())),
        "outcome_mean": mean,
        "outcome_sd": sd,
        "data_sha256": settings.data_sha256,
        "plan_sha256": settings.plan_sha256,
    }
    tidy = table.drop(columns="half").assign(**constants, **{name: getattr(main, name) for name in COUNTS})
    return tidy, main, crv1


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
