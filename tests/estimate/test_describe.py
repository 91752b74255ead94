"""Descriptive views on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.estimate import describe
from pipeline.specs import Adjustment, Model, Sample


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


ENTRY = {
    "id": "weights",
    "date": "2026-01-02",
    **{part: {"zh": f"{part}中", "en": f"{part} in English"} for part in ("what", "why", "effect")},
}


def test_deviations_are_told_in_their_order():
    view = describe.deviations([ENTRY, ENTRY | {"id": "another"}])
    assert cell(view, "weights", "order") == 1
    assert cell(view, "another", "order") == 2
    assert cell(view, "weights", "why_en", "text") == "why in English"
    assert cell(view, "another", "date", "text") == "2026-01-02"
    assert set(view["view_id"]) == {"deviations"}


def test_without_deviations_the_view_says_so():
    view = describe.deviations([])
    assert set(view["row"]) == {"none"}
    assert cell(view, "none", "what_en", "text") == "None declared."
    assert cell(view, "none", "what_zh", "text") == "未申报任何偏离。"
    assert cell(view, "none", "kind", "text") == "declared"


@pytest.fixture
def hubs_and_others():
    rows = pd.DataFrame([(p, y) for p in "abc" for y in range(2019, 2024)], columns=["province_code", "year"])
    rows["hubs"] = (rows["province_code"] != "c").astype(float)
    rows["cluster"], rows["name_zh"], rows["name_en"] = rows["province_code"], "省", rows["province_code"].str.upper()
    return rows.assign(y=1.0)


def equation(**sample):
    years = Sample("s", "", "", years=(2019, 2020, 2021, 2022, 2023), **sample)
    adjustment = Adjustment("none", ("province_code", "year"), "", "", "", "")
    return Model("m.y.none", "m", "two_way_fe", "y", ("hub_post",), adjustment, years, ())


def lost(rows, *equations):
    dates = {"event_year": 2022, "reference_year": 2020, "announcement_year": 2021}
    view = describe.lost_hub_cells(rows, equations, {"y": {"zh": "结果", "en": "outcome"}}, dates)
    return view, set(view.loc[view["column"] == "kind", "row"])


def test_a_lost_hub_cell_is_named(hubs_and_others):
    rows = hubs_and_others
    for place, year in (("a", 2019), ("a", 2021), ("b", 2022), ("c", 2022)):  # before, announcement, lost, no hub
        rows.loc[(rows["province_code"] == place) & (rows["year"] == year), "y"] = np.nan
    view, named = lost(rows, equation(), equation())
    assert named == {"y|b|2022"}
    assert cell(view, "y|b|2022", "what_en", "text") == "B 2022: outcome"
    assert cell(view, "y|b|2022", "what_zh", "text") == "省 2022：结果"
    assert cell(view, "cells", "lost") == 1
    assert cell(view, "cells", "equations") == 2


def test_a_province_that_a_sample_leaves_out_is_not_lost(hubs_and_others):
    rows = hubs_and_others
    rows.loc[(rows["province_code"] == "b") & (rows["year"] == 2020), "y"] = np.nan
    assert lost(rows, equation(without=("b",)))[1] == {"no_cell"}
    assert lost(rows, equation(without=("a",)))[1] == {"y|b|2020"}
    view, named = lost(rows, equation(controls=True))
    assert named == {"no_cell"}
    assert cell(view, "no_cell", "what_en", "text") == "No hub province-year is missing."
