"""Averages of group-time effects, with the sampling error of the cohort sizes that weight them.

Callaway and Sant'Anna (2021, J. Econometrics 225, section 3.2), as ``aggte`` of the R package did computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.econometrics.design import Floats, Ints
from pipeline.econometrics.group_time import Cells, Sample
from pipeline.econometrics.influence import influence_covariance

AGGREGATES = ("simple", "group", "dynamic", "calendar", "cells")
ROUNDING = 1e-13  # a standard error below this share of the largest outcome is rounding, not variation


@dataclass(frozen=True, eq=False)
class Row:
    """A weighted mean of cells; ``by_size`` weights them by the cohorts' sizes, which are estimated."""

    term: str
    event_time: int | None
    cohort: int | None
    members: Ints
    by_size: bool = True


@dataclass(frozen=True, eq=False)
class Mean:
    """Weights over the cells (m,), the weighted mean and its influence function (n,)."""

    weights: Floats
    estimate: float
    influence: Floats


def table_rows(cells: Cells, aggregate: str, name: str) -> list[Row]:
    """Which cells each row of the table averages."""
    since, post = cells.period - cells.cohort, cells.period >= cells.cohort
    if aggregate == "simple":
        return [Row(name, None, None, np.flatnonzero(post))]
    if aggregate == "group":
        return [
            Row(name, None, int(g), np.flatnonzero(post & (cells.cohort == g)), by_size=False)
            for g in np.unique(cells.cohort[post])
        ]
    if aggregate == "dynamic":
        return [Row(name, int(e), None, np.flatnonzero(since == e)) for e in np.unique(since)]
    if aggregate == "calendar":
        return [
            Row(f"calendar {t:g}", None, None, np.flatnonzero(post & (cells.period == t)))
            for t in np.unique(cells.period[post])
        ]
    return [Row(name, int(since[c]), int(cells.cohort[c]), np.array([c])) for c in range(len(since))]


def mean_of(sample: Sample, cells: Cells, row: Row) -> Mean:
    """Mean of the row's cells; its influence function has a part for the estimated cohort sizes."""
    k = row.members
    member = (sample.first[:, None] == cells.cohort[k]) * sample.weights[:, None]
    size = member.mean(axis=0)
    share = size / size.sum() if row.by_size else np.full(len(k), 1 / len(k))
    estimate = float(share @ cells.att[k])
    influence = cells.influence[:, k] @ share
    if row.by_size:
        influence = influence + (member - size) @ (cells.att[k] - estimate) / size.sum()
    weights = np.zeros(len(cells.att))
    weights[k] = share
    return Mean(weights, estimate, influence)


def headline(sample: Sample, cells: Cells, rows: list[Row], means: list[Mean], aggregate: str) -> Mean:
    """Average of the rows that ``att`` reports."""
    if aggregate in ("simple", "cells"):
        return mean_of(sample, cells, Row("", None, None, np.flatnonzero(cells.period >= cells.cohort)))
    chosen = [m for row, m in zip(rows, means, strict=True) if row.event_time is None or row.event_time >= 0]
    estimates = np.array([m.estimate for m in chosen])
    share, extra = np.full(len(chosen), 1 / len(chosen)), np.zeros(len(sample.first))
    if aggregate == "group":
        member = (sample.first[:, None] == [row.cohort for row in rows]) * sample.weights[:, None]
        size = member.mean(axis=0)
        share = size / size.sum()
        extra = (member - size) @ (estimates - share @ estimates) / size.sum()
    return Mean(
        np.array([m.weights for m in chosen]).T @ share,
        float(share @ estimates),
        np.column_stack([m.influence for m in chosen]) @ share + extra,
    )


def variances(
    sample: Sample, cells: Cells, rows: list[Row], means: list[Mean], influence: Floats
) -> tuple[Floats, dict[str, str]]:
    """Covariance of rows and headline: missing where there is no variance, zero for a universal base."""
    vcov = influence_covariance(influence, sample.clusters)
    used = np.array([mean.weights > 0 for mean in means])
    base = ~(used & ~cells.is_base).any(axis=1)
    alone = ~base & ~(used & ~cells.is_base & ~cells.alone).any(axis=1)
    flat = ~base & ~alone & (np.sqrt(np.diag(vcov)) <= ROUNDING * np.abs(sample.outcomes).max())
    vcov[base, :], vcov[:, base] = 0.0, 0.0
    for gone in (alone, flat):
        vcov[gone, :], vcov[:, gone] = np.nan, np.nan
    labels = np.array([*(_label(row) for row in rows), "att"])
    notes, lost = {}, []
    if alone.any():
        lost.append(f"{', '.join(labels[alone])}: only cohorts or controls of one cluster")
    if flat.any():
        lost.append(f"{', '.join(labels[flat])}: no variation in the changes")
    if lost:
        notes["no_variance"] = "; ".join(lost)
    mixed = (used[~base & ~alone] & cells.alone).any(axis=0)
    if mixed.any():
        cohorts = ", ".join(f"{g:g}" for g in np.unique(cells.cohort[mixed]))
        notes["variance_omits"] = f"cohorts of one cluster, averaged with others: {cohorts}"
    return vcov, notes


def _label(row: Row) -> str:
    at = [] if row.cohort is None else [f"cohort {row.cohort}"]
    at += [] if row.event_time is None else [f"event time {row.event_time}"]
    return " at ".join(at) or row.term
