"""What every estimator and every test returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

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
