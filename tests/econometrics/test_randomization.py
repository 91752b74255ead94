"""Randomisation tests against refits of every assignment."""

from __future__ import annotations

from itertools import combinations, permutations
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.econometrics import randomization_test, two_way_fe
from pipeline.econometrics.assignments import arrangements
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, small
from tests.econometrics.test_exposures import TRIPLE, triple

KEYS = {"unit": "unit", "time": "year"}


def treat(panel, by, who, first=4):
    return panel.assign(treated=(panel[by].isin(who) & (panel["year"] >= first)).astype(float))


def refit(panel, null=0.0, **keywords):
    """Coefficient and t of a regression on y – null·(observed treatment), which the caller has subtracted."""
    result = two_way_fe(panel, "y", "treated", **KEYS, **keywords)
    return result.att - null, (result.att - null) / result.std_error


@pytest.mark.parametrize(
    ("drop", "cluster", "keywords"),
    [
        (0, "cluster", {"by_time": ["x"]}),
        (4, "cluster", {"by_time": ["x"], "controls": ["z"]}),
        (3, None, {"controls": ["z"]}),
        (0, "cluster", {"effects": ("unit", ("half", "year"))}),
        (2, "cluster", {"effects": ("year",)}),
    ],
    ids=["slopes", "slopes-control-unbalanced", "units-unbalanced", "half-year", "no-unit-effects"],
)
@pytest.mark.parametrize("statistic", ["t", "coefficient"])
def test_equals_refits_of_every_assignment(drop, cluster, keywords, statistic, evidence):
    panel = small(1, drop=drop)
    if cluster is None:
        panel = treat(panel, "unit", ["u0", "u5"])
    by = cluster or "unit"
    result = randomization_test(
        panel, "y", "treated", **KEYS, cluster=cluster, statistic=statistic, draws=None, seed=0, **keywords
    )
    groups = sorted(panel[by].unique())
    covariance = {"cluster": cluster} if cluster else {"covariance": "HC1"}
    index = 1 if statistic == "t" else 0
    expected = [refit(treat(panel, by, who), **covariance, **keywords)[index] for who in combinations(groups, 2)]
    label = f"simulated 9 × 6, {result.draws} assignments of {by}{', unbalanced' if drop else ''}, {keywords}"
    got = np.sort(np.abs(result.distribution))
    source = f"{statistic} of an explicit refit of every assignment"
    evidence(randomization_test, source, label, got, np.sort(np.abs(expected)), "identity", 8)
    assert (result.draws, result.exact) == (len(expected), True)
    observed = refit(panel, **covariance, **keywords)[index]
    assert result.p_value == np.mean(np.abs(expected) >= abs(observed) * (1 - 1e-9))
    assert result.statistic == pytest.approx(observed, rel=1e-8)


def test_all_assignments_of_eight_hubs_in_twenty_five_clusters(evidence):
    panel = provinces(1)
    result = randomization_test(
        panel, "y", "treated", **KEYS, cluster="cluster", by_time=["x1", "x2"], draws=None, seed=0, interval=True
    )
    assert (result.draws, result.exact) == (comb(25, 8), True) == (1_081_575, True)
    fe = two_way_fe(panel, "y", "treated", **KEYS, cluster="cluster", by_time=["x1", "x2"])
    assert result.statistic == pytest.approx(fe.att / fe.std_error, rel=1e-9)
    assert result.estimate == pytest.approx(fe.att, rel=1e-9)
    assert result.ci[0] < fe.att < result.ci[1]
    # the assignments are in lexicographic order of the labels: clusters 17 … 24 first, 0 … 7 last
    clusters = sorted(panel["cluster"].unique())
    for position, who in ((0, clusters[17:]), (-1, clusters[:8])):
        other = treat(panel, "cluster", who, first=2022)
        b, t = refit(other, cluster="cluster", by_time=["x1", "x2"])
        assert result.distribution[position] == pytest.approx(t, rel=1e-8), b
    # the same p by drawing: within four standard errors of the exact one
    drawn = randomization_test(
        panel, "y", "treated", **KEYS, cluster="cluster", by_time=["x1", "x2"], draws=20_000, seed=3
    )
    error = np.sqrt(result.p_value * (1 - result.p_value) / 20_000)
    assert abs(drawn.p_value - result.p_value) < 4 * error
    assert (drawn.draws, drawn.exact) == (20_000, False)
    evidence(
        randomization_test,
        "p of 20,000 random assignments",
        "simulated 31 × 9, C(25,8)",
        result.p_value,
        drawn.p_value,
        "simulation",
        1,
    )


