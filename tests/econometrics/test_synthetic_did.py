"""Synthetic DiD, synthetic control and DiD in one function: published values, exact weights, placebos, jackknife."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipeline.econometrics.simplex import simplex_least_squares
from pipeline.econometrics.synthetic_did import synthetic_did
from pipeline.econometrics.twfe import two_way_fe
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces

DATA = Path(__file__).parent / "data"
KEYS = {"unit": "unit", "time": "year", "treatment": "treated"}
TOBACCO = {"unit": "state", "time": "year", "treatment": "treated"}
METHODS = ("sdid", "sc", "did")


@pytest.fixture(scope="module")
def prop99():
    wide = pd.read_csv(DATA / "prop99.csv").drop(columns=["lnincome", "retprice", "age15to24", "beer"])
    panel = wide.melt("state", var_name="year", value_name="packs").astype({"year": int})
    return panel.assign(treated=((panel["state"] == "California") & (panel["year"] >= 1989)).astype(int))


@pytest.fixture(scope="module")
def seed42():
    """R's panel: 20 controls, 3 treated from period 6 of 8 on."""
    wide = pd.read_csv(DATA / "synthdid_seed42.csv")
    panel = wide.melt(["unit", "treated"], var_name="year", value_name="y").astype({"year": int})
    return panel.assign(treated=panel["treated"] * (panel["year"] > 5))


def matrices(panel, outcome="y", unit="unit"):
    """Outcomes (units × periods), treated units and the number of periods before treatment."""
    Y = panel.pivot(index=unit, columns="year", values=outcome)
    D = panel.pivot(index=unit, columns="year", values="treated").to_numpy()
    return Y, D.any(axis=1), int(D.any(axis=0).argmax())


def shares(result, kind):
    return result.weights.loc[result.weights["kind"] == kind, "weight"].to_numpy()


def test_proposition_99_as_published(prop99, evidence):
    got = [synthetic_did(prop99, "packs", **TOBACCO, method=m).att for m in METHODS]
    reference = (
        "R synthdid 0.0.9: synthdid_estimate, sc_estimate, did_estimate (five decimals in the tests of synthdid-py)"
    )
    evidence(synthetic_did, reference, "Proposition 99", got, [-15.60383, -19.61966, -27.34911], "external", 6)


def test_proposition_99_by_the_exact_minimum(prop99, evidence):
    results = [synthetic_did(prop99, "packs", **TOBACCO, method=m, solver="exact") for m in ("sdid", "sc")]
    reference = "mlsynth 1.0.0 SDID and outcome-only VanillaSC (cmg777, python_sc101/results_report.md, tour)"
    got = [r.att for r in results] + [float(r.meta["pre_rmse"]) for r in results]
    evidence(synthetic_did, reference, "Proposition 99", got, [-15.6054, -19.51363, 1.79914, 1.6564], "external", 6)
    assert all(r.meta["duality_gap"] == "below 1e-12" for r in results)


def test_treated_block_and_jackknife_as_in_r(seed42, evidence):
    result = synthetic_did(seed42, "y", **KEYS, inference="jackknife")
    got, expected = [result.att, result.std_error], [4.980848860060929, 0.613846670319004]
    reference = "R synthdid 0.0.9: vcov(method='jackknife') (diff-diff tests, TestJackknifeSERParity)"
    evidence(synthetic_did, reference, "simulated in R, seed 42, 23 × 8", got, expected, "external", 11)
    assert (result.n_treated, result.n_clusters, result.n_treated_clusters) == (3, 23, 3)


