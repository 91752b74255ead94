"""What every estimator and every test returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
COLUMNS = (
    "term",
    "event_time",
    "cohort",
    "estimate",
    "std_error",
    "df",
    "ci_low",
    "ci_high",
    "band_low",
    "band_high",
    "p_value",
)


@dataclass(frozen=True)
class Estimate:
    """An estimated model.

    Attributes
    ----------
    att, std_error, df, ci, p_value : float, float, float, (float, float), float
        The headline effect: the coefficient of the first treatment, or the aggregate of an event study.
    level : float
        Confidence level of every interval.
    table : DataFrame
        One row a coefficient, columns ``COLUMNS``; what does not apply is missing.
    vcov : ndarray
        Covariance matrix, by row of ``table``.
    weights, placebos : DataFrame or None
        Unit, time or comparison weights; placebo estimates.
    n_obs, n_units, n_treated, n_clusters, n_treated_clusters : int
        Counts over the rows used.
    meta : dict of str
        Text only: estimator, covariance, effects, rows left out.
    """

    att: float
    std_error: float
    df: float
    ci: tuple[float, float]
    p_value: float
    level: float
    table: pd.DataFrame
    vcov: np.ndarray
    n_obs: int
    n_units: int
    n_treated: int
    n_clusters: int
    n_treated_clusters: int
    weights: pd.DataFrame | None = None
    placebos: pd.DataFrame | None = None
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TestResult:
    """The outcome of a test.

    Attributes
    ----------
    statistic : float
        Observed statistic.
    p_value : float
        Two-sided p-value.
    df : float, (float, float) or None
        Degrees of freedom; a pair for F.
    estimate : float or None
        Estimate that the test is about.
    ci : (float, float) or None
        Interval by inversion of the test.
    draws : int or None
        Number of draws, or of assignments where ``exact``.
    exact : bool
        Whether the reference distribution was enumerated in full.
    distribution : ndarray or None
        Statistics under the null, in the order drawn.
    meta : dict of str
        Text only.
    """

    __test__ = False  # not a test class for pytest

    statistic: float
    p_value: float
    df: float | tuple[float, float] | None = None
    estimate: float | None = None
    ci: tuple[float, float] | None = None
    draws: int | None = None
    exact: bool = False
    distribution: np.ndarray | None = None
    meta: dict[str, str] = field(default_factory=dict)


def t_interval(estimate: ArrayLike, std_error: ArrayLike, df: ArrayLike, level: float) -> tuple[Floats, Floats, Floats]:
    """Ends of the t interval and the two-sided p-value, elementwise; infinite ``df`` is the normal."""
    b, se = np.asarray(estimate, dtype=np.float64), np.asarray(std_error, dtype=np.float64)
    half = stdtrit(df, 0.5 + level / 2) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(df, -np.abs(b / se))
    return b - half, b + half, p


def tidy(
    terms: Sequence[str],
    estimates: ArrayLike,
    std_errors: ArrayLike,
    df: ArrayLike,
    level: float,
    *,
    event_time: Sequence[int | None] | None = None,
    cohort: Sequence[int | None] | None = None,
    critical: ArrayLike = np.nan,
) -> pd.DataFrame:
    """Tidy rows of coefficients, columns ``COLUMNS``.

    Parameters
    ----------
    terms : sequence of str, (k,)
    estimates, std_errors, df : array-like, (k,)
        Infinite ``df`` gives normal intervals.
    level : float
    event_time, cohort : sequence of int or None, optional
        None where it does not apply.
    critical : float or array, (k,)
        Critical value of the simultaneous band; missing leaves the band empty.
    """
    b, se = np.asarray(estimates, dtype=np.float64), np.asarray(std_errors, dtype=np.float64)
    low, high, p = t_interval(b, se, df, level)

    def whole(values: Sequence[int | None] | None) -> pd.api.extensions.ExtensionArray:
        return pd.array([pd.NA if v is None else v for v in values or [None] * len(b)], dtype="Int64")

    half = np.asarray(critical, dtype=np.float64) * se
    columns = (list(terms), whole(event_time), whole(cohort), b, se, np.broadcast_to(df, b.shape), low, high)
    return pd.DataFrame(dict(zip(COLUMNS, (*columns, b - half, b + half, p), strict=True)))
