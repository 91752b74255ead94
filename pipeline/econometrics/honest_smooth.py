"""Smoothness: fixed-length intervals when the slope of the difference in trends changes by at most M a period.

Rambachan and Roth (2023, REStud 90, section 4.1), after Armstrong and Kolesár (2018, Econometrica 86, 655–683): among
the estimators v'b with v_post = l that are unbiased under linear trends, the one whose interval v'b ± h·cv(M·B/h) is
shortest, h its standard deviation, M·B its worst-case bias and cv(t) the quantile of |N(t, 1)|.

A path that is zero at the reference is a line plus kinks (τ – j)₊ or (j – τ)₊ at the inner points j. With unequal
spacing the slope may change at j by M·w_j, w_j the mean of the gaps on either side: what changes of at most M at every
single period of the two gaps add up to. So B = Σ_j w_j|v'kink_j|. With u_j = w_j v'kink_j as coordinates of v the
shortest interval lies on the path of a lasso, ½h² + μΣ|u_j|, at μ = M·h·F_B/F_h for the length F(M·B, h) = h·cv(M·B/h).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import brentq, lsq_linear
from scipy.special import ndtr, ndtri

from pipeline.econometrics.design import Floats
from pipeline.econometrics.honest_periods import EventPath
from pipeline.errors import EstimationError

KKT = 1e-8  # largest violation of the lasso's conditions, in units of its largest gradient


@dataclass(frozen=True, eq=False)
class Lasso:
    """½|y – X u|² + μ|u|₁ for the inner kinks u (k – 1,), and what brings u back to weights.

    Attributes
    ----------
    X, y : ndarray
        In units of the target's standard deviation.
    constant : float
        Bias per M that no pre coefficient can change.
    origin, basis : ndarray, (k,), (k, k – 1)
        v_pre = origin + basis u.
    """

    X: Floats
    y: Floats
    constant: float
    origin: Floats
    basis: Floats


def smooth_interval(b: Floats, path: EventPath, target: Floats, bound: float, level: float) -> tuple[float, float]:
    """Shortest fixed-length interval of l'τ_post under Δ^SD(M), M = ``bound``."""
    weights, sd, bias = optimal_weights(path, target, bound, level)
    half = sd * folded_quantile(bound * bias / sd, level)
    centre = float(weights @ b)
    return centre - half, centre + half


def optimal_weights(path: EventPath, target: Floats, bound: float, level: float) -> tuple[Floats, float, float]:
    """Weights v (n,) of the shortest interval, their standard deviation h, and B, the worst-case bias per M.

    Raises
    ------
    EstimationError
        The covariance of the pre coefficients is singular.
    """
    scale = float(np.sqrt(target @ path.vcov[path.pre :, path.pre :] @ target))
    problem = _lasso(path, target, scale)

    def at(penalty: float) -> tuple[Floats, float, float]:
        u = _solve(problem.X, problem.y, penalty)
        return u, float(np.linalg.norm(problem.y - problem.X @ u)), float(np.abs(u).sum()) + problem.constant

    def imbalance(penalty: float) -> float:
        _, h, bias = at(penalty)
        return penalty * _by_spread(bound * bias / (scale * h), level) - _wanted(h, bias)

    def _wanted(h: float, bias: float) -> float:
        t = bound * bias / (scale * h)
        return bound / scale * h * float(np.tanh(folded_quantile(t, level) * t))

    best = 0.0
    if bound > 0 and problem.X.shape[1]:
        largest = float(np.abs(problem.X.T @ problem.y).max())
        _, h, bias = at(largest)
        ceiling = max(largest, _wanted(h, bias) / _by_spread(bound * bias / (scale * h), level)) * (1 + 1e-9)
        best = float(brentq(imbalance, 0.0, ceiling, xtol=1e-15 * ceiling, rtol=1e-14)) if ceiling > 0 else 0.0
    u, h, bias = at(best)
    return np.concatenate([problem.origin + problem.basis @ u, target]), h * scale, bias


def folded_quantile(t: float, level: float) -> float:
    """Quantile of |N(t, 1)|, t ≥ 0."""
    margin = 1e-9 * (1 + t)  # one tail is the limit for large t, two equal tails that for t = 0
    low, high = max(t + float(ndtri(level)) - margin, 0.0), t + float(ndtri(0.5 + level / 2)) + margin
    return float(brentq(lambda c: ndtr(c - t) - ndtr(-c - t) - level, low, high, xtol=1e-14, rtol=1e-14))


def _by_spread(t: float, level: float) -> float:
    """Derivative of h·cv(B/h) by h, cv – t·cv', with cv' = tanh(t·cv)."""
    c = folded_quantile(t, level)
    return c - t * float(np.tanh(c * t))


def _lasso(path: EventPath, target: Floats, scale: float) -> Lasso:
    """Change coordinates from pre weights to scaled kinks; the trend constraint takes the one that is left."""
    points, k, ref = path.points, path.pre, path.reference
    since = path.times - ref
    inner = points[1:-1]
    widths = (points[2:] - points[:-2]) / 2
    distance = path.times - inner[:, None]
    kinks = widths[:, None] * np.where((inner < ref)[:, None], np.maximum(-distance, 0), np.maximum(distance, 0))
    free = np.abs(kinks[:, :k]).max(axis=1) > 0
    fixed = kinks[:, k:] @ target
    square = np.vstack([kinks[free][:, :k], since[:k]])
    inverse = np.linalg.inv(square)
    origin = inverse @ np.append(-fixed[free], -since[k:] @ target)
    basis = inverse[:, :-1]
    try:
        root = cholesky(path.vcov / scale**2)
    except np.linalg.LinAlgError:
        raise EstimationError("vcov is singular: smoothness needs the covariance of all coefficients") from None
    return Lasso(
        X=root[:, :k] @ basis,
        y=-(root[:, :k] @ origin + root[:, k:] @ target),
        constant=float(np.abs(fixed[~free]).sum()),
        origin=origin,
        basis=basis,
    )


def _solve(X: Floats, y: Floats, penalty: float) -> Floats:
    """Lasso by its dual, a least-squares problem in a box, which an active-set method solves in finitely many steps."""
    if not X.shape[1]:
        return np.zeros(0)
    gradient = X.T @ y
    gram = cholesky(X.T @ X, lower=True)
    white = solve_triangular(gram, gradient, lower=True)
    if penalty >= np.abs(gradient).max():
        return np.zeros(len(gradient))
    z = np.zeros(len(gradient))
    if penalty > 0:
        inverse = solve_triangular(gram, np.eye(len(gram)), lower=True)
        z = lsq_linear(inverse, white, bounds=(-penalty, penalty), method="bvls", tol=1e-15, max_iter=1000).x
    u = np.asarray(solve_triangular(gram.T, white - solve_triangular(gram, z, lower=True)))
    u[np.abs(z) < penalty * (1 - 1e-12)] *= penalty == 0
    slack = gradient - X.T @ (X @ u)
    top = max(float(np.abs(gradient).max()), penalty)
    violation = max(np.abs(slack).max() - penalty, np.abs((slack - penalty * np.sign(u))[u != 0]).max(initial=0.0))
    if violation > KKT * top:
        raise EstimationError(f"the shortest interval was not found: conditions violated by {violation / top:.1e}")
    return u