def test_every_placebo_equals_a_second_engine(prop99, evidence):
    from diff_diff import SyntheticDiD

    result = synthetic_did(prop99, "packs", **TOBACCO)
    controls = prop99[prop99["state"] != "California"]
    noise, penalty = float(result.meta["noise"]), float(result.meta["unit_penalty"])
    expected = []
    for state in sorted(controls["state"].unique()):
        engine = SyntheticDiD(zeta_omega=penalty, zeta_lambda=1e-6 * noise, variance_method="placebo", n_bootstrap=2)
        marked = controls.assign(ever=(controls["state"] == state).astype(int))
        expected.append(engine.fit(marked, "packs", "ever", "state", "year", post_periods=list(range(1989, 2001))).att)
    got = result.placebos["estimate"].to_numpy()
    # the engine stops by the noise of the controls it is given, ours by that of all: a little apart, not more
    evidence(
        synthetic_did, "diff-diff 3.13 SyntheticDiD, one fit a state", "Proposition 99", got, expected, "external", 3
    )
    assert result.std_error == pytest.approx(9.371, abs=5e-4)  # all 38 controls; 8.4 in the paper is from random draws
    assert result.std_error == pytest.approx(np.std(got), rel=1e-12)
    assert result.meta["inference"] == "placebo: all 38 subsets of 1 controls"
    assert result.meta["placebo_p_value"] == f"{2 / 39:.6f}"  # one state has a larger placebo


@pytest.mark.parametrize("kind", ["unit", "time"])
def test_exact_weights_against_a_general_optimiser(prop99, evidence, kind):
    result = synthetic_did(prop99, "packs", **TOBACCO, solver="exact")
    Y, treated, start = matrices(prop99, "packs", "state")
    before, after = Y.to_numpy()[:, :start], Y.to_numpy()[:, start:]
    A, b, ridge = before[~treated].T, before[treated].mean(axis=0), start * float(result.meta["unit_penalty"]) ** 2
    if kind == "time":
        A, b = before[~treated], after[~treated].mean(axis=1)
        ridge = len(A) * (1e-6 * float(result.meta["noise"])) ** 2
    A, b = A - A.mean(axis=0), b - b.mean()

    def objective(x):
        return ((A @ x - b) ** 2).sum() + ridge * (x**2).sum(), 2 * A.T @ (A @ x - b) + 2 * ridge * x

    n = A.shape[1]
    total = {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(n)}
    options = {"maxiter": 2000, "ftol": 1e-15}
    slow = minimize(
        objective, np.full(n, 1 / n), jac=True, bounds=[(0, 1)] * n, constraints=total, method="SLSQP", options=options
    )
    got = shares(result, kind)
    assert objective(got)[0] <= slow.fun * (1 + 1e-9)
    evidence(synthetic_did, f"scipy SLSQP, {kind} weights", "Proposition 99", got, slow.x, "external", 3)


def test_additive_panels_give_the_effect_exactly(evidence):
    rng = np.random.default_rng(0)
    panel = provinces(0)
    year = panel["year"].map(dict(zip(sorted(panel["year"].unique()), rng.normal(size=9), strict=True)))
    panel = panel.assign(y=panel["x1"] + year + 0.7 * panel["treated"])
    got = [
        synthetic_did(panel, "y", **KEYS, method=m, solver=s).att
        for m in ("sdid", "did")
        for s in ("exact", "frank_wolfe")
    ]
    evidence(synthetic_did, "the effect put in", "unit + period + .7 × treated, 31 × 9", got, [0.7] * 4, "exact", 12)


