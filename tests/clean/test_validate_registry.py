"""Errors planted in the real registries are named with file and row, all at once."""

from __future__ import annotations

import pytest

from pipeline.clean import formats, read, validate_registry
from pipeline.errors import ValidationError
from tests.clean.helpers import RAW


@pytest.fixture
def geography():
    names = {"provinces": formats.PROVINCES, "adjacency": formats.ADJACENCY, "prefectures": formats.PREFECTURES}
    return {name: read.table(RAW / "geography" / f"{name}.csv", columns) for name, columns in names.items()}


@pytest.fixture
def policy(geography):
    names = {
        "hubs": ("hubs", formats.HUBS),
        "clusters": ("clusters", formats.CLUSTERS),
        "programmes": ("programmes", formats.PROGRAMMES),
        "broadband": ("broadband_china", formats.BROADBAND),
        "facts": ("compute_facts", formats.COMPUTE_FACTS),
    }
    tables = {key: read.table(RAW / "policy" / f"{name}.csv", columns) for key, (name, columns) in names.items()}
    return {"provinces": geography["provinces"], "prefectures": geography["prefectures"]} | tables


def test_the_registries_agree(geography, policy):
    validate_registry.geography(**geography)
    validate_registry.policy(**policy)


def test_geography_names_every_violation(geography):
    geography["provinces"].loc[0, "region"] = "north"
    geography["provinces"].loc[1, "province_code"] = "110000"
    geography["adjacency"].loc[4, "neighbour_code"] = "130000"
    geography["adjacency"].loc[6, ["province_code", "neighbour_code"]] = ["370000", "120000"]
    geography["adjacency"].loc[7, ["province_code", "neighbour_code"]] = ["140000", "130000"]
    with pytest.raises(ValidationError) as caught:
        validate_registry.geography(**geography)
    text = str(caught.value)
    for part in (
        "geography/provinces.csv row 2: region 'north', expected a macro-region that is registered (central, east",
        "geography/provinces.csv row 3: province_code '110000', expected each once",
        "geography/adjacency.csv row 6: neighbour_code '130000', expected another province",
        "geography/adjacency.csv row 8: neighbour_code '120000', expected a province that is registered",
        "geography/adjacency.csv row 9: pair '130000 140000', expected each once",
        "geography/prefectures.csv row 3: province_code '120000', expected a province that is registered",
    ):
        assert part in text


def test_policy_names_every_violation(policy):
    policy["hubs"].loc[7, "province_codes"] = "640000;620000;990000"
    policy["hubs"].loc[7, "role"] = "transit"
    policy["clusters"].loc[0, "host_codes"] = "140200"
    policy["clusters"].loc[1, "hub_id"] = "ABC"
    policy["clusters"].loc[2, "host_codes"] = ""
    policy["clusters"].loc[9, "cluster_id"] = "QY"
    policy["programmes"].loc[0, "unit_code"] = "529999"
    policy["broadband"].loc[3, "prefecture_codes"] = "430100;430199"
    policy["facts"].loc[0, "place_code"] = "1"
    with pytest.raises(ValidationError) as caught:
        validate_registry.policy(**policy)
    text = str(caught.value)
    assert "10 violation(s)" in text
    for part in (
        "policy/hubs.csv row 9: province_codes '990000', expected a province that is registered",
        "policy/hubs.csv row 9: province_codes '620000', expected each province in one hub; it is in GS too",
        "policy/hubs.csv row 9: role 'transit', expected a role that is registered (demand, supply)",
        "policy/clusters.csv row 2: host_codes '140200', expected a prefecture inside hub JJJ",
        "policy/clusters.csv row 3: hub_id 'ABC', expected a hub that is registered",
        "policy/clusters.csv row 4: host_codes '', expected at least a prefecture",
        "policy/clusters.csv row 11: cluster_id 'QY', expected each once",
        "policy/programmes.csv row 2: unit_code '529999', expected a province or prefecture that is registered",
        "policy/broadband_china.csv row 5: prefecture_codes '430199', expected a prefecture that is registered",
        "policy/compute_facts.csv row 2: place_code '1', expected a province, a prefecture or the nation",
    ):
        assert part in text