@pytest.mark.parametrize("drop", [0, 3])
@pytest.mark.parametrize("statistic", ["t", "coefficient", "welch"])
def test_interval_and_null_equal_slow_evaluation(drop, statistic, evidence):
    panel = small(2, drop=drop)
    panel = treat(panel, "unit", ["u0", "u3", "u5", "u7"])
    keywords = {} if statistic == "welch" else {"controls": ["z"]}
    run = {"statistic": statistic, "draws": None, "seed": 0, **keywords}
    result = randomization_test(panel, "y", "treated", **KEYS, interval=True, level=0.9, **run)

    def slow_p(tau):
        shifted = panel.assign(y=panel["y"] - tau * panel["treated"])
        return randomization_test(shifted, "y", "treated", **KEYS, **run).p_value

    scale = abs(result.ci[1] - result.ci[0])
    for end, outward in ((result.ci[0], -1), (result.ci[1], 1)):
        assert slow_p(end + outward * 1e-6 * scale) <= 0.1 < slow_p(end - outward * 1e-6 * scale)
    taus = [-0.7, 0.1, 0.9]
    got = [randomization_test(panel, "y", "treated", **KEYS, null=t, **run).p_value for t in taus]
    label = f"simulated 9 × 6{', unbalanced' if drop else ''}, {statistic}"
    evidence(
        randomization_test,
        "p after subtracting the hypothesised effect from the data",
        label,
        got,
        [slow_p(t) for t in taus],
        "identity",
        12,
    )


def test_welch_equals_scipy_on_mean_changes(evidence):
    panel = provinces(3)
    result = randomization_test(panel, "y", "treated", **KEYS, cluster="cluster", statistic="welch", draws=99, seed=0)
    wide = panel.pivot_table(index="unit", columns="year", values="y")
    change = wide[[2022, 2023]].mean(axis=1) - wide.drop(columns=[2022, 2023]).mean(axis=1)
    cluster = panel.groupby("unit")["cluster"].first()
    means = change.groupby(cluster).mean()
    hub = means.index.str.startswith("hub")
    expected = stats.ttest_ind(means[hub], means[~hub], equal_var=False).statistic
    evidence(
        randomization_test,
        "scipy.stats.ttest_ind, equal_var=False",
        "simulated 31 × 9, 25 mean changes",
        result.statistic,
        expected,
        "external",
        10,
    )


def test_strata_enumerate_the_product_of_combinations():
    panel = small(4)
    panel["treated"] = 0.0
    panel = treat(panel, "cluster", ["a", "d", "e"])
    result = randomization_test(
        panel, "y", "treated", **KEYS, cluster="cluster", strata="half", draws=None, seed=0, by_time=["x"]
    )
    expected = [
        refit(treat(panel, "cluster", (one, *two)), cluster="cluster", by_time=["x"])[1]
        for one in "abf"
        for two in combinations("cde", 2)
    ]
    assert result.draws == len(expected) == 9
    np.testing.assert_allclose(np.sort(result.distribution), np.sort(expected), rtol=1e-8)


def test_staggered_paths_are_permuted_with_their_timing():
    panel = small(5)
    panel = panel[panel["unit"] < "u6"].drop(index=7).reset_index(drop=True)
    start = {"u0": 2, "u4": 2, "u5": 4}
    panel["treated"] = [float(y >= start.get(u, 9)) for u, y in zip(panel["unit"], panel["year"], strict=True)]
    result = randomization_test(panel, "y", "treated", **KEYS, controls=["z"], draws=None, seed=0)
    units, expected = sorted(panel["unit"].unique()), []
    for early in combinations(units, 2):
        for late in set(units) - set(early):
            first = {early[0]: 2, early[1]: 2, late: 4}
            drawn = panel.assign(
                treated=[float(y >= first.get(u, 9)) for u, y in zip(panel["unit"], panel["year"], strict=True)]
            )
            expected.append(refit(drawn, controls=["z"], covariance="HC1")[1])
    assert result.draws == 15 * 4
    np.testing.assert_allclose(np.sort(result.distribution), np.sort(expected), rtol=1e-7)


