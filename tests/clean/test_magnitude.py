"""A figure in a wrong unit is told from its neighbours; growth, shifts within reason and zeros are not."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.clean.magnitude import likely_unit, out_of_line


def series(values, max_jump=50.0, first=2010):
    years = range(first, first + len(values))
    return pd.DataFrame({"variable": "v", "province_code": "p", "year": years, "value": values, "max_jump": max_jump})


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.0, 2.0, 3.0, 4.0], []),
        ([1.0, 49.0, 1.0, 2.0], []),
        ([1.0, 51.0, 1.0, 2.0], [1]),
        ([1.0, 0.01, 1.0, 2.0], [1]),
        ([1e4, 1.0, 1.0], [0]),
        ([1.0, 1.0, 1e4], [2]),
        ([1.0, 1.0, 1e4, 1e4, 1e4], [2]),
        ([1.0, 1e4], [1]),
        ([1.0, 0.0, 1.0], []),
        ([-1.0, 1.0, -1e4, 1.0], [2]),
        ([1.0, 40.0, 1600.0], []),
    ],
)
def test_hand_computed_series(values, found):
    assert out_of_line(series(values)).index.tolist() == found


def test_comparison_names_the_nearest_year():
    got = out_of_line(series([1e4, 2.0, 4.0, 4e-4]))
    assert got.to_dict("index") == {
        0: {"near_year": 2011.0, "near_value": 2.0, "factor": 5000.0},
        3: {"near_year": 2012.0, "near_value": 4.0, "factor": 1e-4},
    }


def test_series_are_kept_apart_and_order_of_rows_does_not_matter():
    one = series([1.0, 1e4, 1.0])
    two = series([1e4, 1e4, 1e4]).assign(province_code="q")
    both = pd.concat([one, two], ignore_index=True).sample(frac=1, random_state=1)
    assert out_of_line(both).index.tolist() == [1]


def test_a_variable_sets_its_own_limit_or_none():
    assert out_of_line(series([1.0, 1e3, 1.0], max_jump=2000.0)).empty
    assert out_of_line(series([1.0, 1e6, 1.0], max_jump=float("nan"))).empty


@pytest.mark.parametrize(
    ("unit", "factor", "likely"),
    [
        ("1e8 CNY", 9e3, "1e4 CNY"),
        ("1e8 CNY", 1.2e8, "CNY"),
        ("1e8 CNY", 1e-4, "1e12 CNY"),
        ("1e4 persons", 1.1e4, "persons"),
        ("persons", 0.9e-4, "1e4 persons"),
        ("km", 1e3, "another unit"),
        ("%", 0.0101, "a fraction, not percent"),
        ("%", 1e4, "another unit"),
    ],
)
def test_likely_unit(unit, factor, likely):
    assert likely_unit(unit, factor) == likely
