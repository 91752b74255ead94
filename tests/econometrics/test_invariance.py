"""What must not change a result: names, order, units of measurement, constants; and the caller's frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import econometrics
from pipeline.econometrics import event_study, randomization_test, two_way_fe, wild_cluster_bootstrap
from tests.econometrics.panels import provinces, small

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}
SEEDS = st.integers(0, 2**32 - 1)


def crv(panel, kind="CRV3"):
    result = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], by_time=["x1"], covariance=kind)
    return np.array([result.att, result.std_error])


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_order_of_rows_changes_nothing_at_all(seed):
    panel = provinces(1, drop=5)
    order = np.random.default_rng(seed).permutation(len(panel))
    np.testing.assert_array_equal(crv(panel.iloc[order]), crv(panel))


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_names_of_units_and_clusters_do_not_matter(seed):
    panel, rng = provinces(2, drop=5), np.random.default_rng(seed)
    renamed = panel.copy()
    for column in ("unit", "cluster"):
        labels = panel[column].unique()
        renamed[column] = panel[column].map(dict(zip(labels, rng.permutation(1000)[: len(labels)], strict=True)))
    np.testing.assert_allclose(crv(renamed), crv(panel), rtol=1e-10)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-6, 0.5, 3.0, 1e8]))
def test_scale_and_shifts_of_the_outcome(seed, scale):
    panel, rng = provinces(3, drop=5), np.random.default_rng(seed)
    unit = panel["unit"].map(dict(zip(panel["unit"].unique(), rng.normal(0, 10, 31), strict=True)))
    year = panel["year"].map(dict(zip(panel["year"].unique(), rng.normal(0, 10, 9), strict=True)))
    moved = panel.assign(y=(panel["y"] + unit + year + panel["x1"] * year) * scale)
    np.testing.assert_allclose(crv(moved), crv(panel) * scale, rtol=1e-9)


@settings(max_examples=5, deadline=None)
@given(scale=st.sampled_from([1e-7, 1e-3, 1e6]), shift=st.sampled_from([-100.0, 0.0, 1e4]))
def test_units_of_the_covariates(scale, shift):
    panel = provinces(4, drop=5)
    moved = panel.assign(x1=panel["x1"] * scale + shift * scale, z=panel["z"] * scale)
    np.testing.assert_allclose(crv(moved), crv(panel), rtol=1e-8)


def test_constant_weights_are_no_weights():
    panel = provinces(5, drop=5).assign(same=7.0)
    for kind in ("CRV1", "CRV3", "CR2", "HC1", "iid"):
        plain = two_way_fe(panel, "y", "treated", **KEYS, covariance=kind)
        weighted = two_way_fe(panel, "y", "treated", **KEYS, covariance=kind, weights="same")
        assert (weighted.att, weighted.std_error) == pytest.approx((plain.att, plain.std_error), rel=1e-10)


def test_shifted_periods_change_nothing():
    panel = provinces(6)
    later = panel.assign(year=panel["year"] + 100, cohort=panel["cohort"] + 100)
    a, b = (event_study(p, "y", **KEYS, cohort="cohort", reference=-2) for p in (panel, later))
    pd.testing.assert_frame_equal(a.table, b.table)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_inference_by_resampling_does_not_hang_on_row_order(seed):
    panel = small(7, drop=3)
    mixed = panel.iloc[np.random.default_rng(seed).permutation(len(panel))]
    for method in (wild_cluster_bootstrap, randomization_test):
        a, b = (method(p, "y", "treated", **KEYS, controls=["z"], draws=50, seed=3) for p in (panel, mixed))
        assert (a.p_value, a.statistic) == (b.p_value, b.statistic)


def test_randomisation_does_not_hang_on_the_scale_of_the_outcome():
    panel = small(8, drop=3)
    run = {"controls": ["z"], "draws": None, "seed": 0, "interval": True}
    a = randomization_test(panel, "y", "treated", **KEYS, **run)
    b = randomization_test(panel.assign(y=panel["y"] * 1000 + 5), "y", "treated", **KEYS, **run)
    assert a.p_value == b.p_value
    np.testing.assert_allclose(np.array(b.ci), np.array(a.ci) * 1000, rtol=1e-6)


def test_the_callers_frame_is_not_touched():
    panel = provinces(9, drop=3)
    panel.loc[4, "y"] = np.nan
    before = panel.copy(deep=True)
    two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], by_time=["x1"], weights="w")
    event_study(panel, "y", **KEYS, cohort="cohort", reference=-2)
    wild_cluster_bootstrap(panel, "y", "treated", **KEYS, draws=9, seed=0)
    randomization_test(panel, "y", "treated", **KEYS, draws=9, seed=0)
    pd.testing.assert_frame_equal(panel, before)


def test_exports():
    assert econometrics.__all__ == [
        "Estimate",
        "TestResult",
        "event_study",
        "least_squares",
        "minimum_detectable_effect",
        "power",
        "randomization_test",
        "two_way_fe",
        "wald",
        "wild_cluster_bootstrap",
    ]
    assert all(callable(getattr(econometrics, name)) for name in econometrics.__all__)
