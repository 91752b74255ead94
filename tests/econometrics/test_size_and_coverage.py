"""Rejection rates and coverage of what is printed, in designs whose answer is known.

With one cohort, a balanced panel and every unit its own cluster, an estimate is a least-squares fit to one mean change
a unit, so thousands of panels are drawn as mean changes. Each test first shows that ``two_way_fe`` gives the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import roots_genlaguerre
from scipy.stats import norm
from scipy.stats import t as student

from pipeline.econometrics import two_way_fe

DRAWS = 20_000


def fits(changes, columns, kind, parameters):
    """Estimate and standard error of the first column for every column of ``changes`` (units × draws).

    ``parameters``: rows N of the panel, and what CRV1 counts in k.
    """
    units = len(changes)
    inverse = np.linalg.inv(columns.T @ columns)
    weights = (columns @ inverse)[:, 0]
    residuals = changes - columns @ (inverse @ columns.T @ changes)
    if kind == "CRV3":
        leverage = np.einsum("ij,jk,ik->i", columns, inverse, columns)
        residuals = residuals / (1 - leverage)[:, None]
        factor = (units - 1) / units
    else:
        n, k = parameters
        factor = units / (units - 1) * (n - 1) / (n - k)
    return weights @ changes, np.sqrt(factor * (weights**2) @ residuals**2)


def panel(outcomes, treated, first, x=None):
    """Long form of outcomes (units × periods)."""
    units, periods = outcomes.shape
    year = np.tile(np.arange(periods), units)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(units), periods), "year": year, "y": outcomes.ravel()})
    frame["d"] = np.repeat(treated, periods) * (year >= first)
    return frame if x is None else frame.assign(x1=np.repeat(x[:, 0], periods), x2=np.repeat(x[:, 1], periods))


def exact_size(treated, controls, kind, level=0.05):
    """Rejection rate under independent normal changes of one variance: the t is a normal over a mix of two χ²."""
    units = treated + controls
    if kind == "CRV3":
        scale = [(units - 1) / units / (n - 1) ** 2 for n in (treated, controls)]
    else:
        n = 2 * units
        scale = [units / (units - 1) * (n - 1) / (n - 3) / m**2 for m in (treated, controls)]
    critical, spread = student.ppf(1 - level / 2, units - 1), 1 / treated + 1 / controls
    nodes, weights = zip(*(roots_genlaguerre(60, (n - 1) / 2 - 1) for n in (treated, controls)), strict=True)
    variance = 2 * (scale[0] * nodes[0][:, None] + scale[1] * nodes[1])  # χ² is twice a gamma variable
    rejected = 2 * norm.sf(critical * np.sqrt(variance / spread))
    return float(weights[0] @ rejected @ weights[1] / (weights[0].sum() * weights[1].sum()))


@pytest.mark.parametrize(
    ("treated", "kind", "low", "high"),
    [
        (14, "CRV3", 0.04, 0.06),
        (14, "CRV1", 0.04, 0.06),
        (4, "CRV1", 0.11, 0.14),
        (2, "CRV1", 0.26, 0.32),
        (4, "CRV3", 0.07, 0.09),
        (2, "CRV3", 0.15, 0.18),
    ],
)
def test_size_with_31_independent_units(treated, kind, low, high, evidence):
    rng, group = np.random.default_rng(treated), (np.arange(31) < treated).astype(float)
    changes = rng.standard_normal((31, DRAWS))
    columns = np.column_stack([group, np.ones(31)])
    estimate, se = fits(changes, columns, kind, (62, 3))
    for draw in range(3):
        one = panel(np.column_stack([np.zeros(31), changes[:, draw]]), group, 1)
        result = two_way_fe(one, "y", "d", unit="unit", time="year", covariance=kind)
        assert (result.att, result.std_error) == pytest.approx((estimate[draw], se[draw]), rel=1e-9)
        assert result.df == 30
    rate = float(np.mean(np.abs(estimate / se) > student.ppf(0.975, 30)))
    assert low <= rate <= high
    source, name = f"size of {kind}: a normal over a mix of two chi-squares, by quadrature", f"{treated} of 31 treated"
    evidence(
        two_way_fe, source, f"{name}, 20,000 draws", rate, exact_size(treated, 31 - treated, kind), "simulation", 1
    )


def test_size_of_crv3_with_covariates_by_period():
    rng, group = np.random.default_rng(5), (np.arange(31) < 14).astype(float)
    x = rng.standard_normal((31, 2)) + 0.5 * group[:, None]
    changes = rng.standard_normal((31, DRAWS))
    estimate, se = fits(changes, np.column_stack([group, np.ones(31), x]), "CRV3", (62, 5))
    for draw in range(3):
        one = panel(np.column_stack([np.zeros(31), changes[:, draw]]), group, 1, x)
        result = two_way_fe(one, "y", "d", unit="unit", time="year", by_time=["x1", "x2"], covariance="CRV3")
        assert (result.att, result.std_error) == pytest.approx((estimate[draw], se[draw]), rel=1e-9)
    assert 0.03 <= np.mean(np.abs(estimate / se) > student.ppf(0.975, 30)) <= 0.06


@pytest.mark.parametrize("kind", ["CRV1", "CRV3"])
def test_coverage_with_300_units(kind, evidence):
    """300 units over six periods, 2,000 draws: serial correlation .5, treated errors twice as wide, skewed shocks."""
    rng, group, effect = np.random.default_rng(7), (np.arange(300) < 120).astype(float), 0.4
    shocks = rng.chisquare(4, (300, 6, 2000)) - 4
    errors = np.empty_like(shocks)
    errors[:, 0] = shocks[:, 0] / np.sqrt(1 - 0.5**2)
    for year in range(1, 6):
        errors[:, year] = 0.5 * errors[:, year - 1] + shocks[:, year]
    outcomes = errors * (1 + group)[:, None, None] + effect * group[:, None, None] * (np.arange(6) >= 4)[None, :, None]
    changes = outcomes[:, 4:].mean(axis=1) - outcomes[:, :4].mean(axis=1)
    estimate, se = fits(changes, np.column_stack([group, np.ones(300)]), kind, (1800, 7))
    one = panel(outcomes[:, :, 0], group, 4)
    result = two_way_fe(one, "y", "d", unit="unit", time="year", covariance=kind)
    assert (result.att, result.std_error) == pytest.approx((estimate[0], se[0]), rel=1e-9)
    inside = float(np.mean(np.abs(estimate - effect) <= student.ppf(0.975, 299) * se))
    assert 0.93 <= inside <= 0.97
    data = "300 units × 6, 2,000 draws, serial correlation, two variances, skewed"
    evidence(two_way_fe, f"coverage of the 95 % interval, {kind}", data, inside, 0.95, "simulation", 1)
