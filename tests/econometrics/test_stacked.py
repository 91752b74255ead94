"""Stacked difference-in-differences: Stata output, another engine, a slow reference, identities, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import event_study, two_way_fe
from pipeline.econometrics.stacked import stacked
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import slow_crv1
from tests.econometrics.staggered_panels import KEYS, medicaid, rows, shifted, shuffled, simulated

STATES = {"unit": "state", "time": "year", "cohort": "adopt_year"}
WING = "Wing, Freedman and Hollingsworth, github.com/hollina/stacked-did-weights, stacked-example-r-and-stata.html"


def stack(panel, pre, post, *, never=False):
    """Stacks by a loop: rows of each cohort and its clean controls within the window."""
    frames = []
    for g in sorted(panel["cohort"].dropna().unique()):
        clean = panel["cohort"].isna() | (~np.array(never) & (panel["cohort"] > g + post))
        rows = panel[(clean | (panel["cohort"] == g)) & panel["year"].between(g - pre, g + post)]
        since = (rows["year"] - g).astype(int)
        frames.append(rows.assign(stack=g, since=since, own=(rows["cohort"] == g).astype(float)))
    frame = pd.concat(frames, ignore_index=True)
    for e in range(-pre, post + 1):
        frame[f"e{e}"] = frame["own"] * (frame["since"] == e)
    return frame


def test_medicaid_weighted(evidence):
    result = stacked(medicaid(), "uninsured", **STATES, pre=3, post=2, weights="aggregate")
    got, printed = [result.att, result.std_error], [-0.0218778, 0.0056281]
    evidence(stacked, f"Stata lincom: {WING}", "medicaid_uninsured, 51 states", got, printed, "external", 5)
    np.testing.assert_allclose(result.ci, [-0.0331822, -0.0105733], atol=5e-8)
    expected = [[-0.00102, 0.00368], [-0.00303, 0.00299], [-0.0163, 0.00393], [-0.0239, 0.00645], [-0.0255, 0.00707]]
    np.testing.assert_allclose(rows(result), expected, atol=5.1e-5)
    assert (result.n_obs, result.n_units, result.n_treated, result.df) == (600, 51, 35, 50)
    assert result.meta["stacks"] == "2014, 2015, 2016, 2019"
    assert result.meta["cohorts_left_out"] == "2020 (window beyond the sample), 2021 (window beyond the sample)"


def test_agrees_with_diff_diff(evidence):
    from diff_diff import StackedDiD

    panel = simulated(1, drop=12)
    frame = panel.assign(first=panel["cohort"].fillna(0))
    other = StackedDiD(kappa_pre=3, kappa_post=2, weighting="aggregate", cluster="unit").fit(
        frame, outcome="y", unit="unit", time="year", first_treat="first"
    )
    effects = other.event_study_effects
    times = [e for e in range(-3, 3) if e != -1]
    expected = [[effects[e]["effect"], effects[e]["se"]] for e in times]
    got = rows(stacked(panel, "y", **KEYS, pre=3, post=2, weights="aggregate"))
    source = "diff-diff 3.13 StackedDiD, aggregate weights"
    evidence(stacked, source, "simulated, unbalanced", got, expected, "external", 7)


@pytest.mark.parametrize("control_group", ["not_yet_treated", "never_treated"])
def test_equals_a_regression_on_stacked_rows(control_group, evidence):
    panel = simulated(2, sizes=((4, 7), (6, 8), (8, 6), (None, 11)), drop=9)
    frame = stack(panel, 2, 1, never=control_group == "never_treated")
    names = ["e-2", "e0", "e1"]
    effects = (("unit", "stack"), ("year", "stack"))
    b, v = slow_crv1(frame, [*names, "z"], effects)
    k = frame.groupby(["year", "stack"]).ngroups + 4  # unit × stack is nested in the clusters
    rank = k + frame.groupby(["unit", "stack"]).ngroups - frame["stack"].nunique()
    v = v * (len(frame) - rank) / (len(frame) - k)
    options = {"pre": 2, "post": 1, "controls": ["z"], "control_group": control_group, "cluster": "cluster"}
    result = stacked(panel, "y", **KEYS, **options)
    expected = np.column_stack([b, np.sqrt(np.diag(v))])
    source = f"regression on rows stacked by a loop, CRV1 by a loop, {control_group}"
    evidence(stacked, source, "simulated, unbalanced", rows(result), expected, "identity", 8)
    assert result.n_obs == len(frame)


def test_one_cohort_is_two_way_fixed_effects_and_an_event_study(evidence):
    panel = simulated(3, sizes=((6, 12), (None, 15)))
    options = {"unit": "unit", "time": "year", "cluster": "cluster"}
    simple = stacked(panel, "y", **KEYS, aggregate="simple", cluster="cluster")
    expected = two_way_fe(panel, "y", "treated", **options)
    got = [simple.att, simple.std_error]
    source = "two_way_fe"
    evidence(stacked, source, "simulated, one cohort", got, [expected.att, expected.std_error], "identity", 10)
    dynamic = stacked(panel, "y", **KEYS, cluster="cluster", by_time=["x"], controls=["z"])
    study = event_study(panel, "y", **options, cohort="cohort", by_time=["x"], controls=["z"])
    np.testing.assert_allclose(rows(dynamic), rows(study), rtol=1e-8)
    assert (dynamic.att, dynamic.std_error) == pytest.approx((study.att, study.std_error), rel=1e-9)


def test_weights_average_the_cohorts_by_their_treated(evidence):
    panel = simulated(4, sizes=((4, 5), (6, 11), (None, 14)))
    result = stacked(panel, "y", **KEYS, pre=2, post=1, weights="aggregate")
    frame = stack(panel, 2, 1)
    means = frame.groupby(["stack", "own", "since"])["y"].mean().unstack(["own", "since"])
    expected = []
    for e in (-2, 0, 1):
        gaps = (means[1.0][e] - means[1.0][-1]) - (means[0.0][e] - means[0.0][-1])
        expected.append(np.average(gaps, weights=[5, 11]))
    got = result.table.loc[result.table["event_time"] != -1, "estimate"]
    evidence(stacked, "differences of mean changes, by treated units", "simulated", got, expected, "identity", 10)
    stacks = stacked(panel, "y", **KEYS, pre=2, post=1, weights="aggregate", effects="stack")
    np.testing.assert_allclose(stacks.table["estimate"], result.table["estimate"], atol=1e-12)


def test_window_and_controls():
    panel = simulated(5, sizes=((3, 4), (5, 6), (9, 5), (None, 9)))
    result = stacked(panel, "y", **KEYS, pre=3, post=2)
    assert result.meta["stacks"] == "5"
    assert result.meta["cohorts_left_out"] == "3 (window beyond the sample), 9 (window beyond the sample)"
    early = set(panel.loc[panel["cohort"] == 3, "unit"])
    assert set(result.meta["units_in_no_stack"].split(", ")) == early
    whole = stacked(panel, "y", **KEYS)
    assert whole.meta["stacks"] == "3, 5, 9"
    assert whole.table["event_time"].tolist() == list(range(-8, 8))
    assert whole.n_obs == 10 * ((4 + 9) + (6 + 9) + (5 + 9))


def test_cohort_of_one_unit_has_no_variance_of_its_own():
    panel = simulated(6, sizes=((4, 1), (8, 10), (None, 12)))
    result = stacked(panel, "y", **KEYS)  # event times from 3 on are those of the one unit
    missing = result.table.set_index("event_time")["std_error"].isna()
    assert missing.loc[list(range(3, 7))].all()
    assert not missing.loc[list(range(3))].any()
    assert "event time 3" in result.meta["no_variance"]


def test_jackknife_leaves_out_a_unit_from_all_its_stacks():
    panel = simulated(7, sizes=((4, 5), (6, 6), (None, 8)))
    options = {"pre": 2, "post": 1, "aggregate": "simple"}
    units = panel["unit"].unique()
    without = np.array([stacked(panel[panel["unit"] != u], "y", **KEYS, **options).att for u in units])
    result = stacked(panel, "y", **KEYS, **options, covariance="CRV3")
    g = len(units)
    assert result.std_error == pytest.approx(np.sqrt((g - 1) / g * np.sum((without - result.att) ** 2)), rel=1e-8)
    assert result.n_clusters == g


@pytest.mark.parametrize(("seed", "scale"), [(1, 1e-6), (2, 3.0), (3, 1e7)])
@pytest.mark.parametrize("weights", ["none", "aggregate"])
def test_names_order_shifts_and_scale_do_not_matter(seed, scale, weights):
    panel = simulated(8)
    options = {"cluster": "cluster", "bands": False, "pre": 2, "post": 1, "weights": weights}
    base = rows(stacked(panel, "y", **KEYS, **options))
    np.testing.assert_allclose(rows(stacked(shuffled(panel, seed), "y", **KEYS, **options)), base, rtol=1e-9)
    moved = shifted(panel, seed=seed)
    if weights == "aggregate":  # no unit effects: a constant by unit moves the residuals
        moved["y"] = panel["y"]
    np.testing.assert_allclose(
        rows(stacked(moved.assign(y=moved["y"] * scale), "y", **KEYS, **options)), base * scale, rtol=1e-7
    )


def test_the_callers_frame_is_not_touched():
    panel = simulated(9).assign(stack="mine")
    before = panel.copy(deep=True)
    stacked(panel, "y", **KEYS, pre=2, post=1)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"control_group": "clean"}, "control_group 'clean' is not one of not_yet_treated"),
        ({"weights": "w"}, "weights 'w' is not one of none, aggregate"),
        ({"effects": "unit"}, "effects 'unit' is not one of stack, group"),
        ({"aggregate": "group"}, "aggregate 'group' is not one of dynamic, simple"),
        ({"weights": "aggregate", "by_time": ["x"]}, "by_time needs the effects 'stack'"),
        ({"pre": 9}, r"no cohort of 'cohort' can be stacked; left out: 5 \(window beyond the sample\), 8"),
        ({"reference": -7, "pre": 4}, r"5 \(no row at event time -7\)"),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(EstimationError, match=message):
        stacked(simulated(10), "y", **KEYS, **keywords)


def test_no_clean_control_is_said():
    panel = simulated(11, sizes=((5, 8), (6, 8)))
    with pytest.raises(EstimationError, match=r"5 \(no clean control\)"):
        stacked(panel, "y", **KEYS, pre=2, post=2)


def test_collinear_columns_are_named():
    panel = simulated(12)
    with pytest.raises(CollinearityError, match=r"control 'x' .*unit×stack, year×stack"):
        stacked(panel, "y", **KEYS, pre=2, post=1, controls=["x"])
