"""The national input–output table: each edition passes, each planted error is named."""

from __future__ import annotations

import pytest

from pipeline.clean import formats, input_output, read
from pipeline.errors import ValidationError
from tests.clean.helpers import RAW

CODES = RAW / "io" / "national_sectors.csv"


def codes():
    return read.table(CODES, formats.NATIONAL_CODES)


def table(year=2017):
    return read.table(RAW / "io" / f"national_{year}.csv", formats.NATIONAL_TABLE, called=input_output.CALLED)


@pytest.fixture(scope="module")
def raw():
    return table()


def cell(frame, origin, supplier, user):
    hit = (frame["origin"] == origin) & (frame["supplier"] == supplier) & (frame["user"] == user)
    assert hit.sum() == 1
    return frame.index[hit][0]


@pytest.mark.parametrize("year", [2017, 2018, 2020])
def test_every_edition_passes_and_its_sectors_have_names(year):
    before = table(year)
    named = input_output.national(before.copy(), codes())
    assert named.columns.tolist() == ["year", "origin", "supplier", "user", "value"]
    assert named["value"].tolist() == before["value"].tolist()
    names = codes().query("kind == 'sector'")["name_zh"]
    assert set(names) <= set(named["supplier"]) and set(names) <= set(named["user"])
    assert set(named["user"]) - set(names) == {"TIU", "TC", "FU201", "FU202", "EX", "TFU", "GO"}
    at = before.index[(before["supplier"] == "31") & (before["user"] == "20") & (before["origin"] == "imported")][0]
    assert named.loc[at, ["supplier", "user"]].tolist() == [
        "信息传输、软件和信息技术服务",
        "通信设备、计算机和其他电子设备",
    ]


def test_an_unknown_code_is_named_with_its_row(raw):
    raw = raw.copy()
    at = cell(raw, "domestic", "31", "20")
    raw.loc[at, ["supplier", "origin"]] = ["99", "abroad"]
    with pytest.raises(ValidationError) as caught:
        input_output.national(raw, codes())
    row = raw.loc[at, "row"]
    assert f"io/national_2017.csv row {row}: supplier '99' is not in the list of codes" in str(caught.value)
    assert f"io/national_2017.csv row {row}: origin 'abroad' is not in the list of codes" in str(caught.value)


def test_a_repeated_cell_and_a_repeated_name_are_named(raw):
    raw, twice = raw.copy(), codes()
    raw.loc[1, ["supplier", "user"]] = raw.loc[0, ["supplier", "user"]]
    twice.loc[1, "name_zh"] = twice.loc[0, "name_zh"]
    with pytest.raises(ValidationError) as caught:
        input_output.national(raw, twice)
    assert "io/national_2017.csv row 3: 2017, domestic, 01, 01 occurs a second time" in str(caught.value)
    assert "io/national_sectors.csv row 3: 农林牧渔产品和服务 occurs a second time" in str(caught.value)


def test_missing_cells_are_named(raw):
    gone = [cell(raw, "domestic", "31", "GO"), cell(raw, "imported", "20", "05"), cell(raw, "total", "TI", "07")]
    with pytest.raises(ValidationError, match=r"3 violation") as caught:
        input_output.national(raw.drop(index=gone), codes())
    for text in ("domestic 31 to GO", "imported 20 to 05", "total TI to 07"):
        assert f"  {text} has no value" in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "supplier", "user", "found"),
    [
        ("domestic", "31", "20", {"31: domestic deliveries to sectors and TIU", "20: purchases from sectors and TII"}),
        ("imported", "20", "31", {"20: imported deliveries to sectors and TIU", "31: purchases from sectors and TII"}),
        ("domestic", "31", "TC", {"31: domestic final uses and TFU"}),
        ("domestic", "31", "GO", {"31: TIU + TFU and GO", "31: TI and GO"}),
        ("total", "TVA", "31", {"31: TII + TVA and TI"}),
    ],
)
def test_a_figure_out_of_balance_is_named_by_its_sector(raw, origin, supplier, user, found):
    raw = raw.copy()
    raw.loc[cell(raw, origin, supplier, user), "value"] *= 10
    with pytest.raises(ValidationError) as caught:
        input_output.national(raw, codes())
    lines = str(caught.value).splitlines()[1:]
    assert {line.removeprefix("  sector ").partition(" differ,")[0] for line in lines} == found
