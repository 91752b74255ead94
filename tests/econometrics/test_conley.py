"""Conley: R conleyreg, diff-diff, double loops, limit cases, matrices that are not positive semidefinite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.conley import conley_covariance
from pipeline.econometrics.covariance import crv1_factor
from pipeline.econometrics.design import build
from pipeline.econometrics.driscoll_kraay import driscoll_kraay
from pipeline.econometrics.fit import fit
from pipeline.econometrics.spillovers import distances
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces

KEYS = {"unit": "unit", "time": "year", "latitude": "lat", "longitude": "lon"}
# conleyreg takes 6371.01 km for the radius of the earth: its cutoff, in our kilometres
RADIUS = 6371.0 / 6371.01


class RGenerator:
    """R's default generator (Mersenne Twister, normals by inversion), from ``set.seed``."""

    def __init__(self, seed: int) -> None:
        state, words = seed, []
        for i in range(675):
            state = (69069 * state + 1) % 2**32
            if i > 50:  # fifty initial scramblings, then the position, then the 624 words
                words.append(state)
        self._bits = np.random.MT19937()
        inner = self._bits.state
        inner["state"] = {"key": np.array(words, dtype=np.uint32), "pos": 624}
        self._bits.state = inner

    def runif(self, n, low=0.0, high=1.0):
        return low + (high - low) * self._bits.random_raw(n).astype(float) * 2.3283064365386963e-10

    def rnorm(self, n):
        u = self.runif(2 * n)
        return ndtri((np.floor(2**27 * u[::2]) + u[1::2]) / 2**27)


def conleyreg_panel(seed, units, periods, regressors, latitudes, longitudes):
    """Data of ``build_fixture`` and ``build_panel_fixture`` in generate_conley_golden.R."""
    r = RGenerator(seed)
    lat, lon, n = r.runif(units, *latitudes), r.runif(units, *longitudes), units * periods
    x = np.array([r.rnorm(n) for _ in range(regressors)])
    slopes = np.linspace(0.5, 2.0, regressors) if regressors > 1 else np.array([0.5])
    frame = pd.DataFrame({f"x{j + 1}": row for j, row in enumerate(x)}).assign(y=1 + slopes @ x + 0.5 * r.rnorm(n))
    return frame.assign(
        unit=np.repeat(np.arange(units), periods),
        year=np.tile(np.arange(periods), units),
        lat=np.repeat(lat, periods),
        lon=np.repeat(lon, periods),
    )


@pytest.mark.parametrize(
    ("name", "arguments", "cutoff", "lags", "expected"),
    [
        ("small_haversine", (42, 50, 1, 1, (-30, 30), (-100, 100)), 500, 0, [0.00400965562190147]),
        (
            "panel_haversine_lag2",
            (1002, 80, 5, 2, (-45, 45), (-150, 150)),
            1000,
            2,
            [0.000632593913924797, 4.25503274023318e-05, 0.000667832726987759],
        ),
        (
            "panel_lat_lon_realistic_lag1",
            (1003, 100, 4, 2, (25, 50), (-125, -65)),
            200,
            1,
            [0.000588678019423492, -9.97666962721149e-06, 0.0006141190319106],
        ),
    ],
)
def test_equals_conleyreg(name, arguments, cutoff, lags, expected, evidence):
    panel = conleyreg_panel(*arguments)
    if name == "small_haversine":  # the file prints the data too: first and last
        assert panel["y"].iloc[[0, -1]].tolist() == pytest.approx([1.76144532040122, 0.798417963239141], rel=1e-13)
        assert panel["lat"].iloc[0] == pytest.approx(24.8883626097813, rel=1e-13)
    x = [c for c in panel if c.startswith("x")]
    result = conley_covariance(panel, "y", x, **KEYS, effects=(), cutoff=cutoff * RADIUS, lags=lags)
    got = result.vcov[np.triu_indices(len(x))]
    source = (
        f"R conleyreg 0.1.9: diff-diff benchmarks/data/r_conleyreg_conley_golden.json, {name} (data by R's set.seed)"
    )
    dataset = f"{arguments[1]} points × {arguments[2]}, {cutoff} km, lag {lags}"
    evidence(conley_covariance, source, dataset, got, expected, "external", 9)


def mapped(seed=0, drop=0, **keywords):
    """31 provinces with coordinates."""
    panel = provinces(seed, drop=drop, **keywords)
    rng = np.random.default_rng(seed + 100)
    place = pd.DataFrame(
        {"lat": rng.uniform(20, 48, 31), "lon": rng.uniform(85, 130, 31)}, index=panel["unit"].unique()
    )
    return panel.join(place, on="unit")


