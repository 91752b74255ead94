"""Imputation: Stata and R output, hand computation, a slow reference, identities, coverage, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from causaldata import castle
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.econometrics import two_way_fe, wald
from pipeline.econometrics.imputation import imputation
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import dummy_matrix, provinces

KEYS = {"unit": "unit", "time": "year", "cohort": "cohort"}
STATES = {"unit": "sid", "time": "year", "cohort": "cohort"}
STATSPAI = "printed in github.com/brycewang-stanford/StatsPAI, tests/reference_parity"
STATA = f"Stata 18 did_imputation of 22nov2023, {STATSPAI} (constants STATA_UNW_ATT, STATA_WT_*)"
ETWFE = f"R etwfe 0.6.2 emfx, cgroup notyet, whose points are the same, {STATSPAI} (R_REF of castle)"
AUTOSAMPLE = f"Stata 18 did_imputation, autosample, {STATSPAI}/_fixtures/bjs_autosample_Stata.json"


def castle_panel():
    """50 states, 2000–2010; the law's effective year is one year before the first with post = 1."""
    data = castle.load_pandas().data
    first = data[data["post"] == 1].groupby("sid")["year"].min() - 1
    panel = data[["sid", "year", "l_homicide", "popwt"]].astype(float)
    return panel.assign(cohort=panel["sid"].map(first), treated=panel["year"] >= panel["sid"].map(first))


