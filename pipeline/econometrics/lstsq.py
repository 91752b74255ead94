"""Least squares to working precision."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import qr, solve_triangular

from pipeline.econometrics.design import Floats
from pipeline.errors import CollinearityError, EstimationError

RANK = 1e-14  # a pivot below this share of the largest cannot be told from rounding
STEPS = 20


def least_squares(y: ArrayLike, X: ArrayLike | pd.DataFrame) -> Floats:
    """Coefficients of y on the columns of X as exact as double precision allows.

    Columns are scaled by powers of two, X is factorised by pivoted Householder QR, and the solution is refined on the
    augmented system with residuals in doubled precision (Björck 1967, BIT 7, 257–278).

    Parameters
    ----------
    y : array, (n,)
    X : DataFrame or array, (n, k)
        No constant is added.

    Returns
    -------
    ndarray, (k,)
        In the order of the columns.

    Raises
    ------
    CollinearityError
        X has a lower rank; the message names the columns.
    EstimationError
        Shapes that do not fit, values that are not finite, fewer rows than columns.
    """
    names = list(X.columns) if isinstance(X, pd.DataFrame) else None
    target, columns = np.asarray(y, dtype=np.float64), np.asarray(X, dtype=np.float64)
    if target.ndim != 1 or columns.ndim != 2 or len(target) != len(columns):
        raise EstimationError(f"y must be (n,) and X (n, k), not {target.shape} and {columns.shape}")
    n, k = columns.shape
    if n < k:
        raise EstimationError(f"{n} rows cannot identify {k} coefficients")
    if not (np.isfinite(target).all() and np.isfinite(columns).all()):
        raise EstimationError("y or X has missing or infinite values")
    names = names or [f"column {j}" for j in range(k)]
    norms = np.linalg.norm(columns, axis=0)
    scale = np.exp2(np.round(np.log2(np.where(norms > 0, norms, 1.0))))
    scaled = columns / scale
    q, r, order = qr(scaled, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    weak = pivots <= RANK * max(1.0, pivots[0])
    if weak.any():
        lost = ", ".join(str(names[j]) for j in order[weak])
        raise CollinearityError(
            f"{lost}: a combination of {', '.join(str(names[j]) for j in order[~weak]) or 'nothing'}"
        )
    b = _refined(target, scaled[:, order], q, r)
    out = np.empty(k)
    out[order] = b
    return out / scale


def _refined(y: Floats, X: Floats, q: Floats, r: Floats) -> Floats:
    """Solve r + Xb = y, X'r = 0 by refinement until the step no longer shrinks."""
    b, residual = np.zeros(X.shape[1]), np.zeros(len(y))
    last = math.inf
    for _ in range(STEPS):
        f = _gap(y, residual, X, b)
        h = solve_triangular(r, _gram_gap(X, residual), trans="T")
        fitted = q.T @ f
        step = solve_triangular(r, fitted - h)
        size = float(np.linalg.norm(step))
        if not size < last / 2:  # rounding level
            break
        b, residual, last = b + step, residual + f - q @ (fitted - h), size
    return b


def _split(a: Floats) -> tuple[Floats, Floats]:
    """Veltkamp: a = high + low with 26 bits each."""
    big = a * 134217729.0
    high = big - (big - a)
    return high, a - high


def _product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Dekker: a·b = p + error exactly."""
    p = a * b
    (ah, al), (bh, bl) = _split(a), _split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _gap(y: Floats, residual: Floats, X: Floats, b: Floats) -> Floats:
    """Return y – residual – Xb, each row summed exactly and rounded once."""
    p, error = _product(X, np.broadcast_to(b, X.shape))
    terms = np.column_stack([y, -residual, -p, -error])
    return np.array([math.fsum(row) for row in terms.tolist()])


def _gram_gap(X: Floats, residual: Floats) -> Floats:
    """Return –X'residual, each sum exact and rounded once."""
    p, error = _product(X, np.broadcast_to(residual[:, None], X.shape))
    return np.array([-math.fsum(column) for column in np.vstack([p, error]).T.tolist()])
