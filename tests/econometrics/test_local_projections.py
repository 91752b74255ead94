"""LP-DiD: Stata output, another engine, slow references, identities, invariances, refusals."""

from __future__ import annotations

import warnings
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import event_study, two_way_fe, wald
from pipeline.econometrics.local_projections import local_projections
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import slow_crv1
from tests.econometrics.staggered_panels import KEYS, STATES, STATSPAI, castle, rows, shifted, shuffled, simulated


def long_differences(panel, h, base=None):
    """Rows of the regression at event time h, by a loop over (unit, year)."""
    y = panel.set_index(["unit", "year"])["y"]
    out = []
    for row in panel.itertuples():
        first = np.inf if np.isnan(row.cohort) else row.cohort
        earlier = y.get(row.unit).loc[: row.year - 1] if base == "all" else y.get((row.unit, row.year - 1))
        before = earlier.mean() if base == "all" else earlier
        after = y.get((row.unit, row.year + h))
        if before is None or after is None or np.isnan(before):
            continue
        if first == row.year or first > row.year + max(h, 0):
            out.append((row.Index, after - before, float(first == row.year)))
    index, change, switch = zip(*out, strict=True)
    return panel.loc[list(index)].assign(change=change, switch=switch)


def test_castle_doctrine(evidence):
    result = local_projections(castle(), "l_homicide", **STATES, pre=5, post=4)
    expected = [
        [0.04351527081180941, 0.05712824774469297],
        [0.007605666144508175, 0.05674689138534626],
        [0.06239964168114284, 0.04366401650392433],
        [0.06297572736317507, 0.05078860848719879],
        [0.09982924346896227, 0.04436895024170778],
        [0.1062628778514961, 0.0513105138104987],
        [0.1080677877323661, 0.05794395921686282],
        [0.1382595266978718, 0.0567634393442956],
        [0.09393880725113447, 0.05402792723173371],
        [0.04412407406261416, 0.04245987251610112],
        [0.107937421205443, 0.04935736346942109],
    ]
    source = f"Stata 18 lpdid 1.0.2, pre_window(5) post_window(4), {STATSPAI}"
    evidence(local_projections, source, "castle, 50 states", rows(result), expected, "external", 6)
    sizes = [int(part.split(": ")[1]) for part in result.meta["rows_by_regression"].split(", ")]
    assert sizes[:9] == [226, 276, 326, 376, 426, 376, 325, 273, 219]
    assert (result.att, result.std_error) == tuple(rows(result)[-1])
    assert (result.n_obs, result.n_units, result.n_treated, result.df) == (219, 50, 21, 49)


def test_two_thousand_units_of_the_authors(evidence):
    with resources.files("pyfixest.did.data").joinpath("lpdidtestdata1.dta").open("rb") as handle:
        panel = pd.read_stata(handle).astype(float)
    keys = {"unit": "unit", "time": "time", "cohort": "event_date"}
    result = local_projections(panel, "Y", **keys, pre=5, post=10, bands=False)
    got = [*rows(result, ["estimate"])[[0, -3], 0], result.att]
    printed = [-0.042566, 72.635834, 31.79438]
    source = "Stata lpdid, in github.com/py-econometrics/pyfixest, tests/test_did.py, test_lpdid"
    evidence(local_projections, source, "lpdidtestdata1 (pyfixest), 100,000 rows", got, printed, "external", 7)
    assert result.n_obs == 28709


