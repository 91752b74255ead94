"""Sensitivity of an event study to differences in trends (Rambachan and Roth 2023, REStud 90, 2555–2591)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.econometrics.design import Floats
from pipeline.econometrics.honest_periods import EventPath, coefficients_of, path_of, target_weights
from pipeline.econometrics.honest_relative import relative_interval
from pipeline.econometrics.honest_smooth import smooth_interval
from pipeline.errors import EstimationError

METHODS = {"relative_magnitude": ("C-LF", "conditional"), "smoothness": ("FLCI",)}
LADDERS = {"relative_magnitude": 2.0 ** np.arange(-7, 8), "smoothness": 2.0 ** np.arange(-10, 21)}
PRECISION = 1e-7  # of a breakdown value, relative
Interval = Callable[[float], tuple[float, float]]


def honest_did(
    coefficients: ArrayLike,
    vcov: ArrayLike,
    *,
    pre_periods: int | Sequence[float],
    times: Sequence[float] | None = None,
    reference_time: float | None = None,
    restriction: str = "relative_magnitude",
    bounds: float | Sequence[float] = (0.5, 1, 1.5, 2),
    level: float = 0.95,
    target: ArrayLike | None = None,
    method: str | None = None,
) -> pd.DataFrame:
    """Confidence sets for a post-treatment effect when parallel trends may be violated within a bound.

    Parameters
    ----------
    coefficients : array, (n,)
        Event-study coefficients, pre then post, without the reference; from any asymptotically normal estimator.
    vcov : array, (n, n)
        Their covariance. It is taken as known: critical values are normal.
    pre_periods : int or sequence of float
        How many coefficients are pre, or their times.
    times : sequence of float, (n,), optional
        Calendar times of the coefficients, so that gaps count: what a bound allows between two neighbouring points
        grows with the time between them. None: one apart, with the reference between pre and post.
    reference_time : float, optional
        Time of the reference; None with ``times`` is the one whole number between last pre and first post time.
    restriction : str
        "relative_magnitude": between neighbouring post points the difference in trends changes by at most ``bound``
        times the largest change per unit of time before treatment, times the gap; in a gap before treatment the mean
        change counts. "smoothness": its slope changes by at most ``bound`` per unit of time, in units of the outcome.
    bounds : float or sequence of float
        M̄ or M, ≥ 0.
    level : float
    target : array, (T,), optional
        Weights over the post coefficients; None is the first. The mean effect has 1/T everywhere.
    method : str, optional
        For relative magnitudes "C-LF", the hybrid least-favourable test with a tenth of the size in the first stage
        (the default), or "conditional"; for smoothness "FLCI".

    Returns
    -------
    DataFrame
        One row a bound: ``bound, ci_low, ci_high, estimate, std_error, restriction, method``; estimate and standard
        error are those of the target under parallel trends. An empty set has missing ends; one that is not an interval
        is covered by its hull; an end not found within 20 standard errors beyond the bound is infinite.

    Raises
    ------
    EstimationError
        As in :func:`path_of`; unknown restriction or method, a negative bound, or a level outside (0, 1).
    """
    b, path, weights, interval = _prepare(
        coefficients, vcov, pre_periods, times, reference_time, restriction, level, target, method
    )
    each = np.atleast_1d(np.asarray(bounds, dtype=np.float64))
    if each.ndim != 1 or not (np.isfinite(each) & (each >= 0)).all():
        raise EstimationError(f"bounds must be finite and not negative, not {bounds}")
    ends = [interval(float(m)) for m in each]
    return pd.DataFrame(
        {
            "bound": each,
            "ci_low": [low for low, _ in ends],
            "ci_high": [high for _, high in ends],
            "estimate": float(weights @ b[path.pre :]),
            "std_error": _std_error(path, weights),
            "restriction": restriction,
            "method": method or METHODS[restriction][0],
        }
    )


def breakdown_value(
    coefficients: ArrayLike,
    vcov: ArrayLike,
    *,
    pre_periods: int | Sequence[float],
    times: Sequence[float] | None = None,
    reference_time: float | None = None,
    restriction: str = "relative_magnitude",
    level: float = 0.95,
    target: ArrayLike | None = None,
    method: str | None = None,
    null: float = 0.0,
) -> float:
    """Largest bound at which the confidence set of :func:`honest_did` leaves out ``null``.

    Zero and a ladder of powers of two are tried, from 2⁻⁷ to 2⁷ for relative magnitudes and from 2⁻¹⁰ to 2²⁰ standard
    errors of the target for smoothness; the last change is bisected to a relative 1e-7.

    Parameters
    ----------
    coefficients, vcov, pre_periods, times, reference_time, restriction, level, target, method
        As in :func:`honest_did`.
    null : float
        In units of the outcome.

    Returns
    -------
    float
        0 if no bound tried leaves it out, infinite if the largest does.

    Raises
    ------
    EstimationError
        As in :func:`honest_did`.
    """
    _, path, weights, interval = _prepare(
        coefficients, vcov, pre_periods, times, reference_time, restriction, level, target, method
    )
    unit = _std_error(path, weights) if restriction == "smoothness" else 1.0

    def excluded(bound: float) -> bool:
        low, high = interval(bound)
        return bool(low > null or high < null)

    ladder = np.append(0.0, LADDERS[restriction] * unit)
    last = next((i for i in range(len(ladder) - 1, -1, -1) if excluded(ladder[i])), None)
    if last is None:
        return 0.0
    if last == len(ladder) - 1:
        return float("inf")
    inside, outside = float(ladder[last]), float(ladder[last + 1])
    while outside - inside > PRECISION * outside:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if excluded(middle) else (inside, middle)
    return inside


def _prepare(
    coefficients: ArrayLike,
    vcov: ArrayLike,
    pre_periods: int | Sequence[float],
    times: Sequence[float] | None,
    reference_time: float | None,
    restriction: str,
    level: float,
    target: ArrayLike | None,
    method: str | None,
) -> tuple[Floats, EventPath, Floats, Interval]:
    """Checked arrays, and the interval as a function of the bound."""
    if restriction not in METHODS:
        raise EstimationError(f"restriction {restriction!r} is not one of {', '.join(METHODS)}")
    chosen = method or METHODS[restriction][0]
    if chosen not in METHODS[restriction]:
        raise EstimationError(f"method {method!r} is not one of {', '.join(METHODS[restriction])} for {restriction}")
    if not 0 < level < 1:
        raise EstimationError(f"level must lie between 0 and 1, not {level}")
    path = path_of(vcov, pre_periods, times, reference_time)
    b, weights = coefficients_of(path, coefficients), target_weights(path, target)

    def interval(bound: float) -> tuple[float, float]:
        if restriction == "smoothness":
            return smooth_interval(b, path, weights, bound, level)
        return relative_interval(b, path, weights, bound, level, chosen)

    return b, path, weights, interval


def _std_error(path: EventPath, weights: Floats) -> float:
    return float(np.sqrt(weights @ path.vcov[path.pre :, path.pre :] @ weights))
