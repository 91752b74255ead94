"""Minimum detectable effect and power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.econometrics import minimum_detectable_effect, power
from pipeline.errors import EstimationError


def test_minimum_detectable_effect_is_the_sum_of_two_quantiles(evidence):
    got = [minimum_detectable_effect(0.1, 24), minimum_detectable_effect(0.2, 5, power=0.9, level=0.9)]
    expected = [
        0.1 * (stats.t.ppf(0.975, 24) + stats.t.ppf(0.8, 24)),
        0.2 * (stats.t.ppf(0.95, 5) + stats.t.ppf(0.9, 5)),
    ]
    evidence(minimum_detectable_effect, "quantiles of scipy.stats.t", "formula", got, expected, "identity", 10)


def test_power_is_the_sum_of_two_tails(evidence):
    t = stats.t.ppf(0.975, 24)
    got = [power(e, 0.07, 24) for e in (0.0, 0.05, -0.05, 0.1)]
    expected = [stats.t.cdf(e / 0.07 - t, 24) + stats.t.cdf(-e / 0.07 - t, 24) for e in (0.0, 0.05, -0.05, 0.1)]
    evidence(power, "tails of scipy.stats.t", "formula", got, expected, "identity", 10)
    assert got[0] == pytest.approx(0.05, abs=1e-12)
    assert got[1] == got[2]


def test_power_at_the_minimum_detectable_effect():
    mde = minimum_detectable_effect(0.3, 24)
    assert power(mde, 0.3, 24) == pytest.approx(0.8, abs=1e-4)


def test_both_against_simulated_t_tests(evidence):
    rng = np.random.default_rng(5)
    mde = minimum_detectable_effect(1.0, 24)
    draws = 400_000
    t = (mde + rng.standard_normal(draws)) / np.sqrt(rng.chisquare(24, draws) / 24)
    rejected = np.mean(np.abs(t) > stats.t.ppf(0.975, 24))
    # the shifted central t is an approximation to the noncentral one: about .01 off
    assert rejected == pytest.approx(0.8, abs=0.015)
    evidence(
        minimum_detectable_effect,
        "rejection rate of simulated t tests, t(24)",
        "400,000 draws",
        0.8,
        rejected,
        "simulation",
        1,
    )
    evidence(
        power,
        "rejection rate of simulated t tests, t(24)",
        "400,000 draws",
        power(mde, 1.0, 24),
        rejected,
        "simulation",
        1,
    )


@pytest.mark.parametrize(("se", "df", "share"), [(0, 24, 0.8), (float("nan"), 24, 0.8), (1, 0, 0.8), (1, 24, 1.0)])
def test_refusals(se, df, share):
    with pytest.raises(EstimationError, match="must"):
        minimum_detectable_effect(se, df, power=share)
    with pytest.raises(EstimationError, match="must"):
        power(0.1, se, df, level=share if share == 1 else 0.95)
