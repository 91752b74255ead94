"""Classic synthetic control at declared predictor weights, and the simplex solver under it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from causaldata import texas
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipeline.econometrics.simplex import duality_gap, simplex_least_squares
from pipeline.econometrics.synthetic_control import synthetic_control
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces

AVERAGES = ["lnincome", "age15to24", "retprice", "beer"]  # constant in the file: means over 1980–1988
CALIFORNIA = {"unit": "state", "time": "year", "treated_unit": "California", "treatment_start": 1989}
LAGS = [*AVERAGES, ("packs", 1988), ("packs", [1980]), ("packs", 1975, "mean")]
STATA_V = [0.000049, 0.545871, 0.017410, 0.003135, 0.004903, 0.006557, 0.422074]
STATA = (
    "Stata synth2 2.1.0 (synth 0.0.7): V, W and RMSE (cmg777, stata_sc/index.md; V in python_sc101/results_report.md)"
)
PRISONS = {"unit": "statefip", "time": "year", "treated_unit": 48, "treatment_start": 1994}


@pytest.fixture(scope="module")
def prop99():
    wide = pd.read_csv(Path(__file__).parent / "data" / "prop99.csv")
    return wide.melt(["state", *AVERAGES], var_name="year", value_name="packs").astype({"year": int})


def donors(result):
    rows = result.weights[result.weights["kind"] == "unit"]
    return rows.set_index("label")["weight"]


def test_proposition_99_at_published_predictor_weights(prop99, evidence):
    result = synthetic_control(prop99, "packs", **CALIFORNIA, predictors=LAGS, V=STATA_V)
    expected = pd.Series(0.0, donors(result).index)
    expected.update({"Utah": 0.334, "Nevada": 0.235, "Montana": 0.202, "Colorado": 0.161, "Connecticut": 0.068})
    evidence(synthetic_control, STATA, "Proposition 99, W", donors(result), expected, "external", 2)
    np.testing.assert_allclose(donors(result), expected, atol=6e-4)  # printed with three decimals, V with six
    evidence(synthetic_control, STATA, "Proposition 99, RMSE", float(result.meta["pre_rmspe"]), 1.75567, "external", 4)
    assert result.p_value == 1 / 39
    labels = [*(f"{a} 1970–1988" for a in AVERAGES), "packs 1988", "packs 1980", "packs 1975"]
    assert list(result.weights.loc[result.weights["kind"] == "predictor", "label"]) == labels


def test_proposition_99_on_outcomes_alone(prop99, evidence):
    result = synthetic_control(prop99, "packs", **CALIFORNIA)
    got = [result.att, result.table["estimate"].iloc[-1], float(result.meta["pre_rmspe"]), result.p_value]
    expected = [-19.513630, -26.596643, 1.656400, 0.0769]  # effect, gap in 2000, RMSE, placebo p = 3/39
    reference = "mlsynth 1.0.0 VanillaSC, outcome only (cmg777, python_sc101/results_report.md, estimator_tour.csv)"
    evidence(synthetic_control, reference, "Proposition 99", got, expected, "external", 5)
    assert result.placebos["treated"].to_numpy().nonzero()[0].tolist() == [2]
    assert result.placebos["rank"].tolist() == list(range(1, 40))


def test_texas_prisons_at_published_predictor_weights(evidence):
    panel = texas.load_pandas().data
    predictors = ["poverty", "income", ("bmprison", [1988, 1990, 1991, 1992]), ("alcohol", 1990)]
    predictors += [("aidscapita", [1990, 1991]), ("black", range(1990, 1993)), ("perc1519", 1990)]
    V = [0.07154915, 0.02736536, 0.8923763, 5.5e-09, 2.42e-08, 0.008709159, 7.6e-09]
    result = synthetic_control(panel, "bmprison", **PRISONS, predictors=predictors, V=V)
    got = donors(result)[[6, 12, 22]]
    reference = "R Synth 1.1-8 solution.v and solution.w, an interior point (rstudio-pubs 1374211)"
    evidence(synthetic_control, reference, "Texas prisons", got, [0.3414498, 0.2981352, 0.3599649], "external", 2)
    assert got.sum() == pytest.approx(1, abs=1e-12)  # the interior point leaves .0006 with the other 47


def declared(seed):
    """A simulated panel, its predictors at declared weights, and the scaled predictors by unit."""
    panel, V = provinces(seed), [0.5, 0.2, 0.3]
    predictors = [("z", [2018, 2019, 2020]), ("y", [2020]), ("y", [2013, 2014])]
    keys = {"unit": "unit", "time": "year", "treated_unit": "110000", "treatment_start": 2022}
    result = synthetic_control(panel, "y", **keys, predictors=predictors, V=V)
    X = np.array([panel[panel["year"].isin(p)].groupby("unit")[n].mean() for n, p in predictors])
    return panel, predictors, V, result, np.sqrt(V)[:, None] * X / X.std(axis=1, ddof=1)[:, None]


def slsqp(objective, *constraints):
    total = {"type": "eq", "fun": lambda w: w.sum() - 1}
    options = {"ftol": 1e-15, "maxiter": 1000}
    start, bounds = np.full(30, 1 / 30), [(0, 1)] * 30
    return minimize(objective, start, bounds=bounds, constraints=[total, *constraints], method="SLSQP", options=options)


def test_declared_weights_against_second_engines(evidence):
    from diff_diff import SyntheticControl

    panel, predictors, V, result, X = declared(1)
    marked = panel.assign(on=(panel["unit"].eq("110000") & panel["year"].ge(2022)).astype(int))
    special = [(n, p, "mean") for n, p in predictors]
    engine = SyntheticControl(v_method="custom", custom_v=V).fit(
        marked, "y", "on", "unit", "year", special_predictors=special
    )
    data = "simulated 31 × 9, three predictors"
    evidence(
        synthetic_control, "diff-diff 3.13 SyntheticControl, custom V", data, result.att, engine.att, "external", 6
    )
    slow = slsqp(lambda w: ((X[:, 1:] @ w - X[:, 0]) ** 2).sum())
    evidence(synthetic_control, "scipy SLSQP, W", data, donors(result), slow.x, "external", 3)
    assert result.meta["unique"] == "yes"


def test_equally_good_weights_are_those_with_the_smallest_squares(evidence):
    *_, result, X = declared(0)
    assert result.meta["unique"].startswith("no")
    np.testing.assert_allclose(X[:, 1:] @ donors(result), X[:, 0], atol=1e-8)
    slow = slsqp(lambda w: w @ w, {"type": "eq", "fun": lambda w: X[:, 1:] @ w - X[:, 0]})
    data = "simulated 31 × 9, predictors inside the hull"
    evidence(synthetic_control, "scipy SLSQP, smallest W'W with X₀W = X₁", data, donors(result), slow.x, "external", 4)


def test_placebos_are_the_same_estimate_for_every_donor(evidence):
    panel = provinces(2)
    keys = {"unit": "unit", "time": "year", "treatment_start": 2022, "predictors": ["z", ("y", 2020), ("y", 2016)]}
    result = synthetic_control(panel, "y", treated_unit="110000", **keys)
    expected, got = [], result.placebos.set_index("unit")
    for donor in sorted(panel["unit"].unique()):
        if donor != "110000":
            rest = panel[panel["unit"] != "110000"]
            alone = synthetic_control(rest, "y", treated_unit=donor, placebos=False, **keys)
            gaps = alone.table["estimate"].to_numpy()[1:]
            ratio = np.sqrt((gaps[7:] ** 2).mean() / (gaps[:7] ** 2).mean())
            expected.append([alone.att, ratio])
            assert np.isnan(alone.p_value)
            assert alone.placebos is None
    columns = got.loc[~got["treated"]].sort_index()[["estimate", "ratio"]].to_numpy()
    evidence(
        synthetic_control, "a run with each donor for treated", "simulated 31 × 9", columns, expected, "identity", 9
    )
    assert result.p_value == (got["ratio"] >= got.loc["110000", "ratio"]).sum() / 31
    assert np.isnan([result.std_error, *result.ci]).all()


def test_a_perfect_fit_ranks_first_and_ties_count_against_the_treated():
    years = np.arange(6)
    paths = {"a": years, "b": -years, "c": 0 * years, "d": 0 * years + 5.0 * (years == 5)}
    panel = pd.DataFrame([(u, t, float(y)) for u, path in paths.items() for t, y in zip(years, path, strict=True)])
    panel.columns = ["unit", "year", "y"]
    result = synthetic_control(panel, "y", unit="unit", time="year", treated_unit="d", treatment_start=5)
    assert result.att == pytest.approx(5, abs=1e-9)
    ranks = result.placebos.set_index("unit")
    assert ranks.loc["d", "ratio"] == np.inf
    assert result.p_value == 1 / 4
    assert ranks.loc["c", "ratio"] == 0  # reproduced exactly before and after


def test_missing_predictor_values_are_averaged_over(prop99):
    holes = prop99.assign(beer=prop99["beer"].where(prop99["year"].between(1984, 1988)))
    with_holes = synthetic_control(holes, "packs", **CALIFORNIA, predictors=LAGS, V=STATA_V, placebos=False)
    full = synthetic_control(prop99, "packs", **CALIFORNIA, predictors=LAGS, V=STATA_V, placebos=False)
    assert with_holes.att == pytest.approx(full.att, rel=1e-10)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), lags=st.booleans())
def test_order_names_and_units_of_measurement_do_not_matter(seed, lags):
    rng, panel = np.random.default_rng(seed), provinces(8)
    keys = {"unit": "unit", "time": "year", "predictors": ["z", ("y", 2020), ("y", 2016)] if lags else ()}
    base = synthetic_control(panel, "y", treated_unit="110000", treatment_start=2022, **keys)
    names = dict(zip(panel["unit"].unique(), rng.permutation(31), strict=True))
    moved = panel.sample(frac=1, random_state=seed).assign(unit=lambda p: p["unit"].map(names))
    moved = moved.assign(y=1000 * moved["y"] + 5, z=moved["z"] / 7)
    copy = moved.copy()
    other = synthetic_control(moved, "y", treated_unit=names["110000"], treatment_start=2022, **keys)
    np.testing.assert_allclose([other.att, other.p_value], [1000 * base.att, base.p_value], rtol=1e-6)
    pd.testing.assert_frame_equal(moved, copy)


def test_refusals(prop99):
    def refuse(message, frame=prop99, **keywords):
        with pytest.raises(EstimationError, match=message):
            synthetic_control(frame, "packs", **(CALIFORNIA | keywords))

    refuse("'state' has no value 'Atlantis'", treated_unit="Atlantis")
    refuse("'year' has no value 1900", treatment_start=1900)
    refuse("needs periods before 1970", treatment_start=1970)
    refuse("two donors", prop99[prop99["state"].isin(["California", "Utah"])])
    refuse(r"incomplete: Alabama \(lacks 1970\)", prop99.drop(index=prop99.index[0]))
    refuse("no column 'wine'", predictors=["wine"])
    refuse("'packs' asks for treated periods 1989", predictors=[("packs", [1988, 1989])])
    refuse("'packs' asks for no periods 1900", predictors=[("packs", 1900)])
    refuse("'packs' asks for no period at all", predictors=[("packs", [])])
    refuse("is not a name", predictors=[("packs", 1988, "mode")])
    refuse(
        "has no value in its periods for Utah",
        prop99.assign(beer=prop99["beer"].where(prop99["state"] != "Utah")),
        predictors=["beer"],
    )
    refuse("'?one 1970–1988'? is the same in all units", prop99.assign(one=1.0), predictors=["one", "beer"])
    refuse("V must hold 7 weights", predictors=LAGS, V=[1, 2])
    refuse("V must hold 7 weights", predictors=LAGS, V=[0] * 7)
    refuse("V 'best' is neither", V="best")


def brute_force(A, b, ridge):
    """Smallest objective over all supports, each solved with its constraint; slow and exact."""
    n, best = A.shape[1], (np.inf, None)
    H, g = A.T @ A + ridge * np.eye(n), A.T @ b
    for size in range(1, n + 1):
        for support in map(list, combinations(range(n), size)):
            system = np.block(
                [[H[np.ix_(support, support)], np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]]
            )
            try:
                part = np.linalg.solve(system, np.r_[g[support], 1.0])[:size]
            except np.linalg.LinAlgError:
                continue
            if (part >= 0).all():
                x = np.zeros(n)
                x[support] = part
                value = ((A @ x - b) ** 2).sum() + ridge * (x**2).sum()
                best = min(best, (value, x), key=lambda pair: pair[0])
    return best[1]


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_simplex_weights_equal_a_search_over_supports(seed, ridge):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(9, 6)), rng.normal(size=9)
    got = simplex_least_squares(A, b, ridge)
    np.testing.assert_allclose(got.shares, brute_force(A, b, ridge), atol=1e-12)
    assert got.unique
    assert got.gap <= 1e-12
    assert duality_gap(A, b, np.full(6, 1 / 6), ridge) > 1e-3


def test_equally_good_weights_are_spread():
    corners = np.array([[0.0, 1, 0, 1], [0, 0, 1, 1]])
    centre = simplex_least_squares(corners, np.array([0.5, 0.5]))
    np.testing.assert_allclose(centre.shares, [0.25] * 4, atol=1e-9)
    assert not centre.unique
    outside = simplex_least_squares(np.array([[0.0, 1, 1], [0, 2, 2]]), np.array([2.0, 5]))
    np.testing.assert_allclose(outside.shares, [0, 0.5, 0.5], atol=1e-9)
    single = simplex_least_squares(np.array([[3.0]]), np.array([1.0]))
    assert single.shares.tolist() == [1.0]
    assert single.unique