def test_did_is_two_way_fixed_effects(evidence):
    panel = provinces(3)
    got = synthetic_did(panel, "y", **KEYS, method="did").att
    expected = two_way_fe(panel, "y", "treated", unit="unit", time="year").att
    evidence(synthetic_did, "two-way fixed effects", "simulated 31 × 9, 14 treated", got, expected, "identity", 11)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_cluster_jackknife_by_a_loop(evidence, method, recompute):
    panel = provinces(4)
    result = synthetic_did(
        panel, "y", **KEYS, method=method, inference="jackknife", cluster="cluster", solver="exact", recompute=recompute
    )
    Y, treated, start = matrices(panel)
    cluster = panel.drop_duplicates("unit").set_index("unit").loc[Y.index, "cluster"].to_numpy()
    taus = []
    for left_out in np.unique(cluster):
        rest = Y.to_numpy()[cluster != left_out]
        on = treated[cluster != left_out]
        omega = shares(result, "unit")[cluster[~treated] != left_out]
        omega, lam = omega / omega.sum(), shares(result, "time")
        if recompute and method != "did":
            A, b = rest[~on, :start].T, rest[on, :start].mean(axis=0)
            centre = method == "sdid"
            A, b = A - centre * A.mean(axis=0), b - centre * b.mean()
            omega = simplex_least_squares(A, b, start * float(result.meta["unit_penalty"]) ** 2).shares
            A, b = rest[~on, :start], rest[~on, start:].mean(axis=1)
            ridge = len(A) * (1e-6 * float(result.meta["noise"])) ** 2
            lam = simplex_least_squares(A - A.mean(axis=0), b - b.mean(), ridge).shares if centre else 0 * lam
        gap = rest[on].mean(axis=0) - omega @ rest[~on]
        taus.append(gap[start:].mean() - lam @ gap[:start])
    expected = np.sqrt(24 / 25 * ((taus - np.mean(taus)) ** 2).sum())
    label = f"leave-one-cluster-out loop, {method}, {'new' if recompute else 'renormalised'} weights"
    evidence(synthetic_did, label, "simulated 31 × 9, 25 clusters", result.std_error, expected, "identity", 8)
    assert (result.n_clusters, result.n_treated_clusters) == (25, 8)


def test_placebos_of_several_treated_units_are_all_subsets():
    panel = provinces(5)
    kept = panel[panel["hub"].eq(0) | panel["unit"].isin(["110000", "120000"])]
    kept = kept[kept["unit"].isin(sorted(kept["unit"].unique())[:9])]  # two treated, seven controls
    result = synthetic_did(kept, "y", **KEYS, solver="exact")
    controls = sorted(kept.loc[kept["hub"].eq(0), "unit"].unique())
    assert list(result.placebos["units"]) == [", ".join(pair) for pair in combinations(controls, 2)]
    assert result.meta["inference"] == "placebo: all 21 subsets of 2 controls"
    Y, _, start = matrices(kept)
    pair, others = Y.loc[controls[:2]].to_numpy(), Y.loc[controls[2:]].to_numpy()
    A, b = others[:, :start].T, pair[:, :start].mean(axis=0)
    penalty = float(result.meta["unit_penalty"])
    omega = simplex_least_squares(A - A.mean(axis=0), b - b.mean(), start * penalty**2).shares
    A, b = others[:, :start], others[:, start:].mean(axis=1)
    lam = simplex_least_squares(A - A.mean(axis=0), b - b.mean()).shares
    gap = pair.mean(axis=0) - omega @ others
    assert result.placebos.loc[0, "estimate"] == pytest.approx(gap[start:].mean() - lam @ gap[:start], rel=1e-6)


def test_random_placebos_are_seeded_and_exact_when_cheaper(seed42):
    def run(**keywords):
        return synthetic_did(seed42, "y", **KEYS, method="did", **keywords)

    some = run(draws=300, seed=1)
    assert some.meta["inference"] == "placebo: 300 drawn of 1140, seed 1 subsets of 3 controls"
    assert some.std_error == run(draws=300, seed=1).std_error != run(draws=300, seed=2).std_error
    everything = run()
    assert everything.std_error == run(draws=1140).std_error
    assert some.std_error == pytest.approx(everything.std_error, rel=0.15)


