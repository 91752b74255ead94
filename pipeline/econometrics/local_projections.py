"""Local-projections difference-in-differences: long differences of newly treated units on clean controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import first_treated, period_values
from pipeline.econometrics.covariance import CLUSTERED, Covariance, crv1_factor
from pipeline.econometrics.design import Codes, Design, Floats, Ints, build, interact
from pipeline.econometrics.fit import Fit
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import Average, Bools, named_units, summarise, take
from pipeline.econometrics.twfe import estimate
from pipeline.errors import EstimationError

GROUPS = ("not_yet_treated", "never_treated")
PRE, POST = "pooled pre", "pooled post"


def local_projections(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    pre: int | None = None,
    post: int | None = None,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    control_group: str = "not_yet_treated",
    reweight: bool = False,
    premean: bool | int = False,
    pooled: bool | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    level: float = 0.95,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """LP-DiD (Dube, Girardi, Jordà and Taylor 2025, J. Applied Econometrics 40, 741–758), absorbing treatment.

    For each event time h: y(t + h) – y(t – 1) on the switch into treatment and period effects, over the rows (i, t) in
    which i is newly treated, or a clean control: untreated at t + h (at t for h < 0). Periods are calendar periods: a
    difference to a period that is not in the panel does not exist.

    Parameters
    ----------
    panel, outcome, unit, time, by_time, covariance, level
        As in :func:`two_way_fe`, with clustered covariances only; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    pre, post : int, optional
        Event times –``pre`` to ``post``; None is as far as the treated are observed.
    controls : sequence of str
        Columns taken at t (two columns may hold lags or changes), with their own coefficients at each event time.
    control_group : {"not_yet_treated", "never_treated"}
        Clean controls: any unit not treated yet, or only those untreated in every period.
    reweight : bool
        Weight periods so that every treated unit counts the same (equally weighted effect); otherwise least squares
        weighs them by variance. Not with controls, which would change the weights.
    premean : bool or int
        Subtract the mean over all earlier periods (True) or over the last so many in place of y(t – 1); there is then
        no row at event time –1.
    pooled : bool, optional
        Add the pooled effects: the mean of y over t … t + ``post`` (t – ``pre`` … t – 2), clean until t + ``post``.
        None is where ``post`` is given: as far as the treated are observed would leave the earliest cohort alone.
    cluster : str or two names, optional
        Clusters of the errors; None is ``unit``.
    bands : bool
        Whether to compute simultaneous bands over the event times.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        Rows of ``table`` by event time, –1 being the reference, then "pooled pre" and "pooled post". ``att`` is the
        pooled post effect, or without it the mean of the rows at event time ≥ 0. Each standard error has the
        small-sample factor and the degrees of freedom of its own regression; ``vcov`` is full, from the scores of each
        cluster in all of them. ``n_obs`` counts the rows of the regression of the headline (without a pooled effect, of
        the largest at event time ≥ 0). An effect that rests on the treated of one cluster has no standard error.

    Raises
    ------
    EstimationError
        A covariance that is not clustered, no event time or no pooled effect with both treated and controls, or as in
        :func:`two_way_fe`.
    CollinearityError
        A control is a combination of others at some event time.
    """
    if covariance not in CLUSTERED:
        raise EstimationError(f"event times share rows: the covariance must be one of {', '.join(CLUSTERED)}")
    if control_group not in GROUPS:
        raise EstimationError(f"control_group {control_group!r} is not one of {', '.join(GROUPS)}")
    if reweight and (controls or by_time):
        raise EstimationError("equal weights are not defined with controls or by_time: use reweight=False")
    clusters = unit if cluster is None else cluster
    outcomes = build(panel, outcome, [], unit=unit, time=time, cluster=clusters)
    design = build(panel, outcome, [], unit=unit, time=time, controls=controls, by_time=by_time, cluster=clusters)
    pooled = post is not None if pooled is None else pooled
    pure = control_group == "never_treated"
    grid = _Grid.of(outcomes, first_treated(panel, outcomes, cohort), design, premean, pure=pure)
    blocks, absent = _blocks(grid, pre, post, pooled=pooled)
    stack, block = _regression(design, grid, blocks, (cohort, time), reweight=reweight)
    fitted, coefficients, cov, meta = estimate(stack, covariance)
    cov = _own_factors(fitted, cov, block, covariance)
    switch: Bools = np.asarray(stack.X[:, : len(blocks)].any(axis=1))
    rows = [
        Average(cohort if b.h is not None else f"{cohort} {b.label}", e, switch & (block.ids == j), b.h)
        for j, (b, e) in enumerate(zip(blocks, np.eye(len(blocks), len(coefficients)), strict=True))
    ]
    after = [r for r in rows if r.event_time is not None and r.event_time >= 0]
    mean = np.mean([r.weights for r in after], axis=0)
    headline = rows[-1] if pooled else Average(cohort, mean, np.any([r.treated for r in after], axis=0))
    if not premean:
        place = sum(b.h is not None and b.h < -1 for b in blocks)
        rows.insert(place, Average(cohort, np.zeros(len(coefficients)), np.zeros_like(switch), -1))
    sizes = {b.label: int(n) for b, n in zip(blocks, np.bincount(block.ids), strict=True)}
    notes = {
        "estimator": "LP-DiD",
        "weighting": "equal" if reweight else "variance",
        "premean": str(premean),
        "control_group": control_group,
        "rows_by_regression": ", ".join(f"{name}: {n}" for name, n in sizes.items()),
        "event_times_without_effect": absent,
        "always_treated_left_out": named_units(outcomes, (grid.first <= grid.calendar[0])[outcomes.unit.ids]),
    }
    result = summarise(
        fitted, coefficients, cov, rows, headline, level=level, treated=switch,
        meta=notes | ({} if premean else {"reference": "-1"}) | meta | {"covariance": cov.label, "effects": time},
        bands=bands, seed=seed,
    )  # fmt: skip
    return replace(result, n_obs=sizes[POST] if pooled else max(sizes[str(r.event_time)] for r in after))


@dataclass(frozen=True, eq=False)
class _Grid:
    """Outcomes by unit and calendar period, and who is treated when."""

    y: Floats  # (N, span), missing where not observed
    base: Floats  # (N, span): what is subtracted from outcomes at and around that period
    row: Ints  # (N, span): row of the design, -1 for none
    first: Floats  # (N,) first treated period
    calendar: Floats  # (span,)
    pure: bool  # controls are never treated

    @classmethod
    def of(cls, outcomes: Design, first: Floats, design: Design, premean: bool | int, *, pure: bool) -> _Grid:
        """Lay out all outcomes, and the rows that are complete in the controls too."""
        period = period_values(outcomes)
        low, span = period.min(), int(period.max() - period.min()) + 1
        y = np.full((outcomes.unit.n, span), np.nan)
        y[outcomes.unit.ids, np.rint(period[outcomes.time.ids] - low).astype(np.intp)] = outcomes.y
        row = np.full(y.shape, -1, dtype=np.intp)
        units = pd.Index(outcomes.unit.labels).get_indexer(pd.Index(design.unit.labels))[design.unit.ids]
        row[units, np.rint(period_values(design)[design.time.ids] - low).astype(np.intp)] = np.arange(design.n)
        base = np.full_like(y, np.nan)
        if premean is True:
            counts, sums = np.cumsum(~np.isnan(y), axis=1)[:, :-1], np.nancumsum(y, axis=1)[:, :-1]
            base[:, 1:] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        else:
            lags = max(int(premean), 1)
            for s in range(lags, span):
                base[:, s] = y[:, s - lags : s].mean(axis=1)
        by_unit = first[np.unique(outcomes.unit.ids, return_index=True)[1]]
        return cls(y, base, row, by_unit, low + np.arange(span), pure)

    def at(self, h: int) -> Floats:
        """Return y(t + h) at t."""
        out, span = np.full_like(self.y, np.nan), self.y.shape[1]
        if abs(h) < span:
            out[:, max(0, -h) : span - max(0, h)] = self.y[:, max(0, h) : span + min(0, h)]
        return out

    def block(self, label: str, times: Sequence[int], clean: int) -> _Block:
        """Mean outcome over t + times less the base, for switches at t and units untreated until t + ``clean``."""
        difference = np.mean([self.at(h) for h in times], axis=0) - self.base
        until = np.full_like(self.calendar, self.calendar[-1]) if self.pure else self.calendar + clean
        switch = self.first[:, None] == self.calendar
        used = (self.row >= 0) & ~np.isnan(difference) & (switch | (self.first[:, None] > until))
        return _Block(label, times[0] if len(times) == 1 else None, difference, used, used & switch)


@dataclass(frozen=True, eq=False)
class _Block:
    """One regression, over (unit, period)."""

    label: str
    h: int | None  # event time; None for a pooled effect
    difference: Floats
    used: Bools
    treated: Bools

    @property
    def identified(self) -> bool:
        """Whether some period has both newly treated units and controls."""
        return bool((self.treated.any(axis=0) & (self.used & ~self.treated).any(axis=0)).any())


def _blocks(grid: _Grid, pre: int | None, post: int | None, *, pooled: bool) -> tuple[list[_Block], str]:
    """Regressions in the order of the table, and the event times of the window that have no effect."""
    span = grid.y.shape[1]
    window = range(-(span if pre is None else pre), (span if post is None else post) + 1)
    found = [b for b in (grid.block(str(h), [h], max(h, 0)) for h in window if h != -1) if b.identified]
    times = [b.h for b in found if b.h is not None]
    if not times or max(times) < 0:
        raise EstimationError("no newly treated unit has a clean control with the same periods observed")
    start, end = (-pre if pre is not None else min(*times, -1)), (post if post is not None else max(times))
    absent = [str(h) for h in range(start, end + 1) if h != -1 and h not in times]
    if pooled:
        windows = [(POST, list(range(end + 1)), end)]
        if start < -1:
            windows.insert(0, (PRE, list(range(start, -1)), 0))
        for label, hs, clean in windows:
            block = grid.block(label, hs, clean)
            if not block.identified:
                raise EstimationError(
                    f"{label}: no newly treated unit and clean control are observed in all of the event times "
                    f"{hs[0]} to {hs[-1]}; shorten the window or use pooled=False"
                )
            found.append(replace(block, h=None))
    return found, ", ".join(absent)


def _regression(
    design: Design, grid: _Grid, blocks: Sequence[_Block], names: tuple[str, str], *, reweight: bool
) -> tuple[Design, Codes]:
    """All regressions as one, every coefficient and effect in its own block; and the block of each row."""
    weights = [_equal_weights(b) if reweight else np.ones_like(grid.y) for b in blocks]
    used = [b.used & (w > 0) for b, w in zip(blocks, weights, strict=True)]
    sizes = [int(u.sum()) for u in used]
    block = Codes(np.repeat(np.arange(len(blocks)), sizes).astype(np.intp), [b.label for b in blocks])
    base = take(design, np.concatenate([grid.row[u] for u in used]))
    own = block.ids[:, None] == np.arange(len(blocks))
    switch = np.concatenate([b.treated[u] for b, u in zip(blocks, used, strict=True)])
    cohort, time = names
    columns = [own * switch[:, None], *(own * x[:, None] for x in base.X.T)]
    terms = [f"{name} at {_words(b)}" for name in (cohort, *base.terms) for b in blocks]
    times = interact([block, base.time])
    return (
        replace(
            base,
            y=np.concatenate([b.difference[u] for b, u in zip(blocks, used, strict=True)]),
            X=np.hstack(columns).astype(np.float64),
            terms=tuple(terms),
            n_treatments=len(blocks),
            effects={time: times},
            weights=np.concatenate([w[u] for w, u in zip(weights, used, strict=True)]) if reweight else None,
            time=times,
        ),
        block,
    )


def _equal_weights(block: _Block) -> Floats:
    """1/(1 – share of newly treated in the period): undoes the variance weights; zero in periods without both."""
    treated, total = block.treated.sum(axis=0), block.used.sum(axis=0)
    both = (treated > 0) & (treated < total)
    weights = np.where(both, total / np.maximum(total - treated, 1), 0.0)
    return np.asarray(np.broadcast_to(weights, block.used.shape))


def _own_factors(fitted: Fit, cov: Covariance, block: Codes, kind: str) -> Covariance:
    """Give every regression its own small-sample factor and degrees of freedom."""
    design = fitted.design
    clusters = [[len(np.unique(c.ids[block.ids == b])) for c in design.clusters.values()] for b in range(block.n)]
    fewest = np.min(clusters, axis=1)
    if fewest.min() < 2:
        raise EstimationError(f"all rows of {block.labels[int(fewest.argmin())]} lie in one cluster")
    if kind == "CR2":
        return cov
    filled = [np.hstack([design.X, fitted.slopes])[block.ids == b].any(axis=0).sum() for b in range(block.n)]
    k = np.array([len(np.unique(design.time.ids[block.ids == b])) for b in range(block.n)]) + filled
    rows = np.bincount(block.ids)
    g = min(c.n for c in design.clusters.values())
    own = fewest / (fewest - 1) * (rows - 1) / (rows - k) if kind == "CRV1" else (fewest - 1) / fewest
    whole = crv1_factor(fitted, g) if kind == "CRV1" else (g - 1) / g
    scale = np.sqrt(np.tile(own, len(cov.matrix) // block.n) / whole)
    blocks = np.tile(fewest, len(cov.matrix) // block.n)

    def df(contrast: Floats) -> float:
        return float(blocks[contrast != 0].min()) - 1

    label = f"{kind}, t(G – 1), factors of each regression"
    return replace(cov, matrix=cov.matrix * np.outer(scale, scale), df=df, label=label)


def _words(block: _Block) -> str:
    return block.label if block.h is None else f"event time {block.h}"
