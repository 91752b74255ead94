"""Averages of effects over event times, cohorts or periods, and the estimate that reports them.

Shared by the estimators whose coefficients are means of outcome gaps: imputation and two-stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.econometrics.design import listed
from pipeline.econometrics.results import Estimate, Floats, t_interval, tidy
from pipeline.econometrics.untreated import Booleans, Untreated
from pipeline.errors import EstimationError

AGGREGATES = ("simple", "dynamic", "group", "calendar")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table of effects: their labels, estimates and influence functions.

    Attributes
    ----------
    terms : list of str
    event_time, cohort : list of int or None
    estimates : ndarray, (r,)
    influence : ndarray, (G, r)
        By cluster; its cross product is the covariance matrix.
    contrast : ndarray, (r,)
        Weights of the rows in the headline.
    no_variance : ndarray of bool, (r,)
        Rows that rest on one cluster.
    df : ndarray, (r,)
    """

    terms: list[str]
    event_time: list[int | None]
    cohort: list[int | None]
    estimates: Floats
    influence: Floats
    contrast: Floats
    no_variance: Booleans
    df: Floats


@dataclass(frozen=True, eq=False)
class Cells:
    """What is averaged: membership (n, r) of the rows of the panel in the rows of the table, and labels."""

    terms: list[str]
    event_time: list[int | None]
    cohort: list[int | None]
    members: Booleans
    contrast: Floats

    def targets(self, weights: Floats) -> Floats:
        """Weights of the average in each column; they sum to one."""
        weighted = self.members * weights[:, None]
        return np.asarray(weighted / weighted.sum(axis=0))


def cells_of(
    fitted: Untreated,
    aggregate: str,
    *,
    name: str,
    time: str,
    horizons: Sequence[int] | None = None,
    leads: Sequence[int] = (),
) -> Cells:
    """Choose the averages.

    Parameters
    ----------
    fitted : Untreated
    aggregate : {"simple", "dynamic", "group", "calendar"}
        All treated rows; by event time; by cohort; by period. The headline is the one average; the mean over event
        times ≥ 0; over cohorts, in proportion to their units; the mean over periods.
    name, time : str
        Names of the cohort and time columns, for the labels.
    horizons : sequence of int, optional
        Event times ≥ 0 to report; None is all. Only with "dynamic".
    leads : sequence of int
        Event times below 0 that get a row as well, in no headline. Only with "dynamic".
    """
    if aggregate not in AGGREGATES:
        raise EstimationError(f"aggregate {aggregate!r} is not one of {', '.join(AGGREGATES)}")
    if horizons is not None and aggregate != "dynamic":
        raise EstimationError(f"horizons belong to aggregate='dynamic', not to {aggregate!r}")
    treated, since = fitted.treated, fitted.since
    if aggregate == "simple":
        return Cells(["att"], [None], [None], treated[:, None], np.ones(1))
    if aggregate == "dynamic":
        found = sorted({int(e) for e in since[treated]})
        absent = [e for e in horizons or () if e not in found]
        if absent:
            raise EstimationError(f"no treated row used lies at event time {listed(absent)}; there are {listed(found)}")
        shown = [*leads, *(e for e in found if horizons is None or e in horizons)]
        post = np.array([e >= 0 for e in shown])
        if not post.any():
            raise EstimationError("no event time ≥ 0 is left to average")
        return Cells([name] * len(shown), [*shown], [None] * len(shown), since[:, None] == shown, post / post.sum())
    if aggregate == "group":
        starts = np.unique(fitted.first[treated])
        members = treated[:, None] & (fitted.first[:, None] == starts)
        ids = fitted.design.unit.ids
        mean = np.bincount(ids, fitted.weights) / np.bincount(ids)
        sizes = np.array([mean[np.unique(ids[column])].sum() for column in members.T])
        return Cells([name] * len(starts), [None] * len(starts), [int(s) for s in starts], members, sizes / sizes.sum())
    periods = np.unique(fitted.design.time.ids[treated])
    terms = [f"{time} {fitted.design.time.labels[p]}" for p in periods]
    members = treated[:, None] & (fitted.design.time.ids[:, None] == periods)
    return Cells(terms, [None] * len(terms), [None] * len(terms), members, np.full(len(terms), 1 / len(terms)))


def estimate_of(fitted: Untreated, rows: Rows, level: float, weights: pd.DataFrame, meta: dict[str, str]) -> Estimate:
    """Table, headline and counts; a row that rests on one cluster has no standard error and stands in ``meta``."""
    design = fitted.design
    known = np.where(rows.no_variance, np.nan, 1.0)
    vcov = rows.influence.T @ rows.influence * np.outer(known, known)
    table = tidy(
        rows.terms,
        rows.estimates,
        np.sqrt(np.diag(vcov)),
        rows.df,
        level,
        event_time=rows.event_time,
        cohort=rows.cohort,
    )
    used = rows.contrast != 0
    att = float(rows.contrast @ rows.estimates)
    alone = bool(rows.no_variance[used].all())
    se = float("nan") if alone else float(np.linalg.norm(rows.influence @ rows.contrast))
    low, high, p = t_interval(att, se, np.inf, level)
    ((name, clusters),) = design.clusters.items()
    lost = [
        f"event time {e}" if e is not None else f"cohort {c}" if c is not None else term
        for term, e, c, one in zip(rows.terms, rows.event_time, rows.cohort, rows.no_variance, strict=True)
        if one
    ]
    return Estimate(
        att=att,
        std_error=se,
        df=np.inf,
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=table,
        vcov=vcov,
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=len(np.unique(design.unit.ids[fitted.treated])),
        n_clusters=clusters.n,
        n_treated_clusters=len(np.unique(clusters.ids[fitted.treated])),
        weights=weights,
        meta={
            **meta,
            "clusters": f"{name} ({clusters.n})",
            "effects": ", ".join(design.effects),
            "controls": ", ".join(design.terms),
            "by_time": ", ".join(design.by_time),
            **design.left_out,
            **fitted.left_out,
            **({"no_variance": "one cluster: " + ", ".join(lost)} if lost else {}),
        },
    )


def weights_frame(fitted: Untreated, unit: str, time: str, v: Floats) -> pd.DataFrame:
    """Weights of the headline on the outcomes, and the effect of each treated row (missing in the others)."""
    design = fitted.design
    return pd.DataFrame(
        {
            unit: np.array(design.unit.labels)[design.unit.ids],
            time: np.array(design.time.labels)[design.time.ids],
            "weight": v,
            "effect": np.where(fitted.treated, fitted.gaps, np.nan),
        }
    )