@pytest.mark.parametrize(("kernel", "lags"), [("bartlett", 0), ("uniform", 0), ("bartlett", 2), ("uniform", 3)])
def test_agrees_with_diff_diff(kernel, lags, evidence):
    from diff_diff.conley import _compute_conley_vcov

    panel = mapped(1).assign(year=lambda f: f["year"].rank(method="dense").astype(int))
    result = conley_covariance(
        panel, "y", "treated", **KEYS, controls=["z"], cutoff=800 * RADIUS, lags=lags, kernel=kernel
    )
    fitted = fit(build(panel, "y", ["treated"], unit="unit", time="year", controls=["z"]))
    other = _compute_conley_vcov(
        fitted.X,
        fitted.residuals,
        panel[["lat", "lon"]].to_numpy(),
        800.0,
        "haversine",
        kernel,
        fitted.X.T @ fitted.X,
        time=panel["year"].to_numpy(),
        unit=panel["unit"].to_numpy(),
        lag_cutoff=lags,
    )
    source = f"diff-diff 3.13: conley, {kernel}, lag {lags}"
    evidence(conley_covariance, source, "simulated 31 × 9", result.vcov, other, "external", 9)


@pytest.mark.parametrize("weights", [None, "w"])
def test_equals_a_double_loop(weights):
    """Unbalanced, calendar gaps, by_time, uniform kernel in space, Bartlett over calendar years."""
    panel = mapped(2, drop=20).reset_index(drop=True)
    result = conley_covariance(
        panel, "y", "treated", **KEYS, by_time=["x1"], weights=weights, cutoff=900, lags=2, kernel="uniform"
    )
    fitted = fit(build(panel, "y", ["treated"], unit="unit", time="year", by_time=["x1"], weights=weights))
    score = fitted.X[:, 0] * fitted.residuals
    km = distances(panel["lat"], panel["lon"], panel.index).to_numpy()
    u, t = panel["unit"].to_numpy(), panel["year"].to_numpy()
    meat = 0.0
    for i in range(len(panel)):
        for j in range(len(panel)):
            if t[i] == t[j]:
                meat += (km[i, j] <= 900) * score[i] * score[j]
            elif u[i] == u[j]:
                meat += max(1 - abs(t[i] - t[j]) / 3, 0) * score[i] * score[j]
    assert result.std_error**2 == pytest.approx(meat * fitted.inverse[0, 0] ** 2, rel=1e-10)
    assert result.meta["covariance"] == "Conley, uniform 900 km, lags 2"
    assert (result.df, result.n_clusters, result.n_treated) == (np.inf, 0, 14)


def test_no_neighbours_and_all_lags_are_clusters_of_units(evidence):
    panel = mapped(3, drop=9)
    result = conley_covariance(panel, "y", "treated", **KEYS, controls=["z"], cutoff=1e-6, lags="all")
    crv1 = two_way_fe(panel, "y", "treated", unit="unit", time="year", controls=["z"])
    fitted = fit(build(panel, "y", ["treated"], unit="unit", time="year", controls=["z"], cluster="unit"))
    expected = crv1.vcov / crv1_factor(fitted, 31)
    source = "cutoff below the nearest pair, all lags: CRV1 of units without its factor"
    evidence(conley_covariance, source, "simulated 31 × 9, unbalanced", result.vcov, expected, "identity", 10)
    assert result.table["estimate"].tolist() == crv1.table["estimate"].tolist()


def test_no_neighbours_and_no_lags_are_hc1_without_its_factor():
    panel = mapped(4)
    result = conley_covariance(panel, "y", "treated", **KEYS, cutoff=1e-6)
    hc1 = two_way_fe(panel, "y", "treated", unit="unit", time="year", covariance="HC1")
    n, k = 31 * 9, 31 + 9 - 1 + 1
    assert result.std_error == pytest.approx(hc1.std_error * np.sqrt((n - k) / n), rel=1e-12)


def test_places_at_one_point_are_clusters():
    panel = mapped(5)
    centre = panel.groupby("cluster")[["lat", "lon"]].transform("first")
    together = panel.assign(lat=centre["lat"], lon=centre["lon"], cell=panel["cluster"] + panel["year"].astype(str))
    result = conley_covariance(together, "y", "treated", **KEYS, cutoff=1e-6)
    crv1 = two_way_fe(together, "y", "treated", unit="unit", time="year", cluster="cell")
    n, g, k = 31 * 9, 25 * 9, 31 + 8 + 1  # period effects are not nested in the cells
    assert result.std_error == pytest.approx(crv1.std_error / np.sqrt(g / (g - 1) * (n - 1) / (n - k)), rel=1e-10)


