"""Samples: what stands in an equation's rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.estimate import samples
from pipeline.specs import Adjustment


@pytest.fixture
def rows():
    panel = pd.DataFrame(
        {"province_code": list("aabbcc"), "year": [2020, 2022] * 3, "gdp": [1.0, 9.0, 2.0, 9.0, 6.0, 9.0], "pop": 1.0}
    )
    indices = pd.DataFrame(
        {"province_code": list("aabbc"), "year": [2020, 2022, 2020, 2022, 2020], "y": [1.0, 2, 3, 5, 8]}
    )
    units = pd.DataFrame(
        {
            "province_code": list("abc"),
            "hub": ["H", "", ""],
            "role": ["demand", "", ""],
            "cluster": ["H", "b", "c"],
            "region": ["east", "west", "west"],
            "host": [True, False, False],
            "bigdata_zone": pd.array([2016, None, None], dtype="Int64"),
            "ai_zone": pd.array([None, 2019, None], dtype="Int64"),
            "latitude": 30.0,
            "longitude": 110.0,
        }
    )
    links = pd.DataFrame({"kind": "adjacency", "source": ["a", "b"], "target": ["b", "c"]})
    return samples.merge(panel, indices, units, links)


def adjustment(by_time=(), years=()):
    return Adjustment("a", ("province_code", "year"), "", "", "", "", by_time, years)


def test_attributes_of_the_provinces(rows):
    by_province = rows.groupby("province_code").first()
    assert by_province["neighbour_hubs"].tolist() == [0.0, 0.5, 0.0]
    assert by_province["has_bigdata_zone"].tolist() == [1.0, 0.0, 0.0]
    assert by_province["has_ai_zone"].tolist() == [0.0, 1.0, 0.0]
    assert by_province["hosts"].tolist() == [1.0, 0.0, 0.0]


def test_hub_status_comes_from_the_registry(rows):
    assert rows.groupby("province_code")["hubs"].first().to_dict() == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_a_missing_outcome_leaves_only_that_row_out(rows):
    got = samples.build(rows, "y", (2020, 2022), adjustment())
    assert len(got) == 5
    assert got[got["province_code"] == "c"]["year"].tolist() == [2020]


def test_covariates_are_standardised_over_provinces(rows):
    got = samples.standardised_means(rows, ("gdp",), (2020,))["gdp"]
    np.testing.assert_allclose(got, (np.array([1, 2, 6]) - 3) / np.sqrt(7))
    built = samples.build(rows, "y", (2020, 2022), adjustment(("gdp",), (2020,)))
    assert built.groupby("province_code")["gdp"].nunique().eq(1).all()


def test_treatment_by_first_year_and_by_one_year(rows):
    sample = samples.build(rows, "y", (2020, 2022), adjustment())
    assert samples.treated(sample, first=2022).tolist() == [0, 1, 0, 0, 0]
    assert samples.treated(sample, only=2020).tolist() == [1, 0, 0, 0, 0]


def test_pre_period_moments_count_each_province_once(rows):
    sample = samples.build(rows, "y", (2020, 2022), adjustment())
    mean, sd = samples.pre_period(sample, "y", 2020)
    assert (mean, sd) == (4.0, pytest.approx(np.std([1, 3, 8], ddof=1)))


def test_a_province_without_attributes_is_no_part_of_the_sample(rows):
    assert set(rows["province_code"]) == {"a", "b", "c"}


def test_the_inputs_are_not_changed(rows):
    before = rows.copy()
    samples.build(rows, "y", (2020, 2022), adjustment(("gdp",), (2020,)))
    pd.testing.assert_frame_equal(rows, before)
