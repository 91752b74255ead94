"""Hubs, clusters of assignment, hosts and links of a small made-up registry."""

from __future__ import annotations

import pandas as pd

from pipeline.clean import units

PROVINCES = pd.DataFrame(
    {
        "province_code": ["110000", "120000", "130000"],
        "name_zh": ["甲", "乙", "丙"],
        "name_en": ["A", "B", "C"],
        "region": ["east", "west", "central"],
        "longitude": [1.0, 2.0, 3.0],
        "latitude": [4.0, 5.0, 6.0],
    }
)
HUBS = pd.DataFrame(
    {
        "hub_id": ["X", "Y"],
        "hub_zh": ["南方枢纽", "乙枢纽"],
        "province_codes": ["110000", "120000"],
        "role": ["demand", "supply"],
    }
)
CLUSTERS = pd.DataFrame(
    {
        "hub_id": ["Y", "Y"],
        "host_codes": ["120100;120200", "120300"],
        "function_zh": ["服务南方和乙", "服务南方"],
    }
)
PROGRAMMES = pd.DataFrame(
    {
        "programme": ["bigdata_zone", "ai_pilot_zone", "ai_pilot_zone"],
        "unit_code": ["110000", "120300", "120100"],
        "year": ["2016", "2021", "2019"],
    }
)
PREFECTURES = pd.DataFrame({"prefecture_code": ["120100", "120200", "120300"], "province_code": "120000"})


def test_units_by_hand():
    got = units.units(PROVINCES, HUBS, CLUSTERS, PREFECTURES, PROGRAMMES).set_index("province_code")
    assert got["hub"].tolist() == ["X", "Y", ""]
    assert got["cluster"].tolist() == ["X", "Y", "130000"]
    assert got["role"].tolist() == ["demand", "supply", ""]
    assert got["host"].tolist() == [False, True, False]
    assert got["bigdata_zone"].fillna(0).tolist() == [2016, 0, 0]
    assert got["ai_zone"].fillna(0).tolist() == [0, 2019, 0]


def test_links_by_hand():
    adjacency = pd.DataFrame({"province_code": ["130000", "110000"], "neighbour_code": ["120000", "120000"]})
    got = units.links(adjacency, HUBS, CLUSTERS)
    assert list(got.itertuples(index=False, name=None)) == [
        ("adjacency", "110000", "120000"),
        ("adjacency", "120000", "130000"),
        ("service", "Y", "X"),
    ]