def staggered(seed=0, units=40, periods=7, cohorts=(np.nan, 3, 5), drop=0):
    """Effects that differ by cohort and grow; clusters of units; a control, a unit-constant column and weights."""
    rng = np.random.default_rng(seed)
    n = units * periods
    panel = pd.DataFrame(
        {"unit": np.repeat(np.arange(units), periods), "year": np.tile(np.arange(1, periods + 1), units)}
    )
    panel["cohort"] = np.repeat(rng.choice(np.array(cohorts, dtype=float), units), periods)
    panel["cluster"] = panel["unit"] % (units // 3)
    panel["x"], panel["z"] = np.repeat(rng.normal(size=units), periods), rng.normal(size=n)
    panel["w"] = rng.uniform(0.5, 2, n)
    effect = (panel["year"] >= panel["cohort"]) * (1 + 0.2 * panel["year"] + 0.1 * panel["cohort"].fillna(0))
    noise = np.repeat(rng.normal(size=units), periods) + rng.normal(size=n)
    panel["y"] = 0.3 * panel["year"] + 0.5 * panel["z"] + effect + noise
    return panel.drop(index=rng.choice(n, drop, replace=False)).reset_index(drop=True)


def slow_weights(panel, columns, targets, weights=None):
    """Weights on the outcomes and fitted untreated outcomes by dense least squares."""
    treated = (panel["year"] >= panel["cohort"]).to_numpy()
    w = np.ones(len(panel)) if weights is None else panel[weights].to_numpy()
    root = np.sqrt(w[~treated])[:, None]
    inverse = np.linalg.pinv(root * columns[~treated], rcond=1e-11)  # (p, n0): coefficients = inverse @ (√w y)
    out = targets.copy()
    out[~treated] -= root * (inverse.T @ (columns.T @ targets))
    y0 = columns @ (inverse @ (root[:, 0] * panel["y"].to_numpy()[~treated]))
    return out, panel["y"].to_numpy() - y0, treated


def slow_imputation(panel, columns, members, cluster="unit", weights=None, leave_out=False):
    """Averages and standard errors, one loop for each sum of equation 8."""
    w = np.ones(len(panel)) if weights is None else panel[weights].to_numpy()
    answers = []
    for member in members:
        target = np.where(member, w, 0.0) / w[member].sum()
        v, gap, treated = slow_weights(panel, columns, target[:, None], weights)
        residual = gap.copy()
        for _, rows in panel[treated].groupby(["cohort", "year"]).indices.items():
            at = np.flatnonzero(treated)[rows]
            inside = panel[cluster].to_numpy()[at]
            total = {c: target[at][inside == c].sum() for c in inside}
            bottom = sum(a**2 for a in total.values())
            if bottom == 0:
                continue
            average = sum(total[c] * (target[at] * gap[at])[inside == c].sum() for c in total) / bottom
            factor = np.array([bottom / (bottom - total[c] ** 2) if leave_out else 1.0 for c in inside])
            residual[at] = (gap[at] - average) * factor
        sums = pd.Series(v[:, 0] * residual).groupby(panel[cluster].to_numpy()).sum()
        answers.append((target @ gap, np.sqrt((sums**2).sum())))
    return np.array(answers)


def full_columns(panel, by_time=(), controls=()):
    return np.hstack([dummy_matrix(panel, (("unit",), ("year",)), by_time), panel[list(controls)].to_numpy()])


def test_castle_static(evidence):
    result = imputation(castle_panel(), "l_homicide", **STATES)
    expected = [0.07980156409939809, 0.06088398010579676]
    # Stata read the data from rounded text and iterates to 1e-8
    evidence(imputation, STATA, "castle", [result.att, result.std_error], expected, "external", 6)
    assert (round(result.att, 9), round(result.std_error, 9)) == (0.079801547, 0.06088398)
    assert (result.n_obs, result.n_units, result.n_treated, result.n_clusters, result.n_treated_clusters) == (
        550,
        50,
        21,
        50,
        21,
    )
    assert result.df == np.inf


def test_castle_weighted(evidence):
    panel = castle_panel()
    keys = {**STATES, "weights": "popwt"}
    static = imputation(panel, "l_homicide", **keys)
    dynamic = imputation(panel, "l_homicide", **keys, aggregate="dynamic", pretrends=5)
    rows = dynamic.table.set_index("event_time").loc[[0, 4], ["estimate", "std_error"]].to_numpy()
    expected = [[0.06593680767036858, 0.02550030676886575], [0.01763079549709801, 0.02218932473290589]]
    expected += [[0.0468900036503328, 0.03998505946731346]]
    got = np.vstack([[static.att, static.std_error], rows])
    evidence(imputation, STATA, "castle, weights popwt: static, horizons 0 and 4", got, expected, "external", 6)
    lead = dynamic.table.set_index("event_time").loc[-1, ["estimate", "std_error"]].to_numpy(float).copy()
    # did_imputation counts one parameter less than reghdfe (11 year effects and 5 leads) in (N – 1)/(N – k)
    lead[1] *= np.sqrt((455 - 16) / (455 - 15))
    expected = [-0.04704115923137493, 0.05147889224239272]
    evidence(imputation, STATA, "castle, weights popwt: lead –1", lead, expected, "external", 6)


def test_castle_by_event_time_cohort_and_period(evidence):
    # reference values: R etwfe 0.6.2, emfx(type = "event" | "group" | "calendar")
    dynamic = [0.0710705993805267, 0.0928844566278102, 0.0767730115149872]
    dynamic += [0.100185177760692, 0.0502468939428482, 0.0958408998198526]
    group = [0.0743039743766249, 0.0624082942425604, 0.112496802324529, 0.14277902597493, 0.211080528059387]
    calendar = [-0.136473544065304, 0.0531012008226355, 0.124803145169755]
    calendar += [0.00267932873025323, 0.148964994803915, 0.0736140797710739]
    panel = castle_panel()
    for aggregate, expected in (("dynamic", dynamic), ("group", group), ("calendar", calendar)):
        result = imputation(panel, "l_homicide", **STATES, aggregate=aggregate)
        got = result.table["estimate"].to_numpy()
        evidence(imputation, ETWFE, f"castle, {aggregate}", got, expected, "external", 6)
        sizes = [1, 13, 4, 2, 1] if aggregate == "group" else np.ones(len(got))
        assert result.att == pytest.approx(np.average(got, weights=sizes), rel=1e-12)


def test_always_treated_units_and_leads_as_in_stata(evidence):
    rng = np.random.default_rng(11)  # the recipe of _generate_bjs_autosample_data.py beside the reference
    panel = pd.DataFrame({"i": np.repeat(np.arange(60), 8), "t": np.tile(np.arange(1, 9), 60)})
    g = rng.choice([0, 4, 6], 60).astype(float)
    g[[5, 9]] = 1
    panel["g"] = np.repeat(np.where(g == 0, np.nan, g), 8)
    rng.uniform(0.5, 2, 60)
    effect = np.where(panel["t"] >= panel["g"].fillna(99), 1 + 0.2 * (panel["t"] - panel["g"].fillna(0)), 0)
    panel["y"] = np.repeat(rng.normal(size=60), 8) + 0.1 * panel["t"] + effect + rng.normal(size=480)
    keys = {"unit": "i", "time": "t", "cohort": "g", "unimputable": "exclude"}
    static = imputation(panel, "y", **keys)
    dynamic = imputation(panel, "y", **keys, aggregate="dynamic", pretrends=2, horizons=range(4))
    table = dynamic.table.set_index("event_time")[["estimate", "std_error"]].astype(float)
    n = (panel["t"] < panel["g"].fillna(99)).sum()
    table.loc[[-2, -1], "std_error"] *= np.sqrt((n - 10) / (n - 9))  # 8 periods, 2 leads: Stata's count, as above
    got = np.vstack([[static.att, static.std_error], table.loc[[0, 1, 2, 3, -1, -2]].to_numpy()])
    expected = [
        [1.0543333995155990, 0.16809992581106642],
        [0.89627972742891870, 0.21852062058621266],
        [1.1012281260627788, 0.26599127677751849],
        [0.80915123160229996, 0.20517643226714408],
        [1.2948331274092197, 0.38582192741016247],
        [0.10067524531412883, 0.27616185820815614],
        [0.083790818674530171, 0.26986128435654444],
    ]
    evidence(imputation, AUTOSAMPLE, "simulated 60 × 8, two always-treated units", got, expected, "external", 6)
    assert static.n_obs == 464
    assert static.meta["rows_not_imputed"] == "16"
    assert static.meta["units_with_rows_not_imputed"] == "5, 9"


def test_three_units_by_hand(evidence):
    """Period effects 0, 1, 3 and unit effects 1, 2, 1 fit the untreated rows exactly; effects 3; 2, 5."""
    panel = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "cohort": [3] * 3 + [np.inf] * 3 + [2] * 3})
    panel["y"] = [1.0, 2, 7, 2, 3, 5, 1, 4, 9]
    result = imputation(panel, "y", **KEYS)
    dynamic, group = (imputation(panel, "y", **KEYS, aggregate=a) for a in ("dynamic", "group"))
    got = [result.att, *dynamic.table["estimate"], dynamic.att, *group.table["estimate"], group.att]
    exact = [10 / 3, 2.5, 5, 3.75, 3.5, 3, 3.25]
    evidence(imputation, "effects 3; 2, 5 by hand", "3 × 3", got, exact, "exact", 12)
    # each cohort is one unit: no variance of its own, but one around the common mean of all effects
    assert np.isnan(result.std_error)
    assert result.meta["no_variance"] == "one cluster: att"
    assert group.meta["no_variance"] == "one cluster: cohort 2, cohort 3"
    assert np.isnan(group.vcov).all()
    pooled = imputation(panel, "y", **KEYS, average_by="all")
    left = imputation(panel, "y", **KEYS, average_by="all", leave_out=True)
    # τ̃ = (1·1 + 2·7/3)/(5/3) = 3.4; –0.4/3 from a, 0.2/3 from c; leave-out multiplies by 5/4 and 5
    exact = [np.sqrt(0.2) / 3, np.sqrt(1.25) / 3]
    evidence(imputation, "equation 8 by hand", "3 × 3", [pooled.std_error, left.std_error], exact, "exact", 12)


