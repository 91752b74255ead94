"""Descriptive views on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.estimate import describe


@pytest.fixture
def rows():
    return pd.DataFrame(
        {
            "province_code": list("aabbccdd"),
            "year": [2019, 2020] * 4,
            "hubs": [1.0] * 4 + [0.0] * 4,
            "role": ["demand"] * 2 + ["supply"] * 2 + [""] * 4,
            "y": [1.0, 3, 5, 7, 1, 1, 3, np.nan],
        }
    )


def cell(view, row, column, field="value"):
    return view.set_index(["row", "column"]).loc[(row, column), field]


def test_descriptives_count_province_years(rows):
    view = describe.descriptives(rows, ["y"], [2019, 2020])
    assert cell(view, "y", "n") == 7
    assert cell(view, "y", "mean") == 3
    assert cell(view, "y", "max") == 7
    assert cell(view, "y", "sd") == pytest.approx(np.std([1, 3, 5, 7, 1, 1, 3], ddof=1))


def test_balance_counts_each_province_once(rows):
    view = describe.balance(rows, ["y"], [2019, 2020], own_years={})
    assert cell(view, "y", "mean_hub") == 4  # (2 + 6) / 2
    assert cell(view, "y", "mean_control") == 2  # (1 + 3) / 2
    assert cell(view, "y", "n_hub") == 2
    assert cell(view, "y", "normalised_difference") == pytest.approx(2 / np.sqrt((8 + 2) / 2))


def test_balance_uses_a_variable_s_own_years(rows):
    view = describe.balance(rows, ["y"], [2019, 2020], own_years={"y": [2019]})
    assert cell(view, "y", "mean_hub") == 3


def test_trends_are_unweighted_means_and_quartiles(rows):
    view = describe.trends(rows, "y")
    assert cell(view, "hub", "2019") == 3
    assert cell(view, "control", "2020") == 1
    assert cell(view, "hub", "2020", "low") == 4  # quartile of 3 and 7
    assert cell(view, "demand", "2020") == 3
    assert set(view["x"]) == {2019.0, 2020.0}


def test_hub_map_names_hosts_by_their_prefecture_codes():
    units = pd.DataFrame(
        {
            "province_code": ["310000", "320000", "420000"],
            "name_zh": ["上海", "江苏", "湖北"],
            "name_en": ["Shanghai", "Jiangsu", "Hubei"],
            "hub": ["YRD", "YRD", ""],
            "role": ["demand", "demand", ""],
        }
    )
    clusters = pd.DataFrame({"row": ["YRDGI"], "column": ["host_codes"], "text": ["310000;320500"]})
    links = pd.DataFrame({"kind": ["service", "adjacency"], "source": ["NM", "310000"], "target": ["YRD", "320000"]})
    view = describe.hub_map(units, links, clusters)
    assert cell(view, "320000", "clusters", "text") == "YRDGI"
    assert cell(view, "420000", "group", "text") == "control"
    assert cell(view, "420000", "clusters", "text") == ""
    assert set(view[view["view_id"] == "hub_links"]["row"]) == {"NM|YRD"}
