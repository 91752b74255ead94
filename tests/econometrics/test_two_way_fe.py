"""Two-way fixed effects: hand, identity, published, other engine, exact arithmetic."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.datasets import grunfeld
from statsmodels.regression.tests.results import results_grunfeld_ols_robust_cluster as stata

from pipeline.econometrics import two_way_fe
from tests.econometrics.panels import YEARS, exact_did, provinces, slow_crv1, slow_fit

KEYS = {"unit": "unit", "time": "year"}
FIRMS = {"unit": "firm", "time": "year"}


@pytest.fixture(scope="module")
def firms():
    """The ten firms of Grunfeld (1958) as in plm; statsmodels adds an eleventh, American Steel."""
    data = grunfeld.load_pandas().data
    return data[data["firm"] != "American Steel"].reset_index(drop=True)


def test_four_cells_by_hand():
    panel = pd.DataFrame({"unit": list("aabb"), "year": [0, 1] * 2, "d": [0, 1, 0, 0], "y": [1.0, 5.0, 2.0, 3.5]})
    wide = pd.concat([panel, panel.assign(unit=panel["unit"] + "2")])
    result = two_way_fe(wide, "y", "d", **KEYS)
    assert result.att == pytest.approx((5 - 1) - (3.5 - 2), abs=1e-13)
    assert (result.n_obs, result.n_units, result.n_treated, result.n_clusters) == (8, 4, 2, 4)


def test_reference_values_of_nine_units():
    # reference values: nine units, the first four treated in the last two of six periods
    y = [
        [0.35, 0.82, 0.33, -1.3, 0.91, 0.45],
        [-0.54, 0.58, 0.36, 0.29, 0.03, 0.55],
        [-0.74, -0.16, -0.48, 0.6, 0.04, -0.29],
        [-0.78, -0.26, 0.01, -0.28, 1.29, 1.01],
        [-2.71, -1.89, -0.17, -0.42, 0.21, 0.22],
        [2.12, -1.11, -0.38, 2.04, 0.65, 0.66],
        [-0.51, -1.65, 0.17, 0.11, -1.23, -0.68],
        [-0.07, -0.94, -0.1, 0.1, 0.04, -0.51],
        [0.59, 0.89, 0.32, -0.82, 0.73, -0.5],
    ]
    panel = pd.DataFrame({"unit": np.repeat(np.arange(9), 6), "year": np.tile(np.arange(6), 9), "y": np.ravel(y)})
    panel["d"] = ((panel["unit"] < 4) & (panel["year"] >= 4)).astype(int)
    assert two_way_fe(panel, "y", "d", **KEYS).att == pytest.approx(0.39325, abs=1e-12)


def test_equals_the_difference_of_mean_changes(evidence):
    panel = provinces(1, effect=0.3)
    wide = panel.pivot_table(index="unit", columns="year", values="y")
    change = wide[[y for y in YEARS if y >= 2022]].mean(axis=1) - wide[[y for y in YEARS if y < 2022]].mean(axis=1)
    hub = panel.groupby("unit")["hub"].first() == 1
    got = two_way_fe(panel, "y", "treated", **KEYS, cluster="cluster").att
    evidence(
        two_way_fe,
        "difference of mean changes",
        "simulated 31 × 9",
        got,
        change[hub].mean() - change[~hub].mean(),
        "identity",
        10,
    )


def test_with_slopes_equals_least_squares_on_long_differences(evidence):
    panel = provinces(2, effect=0.3)
    wide = panel.pivot_table(index="unit", columns="year", values="y")
    change = wide[[y for y in YEARS if y >= 2022]].mean(axis=1) - wide[[y for y in YEARS if y < 2022]].mean(axis=1)
    fixed = panel.groupby("unit")[["hub", "x1", "x2"]].first()
    X = np.column_stack([fixed.to_numpy(), np.ones(31)])
    expected = np.linalg.lstsq(X, change.to_numpy(), rcond=None)[0][0]
    got = two_way_fe(panel, "y", "treated", **KEYS, by_time=("x1", "x2"), cluster="cluster").att
    evidence(
        two_way_fe,
        "OLS of 31 long differences on hub and X",
        "simulated 31 × 9, two by_time",
        got,
        expected,
        "identity",
        10,
    )


def test_grunfeld_within(firms, evidence):
    result = two_way_fe(firms, "invest", ["value", "capital"], **FIRMS, effects=("firm",), covariance="iid")
    got = result.table[["estimate", "std_error"]].to_numpy()
    expected = [[0.11012380, 0.011856694], [0.31006534, 0.017354503]]
    source = 'R plm: summary(plm(inv ~ value + capital, Grunfeld, model = "within")); Stata xtreg, fe prints the same'
    evidence(two_way_fe, source, "Grunfeld, 10 firms", got, expected, "external", 7)
    assert result.df == 188


@pytest.mark.parametrize(
    ("name", "weights", "cluster"),
    [
        ("results_cluster", None, "firm"),
        ("results_cluster_2groups_small", None, ("firm", "year")),
        ("results_cluster_wls_small", "inverse", "firm"),
    ],
    ids=["clustered", "two-way", "weighted"],
)
def test_grunfeld_pooled_standard_errors_of_stata(firms, name, weights, cluster, evidence):
    reference = getattr(stata, name)
    panel = firms.assign(inverse=1 / firms["value"])
    result = two_way_fe(panel, "invest", ["value", "capital"], **FIRMS, effects=(), weights=weights, cluster=cluster)
    got = result.table[["estimate", "std_error"]].to_numpy()
    source = f"Stata: {reference.cmdline} (statsmodels 0.15, {name})"
    # Stata held the data in single precision
    evidence(
        two_way_fe,
        source,
        "Grunfeld, 10 firms",
        got,
        np.column_stack([reference.params[:2], reference.bse[:2]]),
        "external",
        6,
    )
    assert result.df == 9


@pytest.mark.parametrize(
    ("formula", "keywords"),
    [
        ("y ~ treated | unit + year", {}),
        ("y ~ treated + z | unit + year", {"controls": ["z"]}),
        ("y ~ treated + z | unit + region^year", {"controls": ["z"], "effects": ("unit", ("region", "year"))}),
        ("y ~ treated + i(year, x1, ref=2013) | unit + year", {"by_time": ["x1"]}),
        (
            "y ~ treated + z | unit + year + region^year",
            {"controls": ["z"], "effects": ("unit", "year", ("region", "year"))},
        ),
    ],
    ids=["plain", "control", "region-year", "by-time", "three-effects"],
)
def test_agrees_with_pyfixest(formula, keywords, evidence):
    panel = provinces(3, effect=0.2, drop=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyfixest uses deprecated pandas keywords
        import pyfixest as pf

        # its count of fixed effects is left out, and our factor put in its place
        convention = pf.ssc(k_fixef="none", k_adj=False)
        other = pf.feols(formula, panel, vcov={"CRV1": "cluster"}, ssc=convention, fixef_tol=1e-12)
        beta, se = other.coef()["treated"], other.se()["treated"]
    result = two_way_fe(panel, "y", "treated", **KEYS, cluster="cluster", **keywords)
    n = result.n_obs
    periods = panel.groupby("region")["year"].nunique().sum() if "region" in formula else panel["year"].nunique()
    k = periods + 1 + ("z" in formula) + (8 if "x1" in formula else 0)
    got, expected = [result.att, result.std_error], [beta, se * np.sqrt((n - 1) / (n - k))]
    evidence(two_way_fe, f"pyfixest 0.60: {formula}", "simulated 31 × 9, unbalanced", got, expected, "external", 8)


def test_standard_errors_do_not_move_with_the_hash_seed():
    code = (
        "from pipeline.econometrics import two_way_fe; from tests.econometrics.panels import provinces;"
        "p = provinces(4, drop=5);"
        "e = [two_way_fe(p, 'y', 'treated', unit='unit', time='year', cluster='cluster', covariance=c) for c in"
        " ('CRV1', 'CRV3')]; print([(r.att.hex(), r.std_error.hex()) for r in e])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": s},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for s in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


@pytest.mark.parametrize(
    ("years", "drop"),
    [(YEARS, 0), (YEARS, 7), ((*YEARS[:7], 2021, *YEARS[7:], 2024), 0)],
    ids=["31x9", "unbalanced", "31x11"],
)
def test_exact_arithmetic(years, drop, evidence):
    panel = provinces(5, years=years, drop=drop)
    panel["y"] = panel["y"].round(6)
    result = two_way_fe(panel, "y", "treated", **KEYS, cluster="cluster")
    size = f"simulated 31 × {len(years)}{', unbalanced' if drop else ''}"
    got, expected = [result.att, result.std_error], exact_did(panel, "treated")
    evidence(two_way_fe, "rational arithmetic (fractions), CRV1", size, got, expected, "exact", 10)


def test_many_effects_and_weights_equal_full_dummies():
    panel = provinces(6, drop=11)
    effects = (("unit",), ("year",), ("region", "year"))
    result = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], effects=effects, weights="w", cluster="cluster")
    b, v = slow_crv1(panel, ["treated", "z"], effects, weights="w")
    np.testing.assert_allclose(result.table["estimate"], b, rtol=1e-8)
    np.testing.assert_allclose(result.vcov, v, rtol=1e-7)
    assert result.meta["engine"] == "linearmodels AbsorbingLS"
    assert result.table["term"].tolist() == ["treated", "z"]


def test_thirteen_equal_leading_digits_do_not_cancel():
    panel = provinces(7, drop=4)
    panel["y"] = (panel["y"] * 1024).round() / 1024  # exact in binary, also after the shift
    shifted = panel.assign(y=panel["y"] + 2.0**40)
    base, moved = (two_way_fe(p, "y", "treated", **KEYS, cluster="cluster") for p in (panel, shifted))
    # our residuals, from which every standard error is made, keep all digits
    assert moved.std_error == pytest.approx(base.std_error, rel=1e-10)


def test_long_panel_of_unit_constant_regressors_is_refused_by_name():
    from pipeline.errors import CollinearityError

    panel = provinces(8)
    with pytest.raises(CollinearityError, match=r"control 'hub' .*fixed effects \(unit, year\)"):
        two_way_fe(panel, "y", "treated", **KEYS, controls=["hub"])
    with pytest.raises(CollinearityError, match=r"treatment 'twice' .*treated"):
        two_way_fe(panel.assign(twice=panel["treated"] * 2 + panel["x1"]), "y", ["treated", "twice"], **KEYS)
    with pytest.raises(CollinearityError, match=r"by_time column 'copy'"):
        two_way_fe(panel.assign(copy=panel["x1"] - 5), "y", "treated", **KEYS, by_time=["x1", "copy"])
    with pytest.raises(CollinearityError, match=r"treatment 'treated' .*by_time \(hub\)"):
        two_way_fe(panel, "y", "treated", **KEYS, by_time=["hub"])


def test_rows_with_missing_values_are_left_out_and_named():
    panel = provinces(9)
    holes = panel.copy()
    holes.loc[[0, 12], "y"] = np.nan
    holes.loc[30, "x1"] = np.nan
    holes["x1"] = holes["x1"].where(holes["unit"] != holes.loc[30, "unit"])
    used = holes.dropna(subset=["y", "x1"])
    result = two_way_fe(holes, "y", "treated", **KEYS, by_time=["x1"])
    assert result.att == two_way_fe(used, "y", "treated", **KEYS, by_time=["x1"]).att
    assert result.meta["rows_left_out"] == str(len(holes) - len(used)) == "11"
    assert result.meta["units_with_rows_left_out"] == "110000, 120000, 140000"


def test_p_values_and_intervals_are_those_of_t():
    from scipy import stats

    result = two_way_fe(provinces(10), "y", "treated", **KEYS, cluster="cluster", level=0.9)
    assert result.df == 24
    assert result.p_value == pytest.approx(2 * stats.t.sf(abs(result.att / result.std_error), 24), rel=1e-12)
    assert result.ci == pytest.approx(stats.t.interval(0.9, 24, result.att, result.std_error), rel=1e-12)
    assert result.table.loc[0, ["ci_low", "ci_high"]].tolist() == list(result.ci)


def test_full_dummies_agree_without_unit_effects():
    panel = provinces(11, drop=3)
    result = two_way_fe(
        panel, "y", "treated", **KEYS, effects=(("region", "year"),), controls=["hub"], cluster="cluster"
    )
    assert result.att == pytest.approx(slow_fit(panel, ["treated", "hub"], (("region", "year"),))[0][0], rel=1e-10)
