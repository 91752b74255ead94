"""Common parts of the synthetic estimators: weights on the simplex, the outcome matrix, the tables of a result."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from pipeline.econometrics.balanced import check_balanced
from pipeline.econometrics.design import Design, Floats
from pipeline.econometrics.results import tidy
from pipeline.errors import EstimationError

GAP = 1e-12  # largest duality gap accepted, over the largest squared distance of a column from the target
TIED = 1e-10  # gradients this close, on the same scale, are those of columns that could share the weight
SPREAD = 1e-5  # ridge, in the units of the columns, that picks the smallest of several equally good solutions


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights on the simplex.

    Attributes
    ----------
    shares : ndarray, (n,)
        Non-negative, sum to one.
    gap : float
        Duality gap over the largest squared distance of a column from the target: a bound on how far the objective
        ½‖Ax – b‖² + ½·ridge·‖x‖² is above its minimum.
    unique : bool
        Whether no other weights fit equally well.
    """

    shares: Floats
    gap: float
    unique: bool = True


def simplex_least_squares(A: Floats, b: Floats, ridge: float = 0.0) -> Weights:
    """Minimise ‖Ax – b‖² + ridge·‖x‖² over x ≥ 0, Σx = 1, exactly.

    The minimiser is the point of a convex hull that is nearest to the origin. That point is the non-negative least
    squares solution of [E; 1']u = [0; 1], scaled to sum to one, E being the columns of A less b over √ridge·I: for
    u = t·x the objective t²‖Ex‖² + (t – 1)² has the minimum ‖Ex‖²/(1 + ‖Ex‖²), which rises with ‖Ex‖. Where several
    x fit equally well the one with the smallest sum of squares is returned, so that the result does not depend on the
    order of the columns.

    Parameters
    ----------
    A : ndarray, (m, n)
    b : ndarray, (m,)
    ridge : float

    Raises
    ------
    EstimationError
        The duality gap, over the largest squared distance of a column from b, stays above 1e-12.
    """
    D = A - b[:, None]
    n = D.shape[1]
    E = np.vstack([D, np.sqrt(ridge) * np.eye(n)]) if ridge > 0 else D
    scale = float(np.sqrt((E**2).sum(axis=0).max()))
    if scale == 0.0 or n == 1:
        return Weights(np.full(n, 1 / n), 0.0, unique=n == 1)
    x, reduced = _nearest(E / scale)
    gap = max(0.0, -float(reduced.min()))
    if gap > GAP:
        raise EstimationError(f"the weights did not converge: relative duality gap {gap:.1e}, wanted {GAP:.0e}")
    tied = np.flatnonzero(reduced <= TIED)
    if ridge > 0 or _independent(E[:, tied] / scale):
        return Weights(x, gap)
    smallest = simplex_least_squares(E[:, tied] / scale, E @ x / scale, ridge=SPREAD**2)
    values = np.zeros(n)
    values[tied] = smallest.shares
    return Weights(values, duality_gap(A, b, values), unique=False)


def frank_wolfe(A: Floats, b: Floats, ridge: float, noise: float) -> Weights:
    """Minimise as in R's synthdid: Frank–Wolfe with its start, its sparsifying step and its stopping rule.

    A hundred steps from equal weights, weights up to a quarter of the largest set to zero, then steps until the mean
    squared error falls by less than (1e-5·noise)², at most 10,000. The second rule often binds: the result is then
    short of the minimum, which is why the published numbers differ from those of an exact solver.

    Parameters
    ----------
    A : ndarray, (m, n)
    b : ndarray, (m,)
    ridge : float
        As in :func:`simplex_least_squares`.
    noise : float
        Standard deviation of the outcome's first differences.
    """
    from diff_diff.utils import compute_sdid_unit_weights

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last step was the 10,000th; the gap says how much is missing
        values = compute_sdid_unit_weights(
            np.ascontiguousarray(A),
            np.ascontiguousarray(b),
            zeta_omega=float(np.sqrt(ridge / len(b))),
            intercept=False,
            min_decrease=1e-5 * noise,
        )
    x = np.asarray(values, dtype=np.float64)
    return Weights(x, duality_gap(A, b, x, ridge))


