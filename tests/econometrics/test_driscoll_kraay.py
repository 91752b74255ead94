"""Driscoll–Kraay: plm, linearmodels, sums by hand, limit cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linearmodels.panel import PanelOLS
from statsmodels.datasets import grunfeld

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.driscoll_kraay import driscoll_kraay
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import provinces

KEYS = {"unit": "unit", "time": "year"}


def test_grunfeld_within(evidence):
    data = grunfeld.load_pandas().data
    firms = data[data["firm"] != "American Steel"]
    result = driscoll_kraay(firms, "invest", ["value", "capital"], unit="firm", time="year", effects=("firm",))
    got = result.table[["estimate", "std_error"]].to_numpy()
    expected = [[0.11012380, 0.0176860], [0.31006534, 0.0348201]]
    source = 'R plm: coeftest(plm(inv ~ value + capital, Grunfeld, model = "within"), vcovSCC)'
    evidence(driscoll_kraay, source, "Grunfeld, 10 firms", got, expected, "external", 6)
    assert result.meta["covariance"] == "Driscoll–Kraay, Bartlett lag 2, t(19)"
    assert "few_periods" not in result.meta


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_agrees_with_linearmodels(lag, evidence):
    panel = provinces(1, drop=8)
    result = driscoll_kraay(panel, "y", "treated", **KEYS, controls=["z"], bandwidth=lag)
    indexed = panel.set_index(["unit", "year"])
    model = PanelOLS(indexed["y"], indexed[["treated", "z"]], entity_effects=True, time_effects=True)
    other = model.fit(
        cov_type="kernel", kernel="bartlett", bandwidth=lag, debiased=False, auto_df=False, count_effects=False
    )
    source = f'linearmodels 7.1 PanelOLS.fit(cov_type="kernel", kernel="bartlett", bandwidth={lag}, debiased=False)'
    evidence(driscoll_kraay, source, "simulated 31 × 9, unbalanced", result.vcov, other.cov.to_numpy(), "external", 8)


def test_two_units_by_hand():
    """One regressor, a constant: every sum is written out."""
    x = np.array([[1.0, 2.0, 0.0], [4.0, 1.0, 1.0]])
    y = np.array([[2.0, 1.0, 3.0], [0.0, 5.0, 1.0]])
    panel = pd.DataFrame({"unit": list("aaabbb"), "year": [1, 2, 3] * 2, "x": x.ravel(), "y": y.ravel()})
    centred = x - x.mean()
    b = (centred * y).sum() / (centred**2).sum()
    h = (centred * (y - y.mean() - b * centred)).sum(axis=0)
    meat = (h**2).sum() + 2 * 0.5 * (h[1] * h[0] + h[2] * h[1])
    result = driscoll_kraay(panel, "y", "x", **KEYS, effects=(), bandwidth=1)
    assert result.att == pytest.approx(b, rel=1e-12)
    assert result.std_error**2 == pytest.approx(meat / (centred**2).sum() ** 2, rel=1e-12)
    assert result.df == 2


def test_lag_zero_is_crv1_by_period_without_its_factor():
    panel = provinces(2, drop=5)
    result = driscoll_kraay(panel, "y", "treated", **KEYS, by_time=["x1"], weights="w", bandwidth=0)
    crv1 = two_way_fe(panel, "y", "treated", **KEYS, by_time=["x1"], weights="w", cluster="year")
    n, g, k = result.n_obs, 9, 1 + 31 + 8  # unit effects are not nested in years; period effects are
    assert result.std_error == pytest.approx(crv1.std_error / np.sqrt(g / (g - 1) * (n - 1) / (n - k)), rel=1e-10)
    assert result.att == crv1.att
    assert (result.n_clusters, result.n_treated) == (0, 14)


def test_few_periods_are_warned_of_and_gaps_in_the_calendar_are_no_lags():
    panel = provinces(3)
    result = driscoll_kraay(panel, "y", "treated", **KEYS)
    assert result.meta["few_periods"].startswith("9 periods")
    assert "lag 1" in result.meta["covariance"]
    dense = panel.assign(year=panel["year"].rank(method="dense"))
    assert driscoll_kraay(dense, "y", "treated", **KEYS).std_error == result.std_error


def test_order_labels_and_scale_do_not_matter():
    panel = provinces(4, drop=4)
    base = driscoll_kraay(panel, "y", "treated", **KEYS, controls=["z"])
    before = panel.copy()
    moved = panel.sample(frac=1, random_state=1).assign(y=lambda f: 1000 * f["y"] + f["unit"].str[:2].astype(float))
    other = driscoll_kraay(moved.rename(columns={"unit": "u"}), "y", "treated", unit="u", time="year", controls=["z"])
    np.testing.assert_allclose(other.vcov, base.vcov * 1e6, rtol=1e-9)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "keywords", "error", "message"),
    [
        ({}, {"bandwidth": 9}, EstimationError, "bandwidth 9 is not between 0 and 8"),
        ({}, {"bandwidth": -1}, EstimationError, "bandwidth -1"),
        ({"treated": 0.0}, {}, CollinearityError, "treatment 'treated'"),
    ],
)
def test_refusals(change, keywords, error, message):
    with pytest.raises(error, match=message):
        driscoll_kraay(provinces(5).assign(**change), "y", "treated", **KEYS, **keywords)


def test_one_period_is_refused():
    panel = provinces(6)
    with pytest.raises(EstimationError, match="at least two periods"):
        driscoll_kraay(panel[panel["year"] == 2013], "y", "z", **KEYS, effects=())
