"""Doubly robust DiD: published Lalonde and R values, two-step engines, hand, identities, overlap, coverage."""

from __future__ import annotations

from pathlib import Path

import causaldata
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.did2x2 import METHODS, two_by_two
from pipeline.econometrics.doubly_robust import doubly_robust_did
from pipeline.errors import CollinearityError, EstimationError

DATA = Path(__file__).with_name("data")
KEYS = {"unit": "unit", "time": "year", "treated": "d", "post": "post"}
LALONDE = ["age", "educ", "black", "married", "nodegree", "hisp", "re74"]


@pytest.fixture(scope="module")
def lalonde():
    """Experimental controls of Lalonde (1986) against the CPS, in long form."""
    cps = causaldata.cps_mixtape.load_pandas().data.rename(columns={"marr": "married"})
    nsw = pd.read_csv(DATA / "nsw_controls.csv")
    wide = pd.concat([nsw.assign(d=1), cps[nsw.columns].assign(d=0)], ignore_index=True)
    wide["unit"] = np.arange(len(wide))
    return pd.concat([wide.assign(year=y, post=int(y == 78), re=wide[f"re{y}"]) for y in (75, 78)])


def simulated(seed=0, n=60, periods=4, effect=0.5):
    """Selection on x1 and x2, which also move the trend of the outcome; parallel trends hold given them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    d = (rng.uniform(size=n) < 1 / (1 + np.exp(0.3 - 0.6 * x[:, 0] + 0.3 * x[:, 1]))).astype(int)
    t = np.arange(periods)
    post = t >= periods - 2
    y = rng.normal(size=(n, 1)) + t + np.outer(x @ [0.4, -0.2], t) + rng.normal(size=(n, periods))
    y += effect * d[:, None] * post
    return pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:03d}" for i in range(n)], periods),
            "year": np.tile(2000 + t, n),
            "d": np.repeat(d, periods),
            "post": np.tile(post.astype(int), n),
            "x1": np.repeat(x[:, 0], periods),
            "x2": np.repeat(x[:, 1], periods),
            "s": np.repeat((x[:, 0] > 0).astype(float), periods),
            "group": np.repeat([f"g{i % 15}" for i in range(n)], periods),
            "w": np.repeat(rng.uniform(0.5, 2, size=n), periods),
            "y": y.ravel(),
        }
    )


def changes(panel):
    wide = panel.groupby(["unit", "post"])["y"].mean().unstack()
    return (wide[1] - wide[0]).to_numpy(), panel.groupby("unit")["d"].first().to_numpy() == 1


@pytest.mark.parametrize(
    ("method", "name", "att", "se"),
    [
        ("improved", "drimp", -901.2703, 393.6127),
        ("traditional", "dripw", -871.3271, 396.0211),
        ("regression", "reg", -1300.645, 349.8259),
        ("ipw", "stdipw", -1021.609, 397.5201),
    ],
)
def test_lalonde(lalonde, evidence, method, name, att, se):
    keys = {"unit": "unit", "time": "year", "treated": "d", "post": "post"}
    result = doubly_robust_did(lalonde, "re", **keys, covariates=LALONDE, method=method)
    source = (
        f"Stata drdid, all: row {name} (friosavila.github.io/playingwithstata, DRDID page); same ATT in R DRDID 1.0.2, "
        "pkgdown reference pages drdid, ordid, ipwdid"
    )
    data = "Lalonde NSW controls v CPS, 16,417 units"
    evidence(doubly_robust_did, source, data, [result.att, result.std_error], [att, se], "external", 6)
    assert (result.n_units, result.n_treated, result.n_obs) == (16417, 425, 32834)


def test_two_periods_with_time_varying_covariates_as_in_r(evidence):
    """The panel of tools/parity/generators/f010/generate.R in pedrohcgs/csdid-stata."""
    ids, time = np.repeat(np.arange(1, 21), 2), np.tile([1, 2], 20)
    d, post = (ids <= 10).astype(int), (time == 2).astype(int)
    x1, x2 = np.sin(ids % 5 * 0.7) + 0.25 * post, np.cos(ids % 4 * 0.9) - 0.15 * post
    y = np.where(d, 0.15 * ids + 0.6 * time + post, -0.08 * ids + 0.3 * time + 0.025 * ids * post) + 0.4 * x1 - 0.2 * x2
    panel = pd.DataFrame({"unit": ids, "year": time, "d": d, "post": post, "x1": x1, "x2": x2, "y": y})
    expected = {
        "traditional": [0.911810900376465, 0.0241810815045911],
        "regression": [0.91180362549376, 0.0240977557155322],
        "ipw": [0.912228930619937, 0.0226695762971241],
    }
    source = "R did 2.5.1 on DRDID: csdid-stata, tests/fixtures/parity/f010/expected/r/covariate-method-grid.csv, "
    for method, values in expected.items():
        result = doubly_robust_did(panel, "y", **KEYS, covariates=["x1", "x2"], method=method)
        got = [result.att, result.std_error]
        evidence(doubly_robust_did, source + method, "formula panel, 20 units × 2", got, values, "external", 11)


def test_four_units_by_hand():
    rows = [("a", 1, 1.0, 4.0), ("b", 1, 2.0, 7.0), ("c", 0, 0.0, 1.0), ("e", 0, 3.0, 6.0)]
    panel = pd.DataFrame(
        [(u, t, d, t, pre if t == 0 else after) for u, d, pre, after in rows for t in (0, 1)],
        columns=["unit", "year", "d", "post", "y"],
    )
    result = doubly_robust_did(panel, "y", **KEYS, covariates=())
    assert result.att == pytest.approx((3 + 5) / 2 - (1 + 3) / 2, abs=1e-12)
    assert result.std_error == pytest.approx(np.sqrt(4 * 0.25), abs=1e-12)  # deviations ±1, each unit's share 1/2
    assert result.weights["weight"].tolist() == pytest.approx([0.5, 0.5])
    assert result.weights["unit"].tolist() == ["c", "e"]
    assert result.meta["effective_controls"] == "2.0"


def test_equals_two_steps_of_statsmodels(evidence):
    panel = simulated(1)
    change, treated = changes(panel)
    X = sm.add_constant(panel.groupby("unit")[["x1", "x2"]].first().to_numpy())
    p = sm.GLM(treated, X, family=sm.families.Binomial()).fit(tol=1e-14).fittedvalues
    odds = np.where(treated, 0.0, p / (1 - p))
    fitted = X @ sm.OLS(change[~treated], X[~treated]).fit().params
    residual = change - fitted
    expected = {
        "regression": residual[treated].mean(),
        "ipw": change[treated].mean() - np.average(change, weights=odds),
        "traditional": residual[treated].mean() - np.average(residual, weights=odds),
    }
    for method, value in expected.items():
        got = doubly_robust_did(panel, "y", **KEYS, covariates=["x1", "x2"], method=method).att
        evidence(
            doubly_robust_did, f"statsmodels logit and OLS, {method}", "simulated 60 × 4", got, value, "identity", 9
        )


@pytest.mark.parametrize("method", METHODS)
def test_influence_function_is_the_derivative_in_the_weights(method):
    """A unit's influence is what the estimate gains when the unit's weight rises, per share of weight."""
    rng = np.random.default_rng(3)
    x, e = rng.normal(size=(80, 2)), rng.normal(size=80)
    treated = rng.uniform(size=80) < 1 / (1 + np.exp(-0.5 * x[:, 0]))
    change, w = e + x @ [1.0, 0.5] + x[:, 0] ** 2, rng.uniform(0.5, 1.5, size=80)
    result = two_by_two(change, treated, x, method=method, weights=w)
    step = 1e-5
    for i in (0, 1, 40, 79):
        moved = [
            two_by_two(change, treated, x, method=method, weights=w + s * step * (np.arange(80) == i)) for s in (1, -1)
        ]
        slope = (moved[0].att - moved[1].att) / (2 * step)
        own = result.influence[i] / 80 / (w[i] / w.mean()) / w.mean()
        assert slope == pytest.approx(own, rel=1e-5, abs=1e-8)
    assert abs(result.influence.sum()) < 1e-10
    shares = np.where(treated, w, 0) / w[treated].sum()
    assert result.att == pytest.approx(shares @ change - result.control_weights @ change, abs=1e-12)


def test_tilting_balances_the_covariates():
    panel = simulated(2)
    result = doubly_robust_did(panel, "y", **KEYS, covariates=["x1", "x2"])
    fixed = panel.groupby("unit")[["x1", "x2", "d"]].first()
    controls = fixed.loc[result.weights["unit"], ["x1", "x2"]].to_numpy()
    np.testing.assert_allclose(
        result.weights["weight"].to_numpy() @ controls, fixed.loc[fixed["d"] == 1, ["x1", "x2"]].mean(), atol=1e-12
    )
    assert result.weights["weight"].sum() == pytest.approx(1, abs=1e-12)
    assert (result.weights["weight"] > 0).all()
    assert 1 < float(result.meta["effective_controls"]) < len(controls)


@pytest.mark.parametrize("method", METHODS)
def test_without_covariates_all_are_the_difference_of_mean_changes(method, evidence):
    panel = simulated(4)
    change, treated = changes(panel)
    result = doubly_robust_did(panel, "y", **KEYS, covariates=(), method=method)
    sides = (change[treated], change[~treated])
    expected = [sides[0].mean() - sides[1].mean(), np.sqrt(sum(s.var() / len(s) for s in sides))]
    got = [result.att, result.std_error]
    evidence(
        doubly_robust_did, f"difference of mean changes, {method}", "simulated 60 × 4", got, expected, "identity", 11
    )
    twfe = two_way_fe(panel.assign(dp=panel["d"] * panel["post"]), "y", "dp", unit="unit", time="year")
    assert result.att == pytest.approx(twfe.att, abs=1e-12)


def test_saturated_covariate_makes_all_methods_agree():
    panel = simulated(5)
    results = [doubly_robust_did(panel, "y", **KEYS, covariates=["s"], method=m) for m in METHODS]
    for other in results[1:]:
        assert other.att == pytest.approx(results[0].att, abs=1e-11)
    assert results[0].std_error == pytest.approx(results[1].std_error, rel=1e-10)
    change, treated = changes(panel)
    s = panel.groupby("unit")["s"].first().to_numpy()
    cells = [change[treated & (s == k)].mean() - change[~treated & (s == k)].mean() for k in (0, 1)]
    assert results[0].att == pytest.approx(np.average(cells, weights=[(treated & (s == k)).sum() for k in (0, 1)]))


def test_doubled_weight_is_a_second_copy_of_the_unit():
    panel = simulated(6)
    twice = panel["unit"].isin(["u003", "u010", "u041"])
    copies = pd.concat([panel, panel[twice].assign(unit=panel["unit"] + "copy")])
    for method in METHODS:
        a = doubly_robust_did(panel.assign(w=1.0 + twice), "y", **KEYS, covariates=["x1"], method=method, weights="w")
        b = doubly_robust_did(copies, "y", **KEYS, covariates=["x1"], method=method)
        assert a.att == pytest.approx(b.att, abs=1e-11)


def test_clusters_sum_the_influence_function():
    panel = simulated(7)
    result = doubly_robust_did(panel, "y", **KEYS, covariates=["x1", "x2"], cluster="group")
    change, treated = changes(panel)
    x = panel.groupby("unit")[["x1", "x2"]].first().to_numpy()
    influence = two_by_two(change, treated, x, method="improved").influence
    sums = pd.Series(influence).groupby(panel.groupby("unit")["group"].first().to_numpy()).sum()
    assert result.std_error == pytest.approx(np.sqrt((sums**2).sum()) / 60, rel=1e-12)
    assert (result.n_clusters, result.df) == (15, np.inf)
    assert result.meta["clusters"] == "group (15)"


def test_covariates_come_from_the_pre_periods():
    panel = simulated(8)
    moved = panel.assign(x1=panel["x1"].where(panel["post"] == 0), x2=panel["x2"] + 5 * panel["post"])
    a, b = (doubly_robust_did(p, "y", **KEYS, covariates=["x1", "x2"]) for p in (panel, moved))
    assert (a.att, a.std_error) == (b.att, b.std_error)
    hole = panel.copy()
    hole.loc[hole["unit"] == "u007", "x1"] = np.nan
    with pytest.raises(EstimationError, match="'x1' is missing in every pre period of u007"):
        doubly_robust_did(hole, "y", **KEYS, covariates=["x1"])
    assert a.meta["covariate_periods"] == "2000, 2001"


@pytest.mark.parametrize("method", ["improved", "traditional", "ipw"])
def test_no_overlap_is_refused(method):
    panel = simulated(9)
    apart = panel.assign(x2=panel["x2"] + 20 * panel["d"])
    with pytest.raises(EstimationError, match=r"no overlap: .* \('x2' alone\)"):
        doubly_robust_did(apart, "y", **KEYS, covariates=["x1", "x2"], method=method)
    beyond = panel.assign(x2=np.where(panel["d"] == 1, 3 + panel["x2"].rank(pct=True), panel["x2"]))
    with pytest.raises(EstimationError, match="no overlap"):
        doubly_robust_did(beyond, "y", **KEYS, covariates=["x2"], method=method)


def test_refuses_exactly_where_a_linear_programme_finds_no_solution():
    """Logit: no direction separates the groups. Tilting: the treated mean is inside the hull of the controls."""
    rng, seen = np.random.default_rng(15), set()
    for r in range(150):
        n, k = rng.integers(14, 40), rng.integers(1, 4)
        x = rng.normal(size=(n, k))
        x = (x > 0.3).astype(float) if r % 3 == 0 else x ** (1 + 2 * (r % 2))
        treated = rng.uniform(size=n) < 1 / (1 + np.exp(-x[:, 0].clip(-9, 9)))
        if treated.sum() < 2 or np.linalg.matrix_rank(np.column_stack([np.ones(n), x])[~treated]) <= k:
            continue
        X, sign = np.column_stack([np.ones(n), x]), np.where(treated, 1, -1)
        apart = linprog(-(sign @ X), A_ub=-(sign[:, None] * X), b_ub=np.zeros(n), bounds=[(-1, 1)] * (k + 1))
        m = int((~treated).sum())
        inside = linprog(
            np.append(np.zeros(m), -1.0),  # the largest possible smallest weight
            A_eq=np.column_stack([X[~treated].T, np.zeros(k + 1)]),
            b_eq=X[treated].mean(axis=0),
            A_ub=np.column_stack([-np.eye(m), np.ones(m)]),
            b_ub=np.zeros(m),
            bounds=[(0, None)] * m + [(None, 1)],
        )
        solvable = {"ipw": apart.fun > -1e-7, "improved": inside.status == 0 and inside.fun < -1e-9}
        for method, expected in solvable.items():
            try:
                two_by_two(rng.normal(size=n), treated, x, method=method)
                got = True
            except EstimationError:
                got = False
            assert got == expected, (r, method)
            seen.add((method, got))
    assert len(seen) == 4


def test_quasi_separation_is_refused_though_the_regression_is_fine():
    """No treated unit has the dummy: the logit coefficient is minus infinity."""
    panel = simulated(10)
    panel["far"] = ((panel["d"] == 0) & (panel["x1"] < -0.5)).astype(float)
    for method in ("improved", "traditional", "ipw"):
        with pytest.raises(EstimationError, match=r"no overlap: .* \('far' alone\)"):
            doubly_robust_did(panel, "y", **KEYS, covariates=["x2", "far"], method=method)
    assert np.isfinite(doubly_robust_did(panel, "y", **KEYS, covariates=["far"], method="regression").std_error)


@pytest.mark.parametrize("units", ["treated", "control"])
def test_one_cluster_on_a_side_has_no_variance(units):
    panel = simulated(11)
    side = panel["d"] == (units == "treated")
    result = doubly_robust_did(
        panel.assign(c=np.where(side, "one", panel["unit"])), "y", **KEYS, covariates=["x1"], cluster="c"
    )
    assert np.isfinite(result.att)
    assert np.isnan([result.std_error, result.p_value, *result.ci]).all()
    assert result.meta["no_variance"] == f"the {units} units form one cluster"


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        (lambda f: f[(f["unit"] != "u004") | (f["year"] != 2001)], {}, r"incomplete: u004 \(lacks 2001\)"),
        (
            lambda f: f.assign(y=f["y"].mask((f["unit"] == "u004") & (f["year"] < 2002))),
            {},
            r"u004 \(lacks 2000, 2001\)",
        ),
        (lambda f: f.assign(d=f["d"] * f["post"]), {}, "treated column 'd' must be constant within units"),
        (lambda f: f.assign(d=f["d"] * 2), {}, "column 'd' must be 0 or 1; it has 2.0"),
        (lambda f: f.assign(d=1), {}, "'d' is 1 in every unit"),
        (lambda f: f.assign(post=f["post"] * f["d"]), {}, "must be the same for all units of a period; .* 2002, 2003"),
        (lambda f: f.assign(post=0), {}, "'post' is 0 in every period"),
        (lambda f: f.assign(w=f["w"] + f["post"]), {"weights": "w"}, "weights 'w' must be constant within units"),
        (lambda f: f, {"method": "dr"}, "'dr' is not one of improved, traditional, regression, ipw"),
        (lambda f: f, {"cluster": "year"}, "cluster 'year' must be constant within units"),
        (lambda f: f, {"covariates": ["x9"]}, "no column 'x9'"),
        (
            lambda f: f[f["unit"].isin(["u000", "u001", "u002", "u003"])],
            {"covariates": ["x1", "x2", "w"]},
            "cannot identify",
        ),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        doubly_robust_did(change(simulated(12)), "y", **{**KEYS, "covariates": ["x1"], **keywords})


@pytest.mark.parametrize("method", METHODS)
def test_collinear_covariates_are_named(method):
    panel = simulated(13)
    with pytest.raises(
        CollinearityError, match=r"'twice' is a combination of .*'x1'|'x1' is a combination of .*'twice'"
    ):
        doubly_robust_did(
            panel.assign(twice=3 - 2 * panel["x1"]), "y", **KEYS, covariates=["x1", "twice"], method=method
        )
    with pytest.raises(CollinearityError, match="'one' does not vary"):
        doubly_robust_did(panel.assign(one=0.1), "y", **KEYS, covariates=["x1", "one"], method=method)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(METHODS), st.integers(0, 50), st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
def test_invariances(method, seed, scale, shift):
    panel = simulated(seed)
    before = panel.copy()
    base = doubly_robust_did(panel, "y", **KEYS, covariates=["x1", "x2"], method=method)
    pd.testing.assert_frame_equal(panel, before)
    rng = np.random.default_rng(seed)
    other = panel.assign(
        y=scale * (panel["y"] + shift * panel["unit"].str[1:].astype(int) + np.sqrt(abs(shift)) * panel["post"]),
        x1=scale * panel["x1"] + shift,
        unit=panel["unit"].map({u: f"z{rng.integers(10**9)}{u}" for u in panel["unit"].unique()}),
        year=panel["year"] + 7,
    ).sample(frac=1, random_state=seed)
    moved = doubly_robust_did(other, "y", **KEYS, covariates=["x1", "x2"], method=method)
    assert moved.att / scale == pytest.approx(base.att, rel=1e-7, abs=1e-8)
    assert moved.std_error / scale == pytest.approx(base.std_error, rel=1e-7)


def test_coverage(evidence):
    """300 units, two periods, confounded by covariates: the interval of each method covers the effect."""
    covered = dict.fromkeys(METHODS, 0)
    draws, rng = 400, np.random.default_rng(20)
    for _ in range(draws):
        x = rng.normal(size=(300, 2))
        treated = rng.uniform(size=300) < 1 / (1 + np.exp(0.5 - 0.5 * x[:, 0] - 0.25 * x[:, 1]))
        change = 1 + x @ [0.8, -0.5] + 0.5 * treated + rng.normal(size=300)
        for method in METHODS:
            r = two_by_two(change, treated, x, method=method)
            covered[method] += abs(r.att - 0.5) <= 1.959964 * np.sqrt((r.influence**2).mean() / 300)
    for method, hits in covered.items():
        label = f"coverage of the 95 % interval, {method}"
        evidence(doubly_robust_did, label, f"simulated 300 units, {draws} draws", hits / draws, 0.95, "simulation", 1)
        assert 0.92 <= hits / draws <= 0.98