@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("cluster", ["unit", "cluster"])
def test_equals_a_slow_reference(cluster, weights, leave_out, evidence):
    panel = staggered(3, drop=12)
    keys = {**KEYS, "cluster": cluster, "weights": weights, "leave_out": leave_out, "by_time": ["x"], "controls": ["z"]}
    since = (panel["year"] - panel["cohort"]).to_numpy()
    members = [since >= 0, *(since == e for e in range(5))]
    expected = slow_imputation(panel, full_columns(panel, ["x"], ["z"]), members, cluster, weights, leave_out)
    static = imputation(panel, "y", **keys)
    table = imputation(panel, "y", **keys, aggregate="dynamic").table
    got = np.vstack([[static.att, static.std_error], table[["estimate", "std_error"]].to_numpy()])
    name = "dense least squares and the sums of equation 8 by loops"
    evidence(imputation, name, "simulated 40 × 7, unbalanced, by_time and control", got, expected, "identity", 10)


def test_other_engine(evidence):
    from diff_diff import ImputationDiD

    panel = staggered(4)
    fitted = ImputationDiD().fit(
        panel.assign(first=panel["cohort"].fillna(0)),
        outcome="y",
        unit="unit",
        time="year",
        first_treat="first",
        covariates=["z"],
    )
    result = imputation(panel, "y", **KEYS, controls=["z"])
    got, expected = [result.att, result.std_error], [fitted.overall_att, fitted.overall_se]
    evidence(imputation, "diff-diff 3.13 ImputationDiD", "simulated 40 × 7, control", got, expected, "external", 8)