@pytest.mark.parametrize(
    ("keywords", "options", "covariates"),
    [
        ({}, {}, None),
        ({"reweight": True}, {"reweight": True}, None),
        ({"premean": 2}, {"pmd": 2}, None),
        ({"premean": True, "reweight": True}, {"pmd": "max", "reweight": True}, None),
        ({"controls": ["z"]}, {}, ["z"]),
        ({"control_group": "never_treated"}, {"control_group": "never_treated"}, None),
    ],
    ids=["variance", "equal", "two-before", "all-before-equal", "control", "never"],
)
def test_agrees_with_diff_diff(keywords, options, covariates, evidence, request):
    from diff_diff import LPDiD

    panel = simulated(1, sizes=((5, 9), (7, 8), (None, 14)), drop=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gaps within units
        other = LPDiD(pre_window=3, post_window=2, **options).fit(
            panel, outcome="y", unit="unit", time="year", treatment="treated", covariates=covariates
        )
    table = pd.concat([other.event_study[other.event_study["horizon"] != -1], other.pooled])
    result = local_projections(panel, "y", **KEYS, pre=3, post=2, **keywords)
    got = rows(result)[: len(table)]
    source = f"diff-diff 3.13 LPDiD ({request.node.callspec.id})"
    evidence(local_projections, source, "simulated, unbalanced", got, table[["coefficient", "se"]], "external", 7)


@pytest.mark.parametrize("h", [-3, 0, 2])
def test_equals_a_regression_on_long_differences(h, evidence):
    panel = simulated(2, drop=9)
    frame = long_differences(panel, h)
    b, v = slow_crv1(frame, ["switch"], (("year",),), ["x"], outcome="change")
    result = local_projections(panel, "y", **KEYS, pre=4, post=3, by_time=["x"], cluster="cluster")
    expected = [[b[0], np.sqrt(v[0, 0])]]
    source = "regression on differences taken by a loop, CRV1 by a loop"
    got = rows(result, times=[h])
    evidence(local_projections, source, f"simulated, unbalanced, event time {h}", got, expected, "identity", 8)


def test_premean_by_a_loop():
    panel = simulated(3, drop=7)
    result = local_projections(panel, "y", **KEYS, pre=2, post=2, premean=True)
    for h in (-2, 0, 2):
        frame = long_differences(panel, h, base="all")
        b, v = slow_crv1(frame, ["switch"], (("year",),), outcome="change", cluster="unit")
        np.testing.assert_allclose(rows(result, times=[h])[0], [b[0], np.sqrt(v[0, 0])], rtol=1e-8)
    assert result.table["event_time"].dropna().tolist() == [-2, 0, 1, 2]
    assert "reference" not in result.meta


def test_one_cohort_is_an_event_study_and_two_way_fixed_effects(evidence):
    panel = simulated(4, sizes=((6, 12), (None, 15)))
    options = {"cluster": "cluster", "covariance": "CRV3"}
    result = local_projections(panel, "y", **KEYS, **options, bands=False)
    expected = event_study(panel, "y", **KEYS, **options, bands=False)
    evidence(
        local_projections, "event_study, CRV3", "simulated, one cohort", rows(result), rows(expected), "identity", 9
    )
    assert (result.att, result.std_error) == pytest.approx((expected.att, expected.std_error), rel=1e-9)
    np.testing.assert_allclose(result.vcov, expected.vcov, rtol=1e-8, atol=1e-14)
    pooled = local_projections(panel, "y", **KEYS, **options, post=4, premean=True, bands=False)
    static = two_way_fe(panel, "y", "treated", unit="unit", time="year", **options)
    got, expected = [pooled.att, pooled.std_error], [static.att, static.std_error]
    source = "two_way_fe, CRV3 (all earlier periods subtracted, pooled)"
    evidence(local_projections, source, "simulated, one cohort", got, expected, "identity", 10)


def test_equal_weights_average_the_cohorts(evidence):
    panel = simulated(5, sizes=((5, 12), (8, 4), (None, 9)))
    y = panel.pivot_table(index="unit", columns="year", values="y")
    cohort = panel.groupby("unit")["cohort"].first()
    gaps = []
    for g in (5, 8):
        change = y[g + 1] - y[g - 1]
        gaps.append(change[cohort == g].mean() - change[cohort.isna() | (cohort > g + 1)].mean())
    result = local_projections(panel, "y", **KEYS, pre=2, post=2, reweight=True)
    got = rows(result, ["estimate"], times=[1])[0, 0]
    expected = np.average(gaps, weights=[12, 4])
    evidence(local_projections, "differences by hand, by treated units", "simulated", got, expected, "identity", 10)


def test_covariance_across_event_times_is_that_of_the_average():
    panel = simulated(6, sizes=((6, 10), (None, 12)))
    result = local_projections(panel, "y", **KEYS, pre=3, post=4, covariance="CRV3")
    after = (result.table["event_time"] >= 0).fillna(False).to_numpy(float)
    contrast = after / after.sum()
    assert contrast @ result.table["estimate"] == pytest.approx(result.att, rel=1e-10)
    assert np.sqrt(contrast @ result.vcov @ contrast) == pytest.approx(result.std_error, rel=1e-9)
    f = wald(result, "pre")
    assert f.df == (2.0, 21.0)


def test_standard_errors_are_those_of_each_regression_alone():
    panel = simulated(7, drop=6)
    options = {"cluster": "cluster", "controls": ["z"], "bands": False}
    for kind in ("CRV1", "CRV3", "CR2"):
        many = local_projections(panel, "y", **KEYS, **options, pre=3, post=3, covariance=kind)
        alone = local_projections(panel, "y", **KEYS, **options, pre=0, post=0, covariance=kind)
        columns = ["estimate", "std_error", "df", "p_value"]
        np.testing.assert_allclose(rows(many, columns, times=[0]), rows(alone, columns, times=[0]), rtol=1e-8)


def test_missing_controls_leave_the_outcomes_of_other_rows():
    panel = simulated(8)
    first = panel["year"] == 1
    result = local_projections(panel.assign(z=panel["z"].mask(first)), "y", **KEYS, pre=2, post=2, controls=["z"])
    # a difference at t takes the control at t alone: nothing starts in the first year anyway
    pd.testing.assert_frame_equal(
        result.table, local_projections(panel, "y", **KEYS, pre=2, post=2, controls=["z"]).table
    )


def test_calendar_gaps_and_always_treated_are_named():
    panel = simulated(9, sizes=((6, 10), (None, 12)))
    always = panel[panel["unit"] == panel["unit"].iloc[-1]].assign(unit="early", cohort=1.0)
    gap = pd.concat([panel, always])[lambda f: f["year"] != 8]
    result = local_projections(gap, "y", **KEYS, pre=2, post=3, pooled=False)
    assert result.meta["event_times_without_effect"] == "2"
    assert result.meta["always_treated_left_out"] == "early"
    expected = local_projections(panel, "y", **KEYS, pre=2, post=3, pooled=False)
    np.testing.assert_allclose(rows(result, ["estimate"]), rows(expected, ["estimate"], times=[-2, 0, 1, 3]))
    with pytest.raises(EstimationError, match=r"pooled post: .*event times 0 to 3; shorten the window"):
        local_projections(gap, "y", **KEYS, pre=2, post=3)


def test_cohort_of_one_unit_has_no_variance_of_its_own():
    panel = simulated(10, sizes=((4, 1), (8, 10), (None, 12)))
    result = local_projections(panel, "y", **KEYS)
    missing = result.table.set_index("event_time")["std_error"].isna()
    assert missing.loc[list(range(3, 7))].all()
    assert not missing.loc[list(range(3))].any()
    assert "event time 3" in result.meta["no_variance"]


@pytest.mark.parametrize(("seed", "scale"), [(1, 1e-6), (2, 3.0), (3, 1e7)])
def test_names_order_shifts_and_scale_do_not_matter(seed, scale):
    panel = simulated(11, drop=7)
    options = {"pre": 3, "post": 2, "cluster": "cluster", "bands": False}
    options |= {"reweight": True} if seed == 2 else {"by_time": ["x"]}
    base = rows(local_projections(panel, "y", **KEYS, **options))
    got = rows(local_projections(shuffled(panel, seed), "y", **KEYS, **options))
    np.testing.assert_allclose(got, base, rtol=1e-9)
    moved = shifted(panel, seed=seed)
    got = rows(local_projections(moved.assign(y=moved["y"] * scale), "y", **KEYS, **options))
    np.testing.assert_allclose(got, base * scale, rtol=1e-7)


def test_the_callers_frame_is_not_touched():
    panel = simulated(12)
    before = panel.copy(deep=True)
    local_projections(panel, "y", **KEYS, pre=2, post=1, premean=True, reweight=True)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"covariance": "iid"}, "event times share rows: the covariance must be one of CRV1, CRV3, CR2"),
        ({}, {"control_group": "clean"}, "control_group 'clean' is not one of"),
        ({}, {"reweight": True, "controls": ["z"]}, "equal weights are not defined with controls"),
        ({"cohort": np.nan}, {}, "no unit is ever treated"),
        ({"cohort": 6.0}, {}, "no newly treated unit has a clean control"),
        ({"year": lambda f: f["year"] * 2, "cohort": lambda f: f["cohort"] * 2}, {}, "no newly treated unit"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        local_projections(simulated(13).assign(**change), "y", **KEYS, **keywords)


def test_collinear_columns_are_named():
    panel = simulated(14)
    with pytest.raises(CollinearityError, match=r"control 'same at event time -2' .*effects \(year\)"):
        local_projections(panel.assign(same=panel["year"]), "y", **KEYS, pre=2, post=1, controls=["same"])