def test_every_unit_treated_some_time():
    """The most frequent path is not the untreated one: its common part must be carried along."""
    panel = small(6)
    panel["treated"] = (panel["year"] >= np.where(panel["unit"].isin(["u0", "u1"]), 2, 4)).astype(float)
    result = randomization_test(panel, "y", "treated", **KEYS, effects=("unit",), draws=None, seed=0)
    expected = []
    for early in combinations(sorted(panel["unit"].unique()), 2):
        drawn = panel.assign(treated=(panel["year"] >= np.where(panel["unit"].isin(early), 2, 4)).astype(float))
        expected.append(refit(drawn, effects=("unit",), covariance="HC1")[1])
    np.testing.assert_allclose(np.sort(result.distribution), np.sort(expected), rtol=1e-8)


def test_given_assignments():
    panel = treat(small(7), "unit", ["u0", "u8"])
    every = pd.DataFrame([{f"u{i}": int(i in who) for i in range(9)} for who in combinations(range(9), 2)])
    keywords = {"by_time": ["x"], "seed": 0}
    all_of_them = randomization_test(panel, "y", "treated", **KEYS, draws=None, **keywords)
    same = randomization_test(panel, "y", "treated", **KEYS, assignment=every[every.columns[::-1]], **keywords)
    assert (same.p_value, same.draws, same.exact) == (all_of_them.p_value, 36, True)
    without = every[~((every["u0"] == 1) & (every["u8"] == 1))]
    other = randomization_test(panel, "y", "treated", **KEYS, assignment=without, **keywords)
    assert (other.exact, other.draws) == (False, 35)
    assert other.p_value == pytest.approx(all_of_them.p_value)  # (1 + count)/(1 + 35)
    clustered = randomization_test(panel, "y", "treated", **KEYS, assignment=every, cluster="cluster", **keywords)
    assert clustered.statistic == pytest.approx(refit(panel, by_time=["x"], cluster="cluster")[1], rel=1e-8)
    by_cluster = pd.DataFrame([{c: int(c in who) for c in "abcdef"} for who in combinations("abcdef", 2)])
    run = {"cluster": "cluster", **keywords}
    hubs = treat(small(7), "cluster", ["a", "d"])
    a = randomization_test(hubs, "y", "treated", **KEYS, assignment=by_cluster, **run)
    b = randomization_test(hubs, "y", "treated", **KEYS, draws=None, **run)
    assert (a.p_value, a.draws, a.exact) == (b.p_value, b.draws, b.exact)


def test_p_is_uniform_under_the_null(evidence):
    """Exact test, every assignment equally likely: P(p ≤ k/total) = k/total."""
    p = []
    for seed in range(200):
        panel = small(seed)
        who = np.random.default_rng(seed).choice(list("abcdef"), 2, replace=False)
        run = {"cluster": "cluster", "by_time": ["x"], "draws": None, "seed": 0}
        p.append(randomization_test(treat(panel, "cluster", who), "y", "treated", **KEYS, **run).p_value)
    got = np.mean(np.array(p) <= 3 / 15)
    assert 0.2 - 3 * 0.0283 < got < 0.2 + 3 * 0.0283
    evidence(
        randomization_test,
        "rejection rate at 3/15, 200 panels",
        "simulated 9 × 6, 15 assignments",
        got,
        0.2,
        "simulation",
        0,
    )


