"""Stacked difference-in-differences: one clean comparison a cohort, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import first_treated, period_values
from pipeline.econometrics.design import Codes, Design, Floats, Ints, build, encode, interact
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import Average, Bools, coefficient_rows, named_units, summarise, take
from pipeline.econometrics.twfe import estimate
from pipeline.errors import EstimationError

OPTIONS = {
    "control_group": ("not_yet_treated", "never_treated"),
    "weights": ("none", "aggregate"),
    "effects": ("stack", "group"),
    "aggregate": ("dynamic", "simple"),
}


def stacked(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    pre: int | None = None,
    post: int | None = None,
    reference: int = -1,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    control_group: str = "not_yet_treated",
    weights: str = "none",
    effects: str | None = None,
    aggregate: str = "dynamic",
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    level: float = 0.95,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """Regression on stacked cohorts, each with its own clean controls, within a window of event time.

    Parameters
    ----------
    panel, outcome, unit, time, controls, covariance, level
        As in :func:`two_way_fe`; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    pre, post : int, optional
        The window: event times –``pre`` to ``post``. A cohort whose window reaches beyond the periods of the sample is
        left out and named. None is as far as the sample goes.
    reference : int
        Event time whose effect is zero ("dynamic").
    by_time : sequence of str
        Unit-constant columns with a coefficient in every period of every stack; needs the effects "stack".
    control_group : {"not_yet_treated", "never_treated"}
        Clean controls of cohort g: the units untreated until g + ``post``, or those untreated in every period.
    weights : {"none", "aggregate"}
        "aggregate": treated rows have weight one and controls (share of the stack among the treated)/(share among the
        controls) at the same event time, so that effects are averaged over treated units (Wing, Freedman and
        Hollingsworth 2024, NBER 32054, Table 1); "none" leaves the average to least squares.
    effects : {"stack", "group"}, optional
        Unit × stack and period × stack effects (Cengiz, Dube, Lindner and Zipperer 2019, QJE 134, equation 4), or
        treated and event time (Wing et al., equation 3). None is "stack" without weights and "group" with them.
    aggregate : {"dynamic", "simple"}
        A coefficient for every event time, or one for treated × after.
    cluster : str or two names, optional
        Clusters of the errors; None is ``unit`` (not unit × stack: a control stands in several stacks).
    bands : bool
        Whether to compute simultaneous bands over the event times.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        ``att`` is the mean of the coefficients at event times ≥ 0, or the one coefficient. ``n_obs`` counts stacked
        rows, ``n_units`` units. An effect that rests on the treated of one cluster has no standard error.

    Raises
    ------
    EstimationError
        Unknown option, no cohort with a full window and controls, or as in :func:`two_way_fe`.
    """
    chosen = effects or ("stack" if weights == "none" else "group")
    given = {"control_group": control_group, "weights": weights, "effects": chosen, "aggregate": aggregate}
    for name, value in given.items():
        if value not in OPTIONS[name]:
            raise EstimationError(f"{name} {value!r} is not one of {', '.join(OPTIONS[name])}")
    if by_time and chosen == "group":
        raise EstimationError("by_time needs the effects 'stack'")
    design = build(
        panel, outcome, [], unit=unit, time=time, controls=controls, by_time=by_time,
        cluster=unit if cluster is None else cluster,
    )  # fmt: skip
    stacks = _stack(panel, design, cohort, (pre, post), reference, control_group)
    times = np.unique(stacks.event_time) if aggregate == "dynamic" else np.array([0])
    free = times[times != reference]
    stacked_design = _regression(stacks, design, free, given, (unit, time, cohort))
    fitted, coefficients, cov, meta = estimate(stacked_design, covariance)
    since, treated = stacks.event_time, stacks.treated
    place = dict(zip(free.tolist(), np.eye(len(free), len(coefficients)), strict=True))
    empty = np.zeros(len(coefficients))
    if aggregate == "dynamic":
        rows = [Average(cohort, place.get(int(e), empty), treated & (since == e), int(e)) for e in times]
    else:
        rows = [Average(cohort, place[0], treated & (since >= 0))]
    post_weights = np.mean([w for e, w in place.items() if e >= 0], axis=0)
    headline = Average(cohort, post_weights, treated & (since >= 0))
    meta = {"estimator": "stacked", **given} | meta | stacks.notes
    meta |= {"reference": str(reference)} if aggregate == "dynamic" else {}
    result = summarise(
        fitted, coefficients, cov, [*rows, *coefficient_rows(stacked_design, len(free))], headline,
        level=level, treated=treated, meta=meta, bands=bands and aggregate == "dynamic", seed=seed,
    )  # fmt: skip
    units = design.unit.ids[stacks.rows]
    return replace(result, n_units=len(np.unique(units)), n_treated=len(np.unique(units[treated])))


@dataclass(frozen=True, eq=False)
class _Stacks:
    rows: Ints  # (m,) rows of the design, a row once for every stack it is in
    stack: Codes  # (m,)
    treated: Bools  # (m,) belongs to the cohort of its stack
    event_time: Ints  # (m,)
    notes: dict[str, str]


def _stack(
    panel: pd.DataFrame,
    design: Design,
    cohort: str,
    window: tuple[int | None, int | None],
    reference: int,
    control_group: str,
) -> _Stacks:
    first = first_treated(panel, design, cohort)
    period = period_values(design)[design.time.ids]
    low, high = period.min(), period.max()
    pre, post = (np.inf if w is None else w for w in window)
    rows, stacks, out = [], [], []
    for g in np.unique(first[np.isfinite(first) & (first <= high)]):
        if g <= low or (np.isfinite(pre) and g - pre < low) or (np.isfinite(post) and g + post > high):
            out.append(f"{g:g} (window beyond the sample)")
            continue
        inside = (period >= g - pre) & (period <= g + post)
        clean = first > (min(g + post, high) if control_group == "not_yet_treated" else high)
        if not (inside & clean).any():
            out.append(f"{g:g} (no clean control)")
        elif not (inside & (first == g) & (period == g + reference)).any():
            out.append(f"{g:g} (no row at event time {reference})")
        else:
            chosen = np.flatnonzero(inside & (clean | (first == g)))
            rows.append(chosen)
            stacks.append(np.full(len(chosen), g))
    if not rows:
        raise EstimationError(f"no cohort of {cohort!r} can be stacked; left out: {', '.join(out)}")
    where, label = np.concatenate(rows), np.concatenate(stacks)
    used = np.isin(design.unit.ids, design.unit.ids[where])
    notes = {"cohorts_left_out": ", ".join(out), "units_in_no_stack": named_units(design, ~used)}
    notes["stacks"] = ", ".join(f"{g:g}" for g in np.unique(label))
    since = (period[where] - label).astype(np.intp)
    return _Stacks(where, encode(pd.Series(label)), first[where] == label, since, notes)


def _regression(
    stacks: _Stacks, design: Design, free: Ints, given: dict[str, str], names: tuple[str, str, str]
) -> Design:
    """Stacked rows with effects, weights and treated × event-time dummies."""
    unit, time, cohort = names
    base = take(design, stacks.rows)
    units, times = interact([base.unit, stacks.stack]), interact([base.time, stacks.stack])
    if given["effects"] == "stack":
        effects = {f"{unit}×stack": units, f"{time}×stack": times}
    else:
        effects = {
            "treated": encode(pd.Series(stacks.treated.astype(int))),
            "event time": encode(pd.Series(stacks.event_time)),
        }
    if given["aggregate"] == "dynamic":
        dummies = stacks.treated[:, None] & (stacks.event_time[:, None] == free)
        terms = tuple(f"{cohort} at event time {e}" for e in free)
    else:
        dummies, terms = (stacks.treated & (stacks.event_time >= 0))[:, None], (f"{cohort} treated × after",)
    return replace(
        base,
        X=np.hstack([dummies.astype(np.float64), base.X]),
        terms=(*terms, *base.terms),
        n_treatments=len(terms),
        effects=effects,
        weights=_weights(stacks) if given["weights"] == "aggregate" else None,
        unit=units,
        time=times,
    )


def _weights(stacks: _Stacks) -> Floats:
    """One for the treated; for controls the ratio of shares of Wing, Freedman and Hollingsworth, by event time."""
    since, treated = encode(pd.Series(stacks.event_time)), stacks.treated
    cell = interact([since, stacks.stack]).ids

    def share(rows: Bools) -> Floats:
        within = np.bincount(cell, weights=rows)[cell]
        return np.asarray(within / np.bincount(since.ids, weights=rows)[since.ids])

    return np.where(treated, 1.0, share(treated) / share(~treated))