def test_the_whole_map_is_driscoll_kraay_without_lags(evidence):
    panel = mapped(6, drop=7)
    result = conley_covariance(panel, "y", "treated", **KEYS, controls=["z"], cutoff=20_100, kernel="uniform")
    other = driscoll_kraay(panel, "y", "treated", unit="unit", time="year", controls=["z"], bandwidth=0)
    source = "uniform kernel over the whole map: driscoll_kraay without lags"
    evidence(conley_covariance, source, "simulated 31 × 9, unbalanced", result.vcov, other.vcov, "identity", 10)


def test_the_whole_map_in_one_period_has_no_variance_and_says_so():
    """The first-order conditions: the scores of all units sum to zero."""
    panel = mapped(6)
    section = panel[panel["year"] == 2013]
    result = conley_covariance(section, "y", "hub", **KEYS, effects=(), cutoff=20_100, kernel="uniform")
    assert np.isnan(result.std_error)
    assert np.isnan(result.ci).all()
    assert result.meta["no_variance"] == "the estimated variance is not positive: hub"


def test_a_negative_variance_is_missing_and_says_so():
    """Three places on a line, the middle one near both others: the uniform kernel has a negative eigenvalue."""
    x = np.array([1.0, -np.sqrt(2), 1.0, 0.0, 0.0])
    panel = pd.DataFrame({"unit": list("abcde"), "year": 0, "lat": 0.0, "lon": [0.0, 1.0, 2.0, 50.0, 90.0]})
    panel = panel.assign(x=x, y=[1.0, 1.0, 1.0, -2.0, -1.0])
    result = conley_covariance(panel, "y", "x", **KEYS, effects=(), cutoff=120, kernel="uniform")
    fitted = fit(build(panel, "y", ["x"], unit="unit", time="year", effects=()))
    s = fitted.X[:, 0] * fitted.residuals
    assert (s**2).sum() + 2 * s[0] * s[1] + 2 * s[1] * s[2] < 0
    assert np.isnan(result.std_error)
    assert "not positive semidefinite" in result.meta["psd"]
    both = conley_covariance(panel.assign(z=[3.0, 1, 2, 0, 5]), "y", ["z", "x"], **KEYS, effects=(), cutoff=1)
    assert "psd" not in both.meta
    assert np.isfinite(both.vcov).all()


def test_order_labels_units_of_measurement_do_not_matter():
    panel = mapped(7, drop=6)
    base = conley_covariance(panel, "y", "treated", **KEYS, cutoff=700, lags=1)
    before = panel.copy()
    moved = panel.sample(frac=1, random_state=1).assign(
        y=lambda f: 100 * f["y"] + f["year"],
        lon=lambda f: f["lon"] - 360 * (f["lon"] > 180),
        unit=lambda f: "u" + f["unit"],
    )
    other = conley_covariance(moved, "y", "treated", **KEYS, cutoff=700, lags=1)
    np.testing.assert_allclose([other.att, other.std_error], [100 * base.att, 100 * base.std_error], rtol=1e-9)
    pd.testing.assert_frame_equal(panel, before)
    turned = conley_covariance(panel.assign(lon=(panel["lon"] + 170) % 360), "y", "treated", **KEYS, cutoff=700, lags=1)
    assert turned.std_error == pytest.approx(base.std_error, rel=1e-9)
    text = conley_covariance(panel.assign(year=panel["year"].astype(str)), "y", "treated", **KEYS, cutoff=700, lags=1)
    dense = panel.assign(year=panel["year"].rank(method="dense"))
    positions = conley_covariance(dense, "y", "treated", **KEYS, cutoff=700, lags=1)
    assert text.std_error == positions.std_error != base.std_error


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"kernel": "gauss"}, "kernel 'gauss' is not one of bartlett, uniform"),
        ({}, {"cutoff": 0}, "cutoff must be a positive"),
        ({}, {"cutoff": np.inf}, "cutoff must be a positive"),
        ({}, {"lags": -1}, "lags must be a whole number"),
        ({}, {"lags": 1.5}, "lags must be a whole number"),
        ({"lat": lambda f: f["lat"] + (f["year"] > 2014) * (f["unit"] == "120000")}, {}, "'lat' .* not in 120000"),
        ({"lon": lambda f: f["lon"].where(f["unit"] != "130000")}, {}, "'lon' must be known .* 130000"),
        ({"lat": lambda f: f["lat"] + 60}, {}, r"latitude must lie in \[-90, 90\]"),
        ({"lat": lambda f: f["lat"].astype(str)}, {}, "'lat' is not numeric"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        conley_covariance(mapped(8).assign(**change), "y", "treated", **{**KEYS, "cutoff": 500, **keywords})
