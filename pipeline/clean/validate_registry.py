"""Codes and ids of the geography and policy files against one another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import pandas as pd

from pipeline.clean.formats import codes, records
from pipeline.errors import ValidationError

REGIONS = ("east", "central", "west", "northeast")
ROLES = ("demand", "supply")
NATION = "000000"  # code of nation-wide figures; a figure of a group of places has none


def geography(provinces: pd.DataFrame, adjacency: pd.DataFrame, prefectures: pd.DataFrame) -> None:
    """Check provinces, borders and prefectures.

    Raises
    ------
    ValidationError
        Lists every duplicate, unknown code and border of a province with itself, each with file and row.
    """
    known = set(provinces["province_code"])
    pairs = adjacency.assign(
        pair=[" ".join(sorted(p)) for p in zip(adjacency["province_code"], adjacency["neighbour_code"], strict=True)]
    )
    loops = adjacency[adjacency["province_code"] == adjacency["neighbour_code"]]
    _raise(
        [
            *_twice(provinces, "province_code"),
            *_unknown(provinces, "region", REGIONS, "a macro-region"),
            *_unknown(adjacency, "province_code", known, "a province"),
            *_unknown(adjacency, "neighbour_code", known, "a province"),
            *_twice(pairs, "pair"),
            *(_line(row, "neighbour_code", row["neighbour_code"], "another province") for row in records(loops)),
            *_twice(prefectures, "prefecture_code"),
            *_unknown(prefectures, "province_code", known, "a province"),
        ]
    )


def policy(
    provinces: pd.DataFrame,
    prefectures: pd.DataFrame,
    hubs: pd.DataFrame,
    clusters: pd.DataFrame,
    programmes: pd.DataFrame,
    broadband: pd.DataFrame,
    facts: pd.DataFrame,
) -> None:
    """Check that ids are unique and every code in the policy files exists.

    Raises
    ------
    ValidationError
        Lists every violation with file and row; so too a province of two hubs, and a cluster outside its hub.
    """
    province, prefecture = set(provinces["province_code"]), set(prefectures["prefecture_code"])
    place = province | prefecture
    _raise(
        [
            *_twice(hubs, "hub_id"),
            *_unknown(hubs, "role", ROLES, "a role"),
            *_unknown(hubs, "province_codes", province, "a province", codes),
            *_two_hubs(hubs),
            *_twice(clusters, "cluster_id"),
            *_unknown(clusters, "hub_id", set(hubs["hub_id"]), "a hub"),
            *_unknown(clusters, "host_codes", prefecture, "a prefecture", codes),
            *_outside(hubs, clusters, prefectures),
            *_unknown(programmes, "unit_code", place, "a province or prefecture"),
            *_unknown(broadband, "prefecture_codes", prefecture, "a prefecture", codes),
            *_unknown(facts, "place_code", place | {NATION, ""}, "a province, a prefecture or the nation"),
        ]
    )


def _raise(problems: list[str]) -> None:
    if problems:
        raise ValidationError(
            "\n".join([f"The registry has {len(problems)} violation(s). Mend the rows named.", *problems])
        )


def _line(row: dict[str, Any], column: str, found: str, expected: str) -> str:
    return f"  {row['file']} row {row['row']}: {column} {found!r}, expected {expected}"


def _one(text: str) -> list[str]:
    return [text]


def _unknown(
    frame: pd.DataFrame,
    column: str,
    known: Collection[str],
    what: str,
    split: Callable[[str], Iterable[str]] = _one,
) -> Iterator[str]:
    listed = f" ({', '.join(sorted(known))})" if len(known) < 12 else ""
    for row in records(frame):
        found = list(split(row[column]))
        for code in found:
            if code not in known:
                yield _line(row, column, code, f"{what} that is registered{listed}")
        if not found:
            yield _line(row, column, "", f"at least {what}")


def _twice(frame: pd.DataFrame, column: str) -> Iterator[str]:
    for row in records(frame[frame.duplicated(column)]):
        yield _line(row, column, row[column], "each once")


def _two_hubs(hubs: pd.DataFrame) -> Iterator[str]:
    seen: dict[str, str] = {}
    for row in records(hubs):
        for code in codes(row["province_codes"]):
            if seen.setdefault(code, row["hub_id"]) != row["hub_id"]:
                yield _line(row, "province_codes", code, f"each province in one hub; it is in {seen[code]} too")


def _outside(hubs: pd.DataFrame, clusters: pd.DataFrame, prefectures: pd.DataFrame) -> Iterator[str]:
    province_of = dict(zip(prefectures["prefecture_code"], prefectures["province_code"], strict=True))
    members = {row["hub_id"]: codes(row["province_codes"]) for row in records(hubs)}
    for row in records(clusters):
        for code in codes(row["host_codes"]):
            if row["hub_id"] in members and code in province_of and province_of[code] not in members[row["hub_id"]]:
                yield _line(row, "host_codes", code, f"a prefecture inside hub {row['hub_id']}")