def test_rows_and_weights_of_the_result(prop99):
    result = synthetic_did(prop99, "packs", **TOBACCO)
    assert result.table["event_time"].tolist()[1:] == list(range(-19, 12))
    later, earlier = result.table["event_time"] >= 0, result.table["event_time"] < 0
    assert result.table.loc[later, "estimate"].mean() == pytest.approx(result.att, rel=1e-12)
    assert shares(result, "time") @ result.table.loc[earlier, "estimate"] == pytest.approx(0, abs=1e-10)
    assert [shares(result, k).sum() for k in ("unit", "time")] == pytest.approx([1, 1], rel=1e-12)
    assert (result.weights["weight"] >= 0).all()
    assert list(result.weights["label"][-19:]) == list(range(1970, 1989))
    assert result.table.loc[0, ["estimate", "std_error"]].tolist() == [result.att, result.std_error]
    assert result.vcov[0, 0] == result.std_error**2
    assert (result.n_obs, result.n_units, result.n_treated, result.df) == (1209, 39, 1, np.inf)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), method=st.sampled_from(METHODS), solver=st.sampled_from(["exact", "frank_wolfe"])
)
def test_order_names_units_of_measurement_and_constants_do_not_matter(seed, method, solver):
    rng, panel = np.random.default_rng(seed), provinces(6)
    keywords = {"method": method, "solver": solver, "inference": "jackknife", "cluster": "cluster"}
    base = synthetic_did(panel, "y", **KEYS, **keywords)
    names = dict(zip(panel["unit"].unique(), rng.permutation(31), strict=True))
    moved = panel.sample(frac=1, random_state=seed).assign(unit=lambda p: p["unit"].map(names))
    position = moved["year"].map({y: i for i, y in enumerate(sorted(panel["year"].unique()))})
    unit_shift = 0 if method == "sc" else moved["unit"]
    moved = moved.assign(y=1000 * (moved["y"] + 3 * position + unit_shift), year=moved["year"] + 100)
    copy = moved.copy()
    other = synthetic_did(moved, "y", **KEYS, **keywords)
    np.testing.assert_allclose([other.att, other.std_error], [1000 * base.att, 1000 * base.std_error], rtol=1e-7)
    pd.testing.assert_frame_equal(moved, copy)


def test_what_has_no_variance_says_so(prop99):
    alone = synthetic_did(prop99, "packs", **TOBACCO, inference="jackknife")
    assert np.isnan([alone.std_error, *alone.ci, alone.p_value]).all()
    assert alone.att == synthetic_did(prop99, "packs", **TOBACCO).att
    assert alone.meta["no_variance"] == "California holds every treated unit"


def test_refusals(prop99):
    panel = provinces(7)

    def refuse(message, frame=panel, **keywords):
        with pytest.raises(EstimationError, match=message):
            synthetic_did(frame, "y", **(KEYS | keywords))

    first = panel["unit"] == "110000"
    refuse(r"incomplete: 110000 \(lacks 2013\)", panel.drop(index=panel.index[0]))
    refuse(r"incomplete: 110000 \(lacks 2013\)", panel.assign(y=panel["y"].where(panel.index != 0)))
    early = panel["treated"].where(~(first & panel["year"].eq(2020)), 1.0)
    refuse(r"start in one period; 'treated' has 2020: 110000; 2022: 120000, .* and 8 more", panel.assign(treated=early))
    refuse("ends in 110000", panel.assign(treated=panel["treated"].where(~(first & panel["year"].eq(2023)), 0.0)))
    refuse("must be 0 or 1", panel.assign(treated=2 * panel["treated"]))
    refuse("leaves no treated unit", panel.assign(treated=0))
    refuse("leaves no control unit", panel.assign(treated=(panel["year"] >= 2022).astype(int)))
    refuse("at least 2 periods before treatment are needed, 1 found", panel[panel["year"] >= 2020])
    few = panel[panel["hub"].eq(1) | panel["unit"].isin(sorted(panel["unit"].unique())[-14:])]
    refuse("more controls than treated units; there are 14 and 14", few)
    refuse("cluster is what the jackknife leaves out", cluster="cluster")
    refuse("cluster 'year' must be constant within units", inference="jackknife", cluster="year")
    for keyword in ("method", "inference", "solver"):
        refuse(f"{keyword} 'other' is not one of", **{keyword: "other"})
    assert synthetic_did(panel[panel["year"] >= 2020], "y", **KEYS, method="did").n_obs == 93
