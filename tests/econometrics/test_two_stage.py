"""Two-stage: R output, hand computation, the GMM formula with full matrices, identities, coverage, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
import pytest

from pipeline.econometrics import two_way_fe, wald
from pipeline.econometrics.imputation import imputation
from pipeline.econometrics.two_stage import two_stage
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces
from tests.econometrics.test_imputation import KEYS, STATES, STATSPAI, castle_panel, full_columns, staggered

DID2S = f"R did2s 1.2.1, {STATSPAI} (R_UNW_*, R_WT_* of castle)"
# reference values: did2s(l_homicide, first_stage = ~ 0 | sid + year, second_stage = ~ i(rel, ref = c(-1, -1000)))
UNWEIGHTED = {
    -9: (-0.171286064950389, 0.0307272522117777),
    -8: (-0.0259978828055484, 0.146964375308744),
    -7: (-0.19178299914089, 0.0858483276238106),
    -6: (0.0394654349100029, 0.0295682323104704),
    -5: (0.0138838286655264, 0.0295428129221351),
    -4: (-0.016116266460033, 0.0271471264659165),
    -3: (0.0289119413000516, 0.0197398174954507),
    -2: (0.0329448489309216, 0.0312180997342677),
    0: (0.0710705994708897, 0.0577589180282935),
    1: (0.0928844567463144, 0.0633702867537619),
    2: (0.0767730116461888, 0.0786996513487697),
    3: (0.100185177897873, 0.0795975872308234),
    4: (0.0502468940830696, 0.0739403468433287),
    5: (0.0958408999607778, 0.0458734039149931),
}
WEIGHTED = {
    -9: (-0.200803447598062, 0.0193615821496832),
    -8: (-0.153001287624103, 0.0387287332881592),
    -7: (-0.049649233734802, 0.0339428073317867),
    -6: (0.0478512712506468, 0.0167356659411754),
    -5: (0.0232006472708082, 0.0145817670690438),
    -4: (-0.0103615695829782, 0.0161063912406936),
    -3: (0.0134015054563927, 0.0145095476998044),
    -2: (0.00310130908268144, 0.0149282717098072),
    0: (0.0176307737962924, 0.0301161623719765),
    1: (0.0967059143911821, 0.0323585345093071),
    2: (0.079444110001191, 0.0378100750442217),
    3: (0.0747030759945081, 0.0456100913532877),
    4: (0.0468900124540102, 0.0485946060330947),
    5: (0.12303686946441, 0.0419613210639413),
}
ALONE = (-9, 5)  # one state each: R prints the part that comes from the first stage, we print none


def slow_two_stage(panel, columns, dummies, cluster="unit", weights=None):
    """Coefficients and covariance: second stage on the gaps, first-stage correction through full matrices."""
    treated = (panel["year"] >= panel["cohort"]).to_numpy()
    root = np.sqrt(np.ones(len(panel)) if weights is None else panel[weights].to_numpy())[:, None]
    y, x1, x2 = root[:, 0] * panel["y"].to_numpy(), root * columns, root * dummies
    x10 = np.where(treated[:, None], 0.0, x1)
    first = np.linalg.pinv(x10.T @ x10, rcond=1e-11)
    u1 = y - x1 @ (first @ (x10.T @ y))
    second = np.linalg.inv(x2.T @ x2)
    b = second @ (x2.T @ u1)
    u2 = u1 - x2 @ b
    meat = np.zeros((len(b), len(b)))
    for g in np.unique(panel[cluster]):
        rows = (panel[cluster] == g).to_numpy()
        s = x2[rows].T @ u2[rows] - x2.T @ x1 @ first @ (x10[rows].T @ u1[rows])
        meat += np.outer(s, s)
    return b, second @ meat @ second


def test_castle_static(evidence):
    panel = castle_panel()
    got = [[r.att, r.std_error] for r in (two_stage(panel, "l_homicide", **STATES, weights=w) for w in (None, "popwt"))]
    expected = [[0.079801547713374, 0.0609789882894638], [0.0659367931285578, 0.0282004391800215]]
    # R read the data from rounded text and demeans to a tolerance
    evidence(two_stage, DID2S, "castle, unweighted and weighted: static", got, expected, "external", 6)


@pytest.mark.parametrize(("weights", "reference"), [(None, UNWEIGHTED), ("popwt", WEIGHTED)], ids=["plain", "popwt"])
def test_castle_event_times(weights, reference, evidence):
    result = two_stage(castle_panel(), "l_homicide", **STATES, weights=weights, aggregate="dynamic")
    table = result.table.set_index("event_time")
    assert table.index.tolist() == list(reference)
    expected = np.array(list(reference.values()))
    data = f"castle, {weights or 'unweighted'}: event times"
    evidence(two_stage, DID2S, f"{data}, estimates", table["estimate"].to_numpy(), expected[:, 0], "external", 6)
    shared = ~np.isin(list(reference), ALONE)
    got = table["std_error"].to_numpy()
    evidence(two_stage, DID2S, f"{data}, errors", got[shared], expected[shared, 1], "external", 6)
    assert np.isnan(got[~shared]).all()
    assert result.meta["no_variance"] == "one cluster: event time -9, event time 5"
    # the part R prints: the first stage's, which is left when the second stage has one row
    assert np.isfinite(result.std_error)


def test_did2s_readme(evidence):
    path = Path(pyfixest.__path__[0]) / "did" / "data" / "df_het.csv"
    panel = pd.read_csv(path, usecols=["unit", "state", "year", "g", "dep_var"]).rename(columns={"g": "cohort"})
    panel["cohort"] = panel["cohort"].replace(0, np.nan)
    result = two_stage(panel, "dep_var", **KEYS, effects=("state", "year"), cluster="state")
    source = "R did2s 1.1.0 README: etable(static), 2.152 (0.0476)"
    got = [round(result.att, 3), round(result.std_error, 4)]
    evidence(two_stage, source, "df_het (pyfixest), state and year effects", got, [2.152, 0.0476], "external", 4)


def test_three_units_by_hand(evidence):
    """Effects 3 of a and 2, 5 of c, an exactly fitted first stage: se² = Σ over clusters of (Σ(effect – mean)/3)²."""
    panel = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "cohort": [3] * 3 + [np.inf] * 3 + [2] * 3})
    panel["y"] = [1.0, 2, 7, 2, 3, 5, 1, 4, 9]
    result = two_stage(panel, "y", **KEYS)
    exact = [10 / 3, np.sqrt(2) / 9]  # a: –1/3, c: –4/3 + 5/3 = 1/3, each over 3
    evidence(two_stage, "by hand", "3 × 3", [result.att, result.std_error], exact, "exact", 12)
    dynamic = two_stage(panel, "y", **KEYS, aggregate="dynamic", reference=None)
    assert dynamic.table["event_time"].tolist() == [-2, -1, 0, 1]
    np.testing.assert_allclose(dynamic.table["estimate"], [0, 0, 2.5, 5], atol=1e-12)
    assert dynamic.att == pytest.approx(3.75, abs=1e-12)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("cluster", ["unit", "cluster"])
def test_equals_the_formula_with_full_matrices(cluster, weights, evidence):
    panel = staggered(3, drop=12)
    keys = {**KEYS, "cluster": cluster, "weights": weights, "by_time": ["x"], "controls": ["z"]}
    result = two_stage(panel, "y", **keys, aggregate="dynamic")
    since = (panel["year"] - panel["cohort"]).to_numpy()
    dummies = (since[:, None] == result.table["event_time"].to_numpy(int)).astype(float)
    b, v = slow_two_stage(panel, full_columns(panel, ["x"], ["z"]), dummies, cluster, weights)
    name = "two stages with full matrices"
    data = "simulated 40 × 7, unbalanced, by_time and control"
    evidence(two_stage, name, data, result.table["estimate"].to_numpy(), b, "identity", 10)
    evidence(two_stage, f"{name}, covariance", data, result.vcov, v, "identity", 9)
    static = two_stage(panel, "y", **keys)
    b, v = slow_two_stage(
        panel, full_columns(panel, ["x"], ["z"]), (since >= 0)[:, None].astype(float), cluster, weights
    )
    assert (static.att, static.std_error) == pytest.approx((b[0], np.sqrt(v[0, 0])), rel=1e-9)


def test_points_are_those_of_the_imputation(evidence):
    panel = staggered(5, drop=12)
    pairs = [
        (f(panel, "y", **KEYS, controls=c, aggregate=a) for f in (two_stage, imputation))
        for c in ((), ("z",))
        for a in ("simple", "dynamic", "group", "calendar")
    ]
    got, expected = [], []
    for second, first in pairs:
        post = second.table["event_time"].isna() | (second.table["event_time"] >= 0)
        got += [second.att, *second.table.loc[post, "estimate"]]
        expected += [first.att, *first.table["estimate"]]
        pd.testing.assert_frame_equal(second.weights, first.weights)
    evidence(two_stage, "imputation, every aggregate", "simulated 40 × 7, unbalanced", got, expected, "identity", 12)


def test_one_cohort_balanced_equals_twfe(evidence):
    panel = provinces(5, effect=0.5)
    expected = two_way_fe(panel, "y", "treated", unit="unit", time="year").att
    got = two_stage(panel, "y", **KEYS, cluster="cluster").att
    evidence(two_stage, "two_way_fe, one cohort, balanced", "simulated 31 × 9", got, expected, "identity", 10)


def test_the_reference_moves_no_estimate():
    panel = staggered(6)
    without, all_times = (two_stage(panel, "y", **KEYS, aggregate="dynamic", reference=r) for r in (-1, None))
    kept = (all_times.table["event_time"] != -1).to_numpy()
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(without.table[column], all_times.table.loc[kept, column], rtol=1e-12)
    np.testing.assert_allclose(without.vcov, all_times.vcov[np.ix_(kept, kept)], atol=1e-15)
    counts = panel.assign(e=panel["year"] - panel["cohort"])["e"].value_counts()
    leads = all_times.table[all_times.table["event_time"] < 0]
    assert leads["estimate"] @ counts[leads["event_time"]].to_numpy() == pytest.approx(0, abs=1e-12)
    assert wald(without, "pre").df == (len(leads) - 1, np.inf)


def test_a_unit_with_one_untreated_row():
    """The first cohort starts in the second period: pyfixest 0.60 fails there."""
    panel = staggered(7, cohorts=(np.nan, 2, 5))
    result = two_stage(panel, "y", **KEYS)
    since = (panel["year"] >= panel["cohort"]).to_numpy(float)
    b, v = slow_two_stage(panel, full_columns(panel), since[:, None])
    assert (result.att, result.std_error) == pytest.approx((b[0], np.sqrt(v[0, 0])), rel=1e-9)


def test_an_excluded_always_treated_unit_changes_nothing():
    panel = staggered(8)
    wide = pd.concat([panel, panel[panel["unit"] == 0].assign(unit=999, cohort=1.0)])
    with pytest.raises(EstimationError, match=r"999 in 1–7 \(7 rows\)"):
        two_stage(wide, "y", **KEYS)
    a, b = two_stage(panel, "y", **KEYS), two_stage(wide, "y", **KEYS, unimputable="exclude")
    assert (a.att, a.std_error) == (pytest.approx(b.att, rel=1e-12), pytest.approx(b.std_error, rel=1e-12))
    assert b.meta["units_with_rows_not_imputed"] == "999"


def test_the_frame_and_the_order_of_its_rows():
    panel = staggered(9)
    before = panel.copy()
    a = two_stage(panel, "y", **KEYS, aggregate="dynamic")
    b = two_stage(panel.sample(frac=1, random_state=1), "y", **KEYS, aggregate="dynamic")
    pd.testing.assert_frame_equal(panel, before)
    pd.testing.assert_frame_equal(a.table, b.table)


def test_coverage(evidence):
    rng = np.random.default_rng(2)
    units, periods, draws = 60, 6, 300
    panel = pd.DataFrame({"unit": np.repeat(np.arange(units), periods), "year": np.tile(np.arange(periods), units)})
    panel["cohort"] = np.repeat(np.repeat([np.nan, 2.0, 4.0], units // 3), periods)
    effect = ((panel["year"] >= panel["cohort"]) * (1 + panel["year"] / 4)).to_numpy()
    truth = effect[effect > 0].mean()
    inside = 0
    for _ in range(draws):
        noise = rng.normal(size=(units, periods)).cumsum(axis=1) / 2 + rng.normal(size=(units, periods))
        result = two_stage(panel.assign(y=effect + noise.ravel()), "y", **KEYS)
        inside += result.ci[0] <= truth <= result.ci[1]
    name = "coverage of the 95 % interval, 300 draws (within 4 points)"
    assert abs(inside / draws - 0.95) < 0.04
    evidence(two_stage, name, "simulated 60 × 6, two cohorts", inside / draws, 0.95, "simulation", 1)
