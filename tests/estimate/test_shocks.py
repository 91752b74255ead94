"""The auxiliary programmes: estimators that agree where theory says so, decompositions that add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline import specs
from pipeline.estimate import shocks
from pipeline.specs import Shock

SHOCKS = {shock.id: shock for shock in specs.models().shocks}
OUTCOMES = ("chain_ln", "ln_it_employment")


@pytest.fixture(scope="module")
def effect(real_rows, settings):
    """Return a function that gives the average effect by one estimator."""

    def by(name, shock_id, outcome):
        shock = SHOCKS[shock_id]
        table, reasons = shocks.pooled(name, shock, shocks.frame_of(shock, real_rows, outcome), outcome, settings)
        assert reasons == [] and len(table) == 1
        return table.iloc[0]

    return by


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_with_one_cohort_all_residual_makers_are_one(effect, outcome):
    """On a balanced panel with one cohort TWFE = BJS = ETWFE = Gardner: the difference of mean changes."""
    found = {
        name: effect(name, "bigdata_zone", outcome) for name in ("twfe", "imputation", "extended_twfe", "two_stage")
    }
    for row in found.values():
        assert row["estimate"] == pytest.approx(found["twfe"]["estimate"], abs=1e-8)
        assert (row["n_obs"], row["n_units"], row["n_treated"]) == (248, 31, 10)
    assert found["twfe"]["covariance"].startswith("CRV3")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_it_is_the_difference_of_mean_changes(real_rows, effect, outcome):
    frame = shocks.frame_of(SHOCKS["bigdata_zone"], real_rows, outcome)
    wide = frame.pivot(index="province_code", columns="year", values=outcome)
    change = wide.loc[:, wide.columns >= 2016].mean(axis=1) - wide.loc[:, wide.columns < 2016].mean(axis=1)
    zone = np.isfinite(frame.groupby("province_code")["cohort"].first())
    gap = change[zone].mean() - change[~zone].mean()
    assert effect("twfe", "bigdata_zone", outcome)["estimate"] == pytest.approx(gap, abs=1e-10)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("shock", SHOCKS)
def test_callaway_santanna_is_sun_abraham_against_the_never_treated(effect, shock, outcome):
    first = effect("callaway_santanna_never", shock, outcome)
    second = effect("sun_abraham", shock, outcome)
    assert first["estimate"] == pytest.approx(second["estimate"], abs=1e-8)
    assert first["std_error"] == pytest.approx(second["std_error"], rel=0.1)


def test_with_one_cohort_the_not_yet_treated_are_the_never_treated(effect):
    for name in ("callaway_santanna_not_yet", "stacked", "local_projections"):
        other = effect("callaway_santanna_never", "bigdata_zone", "chain_ln")["estimate"]
        assert effect(name, "bigdata_zone", "chain_ln")["estimate"] == pytest.approx(other, abs=1e-8)


@pytest.mark.parametrize("shock", SHOCKS)
def test_the_bacon_weights_sum_to_one_and_make_up_twfe(real_rows, effect, shock):
    frame = shocks.frame_of(SHOCKS[shock], real_rows, "chain_ln")
    view = shocks.decompositions(SHOCKS[shock], frame, "chain_ln").set_index(["row", "column"])["value"].unstack()
    parts = view.drop(index="weights")
    assert parts["weight"].sum() == pytest.approx(1)
    assert parts["weight"] @ parts["estimate"] == pytest.approx(effect("twfe", shock, "chain_ln")["estimate"], abs=1e-8)
    assert view.loc["weights", "cells"] == np.sum(frame["year"] >= frame["cohort"])
    assert len(parts) == {"ai_zone": 3, "bigdata_zone": 1}[shock]


def test_cohorts_count_every_province_once(real_rows):
    found = {}
    for name, shock in SHOCKS.items():
        view = shocks.cohorts(shock, shocks.frame_of(shock, real_rows, "chain_ln"))
        found[name] = dict(zip(view["row"], view["value"], strict=True))
    assert found["bigdata_zone"] == {"2016": 10, "never": 21}
    assert found["ai_zone"] == {"2019": 6, "2020": 5, "2021": 5, "never": 15}


def test_a_cohort_after_the_sample_is_never_treated(real_rows):
    early = replace(SHOCKS["ai_zone"], years=(2013, 2014, 2015, 2016, 2018, 2019))
    first = shocks.frame_of(early, real_rows, "chain_ln").groupby("province_code")["cohort"].first()
    assert set(first) == {2019.0, np.inf}
    assert np.isinf(first).sum() == 25


def test_an_estimator_that_cannot_be_had_has_a_row_with_its_reason(settings):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame([(u, y) for u in "abcd" for y in range(2010, 2016)], columns=["province_code", "year"])
    frame["cohort"] = frame["province_code"].map({"a": 2012.0, "b": 2012.0, "c": 2014.0, "d": 2014.0})
    frame["y"] = rng.normal(size=len(frame))
    shock = Shock("zone", "", "", "zone", tuple(range(2010, 2016)), ("y",))
    table, (row,) = shocks.pooled("callaway_santanna_never", shock, frame, "y", settings)
    assert table is None
    assert (row["spec_id"], row["term"]) == ("zone_callaway_santanna_never.y.none", "zone")
    assert "never" in row["reason"]
    assert np.isnan(row["p_value"])
