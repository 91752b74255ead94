"""The registry views hold what the registries say, cell by cell."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.clean import formats, read, registry
from tests.clean.helpers import RAW


@pytest.fixture(scope="module")
def tables():
    policy = RAW / "policy"
    return {
        "hubs": read.table(policy / "hubs.csv", formats.HUBS),
        "clusters": read.table(policy / "clusters.csv", formats.CLUSTERS),
        "provinces": read.table(RAW / "geography" / "provinces.csv", formats.PROVINCES),
        "timeline": read.table(policy / "timeline.csv", formats.TIMELINE),
        "published": read.table(policy / "published_numbers.csv", formats.PUBLISHED_NUMBERS),
    }


@pytest.fixture(scope="module")
def views(tables):
    return registry.views(**tables)


def cell(views, view, row, column):
    found = views[(views["view_id"] == view) & (views["row"] == row) & (views["column"] == column)]
    assert len(found) == 1
    return found.iloc[0]


def test_shape_and_key(views):
    assert views.columns.tolist() == ["view_id", "row", "column", "x", "value", "low", "high", "text"]
    assert not views.duplicated(["view_id", "row", "column"]).any()
    assert views.groupby("view_id")["row"].nunique().to_dict() == {
        "published_numbers": 15,
        "registry_clusters": 10,
        "registry_hubs": 8,
        "timeline": 7,
    }


def test_hub_row_gathers_provinces_clusters_and_hosts_in_both_languages(views):
    expected = {
        "provinces_zh": "上海、江苏、浙江、安徽",
        "provinces_en": "Shanghai, Jiangsu, Zhejiang, Anhui",
        "clusters_zh": "长三角生态绿色一体化发展示范区集群、芜湖集群",
        "hosts_zh": "上海市、苏州市、嘉兴市、芜湖市",
        "hosts_en": "Shanghai, Suzhou, Jiaxing, Wuhu",
        "role": "demand",
        "reply_month": "2022-02",
        "named_in_plan": "2021-05-24",
    }
    assert {k: cell(views, "registry_hubs", "YRD", k)["text"] for k in expected} == expected
    assert cell(views, "registry_hubs", "YRD", "order")["value"] == 2


def test_what_is_unverified_stays_marked(views, tables):
    marked = views[(views["column"] == "status") & views["text"].str.contains("unverified", na=False)]
    expected = sum(int(tables[t]["status"].str.contains("unverified").sum()) for t in ("hubs", "clusters", "timeline"))
    assert len(marked) == expected == 7
    chinese = views[views["column"] == "status_zh"].set_index(["view_id", "row"])["text"]
    for row in marked.itertuples():
        assert "未核实" in chinese[(row.view_id, row.row)]


def test_numbers_stand_in_value(views):
    assert cell(views, "registry_clusters", "QY", "pue_max")["value"] == 1.2
    assert cell(views, "registry_clusters", "QY", "rack_use_min")["value"] == 0.65
    got = cell(views, "published_numbers", "elasticity_digital_economy|2022-23 edition", "value")
    assert got["value"] == 3.6 and pd.isna(got["text"])
    assert cell(views, "published_numbers", "racks_in_use|end 2023", "value")["value"] == 8.1


def test_timeline_is_in_order_of_dates(views):
    dates = views[(views["view_id"] == "timeline") & (views["column"] == "date")].sort_values("row")
    assert dates["row"].tolist() == [f"{n:02d}" for n in range(1, 8)]
    assert dates["text"].tolist() == sorted(dates["text"]) and dates["text"].iloc[0] == "2020-12-23"
    assert pd.isna(cell(views, "timeline", "03", "doc_no")["text"])


def test_no_text_of_one_language_is_missing_in_the_other(views):
    wide = views.assign(full=views["text"].notna()).set_index(["view_id", "row", "column"])["full"]
    for (view, row, column), full in wide.items():
        if column.endswith("_zh") and (view, row, f"{column[:-3]}_en") in wide.index:
            assert full == wide[(view, row, f"{column[:-3]}_en")], (view, row, column)
