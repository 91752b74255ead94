"""The triple difference over industries, on a hand-made panel that ordinary least squares can be run on directly."""

from __future__ import annotations

from dataclasses import replace
from math import comb, factorial

import numpy as np
import pandas as pd
import pytest

from pipeline.estimate import industries
from pipeline.estimate.industries import TERM, Triple
from pipeline.specs import Adjustment

CLUSTERS = {"a": "H", "b": "H", "c": "K", "d": "d", "e": "e", "f": "f", "g": "g", "h": "h"}
HUBS = ("a", "b", "c")
INDUSTRIES = [f"i{number}" for number in range(9)]
YEARS = (2019, 2020, 2021, 2022, 2023)
X = Adjustment("x", ("province_code", "year"), "", "", "", "", ("x1", "x2"), (2019, 2020))
NONE = Triple("triple.y.none", "y", "exposure")
WITH_X = replace(NONE, spec_id="triple.y.x", by_time=X.by_time)


@pytest.fixture(scope="module")
def frame(settings):
    rng = np.random.default_rng(3)
    cells = pd.MultiIndex.from_product([CLUSTERS, YEARS], names=["province_code", "year"]).to_frame(index=False)
    rows = cells.assign(
        cluster=cells["province_code"].map(CLUSTERS), hubs=cells["province_code"].isin(HUBS).astype(float)
    )
    rows[["x1", "x2"]] = rng.normal(size=(len(rows), 2))
    values = rows[["province_code", "year"]].merge(pd.DataFrame({"industry": INDUSTRIES}), how="cross")
    values["y"] = rng.normal(size=len(values))
    exposures = pd.DataFrame({"industry": INDUSTRIES, "exposure": rng.normal(size=9)})
    return industries.panel(values, exposures, rows, X, settings)


@pytest.fixture(scope="module")
def used(frame):
    return frame[frame["year"] != 2021].reset_index(drop=True)


def dummies(frame, *pairs):
    labels = [frame[list(pair)].astype(str).agg("|".join, axis=1) for pair in pairs]
    return [pd.get_dummies(label, dtype=float).to_numpy() for label in labels]


def by_ols(used, by_time):
    """The coefficient of Hub × post × exposure with a dummy for every cell of the three pairs of effects."""
    pairs = (("province_code", "industry"), ("industry", "year"), ("province_code", "year"))
    products = [
        (used["year"] == year) * used[name] * used["exposure"] for name in by_time for year in sorted(set(used["year"]))
    ]
    treated = used["hub_post"] * used["exposure"]
    regressors = np.column_stack([treated, *dummies(used, *pairs), *products])
    return np.linalg.lstsq(regressors, used["y"].to_numpy(), rcond=None)[0][0]


def test_the_panel_has_hub_status_cohort_and_standardised_x(frame):
    assert len(frame) == 8 * 9 * 5
    assert set(frame.loc[frame["hub_post"] == 1, "province_code"]) == set(HUBS)
    assert set(frame.loc[frame["hub_post"] == 1, "year"]) == {2022, 2023}
    assert set(frame.groupby("hubs")["cohort"].first()) == {np.inf, 2022.0}
    means = frame.groupby("province_code")["x1"].first()
    assert means.mean() == pytest.approx(0, abs=1e-12) and means.std(ddof=1) == pytest.approx(1)


@pytest.mark.parametrize("triple", [NONE, WITH_X], ids=["none", "x"])
def test_it_is_least_squares_on_all_pairs_of_effects(used, settings, triple):
    table, tests = industries.estimate(triple, used, settings, seed=1)
    (row,) = table.to_dict("records")
    assert row["estimate"] == pytest.approx(by_ols(used, triple.by_time), abs=1e-10)
    assert (row["term"], row["n_clusters"], row["n_treated_clusters"], row["df"]) == (TERM, 7, 2, 6)
    assert row["sample"] == "2019, 2020, 2022, 2023"
    assert [test["method"] for test in tests] == ["crv1"]
    assert tests[0]["estimate"] / tests[0]["statistic"] == pytest.approx(row["std_error_crv1"])


@pytest.mark.parametrize("triple", [NONE, WITH_X], ids=["none", "x"])
def test_the_industries_one_by_one_make_up_the_triple_difference(used, settings, triple):
    table = industries.gradient(triple, used, settings).set_index("term")["estimate"]
    assert list(table.index) == INDUSTRIES
    assert table.sum() == pytest.approx(0, abs=1e-10)
    exposure = used.groupby("industry")["exposure"].first()
    line = np.polyfit(exposure, table.loc[exposure.index], 1)[0]
    assert line == pytest.approx(by_ols(used, triple.by_time), abs=1e-10)


def test_all_orders_of_the_exposures_and_all_hubs_are_tried(used, settings):
    found = industries.resampled(NONE, used, replace(settings, wild_draws=99), seed=1)
    exposures, hubs = found["permutation_exposure"], found["randomization_hub"]
    assert (exposures.draws, exposures.exact) == (factorial(9), True)
    assert (hubs.draws, hubs.exact) == (comb(7, 2), True)
    assert found["wild_webb"].draws == 99
    for result in found.values():
        assert result.estimate == pytest.approx(by_ols(used, ()), abs=1e-9)


def test_the_share_of_exposure_orders_is_that_of_regressions(used, settings):
    """A random sample of orders, each regressed, has the enumerated share of larger coefficients up to noise."""
    exact = industries.resampled(NONE, used, replace(settings, wild_draws=9), seed=1)["permutation_exposure"].p_value
    gaps = industries.gradient(NONE, used, settings).set_index("term")["estimate"].loc[INDUSTRIES].to_numpy()
    exposure = used.groupby("industry")["exposure"].first().loc[INDUSTRIES].to_numpy()
    rng, centred = np.random.default_rng(4), exposure - exposure.mean()
    drawn = np.array([rng.permutation(centred) @ gaps for _ in range(4_000)])
    share = np.mean(np.abs(drawn) >= abs(centred @ gaps))
    assert abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / 4_000)


def test_the_event_study_tests_the_years_before_the_reference(frame, settings):
    table, tests = industries.event_study(NONE, frame, settings)
    by_time = table.set_index("event_time")["estimate"]
    assert list(by_time.index) == [-3, -2, -1, 0, 1]
    assert by_time[-2] == 0
    (test,) = tests
    assert (test["term"], test["method"], test["df1"], test["df2"]) == ("pre", "joint", 1, 6)


def test_employment_in_three_groups_adds_up():
    rows = pd.DataFrame(
        {
            "province_code": ["a", "b"],
            "year": 2020,
            "it_employment": [2.0, np.nan],
            "manufacturing_employment": [3.0, 3.0],
            "urban_employment": [10.0, 10.0],
        }
    )
    found = industries.employment(rows).set_index("industry")["ln_employment"]
    np.testing.assert_allclose(np.exp(found.loc[["it_services", "manufacturing", "rest"]]), [2, 3, 5])
    assert len(found) == 3
