"""Entropy balancing: control weights that match the covariate means of the treated."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.special import logsumexp

from pipeline.econometrics.design import Floats, listed
from pipeline.errors import EstimationError

TOLERANCE = 1e-10  # largest imbalance accepted, in standard deviations of the controls
FEASIBLE = 1e-7  # the linear programme's own tolerance: a slack below it is none
STEPS = 200


def entropy_balance(
    covariates: pd.DataFrame | ArrayLike,
    treated: ArrayLike,
    *,
    base_weights: ArrayLike | None = None,
    moments: int = 1,
) -> Floats:
    """Weight controls so that their covariate means equal those of the treated, changing the base weights least.

    The weights minimise Σ w log(w/q) subject to Σ w = 1 and Σ w·x = the treated mean of each covariate (Hainmueller
    2012, equations 1 to 4), by Newton steps on the dual. A linear programme looks first whether such weights exist.
    A control that no balancing weights can use (the treated mean lies on the edge of what the controls span) has
    weight zero.

    Parameters
    ----------
    covariates : DataFrame or array, (n, k)
        A row a unit; the names of a DataFrame's columns stand in messages.
    treated : array of bool or 0/1, (n,)
    base_weights : array, (n,) or (number of controls,), optional
        Positive; of all rows, of which those of the controls are used, or of the controls alone. None is equal.
    moments : int
        Powers of each covariate to match: 2 adds the second moments, 3 the third.

    Returns
    -------
    ndarray, (number of controls,)
        Weights in the order of the controls' rows, summing to one; times the number of treated they are those of
        the R package ebal.

    Raises
    ------
    EstimationError
        No weights balance the covariates: the message names those that cannot be; also missing or infinite values, no
        treated or no control unit, base weights that are not positive.
    """
    names, X = _columns(covariates)
    D = _indicator(treated, len(X))
    q = _base(base_weights, D)
    X, names = _powers(X, names, D, moments)
    controls, target = X[~D], X[D].mean(axis=0)
    spread = controls.std(axis=0)
    Z = (controls - target) / np.where(spread > 0, spread, 1.0)
    usable = _usable(Z, names, controls, target)
    weights = np.zeros(len(Z))
    weights[usable] = _newton(Z[usable], np.log(q[usable]))
    return weights


def _columns(covariates: pd.DataFrame | ArrayLike) -> tuple[list[str], Floats]:
    X = np.asarray(covariates, dtype=np.float64)
    X = X[:, None] if X.ndim == 1 else X
    if isinstance(covariates, pd.DataFrame):
        names = [str(c) for c in covariates.columns]
    else:
        names = [f"column {j}" for j in range(X.shape[1])]
    faulty = [n for n, column in zip(names, X.T, strict=True) if not np.isfinite(column).all()]
    if faulty:
        raise EstimationError(f"covariate {listed(faulty)} has missing or infinite values")
    return names, X


def _indicator(treated: ArrayLike, n: int) -> NDArray[np.bool_]:
    D = np.asarray(treated, dtype=np.float64)
    if D.shape != (n,) or not np.isin(D, (0.0, 1.0)).all():
        raise EstimationError(f"treated must hold {n} values, each 0 or 1")
    if not D.any() or D.all():
        raise EstimationError(f"there is no {'control' if D.all() else 'treated'} unit to balance")
    return np.asarray(D == 1.0)


def _base(base_weights: ArrayLike | None, D: NDArray[np.bool_]) -> Floats:
    n = int((~D).sum())
    q = np.ones(n) if base_weights is None else np.asarray(base_weights, dtype=np.float64)
    q = q[~D] if q.shape == D.shape else q
    if q.shape != (n,) or not (np.isfinite(q) & (q > 0)).all():
        raise EstimationError(f"base weights must be positive, one for each of the {n} controls")
    return np.asarray(q / q.sum())


def _powers(X: Floats, names: list[str], D: NDArray[np.bool_], moments: int) -> tuple[Floats, list[str]]:
    """Covariates and the powers of their distance from the treated mean."""
    if moments not in (1, 2, 3):
        raise EstimationError(f"moments {moments!r} is not 1, 2 or 3")
    distance = X - X[D].mean(axis=0)
    blocks = [X, *(distance**m for m in range(2, moments + 1))]
    return np.hstack(blocks), names + [f"{n}^{m}" for m in range(2, moments + 1) for n in names]


def _usable(Z: Floats, names: list[str], controls: Floats, target: Floats) -> NDArray[np.bool_]:
    """Controls that some balancing weights use; an error that names the covariates where there are none.

    One linear programme finds them: w = s + r with Z'w = 0, 0 ≤ s ≤ 1, r ≥ 0, largest Σs. The solutions without
    Σw = 1 are a cone, so every w that can be positive can be made to reach 1.
    """
    n, k = Z.shape
    found = linprog(
        np.r_[-np.ones(n), np.zeros(n)],
        A_eq=np.hstack([Z.T, Z.T]),
        b_eq=np.zeros(k),
        bounds=[(0, 1)] * n + [(0, None)] * n,
        method="highs",
    )
    usable = np.asarray(found.x[:n] > 0.5) if found.success else np.zeros(n, dtype=bool)
    if not usable.any():
        raise EstimationError(_infeasible(Z, names, controls, target))
    return usable


def _infeasible(Z: Floats, names: list[str], controls: Floats, target: Floats) -> str:
    """Which covariates cannot be balanced: alone, by their range; else together, by the smallest total imbalance."""
    low, high = controls.min(axis=0), controls.max(axis=0)
    outside = np.flatnonzero((target < low) | (target > high))
    start = f"no weights of the {len(Z)} controls balance "
    if len(outside):
        parts = [
            f"{names[j]!r} (treated mean {target[j]:.6g}, controls {low[j]:.6g} to {high[j]:.6g})" for j in outside
        ]
        return start + listed(parts)
    n, k = Z.shape
    closest = linprog(
        np.r_[np.zeros(n), np.ones(2 * k)],
        A_eq=np.vstack([np.hstack([Z.T, -np.eye(k), np.eye(k)]), np.r_[np.ones(n), np.zeros(2 * k)]]),
        b_eq=np.r_[np.zeros(k), 1.0],
        bounds=[(0, None)] * (n + 2 * k),
        method="highs",
    )
    slack = closest.x[n : n + k] + closest.x[n + k :]
    parts = [f"{names[j]!r} (off by {slack[j]:.2g} SD at best)" for j in np.flatnonzero(slack > FEASIBLE)]
    return f"{start}all of {', '.join(names)} together: {listed(parts)}"


def _newton(Z: Floats, log_q: Floats) -> Floats:
    """Weights q·exp(Zλ), summing to one, with Z'w = 0: the minimum of log Σ q·exp(Zλ)."""
    lam = np.zeros(Z.shape[1])
    best = (np.inf, np.exp(log_q))
    for _ in range(STEPS):
        value, w, gradient = _dual(Z, log_q, lam)
        imbalance = float(np.abs(gradient).max())
        if imbalance >= best[0] and imbalance <= TOLERANCE:
            break  # as exact as rounding allows
        best = min(best, (imbalance, w), key=lambda pair: pair[0])
        hessian = (Z * w[:, None]).T @ Z - np.outer(gradient, gradient)
        step = np.linalg.lstsq(hessian, -gradient, rcond=1e-12)[0]
        size = 1.0
        while size > 1e-10 and _dual(Z, log_q, lam + size * step)[0] > value + 1e-4 * size * (gradient @ step):
            size /= 2
        lam = lam + size * step
    if best[0] > TOLERANCE:
        raise EstimationError(f"balancing weights did not converge: imbalance {best[0]:.1e} standard deviations")
    return np.asarray(best[1])


def _dual(Z: Floats, log_q: Floats, lam: Floats) -> tuple[float, Floats, Floats]:
    """Dual objective, weights and gradient."""
    exponent = log_q + Z @ lam
    value = float(logsumexp(exponent))
    w = np.exp(exponent - value)
    return value, w, np.asarray(Z.T @ w)
