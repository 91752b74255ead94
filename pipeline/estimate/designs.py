"""The estimators that a stanza of ``models.yaml`` can name, each on the rows of one specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.econometrics import (
    Estimate,
    doubly_robust_did,
    entropy_balance,
    event_study,
    long_difference,
    synthetic_did,
    two_way_fe,
)
from pipeline.econometrics.results import t_interval, tidy

if TYPE_CHECKING:
    from pipeline.specs import Model

UNIT, TIME, CLUSTER = "province_code", "year", "cluster"


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


def common(model: Model) -> dict[str, Any]:
    """Return the keywords that every estimator and test of a specification shares."""
    chosen = model.adjustment
    by_time = (*chosen.by_time, *(f"moderator_{name}" for name in model.moderated))
    return {"unit": UNIT, "time": TIME, "cluster": CLUSTER, "by_time": by_time, "effects": chosen.effects}


def fit(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    """Estimate a specification; ``covariance`` is CRV3 or CRV1, where the estimator does not have one of its own."""
    return ESTIMATORS[model.estimator](model, frame, settings, covariance)


def _two_way_fe(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    shared = common(model) | {"covariance": covariance, "level": settings.level}
    return two_way_fe(frame, model.outcome, list(model.treatments), **shared)


def _event_study(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    shared = common(model) | {"covariance": covariance, "level": settings.level}
    window: dict[str, Any] = {"reference": settings.reference, "exclude": (settings.announced,)}
    window |= {"term": model.treatments[0], "bands": covariance == "CRV3"}
    return event_study(frame, model.outcome, cohort="cohort", **window, **shared)


def _event_study_by_role(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    shared = common(model) | {"covariance": covariance, "level": settings.level}
    dummies = role_dummies(frame, model.treatments, settings)
    return two_way_fe(frame.join(dummies), model.outcome, dummies.columns.tolist(), **shared)


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


def _long_difference(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    return long_difference(
        frame,
        model.outcome,
        model.treatments[0],
        unit=UNIT,
        time=TIME,
        pre=model.options["pre"],
        post=model.options["post"],
        controls=model.adjustment.by_time,
        cluster=CLUSTER,
        covariance=covariance,
        level=settings.level,
    )


def _balanced(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    """Two-way fixed effects with control weights that balance the covariates; the variance takes them as given."""
    covariates = list(model.options["covariates"])
    units = frame.groupby(UNIT)[[*covariates, "hubs"]].first()
    weights = entropy_balance(units[covariates], units["hubs"] == 1)
    weight_of = pd.Series(1.0, index=units.index)
    weight_of[units["hubs"] == 0] = weights / weights.mean()
    shared = common(model) | {"covariance": covariance, "level": settings.level, "weights": "balance"}
    weighted = frame.assign(balance=frame[UNIT].map(weight_of))
    controls = weight_of[units["hubs"] == 0].rename("weight").rename_axis("unit").reset_index()
    return replace(two_way_fe(weighted, model.outcome, model.treatments[0], **shared), weights=controls)


def _doubly_robust(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    """Improved doubly robust, with the clustered variance of its influence function, which counts the weights."""
    return doubly_robust_did(
        frame.assign(post=(frame[TIME] >= settings.event_year).astype(float)),
        model.outcome,
        unit=UNIT,
        time=TIME,
        treated="hubs",
        post="post",
        covariates=model.options["covariates"],
        method="improved",
        cluster=CLUSTER,
        level=settings.level,
    )


def _synthetic_did(model: Model, frame: pd.DataFrame, settings: Settings, covariance: str) -> Estimate:
    """Synthetic DiD with the hub jackknife: weights are found anew without each cluster; t(clusters – 1)."""
    estimate = synthetic_did(
        frame,
        model.outcome,
        unit=UNIT,
        time=TIME,
        treatment=model.treatments[0],
        inference="jackknife",
        cluster=CLUSTER,
        recompute=True,
        solver="exact",
        level=settings.level,
    )
    df = float(estimate.n_clusters - 1)
    low, high, p = t_interval(estimate.att, estimate.std_error, df, settings.level)
    table = tidy([model.treatments[0]], [estimate.att], [estimate.std_error], df, settings.level)
    return replace(estimate, df=df, ci=(float(low), float(high)), p_value=float(p), table=table)


COVARIANCES = {"doubly_robust": "influence function", "synthetic_did": "hub jackknife"}  # CRV3 in all others


ESTIMATORS: dict[str, Callable[[Model, pd.DataFrame, Settings, str], Estimate]] = {
    "two_way_fe": _two_way_fe,
    "event_study": _event_study,
    "event_study_by_role": _event_study_by_role,
    "long_difference": _long_difference,
    "balanced": _balanced,
    "doubly_robust": _doubly_robust,
    "synthetic_did": _synthetic_did,
}
