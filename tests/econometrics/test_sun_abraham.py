"""Sun–Abraham: R and Stata output, other engines, a slow reference, identities, invariances, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import event_study, wald
from pipeline.econometrics.sun_abraham import sun_abraham
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import slow_crv1, slow_fit
from tests.econometrics.staggered_panels import (
    COUNTIES,
    DIFF_DIFF,
    KEYS,
    STATES,
    STATSPAI,
    castle,
    minimum_wage,
    rows,
    shifted,
    shuffled,
    simulated,
)


def cell_dummies(panel):
    """Cohort × event-time dummies by a loop, with their cohort and event time."""
    since = panel["year"] - panel["cohort"]
    cells = sorted({(g, e) for g, e in zip(panel["cohort"], since, strict=True) if not np.isnan(g) and e != -1})
    names = [f"c{g:g}e{e:g}" for g, e in cells]
    frame = panel.assign(
        **{n: ((panel["cohort"] == g) & (since == e)).astype(float) for n, (g, e) in zip(names, cells, strict=True)}
    )
    return frame, names, np.array(cells)


def shares(panel, cells, chosen):
    """Weights of the chosen cells by their number of rows."""
    counts = [((panel["cohort"] == g) & (panel["year"] - panel["cohort"] == e)).sum() for g, e in cells]
    weights = np.where(chosen, counts, 0.0)
    return weights / weights.sum()


def test_castle_doctrine(evidence):
    result = sun_abraham(castle(), "l_homicide", **STATES)
    source = f"R fixest 0.14.0 sunab, agg = 'att', {STATSPAI}"
    got = [result.att, result.std_error]
    evidence(sun_abraham, source, "castle, 50 states", got, [0.110383028367, 0.0413168895], "external", 7)
    assert (result.df, result.n_obs, result.n_units, result.n_treated, result.n_clusters) == (49, 550, 50, 21, 50)
    weighted = sun_abraham(castle(), "l_homicide", **STATES, weights="popwt")
    evidence(sun_abraham, source, "castle, popwt", weighted.std_error, 0.0257587248, "external", 6)


def test_castle_event_times(evidence):
    result = sun_abraham(castle(), "l_homicide", **STATES)
    expected = [
        [0.0972153506863711, 0.04037879135047187],
        [0.1115491070262731, 0.04640699660282013],
        [0.1115661513137929, 0.06026579903325973],
        [0.1368253926475105, 0.06118068584994101],
        [0.09258657873152698, 0.0573527610521688],
    ]
    source = f"Stata 18 jwdid v2.2, never, estat event (the same regression), {STATSPAI}"
    evidence(sun_abraham, source, "castle, 50 states", rows(result, times=range(5)), expected, "external", 6)
    assert result.table["event_time"].tolist() == list(range(-9, 6))


def test_minimum_wage_cells(evidence):
    result = sun_abraham(minimum_wage(), "lemp", **COUNTIES, aggregate="cells")
    expected = [
        [-0.01050324622095701, 0.023349189673294385],
        [-0.070423158103148337, 0.031115567690950852],
        [-0.13725873888941312, 0.036589475963765966],
        [-0.100811363085407, 0.034504271910207822],
        [-0.0037692936737138269, 0.031474336697626552],
        [0.0027508187505188874, 0.019641126706453155],
        [-0.0045946069528630213, 0.017830149500418953],
        [-0.041224471546218548, 0.020314577368354389],
        [0.0033063566925126296, 0.024555095531863514],
        [0.033813012275805458, 0.02121837087758589],
        [0.031087119389688365, 0.017952980500827595],
        [-0.026054410719196439, 0.016725745592717861],
    ]
    source = f"Stata 19 jwdid 2.21, never (the same regression), {DIFF_DIFF}/etwfe_cs_stata_golden.json"
    evidence(sun_abraham, source, "mpdta, 500 counties", rows(result), expected, "external", 8)
    assert result.table["cohort"].tolist() == [2004] * 4 + [2006] * 4 + [2007] * 4


def test_agrees_with_diff_diff(evidence):
    from diff_diff import SunAbraham

    panel = simulated(1)
    other = SunAbraham(cluster="unit").fit(
        panel.assign(first=panel["cohort"].fillna(0)), outcome="y", unit="unit", time="year", first_treat="first"
    )
    result = sun_abraham(panel, "y", **KEYS)
    effects = other.event_study_effects
    times = sorted(e for e in effects if e != -1)
    expected = [[effects[e]["effect"], effects[e]["se"]] for e in times]
    got = rows(result, times=times)
    evidence(sun_abraham, "diff-diff 3.13 SunAbraham", "simulated 30 × 10", got, expected, "external", 7)


def test_agrees_with_pyfixest(evidence):
    panel = simulated(2, drop=11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # beta, and deprecated pandas keywords
        import pyfixest as pf

        frame = panel.assign(first=panel["cohort"].fillna(0), number=panel["unit"].str[1:].astype(int))
        other = pf.event_study(frame, "y", "number", "year", "first", estimator="saturated", cluster="number")
        expected = other.aggregate()["Estimate"].astype(float)
    result = sun_abraham(panel, "y", **KEYS).table.set_index("event_time")["estimate"]
    after = [e for e in expected.index if e >= 0]  # before treatment it weighs cohorts otherwise
    source = "pyfixest 0.60 event_study, saturated, aggregate"
    evidence(sun_abraham, source, "simulated, unbalanced", result.loc[after], expected.loc[after], "external", 8)


@pytest.mark.parametrize("aggregate", ["dynamic", "simple", "group", "calendar"])
def test_equals_averages_of_a_regression_on_dummies(aggregate, evidence):
    panel = simulated(3, drop=9)
    frame, names, cells = cell_dummies(panel)
    b, v = slow_crv1(frame, [*names, "z"], (("unit",), ("year",)), ["x"])
    since, after = cells[:, 1], cells[:, 1] >= 0
    chosen = {
        "dynamic": [since == e for e in np.unique(since)],
        "simple": [after],
        "group": [after & (cells[:, 0] == g) for g in (5, 8)],
        "calendar": [after & (cells.sum(axis=1) == t) for t in range(5, 11)],
    }[aggregate]
    weights = np.array([np.append(shares(panel, cells, c), 0) for c in [*chosen, after]])
    expected = np.column_stack([weights @ b, np.sqrt(np.diag(weights @ v @ weights.T))])
    options = {"controls": ["z"], "by_time": ["x"], "cluster": "cluster", "aggregate": aggregate}
    result = sun_abraham(panel, "y", **KEYS, **options)
    table = result.table[result.table["std_error"].notna() & (result.table["term"] != "z")]
    got = np.vstack([table[["estimate", "std_error"]].to_numpy(float), [result.att, result.std_error]])
    source = "averages of a regression on dummies, CRV1 by a loop"
    evidence(sun_abraham, source, f"simulated, unbalanced, {aggregate}", got, expected, "identity", 7)
    assert result.table["term"].iloc[-1] == "z"
    np.testing.assert_allclose(result.table.iloc[-1]["estimate"], b[-1], rtol=1e-8)


def test_jackknife_holds_the_shares(evidence):
    panel = simulated(4)
    frame, names, cells = cell_dummies(panel)
    weights = shares(panel, cells, cells[:, 1] >= 0)
    b = weights @ slow_fit(frame, names, (("unit",), ("year",)))[0]
    without = np.array(
        [
            weights @ slow_fit(frame[frame["unit"] != u], names, (("unit",), ("year",)))[0]
            for u in panel["unit"].unique()
        ]
    )
    expected = [b, np.sqrt(29 / 30 * np.sum((without - b) ** 2))]
    result = sun_abraham(panel, "y", **KEYS, covariance="CRV3")
    got = [result.att, result.std_error]
    evidence(sun_abraham, "cluster jackknife by refitting", "simulated 30 × 10", got, expected, "identity", 8)


def test_one_cohort_is_an_event_study(evidence):
    panel = simulated(5, sizes=((6, 12), (None, 15)), drop=8)
    options = {"cluster": "cluster", "controls": ["z"], "reference": -2}
    result, expected = sun_abraham(panel, "y", **KEYS, **options), event_study(panel, "y", **KEYS, **options)
    evidence(sun_abraham, "event_study", "simulated, one cohort", rows(result), rows(expected), "identity", 9)
    simple = sun_abraham(panel, "y", **KEYS, **options, aggregate="simple")
    counts = panel[panel["treated"] == 1].groupby("year").size()
    after = expected.table[expected.table["event_time"] >= 0]["estimate"]
    assert simple.att == pytest.approx(np.average(after, weights=counts), rel=1e-10)
    pd.testing.assert_frame_equal(result.table[["band_low"]], expected.table[["band_low"]], rtol=1e-9)
    assert wald(result, "pre").p_value == pytest.approx(wald(expected, "pre").p_value, rel=1e-8)


def test_headline_does_not_depend_on_the_table():
    panel = simulated(6, drop=5)
    results = [sun_abraham(panel, "y", **KEYS, aggregate=a, bands=False) for a in ("simple", "dynamic", "cells")]
    for other in results[1:]:
        assert (other.att, other.std_error, other.p_value) == (results[0].att, results[0].std_error, results[0].p_value)
    assert results[0].table.loc[0, ["estimate", "std_error"]].tolist() == [results[0].att, results[0].std_error]
    np.testing.assert_allclose(np.sqrt(np.diag(results[2].vcov)), results[2].table["std_error"], rtol=1e-12)


def test_units_treated_throughout_are_left_out_by_name():
    panel = simulated(7)
    always = panel[panel["unit"] == panel["unit"].iloc[-1]].assign(unit="early", cohort=1.0)
    other = sun_abraham(pd.concat([panel, always]), "y", **KEYS)
    assert other.meta["always_treated_left_out"] == "early"
    pd.testing.assert_frame_equal(other.table, sun_abraham(panel, "y", **KEYS).table)


def test_cohorts_after_the_sample_are_controls():
    panel = simulated(8)
    last = panel["unit"].iloc[-1]
    late = panel.assign(cohort=panel["cohort"].where(panel["unit"] != last, 11.0))
    other = sun_abraham(late, "y", **KEYS)
    assert other.meta["treated_after_the_sample"] == last
    pd.testing.assert_frame_equal(other.table, sun_abraham(panel, "y", **KEYS).table)


def test_without_never_treated_the_last_cohort_is_the_control():
    panel = simulated(9, sizes=((4, 8), (6, 9), (9, 10)))
    result = sun_abraham(panel, "y", **KEYS)
    cut = panel[panel["year"] < 9].assign(cohort=panel["cohort"].where(panel["cohort"] < 9))
    pd.testing.assert_frame_equal(result.table, sun_abraham(cut, "y", **KEYS).table)
    assert "last cohort (9)" in result.meta["control"]
    assert (result.n_obs, result.n_treated) == (27 * 8, 17)


def test_cohort_of_one_unit_has_no_variance_of_its_own():
    panel = simulated(10, sizes=((5, 1), (7, 12), (None, 12)))
    result = sun_abraham(panel, "y", **KEYS, aggregate="cells")
    alone = result.table["cohort"] == 5
    assert result.table.loc[alone, "std_error"].isna().all()
    assert result.table.loc[~alone, "std_error"].notna().all()
    assert np.isnan(result.vcov[alone.to_numpy()]).all()
    assert "cohort 5 event time 0" in result.meta["no_variance"]
    assert np.isfinite(result.std_error)
    only = simulated(10, sizes=((5, 1), (None, 12)))
    assert np.isnan(sun_abraham(only, "y", **KEYS).std_error)
    assert np.isnan(sun_abraham(panel, "y", **KEYS, covariance="CRV3").std_error)


@pytest.mark.parametrize(("seed", "scale"), [(1, 1e-6), (2, 3.0), (3, 1e7)])
def test_names_order_shifts_and_scale_do_not_matter(seed, scale):
    panel = simulated(11, drop=7)
    options = {"cluster": "cluster", "bands": False}
    base = rows(sun_abraham(panel, "y", **KEYS, **options))
    np.testing.assert_allclose(rows(sun_abraham(shuffled(panel, seed), "y", **KEYS, **options)), base, rtol=1e-9)
    moved = shifted(panel, seed=seed)
    got = rows(sun_abraham(moved.assign(y=moved["y"] * scale), "y", **KEYS, **options))
    np.testing.assert_allclose(got, base * scale, rtol=1e-7)


def test_the_callers_frame_is_not_touched():
    panel = simulated(12)
    before = panel.copy(deep=True)
    sun_abraham(panel, "y", **KEYS, weights="w")
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"aggregate": "mean"}, "aggregate 'mean' is not one of dynamic"),
        ({}, {"reference": -6}, r"reference event time -6 for cohort 5 \(period -1\)"),
        ({"cohort": np.nan}, {}, "no unit is ever treated"),
        ({"cohort": 6.0}, {}, r"one cohort \(6\) and nobody untreated"),
        ({"cohort": lambda f: f["cohort"].where(f["cohort"].isna(), 1.0)}, {}, "after an untreated period"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        sun_abraham(simulated(13).assign(**change), "y", **KEYS, **keywords)


def test_collinear_columns_are_named():
    panel = simulated(14)
    with pytest.raises(CollinearityError, match=r"control 'copy' .*columns before it"):
        sun_abraham(panel.assign(copy=panel["treated"]), "y", **KEYS, controls=["copy"])
    with pytest.raises(CollinearityError, match=r"'cohort 8 at event time -7' .*by_time \(late\)"):
        sun_abraham(panel.assign(late=(panel["cohort"] == 8).astype(float)), "y", **KEYS, by_time=["late"])