def test_one_cohort_balanced_equals_twfe(evidence):
    panel = provinces(5, effect=0.5)
    expected = two_way_fe(panel, "y", "treated", unit="unit", time="year").att
    got = imputation(panel, "y", **KEYS).att
    evidence(imputation, "two_way_fe, one cohort, balanced", "simulated 31 × 9", got, expected, "identity", 10)


def test_weights_multiply_to_the_headline():
    panel = staggered(6, drop=15)
    for aggregate in ("simple", "dynamic", "group", "calendar"):
        result = imputation(panel, "y", **KEYS, controls=["z"], aggregate=aggregate)
        frame = panel.merge(result.weights, on=["unit", "year"])
        assert frame["weight"] @ frame["y"] == pytest.approx(result.att, abs=1e-12)
        for key in ("unit", "year"):
            np.testing.assert_allclose(frame.groupby(key)["weight"].sum(), 0, atol=1e-13)
        assert abs(frame["weight"] @ frame["z"]) < 1e-12
        on = frame["year"] >= frame["cohort"]
        assert frame.loc[on, "weight"].sum() == pytest.approx(1, abs=1e-12)
        assert (frame["effect"].notna() == on).all()


def test_leads_are_a_regression_on_the_untreated_rows():
    panel = staggered(7, cohorts=(np.nan, 4, 6))
    result = imputation(panel, "y", **KEYS, aggregate="dynamic", pretrends=2, cluster="cluster")
    plain = imputation(panel, "y", **KEYS, aggregate="dynamic", cluster="cluster")
    untreated = panel[~(panel["year"] >= panel["cohort"])]
    leads = untreated.assign(
        **{f"lead{k}": (untreated["year"] - untreated["cohort"] == -k).astype(float) for k in (2, 1)}
    )
    twfe = two_way_fe(leads, "y", ["lead2", "lead1"], unit="unit", time="year", cluster="cluster")
    np.testing.assert_allclose(result.table.loc[:1, "estimate"], twfe.table["estimate"], rtol=1e-10)
    np.testing.assert_allclose(result.vcov[:2, :2], twfe.vcov, rtol=1e-10)
    joint, expected = wald(result, "pre"), wald(twfe, ["lead2", "lead1"])
    assert (joint.p_value, joint.df) == (pytest.approx(expected.p_value, rel=1e-9), expected.df)
    np.testing.assert_allclose(result.vcov[2:, 2:], plain.vcov, rtol=1e-12)
    assert (result.att, result.std_error) == (pytest.approx(plain.att), pytest.approx(plain.std_error))
    assert result.table["event_time"].tolist() == [-2, -1, 0, 1, 2, 3]


def test_an_excluded_always_treated_unit_changes_nothing():
    panel = staggered(8)
    extra = panel[panel["unit"] == 0].assign(unit=999, cohort=1.0)
    wide = pd.concat([panel, extra])
    with pytest.raises(EstimationError, match=r"7 treated rows cannot be imputed .*: 999 in 1–7 \(7 rows\)"):
        imputation(wide, "y", **KEYS)
    a, b = imputation(panel, "y", **KEYS), imputation(wide, "y", **KEYS, unimputable="exclude")
    assert (a.att, a.std_error, a.n_obs) == (pytest.approx(b.att, rel=1e-12), pytest.approx(b.std_error), b.n_obs)


def test_without_a_never_treated_unit_the_last_periods_cannot_be_imputed():
    panel = staggered(9, cohorts=(3, 6))
    with pytest.raises(EstimationError, match=r"cannot be imputed from the untreated rows: 0 in 6–7"):
        imputation(panel, "y", **KEYS)
    result = imputation(panel, "y", **KEYS, unimputable="exclude")
    assert result.meta["rows_not_imputed"] == "80"
    short = imputation(panel[panel["year"] < 6], "y", **KEYS)
    assert result.att == pytest.approx(short.att, abs=1e-12)


def test_effects_other_than_unit_and_period():
    """Fixed effects of clusters and periods: the fit no longer knows the units."""
    panel = staggered(10).assign(cohort=lambda f: f.groupby("cluster")["cohort"].transform("first"))
    result = imputation(panel, "y", **KEYS, effects=("cluster", "year"), cluster="cluster")
    treated = (panel["year"] >= panel["cohort"]).to_numpy()
    columns = dummy_matrix(panel, (("cluster",), ("year",)))
    expected = slow_imputation(panel, columns, [treated], "cluster")
    assert (result.att, result.std_error) == pytest.approx(tuple(expected[0]), rel=1e-10)
    none = imputation(panel, "y", **KEYS, effects=(), cluster="cluster")
    assert none.att == pytest.approx(panel.loc[treated, "y"].mean() - panel.loc[~treated, "y"].mean(), rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 1.0, 1e6]), shift=st.sampled_from([-1e6, 0.0, 1e9]))