def duality_gap(A: Floats, b: Floats, x: Floats, ridge: float = 0.0) -> float:
    """Duality gap of weights, over the largest squared distance of a column from b (with the ridge)."""
    D = A - b[:, None]
    gradient = D.T @ (D @ x) + ridge * x
    scale = float(((D**2).sum(axis=0) + ridge).max())
    return max(0.0, float(gradient @ x - gradient.min())) / scale if scale > 0 else 0.0


def gap_text(gap: float) -> str:
    """Duality gap for ``meta``: below the tolerance its digits are rounding noise."""
    return f"below {GAP:.0e}" if gap < GAP else f"{gap:.1e}"


def root_mean_square(values: Floats) -> float:
    """Root mean square of gaps."""
    return float(np.sqrt(np.mean(values**2)))


def outcomes_by_period(design: Design, estimator: str) -> Floats:
    """Outcomes as a matrix, units × periods; an error naming the units that lack a period."""
    check_balanced(design, estimator)
    return design.y.reshape(design.unit.n, design.time.n)


def effect_table(
    term: str, labels: list[object], start: int, att: float, curve: Floats, se: float, level: float
) -> tuple[pd.DataFrame, Floats]:
    """Row of the effect, then one row a period (without a standard error), and the covariance matrix by row."""
    years = np.array(labels)
    whole = np.issubdtype(years.dtype, np.number) and bool((years == np.floor(years)).all())
    since = (years - years[start] if whole else np.arange(len(years)) - start).astype(int)
    n = 1 + len(curve)
    table = tidy(
        [term] * n,
        [att, *curve],
        [se, *[np.nan] * len(curve)],
        np.inf,
        level,
        event_time=[None, *since.tolist()],
        cohort=[int(years[start]) if whole else None] * n,
    )
    vcov = np.full((n, n), np.nan)
    vcov[0, 0] = se**2
    return table, vcov


def weight_table(**kinds: tuple[list[object], Floats]) -> pd.DataFrame:
    """Weights as tidy rows: kind, label, weight."""
    parts = [
        pd.DataFrame({"kind": k, "label": pd.Series(v[0], dtype=object), "weight": v[1]}) for k, v in kinds.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _nearest(E: Floats) -> tuple[Floats, Floats]:
    """Weights of the point of the hull of E's columns nearest to the origin, and the gradients less their mean."""
    n = E.shape[1]
    try:
        u, _ = nnls(np.vstack([E, np.ones(n)]), np.r_[np.zeros(len(E)), 1.0], maxiter=100 * n)
    except RuntimeError as error:
        raise EstimationError(f"the weights did not converge: {error}") from error
    x = u / u.sum()
    refined = _refine(E, x)
    reduced = _reduced(E, refined)
    return (refined, reduced) if reduced.min() >= -GAP else (x, _reduced(E, x))


def _refine(E: Floats, x: Floats) -> Floats:
    """Solve once more on the columns in use, as differences from the heaviest; x where that leaves the simplex."""
    used = np.flatnonzero(x > 0)
    base = used[np.argmax(x[used])]
    others = used[used != base]
    y = np.zeros(len(x))
    y[others] = np.linalg.lstsq(E[:, others] - E[:, [base]], -E[:, base], rcond=None)[0]
    y[base] = 1.0 - y.sum()
    return y if (y >= 0).all() else x


def _reduced(E: Floats, x: Floats) -> Floats:
    gradient = E.T @ (E @ x)
    return np.asarray(gradient - gradient @ x)


def _independent(E: Floats) -> bool:
    """Whether columns are affinely independent: only then are weights that give one point unique."""
    return bool(np.linalg.matrix_rank(E[:, 1:] - E[:, :1], tol=1e-8) == E.shape[1] - 1)
