"""Group-time average treatment effects of Callaway and Sant'Anna (2021, J. Econometrics 225, 200–230)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.balanced import check_balanced, first_rows, restrict, unit_clusters, unit_values
from pipeline.econometrics.cohorts import first_treated, period_values
from pipeline.econometrics.design import Codes, Design, Floats, Ints, build, listed
from pipeline.econometrics.did2x2 import two_by_two
from pipeline.errors import CollinearityError, EstimationError

METHODS = {"dr": "traditional", "regression": "regression", "ipw": "ipw"}
CONTROL_GROUPS = ("never_treated", "not_yet_treated")
BASE_PERIODS = ("varying", "universal")


@dataclass(frozen=True, eq=False)
class Sample:
    """A balanced panel in wide form, without the units that are treated from the start.

    Attributes
    ----------
    outcomes : ndarray, (n, T)
    covariates : ndarray, (n, T, k)
    first : ndarray, (n,)
        First treated period, infinite for units that are not treated within the panel.
    periods : ndarray, (T,)
    cohorts : ndarray, (G,)
        Cohorts that have effects; not those that serve as controls only.
    weights : ndarray, (n,)
    clusters : Codes
    notes : dict of str
        Text for ``meta``: what is left out, and who is a control only.
    """

    outcomes: Floats
    covariates: Floats
    names: tuple[str, ...]
    first: Floats
    periods: Floats
    cohorts: Floats
    weights: Floats
    clusters: Codes
    cluster_name: str
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Cells:
    """Estimated ATT(g, t), ordered by cohort and period.

    Attributes
    ----------
    cohort, period, att : ndarray, (m,)
    is_base : ndarray of bool, (m,)
        Cells that are zero by construction (universal base).
    alone : ndarray of bool, (m,)
        Cells whose cohort, or whose controls, form one cluster: no variance of their own.
    influence : ndarray, (n, m)
    """

    cohort: Floats
    period: Floats
    att: Floats
    is_base: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    influence: Floats


def prepare(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    covariates: Sequence[str],
    control_group: str,
    anticipation: int,
    cluster: str | None,
    weights: str | None,
) -> Sample:
    """Check the panel, set aside what cannot be used, and say so in ``notes``."""

    def designed(frame: pd.DataFrame) -> Design:
        groups = unit if cluster is None else cluster
        return build(frame, outcome, [], unit=unit, time=time, controls=covariates, weights=weights, cluster=groups)

    design = designed(panel)
    notes = dict(design.left_out)
    start = period_values(design).min() + anticipation
    by_row = first_treated(panel, design, cohort)
    early = by_row <= start
    if early.all():
        raise EstimationError(f"every unit is treated in the first period: no cohort of {cohort!r} has a pre period")
    if early.any():
        notes["always_treated"] = _units(design, np.unique(design.unit.ids[early]))
        panel = panel.iloc[design.rows[~early]]
        design = designed(panel)
        by_row = first_treated(panel, design, cohort)
    check_balanced(design, "Callaway–Sant'Anna")
    n, periods, first = design.unit.n, period_values(design), by_row[first_rows(design)]
    first, kept, cohorts = _roles(design, first, periods, cohort, control_group, anticipation, notes)
    w = np.ones(n) if design.weights is None else unit_values(design, design.weights, f"weights {weights!r}")
    return Sample(
        outcomes=design.y.reshape(n, -1)[:, kept],
        covariates=design.X.reshape(n, len(periods), -1)[:, kept],
        names=design.terms,
        first=first,
        periods=periods[kept],
        cohorts=cohorts,
        weights=w,
        clusters=unit_clusters(design),
        cluster_name=next(iter(design.clusters)),
        notes=notes,
    )


def _roles(
    design: Design,
    first: Floats,
    periods: Floats,
    cohort: str,
    control_group: str,
    anticipation: int,
    notes: dict[str, str],
) -> tuple[Floats, Ints, Floats]:
    """First treated periods, periods used and cohorts with effects, given who can be a control."""
    later = np.isfinite(first) & (first > periods.max() + anticipation)
    if later.any():
        notes["treated_after_the_panel"] = _units(design, np.flatnonzero(later))
        first = np.where(later, np.inf, first)
    cohorts, kept = np.unique(first[np.isfinite(first)]), np.arange(len(periods))
    if not np.isinf(first).any():
        if control_group == "never_treated":
            raise EstimationError(
                f"no unit is never treated according to {cohort!r} (infinite or missing; 0 is a period): "
                "use control_group='not_yet_treated'"
            )
        last, cohorts = cohorts[-1], cohorts[:-1]
        kept = np.flatnonzero(periods < last - anticipation)
        notes["control_only"] = f"cohort {last:g}, the last to be treated"
        dropped = listed([f"{p:g}" for p in periods[periods >= last - anticipation]])
        notes["periods_left_out"] = f"{dropped}: every unit is treated"
    if not len(cohorts):
        raise EstimationError(f"no cohort of {cohort!r} has both a pre period and controls")
    if not (cohorts <= periods[kept].max()).any():
        raise EstimationError(f"no cohort of {cohort!r} is treated within the periods that have controls")
    return first, kept.astype(np.intp), cohorts


def _units(design: Design, units: Ints) -> str:
    return ", ".join(str(design.unit.labels[u]) for u in units)


def group_time_effects(
    sample: Sample, *, method: str, control_group: str, base_period: str, anticipation: int
) -> Cells:
    """ATT(g, t) of every cohort and period.

    The base of a period from g on is the last period before g – anticipation; before g it is the same ("universal") or
    the period just before t ("varying"), as in the R package did. Controls of a cell are the units not treated within
    the panel and, for "not_yet_treated", those not treated by the later of t and the base, plus anticipation.
    Covariates are those of the earlier of the two periods.
    """
    periods, rows = sample.periods, []
    for g in sample.cohorts:
        fixed = int(np.flatnonzero(periods + anticipation < g)[-1])
        for t in range(len(periods)):
            if base_period == "universal" or periods[t] >= g:
                rows.append((g, t, fixed))
            elif t > 0:
                rows.append((g, t, t - 1))
    n, m = len(sample.first), len(rows)
    att, influence, alone = np.zeros(m), np.zeros((n, m)), np.zeros(m, dtype=bool)
    for c, (g, t, base) in enumerate(rows):
        if t == base:
            continue
        treated, control = sample.first == g, np.isinf(sample.first)
        if control_group == "not_yet_treated":
            open_until = max(periods[t], periods[base]) + anticipation
            control |= (sample.first > open_until) & ~treated
        used = np.flatnonzero(treated | control)
        try:
            cell = two_by_two(
                sample.outcomes[used, t] - sample.outcomes[used, base],
                treated[used],
                sample.covariates[used, min(t, base)],
                method=METHODS[method],
                names=sample.names,
                weights=sample.weights[used],
            )
        except (CollinearityError, EstimationError) as error:
            raise type(error)(f"cohort {g:g} in period {periods[t]:g}: {error}") from None
        att[c] = cell.att
        influence[used, c] = cell.influence * n / len(used)
        alone[c] = min(restrict(sample.clusters, np.flatnonzero(s)).n for s in (treated, control)) < 2
    cohort, period, base_of = (np.array(column) for column in zip(*rows, strict=True))
    return Cells(cohort.astype(np.float64), periods[period], att, period == base_of, alone, influence)
