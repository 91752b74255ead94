"""Event study: coefficients, reference, bands, average, several cohorts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import event_study, two_way_fe, wald
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import YEARS, provinces, slow_crv1

KEYS = {"unit": "unit", "time": "year", "cohort": "cohort"}
WITH_2021 = (*YEARS[:7], 2021, *YEARS[7:])


def dummies(panel, times):
    names = [f"e{t}" for t in times]
    return panel.assign(**{f"e{t}": ((panel["year"] - panel["cohort"]) == t).astype(float) for t in times}), names


def test_equals_a_regression_on_dummies(evidence):
    panel = provinces(1, drop=6)
    result = event_study(panel, "y", **KEYS, reference=-2, by_time=["x1"], cluster="cluster", term="hub")
    times = [-9, -8, -7, -6, -4, -3, 0, 1]
    frame, names = dummies(panel, times)
    b, v = slow_crv1(frame, names, (("unit",), ("year",)), ["x1"])
    rows = result.table["event_time"] != -2
    got = np.column_stack([result.table.loc[rows, "estimate"], result.table.loc[rows, "std_error"]])
    expected = np.column_stack([b, np.sqrt(np.diag(v))])
    evidence(
        event_study,
        "regression on dummies, CRV1 by a loop",
        "simulated 31 × 9, unbalanced",
        got,
        expected,
        "identity",
        8,
    )
    assert result.table["event_time"].tolist() == [-9, -8, -7, -6, -4, -3, -2, 0, 1]
    assert set(result.table["term"]) == {"hub"}


def test_balanced_coefficients_are_differences_of_mean_changes(evidence):
    panel = provinces(2, effect=0.4)
    result = event_study(panel, "y", **KEYS, reference=-2)
    wide = panel.pivot_table(index="unit", columns="year", values="y")
    hub = panel.groupby("unit")["hub"].first() == 1
    change = wide.sub(wide[2020], axis=0)
    expected = (change[hub].mean() - change[~hub].mean()).to_numpy()
    got = result.table["estimate"].to_numpy()
    evidence(
        event_study,
        "differences of mean changes since the reference",
        "simulated 31 × 9",
        got,
        expected,
        "identity",
        10,
    )
    assert result.att == pytest.approx(expected[-2:].mean(), abs=1e-12)


def test_reference_row_is_zero_without_standard_error():
    result = event_study(provinces(3), "y", **KEYS, reference=-2, controls=["z"], cluster="cluster", covariance="CRV3")
    row = result.table[result.table["event_time"] == -2].iloc[0]
    assert row["estimate"] == 0
    assert np.isnan(row[["std_error", "ci_low", "band_low", "p_value"]].to_numpy(float)).all()
    at = result.table.index[result.table["event_time"] == -2][0]
    assert not result.vcov[at].any()
    assert result.vcov.shape == (len(result.table),) * 2
    np.testing.assert_allclose(np.sqrt(np.diag(result.vcov)), result.table["std_error"].fillna(0), rtol=1e-12)
    assert result.table["term"].iloc[-1] == "z"


def test_average_of_post_coefficients_has_the_standard_error_of_that_contrast():
    result = event_study(provinces(4), "y", **KEYS, reference=-2, cluster="cluster", covariance="CRV3")
    post = (result.table["event_time"] >= 0).fillna(False).to_numpy(float)
    contrast = post / post.sum()
    assert result.std_error == pytest.approx(np.sqrt(contrast @ result.vcov @ contrast), rel=1e-12)
    assert (result.n_clusters, result.n_treated_clusters, result.n_treated, result.df) == (25, 8, 14, 24)


def test_excluded_event_time_is_estimated_but_in_no_band_test_or_average():
    panel = provinces(5, years=WITH_2021)
    result = event_study(panel, "y", **KEYS, reference=-2, exclude=(-1,), cluster="cluster", covariance="CRV3")
    row = result.table.set_index("event_time").loc[-1]
    assert np.isfinite(row["std_error"])
    assert np.isnan(row["band_low"])
    assert wald(result, "pre").df == (6.0, 24.0)
    assert wald(result, "pre") == wald(result, [-9, -8, -7, -6, -4, -3])
    others = event_study(panel, "y", **KEYS, reference=-2, exclude=(1,), cluster="cluster")
    assert others.att == pytest.approx(others.table.set_index("event_time").loc[0, "estimate"], abs=1e-14)


def test_bands_are_simultaneous():
    """The share of draws of the multivariate t that stay inside all bands is the level."""
    result = event_study(provinces(6), "y", **KEYS, reference=-2, cluster="cluster", covariance="CRV3", level=0.9)
    rows = result.table["band_low"].notna().to_numpy()
    critical = float(result.meta["band_critical_value"])
    se = result.table.loc[rows, "std_error"].to_numpy()
    np.testing.assert_allclose(
        (result.table.loc[rows, "band_high"] - result.table.loc[rows, "estimate"]) / se, critical, rtol=1e-6
    )
    rng = np.random.default_rng(99)
    draws = rng.multivariate_normal(
        np.zeros(rows.sum()), result.vcov[np.ix_(rows, rows)] / np.outer(se, se), 100_000, method="eigh"
    )
    t = draws / np.sqrt(rng.chisquare(24, 100_000) / 24)[:, None]
    assert np.mean(np.abs(t).max(axis=1) <= critical) == pytest.approx(0.9, abs=0.005)


def test_one_coefficient_has_the_pointwise_band():
    panel = provinces(7, years=(2020, 2022))
    result = event_study(panel, "y", **KEYS, reference=-2)
    assert result.table.loc[1, "band_low"] == pytest.approx(result.table.loc[1, "ci_low"], rel=1e-12)
    twfe = two_way_fe(panel, "y", "treated", unit="unit", time="year")
    assert (result.att, result.std_error) == pytest.approx((twfe.att, twfe.std_error), rel=1e-10)


def test_several_cohorts_share_event_times():
    panel = provinces(8, years=tuple(range(2013, 2024)))
    panel["cohort"] = panel["cohort"].where(panel["cluster"] != "hub0", 2020)
    result = event_study(panel, "y", **KEYS, cluster="cluster")
    times = [t for t in range(-9, 4) if t != -1]
    frame, names = dummies(panel, times)
    b, _ = slow_crv1(frame, names, (("unit",), ("year",)))
    np.testing.assert_allclose(result.table.loc[result.table["event_time"] != -1, "estimate"], b, rtol=1e-8)


def test_infinite_and_missing_cohorts_are_never_treated():
    panel = provinces(9)
    other = panel.assign(cohort=panel["cohort"].fillna(np.inf))
    a, b = (event_study(p, "y", **KEYS, reference=-2) for p in (panel, other))
    assert a.att == b.att
    nullable = panel.assign(cohort=panel["cohort"].astype("Int64"))
    assert event_study(nullable, "y", **KEYS, reference=-2).att == a.att


def test_all_treated_at_once_names_the_collinear_event_time():
    panel = provinces(10)
    with pytest.raises(CollinearityError, match="cohort at event time"):
        event_study(panel[panel["hub"] == 1], "y", **KEYS, reference=-2)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"reference": -5}, r"reference event time -5; there are \[-9, -8"),
        ({"cohort": np.nan}, {}, "no unit is ever treated"),
        ({"cohort": lambda f: f["cohort"].where(f["year"] > 2014)}, {}, "'cohort' changes within 110000, 120000"),
        ({"cohort": "2022"}, {}, "'cohort' is not numeric"),
        ({"year": lambda f: f["year"].astype(str)}, {}, "numeric time column"),
        ({"cohort": lambda f: f["cohort"] - 0.5}, {}, "whole numbers"),
        ({}, {"exclude": (0, 1)}, "no event time ≥ 0 is left"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        event_study(provinces(11).assign(**change), "y", **{**KEYS, "reference": -2, **keywords})


def test_bands_can_be_left_out():
    rows = [(u, t, 3.0 if u < 4 else np.inf) for u in range(12) for t in range(5)]
    panel = pd.DataFrame(rows, columns=["unit", "time", "cohort"])
    panel["y"] = np.random.default_rng(1).normal(size=len(panel))
    keys = {"unit": "unit", "time": "time", "cohort": "cohort"}
    with_bands, without = event_study(panel, "y", **keys), event_study(panel, "y", bands=False, **keys)
    assert without.table["band_low"].isna().all()
    assert with_bands.table["band_low"].notna().any()
    columns = [c for c in without.table if not c.startswith("band")]
    pd.testing.assert_frame_equal(without.table[columns], with_bands.table[columns])