def test_p_over_five_hundred_panels_is_uniform(evidence):
    """Kolmogorov–Smirnov distance to the uniform on k/126, treatment drawn by units, with controls and a gap."""
    p = []
    for seed in range(500):
        who = np.random.default_rng(seed).choice([f"u{i}" for i in range(9)], 4, replace=False)
        panel = treat(small(seed, drop=1), "unit", who)
        run = {"statistic": "t", "draws": None, "seed": 0, "controls": ["z"]}
        p.append(randomization_test(panel, "y", "treated", **KEYS, **run).p_value)
    steps = np.arange(1, 127) / 126
    share = np.mean(np.array(p)[:, None] <= steps + 1e-12, axis=0)
    distance = np.abs(share - steps).max()
    assert distance < stats.kstwo.ppf(0.99, 500)
    evidence(
        randomization_test,
        "distribution of p: quartiles of 500 panels",
        "simulated 9 × 6, 126 assignments of units",
        np.quantile(p, [0.25, 0.5, 0.75]),
        [0.25, 0.5, 0.75],
        "simulation",
        0,
    )


def test_distribution_is_centred_at_the_null_where_the_design_is_symmetric(evidence):
    """Every unit is treated equally often: the coefficients of a balanced panel average to zero, by strata too."""
    panel = treat(small(3), "unit", ["u0", "u1", "u3", "u7"])
    panel["y"] += 20.0 * panel["half"] * panel["year"] + 0.7 * panel["treated"]
    run = {"statistic": "coefficient", "draws": None, "seed": 0}
    regional = {"strata": "half", "effects": ("unit", ("half", "year"))}
    for keywords in ({}, regional):
        result = randomization_test(panel, "y", "treated", **KEYS, **run, **keywords)
        evidence(
            randomization_test,
            "mean of all coefficients is zero",
            f"simulated 9 × 6, {result.draws} assignments, {keywords}",
            1 + result.distribution.mean(),
            1.0,
            "exact",
            12,
        )
        spread = result.distribution.std()
        shifted = randomization_test(panel, "y", "treated", **KEYS, **run, **keywords, null=0.7)
        assert abs(shifted.distribution.mean()) < 1e-12 < spread
    # strata without their own years: treated shares differ between strata whose trends differ
    crude = randomization_test(panel, "y", "treated", **KEYS, **run, strata="half")
    assert abs(crude.distribution.mean()) > 3 * crude.distribution.std()


