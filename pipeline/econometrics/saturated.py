"""Staggered designs by regression: the sample, cohort × period cells, and weighted sums of coefficients as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.cohorts import first_treated, period_values
from pipeline.econometrics.covariance import Covariance
from pipeline.econometrics.design import Codes, Design, Floats, Ints, listed
from pipeline.econometrics.event import sup_t
from pipeline.econometrics.fit import Fit
from pipeline.econometrics.results import Estimate, tidy
from pipeline.econometrics.twfe import assemble
from pipeline.errors import EstimationError

Bools = NDArray[np.bool_]
AGGREGATES = ("dynamic", "simple", "group", "calendar", "cells")


@dataclass(frozen=True, eq=False)
class Staggered:
    """The rows of a staggered design.

    Attributes
    ----------
    design : Design
    first : ndarray, (n,)
        First treated period by row; infinite for the control group.
    period : ndarray, (n,)
        Period by row, as a number.
    notes : dict of str
        Text for ``meta``: the control group, the units and cohorts left out.
    """

    design: Design
    first: Floats
    period: Floats
    notes: dict[str, str]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cohort × period cells that have an effect of their own.

    Attributes
    ----------
    member : ndarray, (n,)
        Cell of each row, –1 for none.
    cohort, event_time : ndarray, (C,)
    mass : ndarray, (C,)
        Rows in the cell, or the sum of their weights.
    """

    member: Ints
    cohort: Floats
    event_time: Ints
    mass: Floats

    @property
    def dummies(self) -> Floats:
        """One column a cell, (n, C)."""
        return np.asarray(self.member[:, None] == np.arange(len(self.cohort)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Average:
    """One row of a table: a weighted sum of coefficients.

    Attributes
    ----------
    term : str
    weights : ndarray, (K,)
        Over the coefficients; all zero for a reference.
    treated : ndarray of bool, (n,)
        The treated rows that the effect rests on.
    event_time, cohort : int or None
    """

    term: str
    weights: Floats
    treated: Bools
    event_time: int | None = None
    cohort: int | None = None


def staggered(panel: pd.DataFrame, design: Design, cohort: str) -> Staggered:
    """Settle who is treated, who is control and which rows are used.

    Units treated in every period are left out and named; cohorts treated after the last period are controls. If no unit
    is left untreated, the last cohort is the control and the periods from its treatment on are left out.

    Raises
    ------
    EstimationError
        See :func:`pipeline.econometrics.cohorts.first_treated`; also no treated unit with an untreated period, or no
        control.
    """
    first = first_treated(panel, design, cohort)
    period = period_values(design)[design.time.ids]
    always = first <= period.min()
    late = np.isfinite(first) & (first > period.max())
    first = np.where(late, np.inf, first)
    keep, control = ~always, "never treated"
    if not np.isfinite(first[keep]).any():
        raise EstimationError(f"{cohort!r}: no unit is treated within the sample after an untreated period")
    if np.isfinite(first[keep]).all():
        last = first[keep].max()
        keep = keep & (period < last)
        first = np.where(first == last, np.inf, first)
        control = f"the last cohort ({last:g}); periods from {last:g} on, when everyone is treated, are left out"
        if not np.isfinite(first[keep]).any():
            raise EstimationError(f"{cohort!r} has one cohort ({last:g}) and nobody untreated: there is no control")
    notes = {
        "control": control,
        "always_treated_left_out": named_units(design, always),
        "treated_after_the_sample": named_units(design, late),
    }
    return Staggered(take(design, keep), first[keep], period[keep], notes)


def take(design: Design, rows: Bools | Ints) -> Design:
    """Return the design on some of its rows, in the order given; a row may be taken more than once."""

    def codes(old: Codes) -> Codes:
        present, ids = np.unique(old.ids[rows], return_inverse=True)
        return Codes(ids.astype(np.intp), [old.labels[i] for i in present])

    return replace(
        design,
        y=design.y[rows],
        X=design.X[rows],
        by_time={name: column[rows] for name, column in design.by_time.items()},
        effects={name: codes(effect) for name, effect in design.effects.items()},
        clusters={name: codes(cluster) for name, cluster in design.clusters.items()},
        weights=None if design.weights is None else design.weights[rows],
        unit=codes(design.unit),
        time=codes(design.time),
        rows=design.rows[rows],
    )


def make_cells(sample: Staggered, included: Bools) -> Cells:
    """Cells of the included rows, sorted by cohort and event time."""
    first, since = sample.first[included], sample.period[included] - sample.first[included]
    pairs, ids = np.unique(np.column_stack([first, since]), axis=0, return_inverse=True)
    member = np.full(len(sample.first), -1, dtype=np.intp)
    member[included] = ids.ravel()
    weights = None if sample.design.weights is None else sample.design.weights[included]
    mass = np.bincount(ids.ravel(), weights=weights).astype(np.float64)
    return Cells(member, pairs[:, 0], np.rint(pairs[:, 1]).astype(np.intp), mass)


def check_reference(sample: Staggered, reference: int) -> None:
    """Raise unless every cohort is observed at the reference event time."""
    cohorts = np.unique(sample.first[np.isfinite(sample.first)])
    without = [g for g in cohorts if not (sample.period[sample.first == g] == g + reference).any()]
    if without:
        names = listed([f"{g:g} (period {g + reference:g})" for g in without])
        raise EstimationError(f"no row at the reference event time {reference} for cohort {names}")


def averages(
    cells: Cells, kind: str, names: tuple[str, str], transform: Floats, *, reference: int | None = None
) -> list[Average]:
    """Rows of the table for one aggregation; cells weigh by their rows.

    Parameters
    ----------
    cells : Cells
    kind : {"dynamic", "simple", "group", "calendar", "cells"}
        By event time, or over the treated rows: all, by cohort, by period; or every cell.
    names : (str, str)
        Cohort and time column.
    transform : ndarray, (C, K)
        Effect of each cell as a combination of coefficients.
    reference : int, optional
        Event time that is shown with the effect zero.
    """
    if kind not in AGGREGATES:
        raise EstimationError(f"aggregate {kind!r} is not one of {', '.join(AGGREGATES)}")
    term, time = names
    post, since = cells.event_time >= 0, cells.event_time
    calendar = cells.cohort + since

    def average(chosen: Bools, name: str = term, e: int | None = None, g: float | None = None) -> Average:
        weights = np.where(chosen, cells.mass, 0.0)
        shown = int(g) if g is not None and g % 1 == 0 else None
        on = np.append(chosen, False)[cells.member]
        return Average(name, (weights / (weights.sum() or 1.0)) @ transform, on, e, shown)

    if kind == "simple":
        return [average(post)]
    if kind == "group":
        return [average(post & (cells.cohort == g), g=float(g)) for g in np.unique(cells.cohort[post])]
    if kind == "calendar":
        return [average(post & (calendar == t), f"{term} in {time} {t:g}") for t in np.unique(calendar[post])]
    if kind == "cells":
        return [average(np.arange(len(post)) == c, e=int(since[c]), g=float(cells.cohort[c])) for c in range(len(post))]
    times = sorted({int(e) for e in since} | ({reference} if reference is not None else set()))
    return [average(since == e, e=e) for e in times]


def summarise(
    fitted: Fit,
    coefficients: Floats,
    cov: Covariance,
    rows: Sequence[Average],
    headline: Average,
    *,
    level: float,
    treated: Bools,
    meta: dict[str, str],
    bands: bool = True,
    exclude: Sequence[int] = (),
    seed: int = 0,
) -> Estimate:
    """Table of weighted sums of coefficients with their covariance, and the headline.

    An effect whose treated rows all lie in one cluster has no variance: it is missing, and ``meta`` names it. The bands
    are simultaneous over the event times that are neither reference nor in ``exclude``.
    """
    R = np.array([r.weights for r in rows])
    df = np.array([cov.df(r) if r.any() else np.nan for r in R])
    lone = np.array([r.weights.any() and _one_cluster(fitted.design, r.treated, cov) for r in rows])
    vcov = _sandwich(R, cov.matrix)
    vcov[lone], vcov[:, lone] = np.nan, np.nan
    se = np.where(R.any(axis=1), np.sqrt(np.diag(vcov)), np.nan)
    shown = [i for i, r in enumerate(rows) if r.event_time not in (None, *exclude) and r.weights.any()]
    critical = np.full(len(rows), np.nan)
    if bands and shown:
        critical[shown] = sup_t(vcov[np.ix_(shown, shown)], df[shown].min(), level, seed)
        meta = meta | {"band_critical_value": f"{critical[shown[0]]:.6f}"}
    table = tidy(
        [r.term for r in rows],
        R @ coefficients,
        se,
        df,
        level,
        event_time=[r.event_time for r in rows],
        cohort=[r.cohort for r in rows],
        critical=critical,
    )
    names = [_label(r) for r, single in zip(rows, lone, strict=True) if single]
    if names:
        reason = f"the treated lie in one cluster: {', '.join(names)}"
        meta = meta | {"no_variance": "; ".join(filter(None, [meta.get("no_variance", ""), reason]))}
    raw = pd.DataFrame({"estimate": coefficients})
    result = assemble(fitted, raw, cov, headline.weights, level, treated, meta)
    result = replace(result, table=table, vcov=vcov)
    if _one_cluster(fitted.design, headline.treated, cov):
        result = replace(result, std_error=np.nan, ci=(np.nan, np.nan), p_value=np.nan)
    return result


def coefficient_rows(design: Design, start: int) -> list[Average]:
    """Rows for the coefficients of the columns from ``start`` on, as they are."""
    everyone, size = np.ones(design.n, dtype=np.bool_), len(design.terms)
    return [Average(design.terms[j], np.eye(size)[j], everyone) for j in range(start, size)]


def named_units(design: Design, rows: Bools) -> str:
    """Labels of the units of some rows, comma-separated."""
    return ", ".join(str(design.unit.labels[u]) for u in np.unique(design.unit.ids[rows]))


def _sandwich(R: Floats, V: Floats) -> Floats:
    """R V R', missing only where a row puts weight on a coefficient without a variance."""
    missing = np.isnan(np.diag(V))
    out = np.asarray(R @ np.where(np.isnan(V), 0.0, V) @ R.T)
    touched = (R[:, missing] != 0).any(axis=1)
    out[touched], out[:, touched] = np.nan, np.nan
    return out


def _one_cluster(design: Design, rows: Bools, cov: Covariance) -> bool:
    """Whether some rows lie in one cluster (without clusters: are one row)."""
    if not cov.n_clusters:
        return int(rows.sum()) == 1
    return any(len(np.unique(c.ids[rows])) == 1 for c in design.clusters.values())


def _label(row: Average) -> str:
    parts = [row.term, f"cohort {row.cohort}" if row.cohort is not None else ""]
    parts += [f"event time {row.event_time}" if row.event_time is not None else ""]
    return " ".join(filter(None, parts))
