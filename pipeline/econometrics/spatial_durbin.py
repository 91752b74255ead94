"""Spatial Durbin panel with fixed effects, by maximum likelihood, with direct and indirect effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import schur, solve_triangular
from scipy.optimize import brentq

from pipeline.econometrics.balanced import check_balanced
from pipeline.econometrics.design import Design, Floats, build, listed
from pipeline.econometrics.fit import fit
from pipeline.econometrics.results import Estimate, t_interval, tidy
from pipeline.errors import EstimationError

EFFECTS = ("two-way", "unit", "time")
IMPACTS = ("direct", "indirect", "total")
EDGE = 1e-6  # rho is sought this far (relative) inside the interval where I – ρW is invertible
GRID = 100  # points where the sign of the score is looked at, so that a second maximum is not missed


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """The concentrated likelihood, in residuals.

    Attributes
    ----------
    e0, e1 : ndarray, (n,)
        Residuals of y and of Wy on the regressors, both without the effects.
    W : ndarray, (N, N)
        Spatial weights.
    triangle, left, right : ndarray, (N, N), (N,), (N,)
        Complex Schur form T of W = QTQ*, and 1'Q, Q*1.
    centred : bool
        Whether time effects are corrected for: a period has N – 1 degrees of freedom.
    periods : int
        T – 1 where unit effects are corrected for, else T.
    """

    e0: Floats
    e1: Floats
    W: Floats
    triangle: NDArray[np.complex128]
    left: NDArray[np.complex128]
    right: NDArray[np.complex128]
    centred: bool
    periods: int

    @classmethod
    def of(cls, e0: Floats, e1: Floats, W: Floats, *, centred: bool, periods: int) -> _Likelihood:
        """Prepare the determinant."""
        triangle, q = schur(W, output="complex")
        return cls(e0, e1, W, triangle, q.sum(axis=0), q.conj().sum(axis=0), centred, periods)

    @property
    def size(self) -> int:
        """Degrees of freedom of the residuals; the number of rows without correction."""
        return self.periods * (len(self.W) - self.centred)

    def bounds(self) -> tuple[float, float]:
        """Interval around zero where I – ρW is invertible."""
        values = np.diag(self.triangle)
        radius = float(np.abs(values).max()) or 1.0
        real = values.real[np.abs(values.imag) < 1e-10 * radius] / radius
        low, high = real[real < -1e-10].min(initial=-1e-10), real[real > 1e-10].max(initial=1e-10)
        return 1 / (radius * (low if low < -1e-10 else -1.0)), 1 / (radius * (high if high > 1e-10 else 1.0))

    def score(self, rho: float) -> float:
        """Derivative of the log-likelihood, less its expectation where it is corrected."""
        e = self.e0 - rho * self.e1
        values = np.diag(self.triangle)
        trace = np.sum(values / (1 - rho * values)).real
        if self.centred:
            solved = solve_triangular(np.eye(len(values)) - rho * self.triangle, self.right)
            trace -= (self.left @ self.triangle @ solved).real / len(values)
        return float(self.size * (self.e1 @ e) / (e @ e) - self.periods * trace)

    def maximum(self) -> float:
        """The rho where the score falls through zero.

        Raises
        ------
        EstimationError
            There is no such rho inside the bounds, or more than one.
        """
        low, high = self.bounds()
        grid = np.linspace(low * (1 - EDGE), high * (1 - EDGE), GRID)
        sign = np.array([self.score(r) > 0 for r in grid])
        falls = np.flatnonzero(sign[:-1] & ~sign[1:])
        if len(falls) != 1:
            where = f"near {', '.join(f'{grid[i]:.3g}' for i in falls)}" if len(falls) else "it rises towards an end"
            raise EstimationError(f"{len(falls)} maxima of the likelihood for rho in ({low:.4g}, {high:.4g}): {where}")
        found = brentq(self.score, grid[falls[0]], grid[falls[0] + 1], xtol=1e-15, rtol=1e-14, maxiter=500)
        return float(found)

    def spread(self, rho: float) -> Floats:
        """G = W(I – ρW)⁻¹."""
        return np.asarray(np.linalg.solve((np.eye(len(self.W)) - rho * self.W).T, self.W.T).T)

    def information(self, X: Floats, mean: Floats, G: Floats, sigma2: float) -> Floats:
        """Covariance of (rho, coefficients): A⁻¹BA⁻¹, A minus the expected derivative and B the variance of the score.

        ``mean`` is the part of Wy, without effects, that is not noise. The two differ in one entry, and not at all for
        rows of W with a common sum.
        """
        n, k = len(G), X.shape[1]
        PG = G - G.mean(axis=0) if self.centred else G
        A = np.zeros((k + 2, k + 2))
        A[0, 0] = mean @ mean / sigma2 + self.periods * (np.sum(PG * G) + np.sum(PG * G.T))
        A[0, 1 : k + 1] = A[1 : k + 1, 0] = X.T @ mean / sigma2
        A[1 : k + 1, 1 : k + 1] = X.T @ X / sigma2
        A[0, -1] = A[-1, 0] = self.periods * np.trace(PG) / sigma2
        A[-1, -1] = self.periods * (n - self.centred) / (2 * sigma2**2)
        B = A.copy()
        B[0, 0] += self.periods * (np.sum(PG * PG.T) - np.sum(PG * G.T))
        scale = 1 / np.sqrt(np.diag(A))
        bread = np.linalg.inv(A * np.outer(scale, scale))
        full = bread @ (B * np.outer(scale, scale)) @ bread * np.outer(scale, scale)
        return np.asarray(full[:-1, :-1])


def spatial_durbin(
    panel: pd.DataFrame,
    outcome: str,
    regressors: str | Sequence[str],
    *,
    unit: str,
    time: str,
    weights_matrix: pd.DataFrame,
    effects: str = "two-way",
    bias_correction: bool = True,
    spatial_lags: Sequence[str] | None = None,
    row_standardise: bool = True,
    level: float = 0.95,
) -> Estimate:
    """Fit y = ρWy + Xβ + WXθ + effects + ε on a balanced panel by maximum likelihood.

    Without correction this is the estimator of Elhorst (2003, Int. Reg. Sci. Rev. 26, 244–268): effects are removed by
    demeaning and T·ln|I – ρW| is exact, by the full matrix. Demeaning makes the score biased (Lee and Yu 2010,
    J. Econometrics 154, 165–185). With correction the expected score is subtracted,
    n·e₁'e/e'e = (T – 1) tr[(I – 11'/N)G] with G = W(I – ρW)⁻¹ and n = (N – 1)(T – 1) for two-way effects (with one kind
    T – 1 becomes T, or 11'/N falls away). For rows of W with a common sum this maximises the likelihood of Lee and
    Yu's orthonormal transformations; it also holds where some units have no neighbours.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), balanced.
    outcome : str
    regressors : str or sequence of str
        The first is the headline: ``att`` is its direct effect.
    unit, time : str
        Key columns.
    weights_matrix : DataFrame, units × units
        Non-negative, zero diagonal, labelled by unit on both axes; entry (i, j) is the weight of j for i.
    effects : {"two-way", "unit", "time"}
    bias_correction : bool
    spatial_lags : sequence of str, optional
        Regressors that enter with Wx too; None is all of them, () the spatial lag (SAR) model.
    row_standardise : bool
        Divide each row by its sum. Otherwise ρ is bounded by the reciprocals of the extreme real eigenvalues.
    level : float

    Returns
    -------
    Estimate
        Rows ``rho``, the regressors, ``W×x``, then ``direct: x``, ``indirect: x``, ``total: x`` for each: means over
        units of the partial effects (I – ρW)⁻¹(βI + θW) (LeSage and Pace 2009, ch. 2), standard errors by the delta
        method; ``vcov`` covers them all. Normal intervals, from the information under normal errors. Units without
        neighbours are named in ``meta["isolated_units"]``; ``meta["sigma2"]`` is the error variance.

    Raises
    ------
    EstimationError
        An unbalanced panel, a matrix that does not fit the units, no link at all, no interior maximum, or several.
    CollinearityError
        A regressor is a combination of effects and other columns; W×x as well.
    """
    names = [regressors] if isinstance(regressors, str) else list(regressors)
    lagged = names if spatial_lags is None else list(spatial_lags)
    unknown = [x for x in lagged if x not in names]
    if unknown:
        raise EstimationError(f"spatial_lags are not among the regressors: {listed(unknown)}")
    if effects not in EFFECTS:
        raise EstimationError(f"effects {effects!r} is not one of {', '.join(EFFECTS)}")
    kinds = {"two-way": (unit, time), "unit": (unit,), "time": (time,)}[effects]
    design = build(panel, outcome, names, unit=unit, time=time, effects=kinds)
    check_balanced(design, "the spatial Durbin model")
    W, isolated = _matrix(weights_matrix, design, row_standardise)
    extra = _lag(W, design, design.X[:, [names.index(x) for x in lagged]])
    design = replace(design, X=np.hstack([design.X, extra]), terms=(*names, *(f"W×{x}" for x in lagged)))
    fitted = fit(design)
    wy = fitted.projector.residual(_lag(W, design, design.y))
    slope = fitted.inverse @ (fitted.X.T @ wy)
    likelihood = _Likelihood.of(
        fitted.residuals,
        wy - fitted.X @ slope,
        W,
        centred=bias_correction and effects != "unit",
        periods=design.time.n - (bias_correction and effects != "time"),
    )
    rho = likelihood.maximum()
    residuals, G = likelihood.e0 - rho * likelihood.e1, likelihood.spread(rho)
    sigma2 = float(residuals @ residuals / likelihood.size)
    mean = wy - fitted.projector.residual(_lag(G, design, residuals))
    theta = np.r_[rho, fitted.coefficients - rho * slope]
    vcov = likelihood.information(fitted.X, mean, G, sigma2)
    impacts, jacobian = _impacts(theta, G, names, lagged)
    jacobian = np.vstack([np.eye(len(theta)), jacobian])
    meta = {
        "estimator": "spatial Durbin, maximum likelihood" + (", Lee–Yu correction" if bias_correction else ""),
        "covariance": "information matrix, normal",
        "effects": ", ".join(kinds),
        "weights_matrix": "row-standardised" if row_standardise else "as given",
        "isolated_units": listed(isolated),
        "sigma2": f"{sigma2:.10g}",
        **design.left_out,
    }
    terms = ["rho", *design.terms, *(f"{kind}: {x}" for kind in IMPACTS for x in names)]
    return _assemble(design, terms, np.r_[theta, impacts], jacobian @ vcov @ jacobian.T, level, meta)


def _matrix(weights: pd.DataFrame, design: Design, standardise: bool) -> tuple[Floats, list[object]]:
    """Weights in the order of the units, and the units without neighbours."""
    units = pd.Index(design.unit.labels)
    for axis in (weights.index, weights.columns):
        wrong = axis.symmetric_difference(units)
        if len(wrong) or not axis.is_unique:
            what = listed(list(wrong)) if len(wrong) else "repeated labels"
            raise EstimationError(f"weights_matrix must have each unit of the panel once on both axes: {what}")
    W = weights.loc[units, units].to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(W).all(axis=1) & (W >= 0).all(axis=1) & (np.diag(W) == 0)))
    if len(bad):
        rows = listed(list(units[bad]))
        raise EstimationError(f"weights_matrix must be finite, not negative, zero on its diagonal; see rows {rows}")
    sums = W.sum(axis=1)
    if not sums.any():
        raise EstimationError("weights_matrix has no link")
    alone = list(units[np.flatnonzero(sums == 0)])
    return (W / np.where(sums > 0, sums, 1.0)[:, None] if standardise else W), alone


def _lag(matrix: Floats, design: Design, columns: Floats) -> Floats:
    """Matrix × columns within each period; rows are sorted by unit, then time, and complete."""
    return np.asarray((matrix @ columns.reshape(design.unit.n, -1)).reshape(columns.shape))


def _impacts(theta: Floats, G: Floats, names: Sequence[str], lagged: Sequence[str]) -> tuple[Floats, Floats]:
    """Mean direct, indirect and total effects of each regressor, (3k,), and their derivatives, (3k, parameters).

    With R = (I – ρW)⁻¹ = I + ρG the effects are βR + θG; dR/dρ = RG and dG/dρ = GG.
    """
    n, k, rho = len(G), len(names), theta[0]
    R = np.eye(n) + rho * G
    values, rows = np.empty((3, k)), np.zeros((3, k, len(theta)))
    for j, name in enumerate(names):
        beta, at = theta[1 + j], 1 + k + lagged.index(name) if name in lagged else None
        pairs = [(beta, R, R @ G, 1 + j)] + ([] if at is None else [(theta[at], G, G @ G, at)])
        for weight, matrix, slope, position in pairs:
            for row, mean in ((0, np.trace(matrix) / n), (2, matrix.sum() / n)):
                rows[row, j, position] = mean
            for row, mean in ((0, np.trace(slope) / n), (2, slope.sum() / n)):
                rows[row, j, 0] += weight * mean
        values[[0, 2], j] = rows[[0, 2], j, 1:] @ theta[1:]
    values[1], rows[1] = values[2] - values[0], rows[2] - rows[0]
    return values.ravel(), rows.reshape(3 * k, -1)


def _assemble(
    design: Design, terms: Sequence[str], values: Floats, vcov: Floats, level: float, meta: dict[str, str]
) -> Estimate:
    se = np.sqrt(np.diag(vcov))
    head = next(i for i, term in enumerate(terms) if term.startswith("direct: "))
    low, high, p = t_interval(values[head], se[head], np.inf, level)
    return Estimate(
        att=float(values[head]),
        std_error=float(se[head]),
        df=float("inf"),
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=tidy(terms, values, se, np.inf, level),
        vcov=vcov,
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=len(np.unique(design.unit.ids[design.X[:, 0] != 0])),
        n_clusters=0,
        n_treated_clusters=0,
        meta=meta,
    )
