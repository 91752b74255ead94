"""Randomisation test of a treatment assigned to units or to clusters of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.assignments import (
    MOST,
    Labels,
    Paths,
    Permutations,
    Plan,
    observed_paths,
    planned_from_frame,
    planned_permutations,
    strata_positions,
)
from pipeline.econometrics.contiguity import planned_constellations
from pipeline.econometrics.counting import LinearCount, linear_count
from pipeline.econometrics.covariance import crv1_factor
from pipeline.econometrics.design import Codes, Effects, Floats, Ints, build, check_columns, encode, to_float
from pipeline.econometrics.fit import Fit, fit
from pipeline.econometrics.inversion import conclude
from pipeline.econometrics.results import TestResult
from pipeline.econometrics.studentised import Moments, RegressionKernel, regression_kernel, welch_kernel
from pipeline.errors import EstimationError

STATISTICS = ("coefficient", "t", "welch")
Evaluate = Callable[[Labels, Sequence[Ints]], Moments]


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
    graph: pd.DataFrame | None = None,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    seed: int,
    null: float = 0.0,
    interval: bool = False,
    level: float = 0.95,
    weights: str | None = None,
    exposure: str | None = None,
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
        Random permutations; where all distinct assignments are no more than that, they are enumerated. None enumerates;
        a "coefficient" whose assignments are too many for that is counted exactly, without a ``distribution``, where
        all assignments leave the treatment the same residual sum of squares (balanced, nothing but fixed effects).
    strata : str, optional
        Column constant within groups; permutations stay within its values.
    graph : DataFrame, optional
        Neighbourhoods of the units: edges in columns ``source`` and ``target``, or a square 0/1 table indexed by unit
        both ways. Treated clusters of k > 1 units are redrawn as connected sets of k units, uniformly from all there
        are, all of them again until they are disjoint; treated clusters of one unit are then drawn from the units left.
        The partition moves with the draw: in the "t" each drawn set is one cluster of the CRV1 and every other unit one
        of its own, also as observed (an untreated cluster of several units is not kept together).
    seed : int
    null : float
    interval : bool
        Also invert the test: ``ci`` = {τ : p(τ) > 1 – level}, read as the part connected to the estimate, where p = 1.
        Outward from there in steps of a quarter standard error, the first τ with p ≤ 1 – level, refined by bisection to
        1e-9 standard errors; infinite if there is none within 10,000.
    level : float
    exposure : str, optional
        The regressor is ``treatment`` × this column, which stays with its rows while the treatment is permuted (a
        triple difference). :func:`permute_exposures` does the reverse.

    Returns
    -------
    TestResult
        Exact: ``p_value`` = share of assignments, the observed one included, with |t*| ≥ |t|, ties counted. Random:
        (1 + count)/(1 + draws). An assignment whose treatment the other columns absorb counts as extreme, is NaN in
        ``distribution``, and ``meta["not_estimable"]`` has their number. ``meta["assignments"]`` is the same text for
        tests whose draws are the same, draw by draw.

    Raises
    ------
    EstimationError
        Paths that differ within a group, too many assignments to enumerate, strata that change within a group, a
        treated cluster that is not connected on the graph, and as in :func:`two_way_fe`.
    """
    if statistic not in STATISTICS:
        raise EstimationError(f"statistic {statistic!r} is not one of {', '.join(STATISTICS)}")
    if statistic == "welch" and (controls or by_time or weights or exposure or graph is not None):
        raise EstimationError("welch compares unadjusted mean changes: it takes no controls, by_time, weights or graph")
    if graph is not None and (cluster is None or strata or assignment is not None):
        raise EstimationError("graph needs a cluster column, and neither strata nor an assignment")
    frame, regressor = (panel, treatment) if exposure is None else with_product(panel, treatment, exposure)
    design = build(
        frame,
        outcome,
        [regressor],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    by_unit = graph is not None or (assignment is not None and set(assignment.columns) == set(design.unit.labels))
    by = unit if by_unit or cluster is None else cluster
    groups = encode(panel[by].iloc[design.rows])
    paths = observed_paths(panel, treatment, by, time, groups, design.time)
    if graph is not None and cluster is not None:
        clusters = design.clusters[cluster]
        observed_paths(panel, treatment, cluster, time, clusters, design.time)  # refuses two paths in one cluster
        plan = planned_constellations(graph, paths, groups, clusters, draws, seed)
    elif assignment is not None:
        plan = planned_from_frame(assignment, paths, groups)
    else:
        permutations = Permutations(paths.labels, strata_positions(panel, by, design.rows, groups, strata))
        plan = planned_permutations(permutations, groups.labels, draws, seed)
    fitted = fit(design)
    dose = None if exposure is None else to_float(panel, exposure)[design.rows]
    evaluate, kernel = _evaluator(statistic, fitted, groups, paths, cluster, plan, dose)
    observed = evaluate(paths.labels[:, None], plan.sets)
    return conclude(
        observed,
        _counted(kernel, paths, plan)
        if plan.chunks is None
        else Moments.joined([evaluate(labels, sets) for labels, sets in plan.chunks]),
        plan.total,
        exact=plan.exact,
        studentised=statistic != "coefficient",
        null=null,
        interval=interval,
        level=level,
        meta={
            "test": f"randomisation of {by}, {statistic}",
            "assignments": plan.recipe,
            **plan.notes,
            **design.left_out,
        },
    )


def with_product(panel: pd.DataFrame, treatment: str, exposure: str) -> tuple[pd.DataFrame, str]:
    """Return the panel with a column treatment × exposure, and its name; the panel itself is not touched."""
    check_columns(panel, [treatment, exposure])
    name = f"{treatment}×{exposure}"
    return panel.assign(**{name: to_float(panel, treatment) * to_float(panel, exposure)}), name


def _evaluator(
    statistic: str, fitted: Fit, groups: Codes, paths: Paths, cluster: str | None, plan: Plan, dose: Floats | None
) -> tuple[Evaluate, RegressionKernel | None]:
    """From labels (G, A), and the sets that are one cluster in each, to moments; also the kernel of a regression."""
    design = fitted.design
    if statistic == "welch":
        welch = welch_kernel(design, groups, paths)
        return lambda labels, _: welch.moments((labels == 1).astype(np.float64)), None
    clusters: Codes | None = None
    factor = 1.0
    if statistic == "t" and cluster is None:
        clusters = Codes(np.arange(design.n), list(range(design.n)))
        factor = design.n / (design.n - fitted.k_all)
    elif statistic == "t":
        named = next(iter(design.clusters.values()))
        clusters, factor = groups if plan.sets else named, crv1_factor(fitted, named.n)
    kernel, vectors = regression_kernel(fitted, groups, paths, clusters=clusters, factor=factor, dose=dose)

    def evaluate(labels: Labels, sets: Sequence[Ints]) -> Moments:
        return kernel.moments(vectors(labels), sets if statistic == "t" else ())

    return evaluate, kernel


def _counted(kernel: RegressionKernel | None, paths: Paths, plan: Plan) -> LinearCount:
    """Count what is too much to list."""
    if kernel is not None and not kernel.studentise and plan.permutations is not None:
        count = linear_count(kernel, paths, plan.permutations)
        if count is not None:
            return count
    raise EstimationError(
        f"{plan.total:,} assignments are too many to enumerate (limit {MOST:,}); give a number of draws. A coefficient "
        "is counted without a limit where every assignment has the same residual sum of squares: balanced, equal "
        "groups, nothing but fixed effects"
    )
