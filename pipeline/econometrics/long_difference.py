"""Long difference: one change a unit, from the mean of some periods to the mean of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Design, Floats, Ints, build, listed
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import Bools, take
from pipeline.econometrics.twfe import assemble, coefficient_table, estimate
from pipeline.errors import EstimationError


def long_difference(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    *,
    unit: str,
    time: str,
    pre: Sequence[object],
    post: Sequence[object],
    controls: Sequence[str] = (),
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    level: float = 0.95,
) -> Estimate:
    """Regress the change of the outcome on the change of the treatment, one row a unit.

    With a treatment that switches between ``pre`` and ``post`` this is two-way fixed effects on those periods (controls
    entering there by period); it is ordinary least squares with a constant for any treatment, a dose included.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time).
    outcome : str
    treatment : str or sequence of str
        The change of the first is the headline; need not be binary.
    unit, time : str
        Key columns.
    pre, post : sequence
        Values of ``time`` over which outcome and treatment are averaged before the difference is taken.
    controls : sequence of str
        Columns constant within units.
    weights : str, optional
        Positive weights, constant within units.
    cluster : str or two names, optional
        Clusters of the errors, constant within units; None is ``unit``.
    covariance : {"CRV1", "CRV3", "CR2", "HC1", "iid"}
    level : float

    Returns
    -------
    Estimate
        ``n_obs`` is the number of units. A unit without a row in each of the periods is left out: ``meta`` names it.

    Raises
    ------
    EstimationError
        Periods absent, repeated or in both; no complete unit; a control, weight or cluster that changes within a unit;
        or as in :func:`two_way_fe`.
    CollinearityError
        The treatment changes alike in all units, or as in :func:`two_way_fe`.
    """
    treatments = [treatment] if isinstance(treatment, str) else list(treatment)
    periods = _periods(pre, post)
    inside = panel[panel[time].isin(periods)] if time in panel else panel
    design = build(
        inside, outcome, treatments, unit=unit, time=time, controls=controls, effects=(), weights=weights,
        cluster=unit if cluster is None else cluster,
    )  # fmt: skip
    absent = [p for p in periods if p not in design.time.labels]
    if absent:
        raise EstimationError(f"no complete row in the periods {listed(absent)} of {time!r}")
    counts = np.bincount(design.unit.ids)
    complete = (counts == len(periods))[design.unit.ids]
    if not complete.any():
        raise EstimationError(f"no unit has a row in each of the periods {listed(periods)}")
    changes = _changes(take(design, complete), set(pre))
    fitted, coefficients, cov, meta = estimate(changes, covariance)
    table = coefficient_table(changes.terms, coefficients, cov, level)
    treated = np.asarray(changes.X[:, : changes.n_treatments].any(axis=1))
    meta = {"estimator": "long difference", "weights": weights or ""} | meta
    meta |= {"pre": ", ".join(map(str, pre)), "post": ", ".join(map(str, post))}
    meta |= {"units_left_out": _left_out(panel, unit, design, complete)}
    return assemble(fitted, table, cov, np.eye(len(coefficients))[0], level, treated, meta)


def _periods(pre: Sequence[object], post: Sequence[object]) -> list[object]:
    periods = [*pre, *post]
    if not pre or not post or len(set(periods)) < len(periods):
        raise EstimationError("pre and post must be periods, none of them twice")
    return periods


def _changes(design: Design, pre: set[object]) -> Design:
    """One row a unit: mean after less mean before for outcome and treatments, the value itself for controls."""
    start = np.unique(design.unit.ids, return_index=True)[1].astype(np.intp)
    before = np.isin(design.time.ids, [i for i, label in enumerate(design.time.labels) if label in pre])
    k = design.n_treatments
    for name, column in zip(design.terms[k:], design.X[:, k:].T, strict=True):
        _check_constant(f"control {name!r}", column, design, start)
    if design.weights is not None:
        _check_constant("weights", design.weights, design, start)
    for name, codes in design.clusters.items():
        _check_constant(f"cluster {name!r}", codes.ids.astype(np.float64), design, start)
    one = take(design, start)
    X = np.hstack([_change(design.X[:, :k], design.unit.ids, before), one.X[:, k:]])
    y = _change(design.y[:, None], design.unit.ids, before)[:, 0]
    return replace(one, y=y, X=X)


def _change(columns: Floats, units: Ints, before: Bools) -> Floats:
    def mean(rows: Bools) -> Floats:
        sums = np.column_stack([np.bincount(units[rows], weights=c[rows]) for c in columns.T])
        return np.asarray(sums / np.bincount(units[rows])[:, None])

    return mean(~before) - mean(before)


def _check_constant(name: str, column: Floats, design: Design, start: Ints) -> None:
    moving = np.unique(design.unit.ids[column != column[start][design.unit.ids]])
    if len(moving):
        units = listed([design.unit.labels[u] for u in moving])
        raise EstimationError(f"{name} must be constant within units; it changes in {units}")


def _left_out(panel: pd.DataFrame, unit: str, design: Design, complete: Bools) -> str:
    used = {design.unit.labels[u] for u in np.unique(design.unit.ids[complete])}
    return ", ".join(str(u) for u in sorted(set(panel[unit].dropna()) - used, key=str))
