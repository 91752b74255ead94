"""What is not as recorded or not as declared is refused by name, and everything that is wrong is named at once."""

from __future__ import annotations

import gzip
import hashlib

import pandas as pd
import pytest

from pipeline.clean import formats, read
from pipeline.errors import FormatError, ManifestError
from tests.clean.helpers import RAW, copy_raw, edit, write_manifest

HEADER = "variable,province_code,year,value,unit\n"
COLUMNS = {"name": "text", "year": "int", "value": "float", "place": "float?"}


@pytest.fixture
def raw(tmp_path):
    copy = copy_raw(tmp_path / "raw", "geography", "policy")
    write_manifest(copy)
    return copy


def append(path, text):
    path.write_bytes(path.read_bytes() + text.encode())


def test_the_raw_figures_are_the_recorded_ones():
    expected = hashlib.sha256((RAW / "MANIFEST.sha256").read_bytes()).hexdigest()
    assert read.verify_manifest(RAW) == expected


def test_manifest_names_every_file_that_differs(raw):
    append(raw / "geography" / "provinces.csv", "x")
    (raw / "geography" / "adjacency.csv").unlink()
    (raw / "policy" / "mine.csv").write_text("a\n")
    (raw / "policy" / ".DS_Store").write_text("ignored")
    with pytest.raises(ManifestError) as caught:
        read.verify_manifest(raw)
    text = str(caught.value)
    assert text.startswith("3 file(s) of data/raw differ from data/raw/MANIFEST.sha256")
    assert "geography/adjacency.csv is missing" in text
    assert "policy/mine.csv is not listed" in text
    found = hashlib.sha256((raw / "geography" / "provinces.csv").read_bytes()).hexdigest()
    assert f"geography/provinces.csv does not match: its sha256 is {found}, recorded " in text
    assert "DS_Store" not in text and "hubs.csv" not in text


def test_manifest_hash_changes_with_any_file(raw):
    before = read.verify_manifest(raw)
    append(raw / "policy" / "hubs.csv", "\n")
    write_manifest(raw)
    assert read.verify_manifest(raw) != before


def test_a_broken_manifest_is_named_by_line(raw):
    (raw / "MANIFEST.sha256").write_text("abc policy/hubs.csv\n")
    with pytest.raises(ManifestError, match=r"MANIFEST.sha256, line 1: expected '<sha256>  <path>'"):
        read.verify_manifest(raw)
    (raw / "MANIFEST.sha256").unlink()
    with pytest.raises(ManifestError, match=r"MANIFEST.sha256 is missing"):
        read.verify_manifest(raw)


def test_a_table_is_read_with_types_and_line_numbers(tmp_path):
    path = tmp_path / "official" / "a.csv"
    path.parent.mkdir()
    path.write_text("place,name,year,value\n1.5,010000,2020,3\n,NA,2021,4.5\n", encoding="utf-8-sig")
    got = read.table(path, COLUMNS)
    want = pd.DataFrame(
        {
            "file": "official/a.csv",
            "row": [2, 3],
            "name": ["010000", "NA"],
            "year": [2020, 2021],
            "value": [3.0, 4.5],
            "place": [1.5, None],
        }
    )
    pd.testing.assert_frame_equal(got, want, check_dtype=False)
    assert got["year"].dtype == "int64"
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(read.table(packed, COLUMNS).drop(columns="file"), got.drop(columns="file"))


def test_a_gbk_file_is_named_as_such(tmp_path):
    path = copy_raw(tmp_path, "policy") / "policy" / "hubs.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode("gbk"))
    with pytest.raises(FormatError, match=r"policy/hubs.csv is encoded in GBK, expected UTF-8: save it as UTF-8"):
        read.table(path, formats.HUBS)
    path.write_bytes(b"hub_id\n\xff\xff\xff\n")
    with pytest.raises(FormatError, match=r"policy/hubs.csv is not valid UTF-8 at byte 7"):
        read.table(path, formats.HUBS)


def test_columns_must_be_the_declared_ones(tmp_path):
    path = copy_raw(tmp_path, "official") / "official" / "energy.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("year,value", "jahr,value", 1), encoding="utf-8")
    with pytest.raises(
        FormatError, match=r"official/energy.csv lacks column\(s\) year and has unknown column\(s\) jahr"
    ):
        read.figures(tmp_path / "official")


def test_values_that_are_no_numbers_are_named_with_their_rows(tmp_path):
    path = tmp_path / "official" / "energy.csv"
    path.parent.mkdir()
    path.write_text(HEADER + "a,110000,2020,1,km\na,120000,2020.5,-,km\na,130000,2021,inf,km\n", encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read.figures(path.parent)
    text = str(caught.value)
    assert "official/energy.csv has values that are not numbers" in text
    assert "column year, expected whole numbers: row 3: '2020.5'" in text
    assert "column value, expected numbers: row 3: '-', row 4: 'inf'" in text


def test_every_bad_file_of_a_folder_is_named(tmp_path):
    official = copy_raw(tmp_path, "official") / "official"
    (official / "energy.csv").write_text("")
    edit(
        official / "education.csv",
        "bachelor_graduates,110000,2013,114149,persons",
        "bachelor_graduates,110000,2013,?,persons",
    )
    with pytest.raises(
        FormatError, match=r"(?s)official/education.csv has values.*row 2: '\?'.*official/energy.csv is not a CSV"
    ):
        read.figures(official)


def test_an_absent_file_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"policy/hubs.csv does not exist. Expected a CSV file with columns hub_id"):
        read.table(tmp_path / "policy" / "hubs.csv", formats.HUBS)
    with pytest.raises(FormatError, match="holds no CSV file of figures"):
        read.figures(tmp_path)
