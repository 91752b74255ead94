"""Power of tests for pre-trends, and the bias of estimates that pass them (Roth 2022, AER: Insights 4, 305–322)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import cholesky
from scipy.optimize import brentq
from scipy.special import chdtr, chdtri, chndtr, fdtri, ndtr, ndtri, stdtrit
from scipy.stats import qmc

from pipeline.econometrics.design import Floats
from pipeline.econometrics.honest_periods import EventPath, coefficients_of, path_of
from pipeline.errors import EstimationError

TESTS = ("individual", "joint")
POINTS = 2**15  # Sobol points over a box: errors of a probability about 1e-6 for six pre periods, 1e-5 for nine
SMALLEST = 1e-300
STEEPEST = 2.0**20  # trend, over the smallest that moves a coefficient by its standard error, at which the search ends


@dataclass(frozen=True, eq=False)
class PreTest:
    """A test of the pre coefficients, N(trend, V).

    Attributes
    ----------
    vcov : ndarray, (k, k)
    kind : str
        "individual": no coefficient is significant by itself; "joint": the Wald test.
    critical : float
        Of |t|, or of the Wald statistic.
    """

    vcov: Floats
    kind: str
    critical: float

    def passes(self, trend: Floats) -> tuple[float, Floats]:
        """Probability of passing under ``trend`` (k,), and the mean of the coefficients that pass."""
        if self.kind == "individual":
            return box(trend, self.vcov, self.critical * np.sqrt(np.diag(self.vcov)))
        k = len(trend)
        shift = float(trend @ np.linalg.solve(self.vcov, trend))
        if shift == 0:
            return float(chdtr(k, self.critical)), trend
        passing = float(chndtr(self.critical, k, shift))
        return passing, trend * (float(chndtr(self.critical, k + 2, shift)) / passing if passing > 0 else np.nan)


def pretrend_power(
    vcov: ArrayLike,
    *,
    pre_periods: int | Sequence[float],
    times: Sequence[float] | None = None,
    reference_time: float | None = None,
    power: float | Sequence[float] = (0.5, 0.8),
    slopes: float | Sequence[float] = (),
    trend: ArrayLike | None = None,
    coefficients: ArrayLike | None = None,
    test: str = "individual",
    level: float = 0.95,
    df: float = np.inf,
) -> pd.DataFrame:
    """Linear violations of parallel trends that a pre-test finds with a given power, and the bias of what passes it.

    Parameters
    ----------
    vcov : array, (n, n)
        Covariance of the event-study coefficients, pre then post, without the reference; the pre alone will do. It is
        taken as known and the coefficients as normal.
    pre_periods, times, reference_time
        As in :func:`honest_did`.
    power : float or sequence of float
        A slope ≥ 0 is found for each; its negative has the same power.
    slopes : float or sequence of float
        Further slopes, per unit of time.
    trend : array, (n,), optional
        A difference in trends of any shape, at the times of the coefficients.
    coefficients : array, (n,), optional
        Estimates, for the likelihood ratio.
    test : str
        "individual": no pre coefficient is significant by itself, which the field calls no pre-trend; "joint": Wald.
    level : float
        Confidence level of the pre-test.
    df : float
        Degrees of freedom of its critical value: t(df), or F(k, df) times k; infinite for normal and χ².

    Returns
    -------
    DataFrame
        A row for each violation and coefficient, in the order power, slopes, trend: ``target_power, slope, power`` (the
        probability of a significant pre-test), ``size`` (the same without a trend), ``bayes_factor`` (probability of
        passing with the trend over that without), ``likelihood_ratio`` (of the pre coefficients), ``time, trend,
        mean_if_passed, std_error``. The mean of a coefficient given that the pre-test passes is, at a post time, the
        bias of an estimate that is looked at only then: the trend and what selection adds to it.

    Raises
    ------
    EstimationError
        As in :func:`path_of`; unknown test, a power that is not above the size of the test and below 1, a level outside
        (0, 1), degrees of freedom that are not positive, or a trend that is not n numbers.
    """
    path = path_of(vcov, pre_periods, times, reference_time)
    b = None if coefficients is None else coefficients_of(path, coefficients)
    pre = _pre_test(path, test, level, df)
    since = path.times - path.reference
    cases = [
        (p, _slope(pre, since[: path.pre], p)) for p in np.atleast_1d(np.asarray(power, dtype=np.float64)).tolist()
    ]
    cases += [(np.nan, s) for s in np.atleast_1d(np.asarray(slopes, dtype=np.float64)).tolist()]
    if not np.isfinite([slope for _, slope in cases]).all():
        raise EstimationError(f"slopes must be finite, not {slopes}")
    tables = [_describe(path, pre, b, p, slope, slope * since) for p, slope in cases]
    if trend is not None:
        tables.append(_describe(path, pre, b, np.nan, np.nan, coefficients_of(path, trend)))
    if not tables:
        raise EstimationError("nothing to describe: give a power, a slope or a trend")
    return pd.concat(tables, ignore_index=True)


def _pre_test(path: EventPath, test: str, level: float, df: float) -> PreTest:
    if test not in TESTS:
        raise EstimationError(f"test {test!r} is not one of {', '.join(TESTS)}")
    if not 0 < level < 1 or not df > 0:
        raise EstimationError(f"level must lie between 0 and 1 and df be positive, not {level} and {df}")
    k = path.pre
    matrix = path.vcov[:k, :k]
    if np.linalg.cond(matrix / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))) > 1e12:
        raise EstimationError("the covariance of the pre coefficients is singular")
    if test == "individual":
        return PreTest(matrix, test, float(stdtrit(df, 0.5 + level / 2)))
    return PreTest(matrix, test, float(k * fdtri(k, df, level) if np.isfinite(df) else chdtri(k, 1 - level)))


def _slope(pre: PreTest, since: Floats, power: float) -> float:
    """Slope at which the pre-test is significant with this probability."""
    size = 1 - pre.passes(np.zeros(len(since)))[0]
    if not size < power < 1:
        raise EstimationError(f"power must lie between the size of the pre-test, {size:.4g}, and 1, not {power}")
    unit = float(np.min(np.sqrt(np.diag(pre.vcov)) / np.abs(since)))

    def short(slope: float) -> float:
        return 1 - pre.passes(slope * unit * since)[0] - power

    steep = 1.0
    while short(steep) < 0 and steep < STEEPEST:
        steep *= 2
    return unit * float(brentq(short, 0.0, steep, xtol=1e-12, rtol=1e-12))


def _describe(
    path: EventPath, pre: PreTest, b: Floats | None, target: float, slope: float, trend: Floats
) -> pd.DataFrame:
    """Rows of one violation."""
    k = path.pre
    with_trend, mean = pre.passes(trend[:k])
    without = pre.passes(np.zeros(k))[0]
    carried = path.vcov[k:, :k] @ np.linalg.solve(pre.vcov, mean - trend[:k])
    ratio = np.nan
    if b is not None:
        ratio = float(np.exp((b[:k] - trend[:k] / 2) @ np.linalg.solve(pre.vcov, trend[:k])))
    return pd.DataFrame(
        {
            "target_power": target,
            "slope": slope,
            "power": 1 - with_trend,
            "size": 1 - without,
            "bayes_factor": with_trend / without,
            "likelihood_ratio": ratio,
            "time": path.times,
            "trend": trend,
            "mean_if_passed": np.concatenate([mean, trend[k:] + carried]),
            "std_error": np.sqrt(np.diag(path.vcov)),
        }
    )


def box(mean: Floats, vcov: Floats, bound: Floats) -> tuple[float, Floats]:
    """Probability that N(mean, V) lies in ±bound, (k,), and its mean given that it does.

    Separation of variables (Genz 1992, J. Comput. Graph. Stat. 1, 141–149), the last variable in closed form, on fixed
    quasi-random points: the result is a smooth function of its arguments.
    """
    k = len(mean)
    root = cholesky(vcov, lower=True)
    uniform = _points(max(k - 1, 1))
    z, weight = np.zeros((POINTS, k - 1)), np.full(POINTS, 1 / POINTS)
    for j in range(k):
        centre = mean[j] + z[:, :j] @ root[j, :j]
        low, high = (-bound[j] - centre) / root[j, j], (bound[j] - centre) / root[j, j]
        below, above = ndtr(low), ndtr(high)
        if j < k - 1:
            z[:, j] = ndtri(np.clip(below + uniform[:, j] * (above - below), SMALLEST, 1 - 1e-16))
            weight = weight * (above - below)
    inside = weight * (above - below)
    total = float(inside.sum())
    moments = np.append(inside @ z, weight @ (np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / np.sqrt(2 * np.pi))
    return total, mean + root @ moments / max(total, SMALLEST)


@cache
def _points(dimension: int) -> Floats:
    half = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(0)).random(POINTS // 2)
    return np.concatenate([half, 1 - half])  # with reflections, a trend and its negative mirror each other