def test_row_order_labels_and_scale_do_not_matter(seed, scale, shift):
    panel = staggered(11, drop=10)
    before = panel.copy()
    base = imputation(panel, "y", **KEYS, controls=["z"], aggregate="dynamic")
    pd.testing.assert_frame_equal(panel, before)
    rng = np.random.default_rng(seed)
    moved = panel.sample(frac=1, random_state=seed)
    labels = dict(zip(range(40), rng.permutation(40), strict=True))
    moved = moved.assign(unit=moved["unit"].map(lambda u: f"u{labels[u]:03d}"), y=scale * moved["y"] + shift * scale)
    moved = moved.assign(year=moved["year"] + 1990, cohort=moved["cohort"] + 1990)
    other = imputation(moved, "y", **KEYS, controls=["z"], aggregate="dynamic")
    tolerance = 1e-9 * max(1.0, abs(shift) / 1e3)
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(other.table[column] / scale, base.table[column], rtol=tolerance, atol=tolerance)


def test_coverage(evidence):
    """Effects that differ by cohort and period: the interval holds the true average about as often as it says."""
    rng = np.random.default_rng(1)
    units, periods, draws = 60, 6, 300
    panel = pd.DataFrame({"unit": np.repeat(np.arange(units), periods), "year": np.tile(np.arange(periods), units)})
    panel["cohort"] = np.repeat(np.repeat([np.nan, 2.0, 4.0], units // 3), periods)
    effect = ((panel["year"] >= panel["cohort"]) * (1 + panel["year"] / 4)).to_numpy()
    truth = effect[effect > 0].mean()
    inside = 0
    for _ in range(draws):
        noise = rng.normal(size=(units, periods)).cumsum(axis=1) / 2 + rng.normal(size=(units, periods))
        result = imputation(panel.assign(y=effect + noise.ravel()), "y", **KEYS)
        inside += result.ci[0] <= truth <= result.ci[1]
    name = "coverage of the 95 % interval, 300 draws (within 4 points)"
    assert abs(inside / draws - 0.95) < 0.04
    evidence(imputation, name, "simulated 60 × 6, two cohorts", inside / draws, 0.95, "simulation", 1)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"aggregate": "mean"}, "aggregate 'mean' is not one of simple, dynamic"),
        ({}, {"average_by": "unit"}, "average_by 'unit' is not one of"),
        ({}, {"unimputable": "drop"}, "unimputable 'drop' is not one of raise, exclude"),
        ({}, {"horizons": [1]}, "horizons belong to aggregate='dynamic'"),
        ({}, {"aggregate": "dynamic", "horizons": [9]}, "no treated row used lies at event time 9; there are 0, 1, 2"),
        ({}, {"pretrends": 7}, "pretrends=7, but no untreated row used lies at event time -7, -6, -5"),
        ({"cluster": 1}, {"cluster": "cluster"}, "cluster 'cluster' has 1 group"),
        ({}, {"cluster": ("unit", "cluster")}, "one column of clusters"),
        ({"cohort": 99.0}, {}, "no row used is treated"),
        ({"cohort": 1.0}, {}, "every row used is treated"),
        ({"cohort": lambda f: f["cohort"].where(f["unit"] > 4, f["year"])}, {}, "changes within 0, 1, 2, 3, 4"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        imputation(staggered(12).assign(**change), "y", **{**KEYS, **keywords})


def test_collinear_columns_are_named():
    panel = staggered(13).assign(late=lambda f: (f["year"] >= 6) * f["x"] * (f["cohort"] == 3))
    with pytest.raises(CollinearityError, match="in the untreated rows 'late' is a combination"):
        imputation(panel, "y", **KEYS, controls=["late"])
    with pytest.raises(CollinearityError, match="'x2' is a combination"):
        imputation(panel.assign(x2=2 * panel["x"] + 1), "y", **KEYS, by_time=["x", "x2"])


def test_leave_out_needs_two_clusters_in_a_group():
    with pytest.raises(EstimationError, match="one alone in cohort 2005 at event time 0"):
        imputation(castle_panel(), "l_homicide", **STATES, leave_out=True)
