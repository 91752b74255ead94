"""Randomisation of exposures: in a triple difference, which industry has which exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.econometrics.assignments import Permutations, planned_permutations
from pipeline.econometrics.covariance import crv1_factor
from pipeline.econometrics.design import Codes, Effects, Floats, Ints, build, encode, listed, to_float
from pipeline.econometrics.fit import Fit, fit, partial_out_controls
from pipeline.econometrics.inversion import conclude
from pipeline.econometrics.randomization import with_product
from pipeline.econometrics.results import TestResult
from pipeline.econometrics.studentised import Moments
from pipeline.errors import EstimationError

STATISTICS = ("coefficient", "t")
CELLS = 4_000_000  # numbers of the largest array of one batch


def permute_exposures(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str,
    exposure: str,
    *,
    unit: str,
    time: str,
    exposure_by: str,
    exposed_by_time: Sequence[str] = (),
    cluster: str | None = None,
    statistic: str = "t",
    draws: int | None = 9999,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    seed: int,
    null: float = 0.0,
    interval: bool = False,
    level: float = 0.95,
    weights: str | None = None,
) -> TestResult:
    """Permute the exposures over their groups and estimate treatment × exposure again under every assignment.

    The treatment stays where it is: the hypothesis is that the effect does not depend on which industry has which
    exposure, more generally that it is ``null`` times the exposure as observed. Every regressor that contains the
    exposure e moves with it. They are all linear in e, so the cross-products of the regression are quadratic forms in
    e, and one product with the pairs e_i e_j gives them for a batch of assignments; a small system is then solved for
    each.

    Parameters
    ----------
    panel, outcome, unit, time, controls, by_time, effects, weights
        As in :func:`two_way_fe`; the unit is a province × industry, say. Controls and ``by_time`` are held fixed.
    treatment : str
        Column that is multiplied with the exposure, for instance hub × post.
    exposure : str
        Column constant within ``exposure_by``.
    exposure_by : str
        Groups that have exposures (industries).
    exposed_by_time : sequence of str
        Columns constant within units that enter as column × exposure × every period, and move with the exposure.
    cluster : str, optional
        Clusters of the CRV1; None is ``unit``.
    statistic : {"t", "coefficient"}
    draws : int or None
        Random permutations; where all distinct ones are no more than that, they are enumerated. None enumerates.
    seed, null, interval, level
        As in :func:`randomization_test`.

    Returns
    -------
    TestResult
        p-value and ``distribution`` as in :func:`randomization_test`.

    Raises
    ------
    EstimationError
        An exposure that is not constant within its group, a single value of the exposure, too many assignments to
        enumerate, and as in :func:`two_way_fe`.
    """
    if statistic not in STATISTICS:
        raise EstimationError(f"statistic {statistic!r} is not one of {', '.join(STATISTICS)}")
    frame, regressor = with_product(panel, treatment, exposure)
    slopes = []
    for column in exposed_by_time:
        frame, name = with_product(frame, column, exposure)
        slopes.append(name)
    design = build(
        frame,
        outcome,
        [regressor],
        unit=unit,
        time=time,
        controls=controls,
        by_time=(*by_time, *slopes),
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    groups = encode(panel[exposure_by].iloc[design.rows])
    values = _exposures(to_float(panel, exposure)[design.rows], groups, exposure, exposure_by)
    present, labels = np.unique(values, return_inverse=True)
    permutations = Permutations(labels.astype(np.uint8), [np.arange(groups.n)])
    plan = planned_permutations(permutations, groups.labels, draws, seed)
    if plan.chunks is None:
        raise EstimationError(f"{plan.total:,} assignments are too many to enumerate; give a number of draws")
    fitted = fit(design)
    columns = [to_float(panel, name)[design.rows] for name in (treatment, *exposed_by_time)]
    kernel = ExposureKernel.of(fitted, groups, columns, slopes, studentise=statistic == "t")
    return conclude(
        kernel.moments(values[:, None]),
        Moments.joined([kernel.moments(present[chunk]) for chunk, _ in plan.chunks]),
        plan.total,
        exact=plan.exact,
        studentised=statistic == "t",
        null=null,
        interval=interval,
        level=level,
        meta={"test": f"randomisation of {exposure} over {exposure_by}, {statistic}", "assignments": plan.recipe}
        | design.left_out,
    )


def _exposures(column: Floats, groups: Codes, exposure: str, exposure_by: str) -> Floats:
    """Exposure of each group."""
    if (groups.ids < 0).any():
        raise EstimationError(f"{exposure_by!r} is missing in some rows")
    values = column[np.unique(groups.ids, return_index=True)[1]]
    moving = np.unique(groups.ids[column != values[groups.ids]])
    if len(moving):
        names = listed([groups.labels[g] for g in moving])
        raise EstimationError(f"exposure {exposure!r} must be constant within {exposure_by}; it changes in {names}")
    if len(np.unique(values)) < 2:
        raise EstimationError(f"every {exposure_by} has the same {exposure!r}: nothing to permute")
    return values


@dataclass(frozen=True, eq=False)
class ExposureKernel:
    """Coefficient of the first of K regressors that are linear in the exposures, and its CRV1.

    Attributes
    ----------
    left, right : ndarray of int, (P,)
        The pairs of groups i ≤ j.
    grams : ndarray, (G·K·K, P)
        Cross-products of the residualised regressors by cluster, per unit of e_i e_j.
    with_y, with_d : ndarray, (G·K, m)
        Their products with outcome and observed treatment, per unit of e_i.
    factor : float
        Small-sample factor of the variance.
    floor : float
        A treatment whose residual sum of squares is below this has no estimate.
    studentise : bool
        Otherwise the statistic is the coefficient itself, and G = 1.
    """

    left: Ints
    right: Ints
    grams: Floats
    with_y: Floats
    with_d: Floats
    n_regressors: int
    factor: float
    floor: float
    studentise: bool

    @classmethod
    def of(
        cls, fitted: Fit, groups: Codes, columns: Sequence[Floats], slopes: Sequence[str], *, studentise: bool
    ) -> ExposureKernel:
        """Residualise every regressor × group once.

        Parameters
        ----------
        fitted : Fit
            The regression as observed.
        groups : Codes
            That have exposures, by row.
        columns : sequence of ndarray, (n,)
            The treatment, and the columns that enter × exposure × period.
        slopes : sequence of str
            Names of the latter's products in the design's ``by_time``.
        studentise : bool
        """
        design = fitted.design
        fixed = {name: column for name, column in design.by_time.items() if name not in slopes}
        held = fit(replace(design, by_time=fixed))
        residual = partial_out_controls(held).residual
        member = groups.ids[:, None] == np.arange(groups.n)
        regressors = [columns[0]]
        for k, period in _entered(fitted, held, slopes):
            regressors.append(columns[1 + k] * (design.time.ids == period))
        raw = member * columns[0][:, None]
        blocks = [residual(member * r[:, None]) for r in regressors]
        size = np.linalg.norm(blocks[0])
        z = np.hstack([blocks[0], *(b * (size / np.linalg.norm(b)) for b in blocks[1:])])
        clusters = next(iter(design.clusters.values()))
        codes = clusters.ids if studentise else np.zeros(design.n, dtype=np.intp)
        left, right = np.triu_indices(groups.n)
        by_cluster = [codes == g for g in range(clusters.n if studentise else 1)]
        y, d = residual(design.y), residual(design.X[:, 0])
        return cls(
            left=left,
            right=right,
            grams=np.concatenate([_pairs(z[rows], groups.n, left, right) for rows in by_cluster]),
            with_y=np.concatenate([(y[rows] @ z[rows]).reshape(-1, groups.n) for rows in by_cluster]),
            with_d=np.concatenate([(d[rows] @ z[rows]).reshape(-1, groups.n) for rows in by_cluster]),
            n_regressors=len(regressors),
            factor=crv1_factor(fitted, clusters.n) if studentise else 1.0,
            floor=1e-12 * float(np.sum(raw * raw)),
            studentise=studentise,
        )

    def moments(self, e: Floats) -> Moments:
        """Moments of exposures (m, A)."""
        size = max(1, CELLS // len(self.grams))
        return Moments.joined([self._batch(e[:, start : start + size]) for start in range(0, e.shape[1], size)])

    def _batch(self, e: Floats) -> Moments:
        k, count = self.n_regressors, e.shape[1]
        grams = (self.grams @ (e[self.left] * e[self.right])).reshape(-1, k, k, count)
        y, d = ((w @ e).reshape(-1, k, count) for w in (self.with_y, self.with_d))
        first = np.zeros((k, count))
        first[0] = 1.0
        right = np.stack([first, y.sum(axis=0), d.sum(axis=0)])
        h, beta, delta = _solve(grams.sum(axis=0), right)
        with np.errstate(divide="ignore", invalid="ignore"):
            absorbed = ~(1 / h[0] > self.floor)
        b, slope = np.where(absorbed, np.nan, beta[0]), np.where(absorbed, np.nan, delta[0])
        zero = np.zeros(count)
        if not self.studentise:
            return Moments(b, slope, zero + 1, zero, zero)
        rows = np.einsum("ka,gkla->gla", h, grams)
        p = np.einsum("ka,gka->ga", h, y) - np.einsum("gla,la->ga", rows, beta)
        q = np.einsum("ka,gka->ga", h, d) - np.einsum("gla,la->ga", rows, delta)
        v0, v1, v2 = (self.factor * np.einsum("ga,ga->a", s, t) for s, t in ((p, p), (p, q), (q, q)))
        return Moments(b, slope, v0, v1, v2)


def _entered(fitted: Fit, held: Fit, slopes: Sequence[str]) -> list[tuple[int, int]]:
    """(column, period) of each exposed slope that the effects do not absorb, in the order of the regression."""
    ids, columns = fitted.design.time.ids, [fitted.design.by_time[name] for name in slopes]
    entered = []
    for slope in fitted.slopes[:, held.slopes.shape[1] :].T:
        period = int(ids[np.argmax(np.abs(slope))])
        entered.append((next(k for k, c in enumerate(columns) if np.array_equal(c * (ids == period), slope)), period))
    return entered


def _pairs(z: Floats, n_groups: int, left: Ints, right: Ints) -> Floats:
    """Cross-products (K·K, P) of regressors z (n, K·m), per unit of e_i e_j with i ≤ j."""
    k = z.shape[1] // n_groups
    gram = (z.T @ z).reshape(k, n_groups, k, n_groups).transpose(0, 2, 1, 3)
    both = gram[:, :, left, right] + gram[:, :, right, left]
    both[:, :, left == right] /= 2
    return np.asarray(both.reshape(k * k, -1))


def _solve(grams: Floats, right: Floats) -> Floats:
    """Solve (K, K, A) systems for right-hand sides (r, K, A); NaN where a system is singular."""
    matrices, sides = grams.transpose(2, 0, 1), right.transpose(2, 1, 0)
    try:
        solved = np.linalg.solve(matrices, sides)
    except np.linalg.LinAlgError:
        solved = np.full(sides.shape, np.nan)
        for a in range(len(matrices)):
            if np.linalg.matrix_rank(matrices[a], hermitian=True) == matrices.shape[1]:
                solved[a] = np.linalg.solve(matrices[a], sides[a])
    return np.asarray(solved.transpose(2, 1, 0))
