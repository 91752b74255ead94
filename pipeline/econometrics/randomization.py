"""Randomisation test of a treatment assigned to units or to clusters of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.assignments import Labels, Paths, Permutations, given, observed_paths
from pipeline.econometrics.covariance import crv1_factor
from pipeline.econometrics.design import Codes, Design, Effects, Floats, build, check_columns, encode, listed
from pipeline.econometrics.fit import Fit, fit, partial_out_controls
from pipeline.econometrics.results import TestResult
from pipeline.econometrics.studentised import Moments, RegressionKernel, WelchKernel
from pipeline.errors import EstimationError

STATISTICS = ("coefficient", "t", "welch")
MOST = 20_000_000  # assignments beyond this are not enumerated


def randomization_test(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str,
    *,
    unit: str,
    time: str,
    assignment: pd.DataFrame | None = None,
    cluster: str | None = None,
    statistic: str = "t",
    draws: int | None = 9999,
    strata: str | None = None,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    seed: int,
    null: float = 0.0,
    interval: bool = False,
    level: float = 0.95,
    weights: str | None = None,
) -> TestResult:
    """Permute who is treated, keep when, and estimate the regression again under every assignment.

    The hypothesis is a constant effect ``null``: y – null·D is held fixed (Fisher; MacKinnon and Webb 2020, J.
    Econometrics 218, 435–450, for the studentised statistic). Nothing is re-fitted: outcome and one column per
    (group, path) are residualised once, and a quadratic form gives each assignment's regression.

    Parameters
    ----------
    panel, outcome, treatment, unit, time, controls, by_time, effects, weights
        As in :func:`two_way_fe`; one treatment.
    assignment : DataFrame, optional
        Admissible assignments, draws × units (or × clusters), 1 for the treated path and 0 for the other, in place of
        permutations. If the observed one is among them they are taken as the whole set, and p is exact.
    cluster : str, optional
        Groups that are permuted as a whole and whose CRV1 is in the t; None permutes units, with HC1. With an
        ``assignment`` by units it is the cluster of the CRV1 only.
    statistic : {"t", "coefficient", "welch"}
        "welch": difference in mean changes (periods in which the two paths differ, less the others) between treated and
        untreated groups, over Welch's standard error; without controls, by_time or weights.
    draws : int or None
        Random permutations; where all distinct assignments are no more than that, they are enumerated. None enumerates.
    strata : str, optional
        Column constant within groups; permutations stay within its values.
    seed : int
    null : float
    interval : bool
        Also invert the test: ``ci`` = {τ : p(τ) > 1 – level}, read as the part connected to the estimate, where p = 1.
        Outward from there in steps of a quarter standard error, the first τ with p ≤ 1 – level, refined by bisection to
        1e-9 standard errors; infinite if there is none within 10,000.
    level : float

    Returns
    -------
    TestResult
        Exact: ``p_value`` = share of assignments, the observed one included, with |t*| ≥ |t|, ties counted. Random:
        (1 + count)/(1 + draws). An assignment whose treatment the other columns absorb counts as extreme, is NaN in
        ``distribution``, and ``meta["not_estimable"]`` has their number.

    Raises
    ------
    EstimationError
        Paths that differ within a group, too many assignments to enumerate, strata that change within a group, and as
        in :func:`two_way_fe`.
    """
    if statistic not in STATISTICS:
        raise EstimationError(f"statistic {statistic!r} is not one of {', '.join(STATISTICS)}")
    if statistic == "welch" and (controls or by_time or weights):
        raise EstimationError("welch compares unadjusted mean changes: it takes no controls, by_time or weights")
    design = build(
        panel,
        outcome,
        [treatment],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    by = unit if cluster is None or (assignment is not None and _is_by_unit(assignment, design)) else cluster
    groups = encode(panel[by].iloc[design.rows])
    paths = observed_paths(panel, treatment, by, time, groups, design.time)
    fitted = fit(design)
    kernel, vectors = (
        (_welch(design, groups, paths), _indicators(paths, constant=False))
        if statistic == "welch"
        else _regression(fitted, groups, paths, studentise=statistic == "t", robust=cluster is None)
    )
    chunks, total, exact = _assignments(panel, by, design, groups, paths, assignment, strata, draws, seed)
    observed = kernel.moments(vectors(paths.labels[:, None]))
    moments = Moments.joined([kernel.moments(vectors(chunk)) for chunk in chunks])
    if assignment is not None and not exact:
        exact = bool((given(assignment, groups) == paths.labels[:, None]).all(axis=0).any())

    def p_value(tau: float) -> float:
        count = moments.extreme(observed, tau)
        return count / total if exact else (1 + count) / (1 + total)

    estimate = float(observed.b[0] / observed.slope[0])
    return TestResult(
        statistic=float(observed.statistics(null)[0]),
        p_value=p_value(null),
        estimate=estimate,
        ci=_invert(p_value, estimate, _scale(observed, moments, statistic), 1 - level) if interval else None,
        draws=total,
        exact=exact,
        distribution=moments.statistics(null),
        meta={
            "test": f"randomisation of {by}, {statistic}",
            "null": repr(float(null)),
            "level": repr(level),
            "not_estimable": str(int(np.isnan(moments.b).sum())),
            **design.left_out,
        },
    )


def _is_by_unit(assignment: pd.DataFrame, design: Design) -> bool:
    return set(assignment.columns) == set(design.unit.labels)


def _indicators(paths: Paths, *, constant: bool) -> Callable[[Labels], Floats]:
    """From labels (G, A) to assignment vectors: a constant if asked, then one row per (path > 0, group)."""

    def vectors(labels: Labels) -> Floats:
        parts = [np.ones((1, labels.shape[1]))] if constant else []
        parts += [(labels == c).astype(np.float64) for c in range(1, len(paths.table))]
        return np.concatenate(parts)

    return vectors


def _regression(
    fitted: Fit, groups: Codes, paths: Paths, *, studentise: bool, robust: bool
) -> tuple[RegressionKernel, Callable[[Labels], Floats]]:
    """Residualise outcome, observed treatment and one column per (path, group) once."""
    design = fitted.design
    residual = partial_out_controls(fitted).residual
    base = paths.table[0][design.time.ids]
    member = groups.ids[:, None] == np.arange(groups.n)
    raw = np.hstack([member * (path[design.time.ids] - base)[:, None] for path in paths.table[1:]])
    columns, common = residual(raw), residual(base)
    constant = bool(np.linalg.norm(common) > 1e-9 * np.linalg.norm(raw))
    if constant:
        columns = np.column_stack([common, columns])
    whole = Codes(np.zeros(design.n, dtype=np.intp), [0])
    clusters, factor = whole, 1.0
    if studentise and robust:
        clusters = Codes(np.arange(design.n), list(range(design.n)))
        factor = design.n / (design.n - fitted.k_all)
    elif studentise:
        clusters = next(iter(design.clusters.values()))
        factor = crv1_factor(fitted, clusters.n)
    floor = 1e-16 * float(np.sum(raw * raw))
    y, d = residual(design.y), residual(design.X[:, 0])
    kernel = RegressionKernel.of(columns, y, d, clusters, factor, floor, studentise=studentise)
    return kernel, _indicators(paths, constant=constant)


def _welch(design: Design, groups: Codes, paths: Paths) -> WelchKernel:
    """Mean change by group: periods in which the treated path differs from the other, less the rest."""
    if len(paths.table) != 2:
        raise EstimationError(f"welch compares two paths, not {len(paths.table)}")
    after = (paths.table[1] != paths.table[0])[design.time.ids]

    def change(column: Floats) -> Floats:
        units = np.unique(design.unit.ids, return_index=True)[1]
        means = [
            np.bincount(design.unit.ids, weights=column * part) / np.bincount(design.unit.ids, weights=part)
            for part in (after, ~after)
        ]
        of = groups.ids[units]
        return np.asarray(np.bincount(of, weights=means[0] - means[1]) / np.bincount(of))

    return WelchKernel(change(design.y), change(design.X[:, 0]))


def _assignments(
    panel: pd.DataFrame,
    by: str,
    design: Design,
    groups: Codes,
    paths: Paths,
    assignment: pd.DataFrame | None,
    strata: str | None,
    draws: int | None,
    seed: int,
) -> tuple[Iterable[Labels], int, bool]:
    """Chunks of assignments, their number, and whether they are all there are."""
    if assignment is not None:
        if len(paths.table) != 2:
            raise EstimationError(f"an assignment frame needs one treated path, the panel has {len(paths.table) - 1}")
        table = given(assignment, groups)
        treated = int(np.argmax(np.abs(paths.table).sum(axis=1)))  # path 0 is the frequent one, not the untreated one
        labels = table if treated == 1 else 1 - table
        return np.array_split(labels, max(1, labels.shape[1] // 4096), axis=1), labels.shape[1], False
    permutations = Permutations(paths.labels, _strata(panel, by, design, groups, strata))
    total = permutations.total
    if draws is not None and draws < 1:
        raise EstimationError(f"draws must be positive or None, not {draws}")
    if draws is not None and total > draws:
        return permutations.sample(draws, seed), draws, False
    if total > MOST:
        raise EstimationError(
            f"{total:,} assignments are too many to enumerate (limit {MOST:,}); give a number of draws"
        )
    return permutations.every(), total, True


def _strata(panel: pd.DataFrame, by: str, design: Design, groups: Codes, strata: str | None) -> list[np.ndarray]:
    if strata is None:
        return [np.arange(groups.n)]
    check_columns(panel, [strata])
    codes = encode(panel[strata].iloc[design.rows])
    pairs = np.unique(np.column_stack([groups.ids, codes.ids]), axis=0)
    repeated = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if len(repeated) or (codes.ids < 0).any():
        names = listed([groups.labels[g] for g in repeated]) or "some groups"
        raise EstimationError(f"strata {strata!r} must be known and constant within {by}; not so in {names}")
    return [np.flatnonzero(pairs[:, 1] == s) for s in range(codes.n)]


def _scale(observed: Moments, moments: Moments, statistic: str) -> float:
    """Return the unit of the outward scan: the observed standard error, or the spread of the coefficients."""
    if statistic == "coefficient":
        return float(np.nanstd(moments.b))
    return float(np.sqrt(observed.v0[0]))


def _invert(p_value: Callable[[float], float], estimate: float, scale: float, alpha: float) -> tuple[float, float]:
    def end(sign: float) -> float:
        inside, step = 0.0, 0.25
        while p_value(estimate + sign * (inside + step) * scale) > alpha:
            inside += step
            step = step if inside < 10 else inside
            if inside > 10_000:
                return sign * float("inf")
        low, high = inside, inside + step
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (middle, high) if p_value(estimate + sign * middle * scale) > alpha else (low, middle)
        return estimate + sign * high * scale

    return end(-1.0), end(1.0)
