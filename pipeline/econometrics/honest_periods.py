"""Event-study coefficients as a path over calendar time, checked, with the normalised reference put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.econometrics.design import Floats
from pipeline.errors import EstimationError

ASYMMETRY, NEGATIVE = 1e-8, 1e-10  # of the largest variance: rounding, not a fault


@dataclass(frozen=True, eq=False)
class EventPath:
    """Coefficients b (n,) of k pre and T post periods, n = k + T; the reference is not among them.

    Attributes
    ----------
    vcov : ndarray, (n, n)
    times : ndarray, (n,)
        Increasing; the reference lies at ``reference``, before the first post period.
    pre : int
        k.
    """

    vcov: Floats
    times: Floats
    reference: float
    pre: int

    @property
    def post(self) -> int:
        """T."""
        return len(self.times) - self.pre

    @property
    def points(self) -> Floats:
        """Times with the reference among them, (n + 1,)."""
        return np.sort(np.append(self.times, self.reference))

    def slopes(self) -> Floats:
        """Rows that give the change per unit of time between neighbouring points, (n, n): the first k are pre."""
        at = int(np.searchsorted(self.times, self.reference))
        values = np.insert(np.eye(len(self.times)), at, 0.0, axis=0)
        return np.asarray(np.diff(values, axis=0) / np.diff(self.points)[:, None])


def path_of(
    vcov: ArrayLike,
    pre_periods: int | Sequence[float],
    times: Sequence[float] | None,
    reference_time: float | None,
) -> EventPath:
    """Check a covariance matrix and place its coefficients in time.

    Parameters
    ----------
    vcov : array, (n, n)
    pre_periods : int or sequence of float
        How many coefficients are pre, or their times.
    times : sequence of float, (n,), optional
        Of all coefficients, increasing. None places them one apart, with the reference between pre and post.
    reference_time : float, optional
        Time of the reference. None with ``times`` is the one whole number between the last pre and the first post time.

    Raises
    ------
    EstimationError
        A covariance that is not square, finite, symmetric and positive semidefinite or that has a zero variance;
        no pre period; times out of order or not as many; a reference that is ambiguous, repeated or not before
        the first post period.
    """
    matrix = _checked(np.atleast_2d(np.asarray(vcov, dtype=np.float64)))
    n = len(matrix)
    if isinstance(pre_periods, (int, np.integer)):
        listed, k = None, int(pre_periods)
    else:
        listed, k = [float(t) for t in pre_periods], len(pre_periods)
    if not 1 <= k <= n:
        raise EstimationError(f"pre_periods must be from 1 to {n}, the number of coefficients, not {k}")
    if times is None:
        if listed is not None or reference_time is not None:
            raise EstimationError("pre_periods as a list and reference_time need the times of all coefficients")
        return EventPath(matrix, np.r_[np.arange(-k, 0), np.arange(1, n - k + 1)].astype(np.float64), 0.0, k)
    at = np.asarray(times, dtype=np.float64)
    if at.shape != (n,) or not np.isfinite(at).all() or not (np.diff(at) > 0).all():
        raise EstimationError(f"times must be {n} increasing numbers, one for each coefficient, not {list(times)}")
    if listed is not None and listed != at[:k].tolist():
        raise EstimationError(f"the first {k} times are {at[:k].tolist()}, but pre_periods says {listed}")
    first_post = at[k] if k < n else np.inf
    reference = _between(at[k - 1], first_post) if reference_time is None else float(reference_time)
    if reference in at or not reference < first_post:
        raise EstimationError(
            f"reference time {reference:g} must lie before the first post period and in no coefficient"
        )
    return EventPath(matrix, at, reference, k)


def target_weights(path: EventPath, target: ArrayLike | None) -> Floats:
    """Weights over the post coefficients, (T,); None is the first.

    Raises
    ------
    EstimationError
        Not T finite numbers, or all zero.
    """
    if path.post < 1:
        raise EstimationError("no post period is left: pre_periods counts every coefficient")
    weights = np.eye(path.post)[0] if target is None else np.asarray(target, dtype=np.float64).ravel()
    if weights.shape != (path.post,) or not np.isfinite(weights).all() or not weights.any():
        raise EstimationError(f"target must be {path.post} weights, one for each post coefficient, not all zero")
    return weights


def coefficients_of(path: EventPath, coefficients: ArrayLike) -> Floats:
    """Coefficients as floats, (n,); refuses what does not fit the covariance."""
    b = np.asarray(coefficients, dtype=np.float64).ravel()
    if b.shape != path.times.shape or not np.isfinite(b).all():
        raise EstimationError(f"{len(b)} coefficients for a {len(path.times)}×{len(path.times)} vcov, or a missing one")
    return b


def _checked(matrix: Floats) -> Floats:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise EstimationError(f"vcov must be square and finite, not of shape {matrix.shape} or with missing variances")
    scale = float(np.abs(matrix).max())
    if not (np.diag(matrix) > 0).all():
        raise EstimationError("a coefficient has no variance; leave the reference out of coefficients and vcov")
    if np.abs(matrix - matrix.T).max() > ASYMMETRY * scale:
        raise EstimationError("vcov is not symmetric")
    matrix = (matrix + matrix.T) / 2
    if np.linalg.eigvalsh(matrix)[0] < -NEGATIVE * scale:
        raise EstimationError("vcov is not positive semidefinite")
    return matrix


def _between(last_pre: float, first_post: float) -> float:
    whole = np.arange(np.floor(last_pre) + 1, first_post) if np.isfinite(first_post) else np.empty(0)
    if len(whole) != 1:
        raise EstimationError(
            f"reference_time is needed: {len(whole)} whole numbers between {last_pre:g} and {first_post:g}"
        )
    return float(whole[0])
