"""The columns of every raw file, and rows as plain records."""

from __future__ import annotations

from typing import Any

import pandas as pd


def _text(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "text")


_CENTROID = {"longitude": "float", "latitude": "float"}
_STATUS = _text("status status_zh note")

FIGURES = {"variable": "text", "province_code": "text", "year": "int", "value": "float", "unit": "text"}
PROVINCES = _text("province_code name_zh name_en region") | _CENTROID
ADJACENCY = _text("province_code neighbour_code")
PREFECTURES = _text("prefecture_code name_zh province_code level") | dict.fromkeys(_CENTROID, "float?")
HUBS = (
    _text("hub_id hub_zh hub_en province_codes role role_zh role_en named_in_plan reply_month reply_date document_zh")
    | {"effective_year": "int"}
    | _STATUS
)
CLUSTERS = (
    _text("cluster_id hub_id cluster_zh cluster_en host_codes host_zh host_en startup_area_zh startup_area_en")
    | {"pue_max": "float", "rack_use_min": "float"}
    | _text("function_zh function_en")
    | _STATUS
)
TIMELINE = _text("date doc_no title_zh title_en fact_zh fact_en status status_zh")
PUBLISHED_NUMBERS = (
    _text("number_id edition edition_zh")
    | {"value": "float"}
    | _text("unit unit_zh name_zh name_en source source_zh note note_zh status status_zh")
)
PROGRAMMES = _text("programme unit_level unit_code unit_zh year date document_zh status note")
BROADBAND = {"batch_year": "int"} | _text(
    "announced unit_zh unit_type prefecture_codes prefectures_zh document_zh status"
)
COMPUTE_FACTS = (
    _text("place_code place_zh date measure") | {"value": "float"} | _text("unit title publisher status note")
)

NATIONAL_TABLE = {"year": "int"} | _text("row origin column") | {"value": "float"}
NATIONAL_CODES = _text("code kind name_zh name_en")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as dicts by column name."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def codes(text: str) -> list[str]:
    """Split a list of codes written ``code;code``."""
    return [part for part in text.split(";") if part]