def test_seven_villages(evidence):
    """Table 2.2 of Gerber and Green (2012, Field Experiments), data as in ri2's test-gg-in-text.R."""
    treated, y = np.array([1, 0, 0, 0, 0, 0, 1]), np.array([15, 15, 20, 20, 10, 15, 30])
    panel = pd.DataFrame({"unit": np.repeat(np.arange(7), 2), "year": np.tile([0, 1], 7)})
    panel["y"] = np.where(panel["year"] == 1, y[panel["unit"]], 0.0)
    panel["treated"] = (treated[panel["unit"]] * panel["year"]).astype(float)
    result = randomization_test(panel, "y", "treated", **KEYS, statistic="coefficient", draws=None, seed=0)
    oracle = stats.permutation_test(
        (y[treated == 1], y[treated == 0]),
        lambda a, b, axis: np.abs(a.mean(axis=axis) - b.mean(axis=axis)),
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert result.estimate == pytest.approx(6.5)
    evidence(
        randomization_test,
        "scipy.stats.permutation_test, every assignment",
        "Gerber and Green (2012) table 2.2, seven villages, 21 assignments",
        [result.p_value, np.abs(result.statistic)],
        [oracle.pvalue, oracle.statistic],
        "external",
        12,
    )


def test_given_assignments_of_a_majority_are_the_whole_set():
    """Six of nine treated: the frequent path is the treated one."""
    panel = treat(small(7), "unit", ["u0", "u2", "u3", "u5", "u7", "u8"])
    every = pd.DataFrame([{f"u{i}": int(i in who) for i in range(9)} for who in combinations(range(9), 6)])
    a = randomization_test(panel, "y", "treated", **KEYS, assignment=every, seed=0)
    b = randomization_test(panel, "y", "treated", **KEYS, draws=None, seed=0)
    assert (a.p_value, a.draws, a.exact) == (b.p_value, 84, True)


@pytest.mark.parametrize("statistic", ["t", "coefficient"])
def test_hub_status_of_a_triple_difference_equals_refits(statistic, evidence):
    panel = triple(1)
    run = {"unit": "id", "time": "year", "cluster": "cluster", "effects": TRIPLE}
    result = randomization_test(
        panel, "y", "treated", **run, exposure="e", by_time=["xe"], statistic=statistic, draws=None, seed=0
    )
    expected = []
    for who in combinations(sorted(panel["cluster"].unique()), 2):
        drawn = panel.assign(d=panel["cluster"].isin(who) * (panel["year"] >= 4) * panel["e"])
        fe = two_way_fe(drawn, "y", "d", **run, by_time=["xe"])
        expected.append(fe.att / fe.std_error if statistic == "t" else fe.att)
    evidence(
        randomization_test,
        f"{statistic} of an explicit refit of every assignment",
        f"simulated triple difference 9 × 4 × 6, {result.draws} assignments of clusters",
        np.sort(np.abs(result.distribution)),
        np.sort(np.abs(expected)),
        "identity",
        8,
    )
    assert (result.draws, result.exact) == (15, True)


def test_same_draws_have_the_same_name():
    panel = treat(small(5), "unit", ["u0", "u8"]).assign(w=lambda f: f["y"] ** 2)
    run = {"unit": "unit", "time": "year", "draws": 20}
    name = [
        randomization_test(panel, y, "treated", **run, seed=s, statistic=k).meta["assignments"]
        for y, s, k in (("y", 1, "t"), ("w", 1, "coefficient"), ("y", 2, "t"))
    ]
    assert name[0] == name[1] != name[2]
    fewer = panel[panel["unit"] != "u3"]
    assert randomization_test(fewer, "y", "treated", **run, seed=1).meta["assignments"] != name[0]


def test_absorbed_assignments_count_as_extreme():
    panel = treat(small(8), "cluster", ["a", "c", "d"])
    effects = ("unit", ("half", "year"))  # treating all of one half is absorbed
    result = randomization_test(panel, "y", "treated", **KEYS, cluster="cluster", effects=effects, draws=None, seed=0)
    missing = np.isnan(result.distribution)
    assert result.meta["not_estimable"] == str(missing.sum()) == "2"
    assert result.p_value * 20 == pytest.approx(
        2 + np.sum(np.abs(result.distribution[~missing]) >= abs(result.statistic) * (1 - 1e-9))
    )


def test_missing_rows_do_not_hide_a_path():
    panel = small(9)
    panel.loc[(panel["unit"] == "u7") & (panel["year"] == 5), "y"] = np.nan
    gone = panel[~((panel["unit"] == "u6") & (panel["year"] == 1))]
    result = randomization_test(gone, "y", "treated", **KEYS, cluster="cluster", draws=None, seed=0)
    assert result.draws == 15


def test_arrangements_are_all_distinct_orders():
    table = arrangements([2, 1, 2])
    expected = sorted(set(permutations([0, 0, 1, 2, 2])))
    assert [tuple(column) for column in table.T.tolist()] == expected


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"statistic": "z"}, "not one of coefficient, t, welch"),
        ({}, {"statistic": "welch", "by_time": ["x"]}, "unadjusted"),
        ({}, {"statistic": "welch", "exposure": "x"}, "unadjusted"),
        ({}, {"exposure": "e"}, "no column 'e'"),
        ({}, {"draws": 0}, "draws must be positive"),
        (
            {"treated": lambda f: f["treated"] * (f["unit"] != "u0")},
            {"cluster": "cluster"},
            "differs between units of cluster a",
        ),
        ({"treated": lambda f: (f["year"] > 3) * 1}, {}, "same path"),
        ({}, {"strata": "year"}, "constant within unit; not so in u0"),
        ({}, {"assignment": pd.DataFrame({"u0": [1]})}, "one column for each of the 9 groups; absent: u1"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        randomization_test(small(10).assign(**change), "y", "treated", **KEYS, **{"seed": 0, **keywords})


def test_too_many_assignments_to_enumerate_are_refused():
    panel = provinces(11)
    with pytest.raises(EstimationError, match="265,182,525 assignments are too many"):
        randomization_test(panel, "y", "treated", **KEYS, draws=None, seed=0)
