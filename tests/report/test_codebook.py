"""The data for others: every column described, Stata files that read back, a schema that the CSV files keep."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import specs, store
from pipeline.errors import ReportError
from pipeline.report.codebook import entries
from pipeline.report.codebook.entries import Entry
from pipeline.report.codebook.package import Resource, package
from pipeline.report.codebook.stata import dta, label, unfit
from pipeline.report.codebook.table import codebook, observed, plain
from pipeline.report.codebook.view import sections, short
from pipeline.report.pages import page
from tests.report.pages import assert_bilingual, assert_self_contained, parse, targets

RESULTS = store.ROOT / "results"
CODES = {"dtype": {"province_code": str}, "keep_default_na": False, "na_values": [""]}


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / "data" / f"{name}.csv", **CODES)


def rows(path: str) -> list[dict[str, str]]:
    with (RESULTS / path).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


TOY = pd.DataFrame({"province_code": ["110000", "120000"], "year": [2020, 2021], "a": [1.0, np.nan], "b": [0.5, 2.25]})
WORDS = {
    "province_code": {"en": "Code", "zh": "代码"},
    "year": {"en": "Year", "zh": "年份"},
    "a": {"en": "A", "zh": "甲"},
    "b": {"en": "B", "zh": "乙"},
}


def toy_entries(**changes: str) -> list[Entry]:
    types = {"province_code": "string", "year": "integer", "a": "integer", "b": "number"} | changes
    return [Entry("panel", name, type=types[name], **WORDS[name]) for name in TOY]


# Entries


def test_a_column_that_nothing_describes_is_an_error():
    known = {entry.id: entry for entry in toy_entries()}
    assert entries.chosen(TOY[["b", "year"]], known) == [known["b"], known["year"]]
    with pytest.raises(ReportError, match=r"nothing describes: x, y\. Add"):
        entries.chosen(TOY.assign(x=1, y=2), known)


def test_a_file_and_its_texts_have_the_same_columns():
    kinds = {"province_code": "str", "year": "Int64", "a": "boolean", "b": "float64"}
    found = entries.columns("toy", kinds, WORDS)
    assert [entry.type for entry in found.values()] == ["string", "integer", "boolean", "number"]
    with pytest.raises(ReportError, match=r"columns\.toy: no text for none; a text but no column for b"):
        entries.columns("toy", dict(list(kinds.items())[:3]), WORDS)
    with pytest.raises(ReportError, match="no text for c; a text but no column for none"):
        entries.columns("toy", kinds | {"c": "str"}, WORDS)


def test_whole_numbers_are_printed_without_a_point():
    assert entries.typed(TOY, toy_entries())["a"].tolist() == [1, pd.NA]
    assert entries.typed(TOY, toy_entries()).to_csv(index=False).splitlines()[1:] == [
        "110000,2020,1,0.5",
        "120000,2021,,2.25",
    ]
    assert TOY["a"].dtype == float
    with pytest.raises(ReportError, match=r"b is int .* 2 value\(s\) are not"):
        entries.typed(TOY, toy_entries(b="integer"))


def test_an_index_names_what_it_is_made_of():
    found = entries.composites(specs.indices(), specs.codebook(), specs.dictionary())
    own = tuple(c.id for c in specs.indices()["chain"].indicators)
    assert found["chain"].derived_from == own
    assert found["chain"].formula == f"entropy({', '.join(own)})"
    assert (found["chain_rank"].derived_from, found["chain_rank"].formula) == (("chain",), "rank(chain)")
    assert found["chain_upgrading_ln"].formula == "entropy(log(ht_revenue))"
    assert found["chain_transformation"].derived_from == ("np_revenue", "np_spending")
    assert found["np_revenue"].derived_from == ("newproduct_revenue", "gdp")
    assert "compute_scale_network_ln" not in found
    assert (found["chain_ln"].en, found["chain_ln"].zh) == ("ln chain-upgrading index", "产业链跃迁指数（对数）")


# Stata


def test_names_that_stata_refuses():
    names = ["gdp", "_x1", "a" * 32, "a" * 33, "1a", "a-b", "区", "if", "_n", "str5", "strL", "strength"]
    assert unfit(names) == ["a" * 33, "1a", "a-b", "区", "if", "_n", "str5", "strL"]
    with pytest.raises(ReportError, match="no column named a-b, if"):
        dta(pd.DataFrame({"a-b": [1.0], "if": [2.0]}), {}, "toy")


def test_a_label_keeps_its_unit_where_it_fits():
    assert label("GDP", "1e8 CNY", ", ") == "GDP, 1e8 CNY"
    assert label("GDP", "", ", ") == "GDP"
    assert label("x" * 78, "km", ", ") == "x" * 78
    assert label("指" * 81, "km", "，") == "指" * 79 + "…"


def test_a_stata_file_reads_back():
    frame = entries.typed(TOY, toy_entries()).assign(host=[True, False], name=["北京", ""])
    labels = {name: f"标签 {name}" for name in frame}
    content = dta(frame, labels, "数据")
    assert content == dta(frame, labels, "数据")
    with pd.read_stata(io.BytesIO(content), iterator=True) as reader:
        back = reader.read()
        assert reader.variable_labels() == labels
        assert reader.data_label == "数据"
        assert reader.time_stamp == "01 Jan 2000 00:00"
    assert back["a"].tolist()[0] == 1 and np.isnan(back["a"][1])
    assert back["host"].tolist() == [1, 0]
    assert back["name"].tolist() == ["北京", ""]
    assert back["province_code"].tolist() == ["110000", "120000"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ["panel", "units"])
def test_the_stata_files_of_the_project_hold_the_csv_and_its_labels(name: str, language: str):
    frame, book = read(name), {row["id"]: row for row in rows("codebook/codebook.csv") if row["file"] == name}
    with pd.read_stata(RESULTS / "data" / f"{name}.{language}.dta", iterator=True) as reader:
        back, labels, title = reader.read(), reader.variable_labels(), reader.data_label
    assert list(back.columns) == list(frame.columns)
    for column in frame.columns:
        if frame[column].dtype == bool or pd.api.types.is_numeric_dtype(frame[column]):
            np.testing.assert_array_equal(back[column].to_numpy(float), frame[column].to_numpy(float), err_msg=column)
        else:
            assert back[column].tolist() == frame[column].fillna("").tolist(), column
        text = book[column][language]
        assert labels[column].startswith(text[:79]), column
        assert len(labels[column]) <= 80
    assert title == specs.codebook()["files"][name][language]


def test_no_name_of_the_project_is_refused_by_stata():
    assert unfit(list(read("panel").columns) + list(read("units").columns)) == []


# Codebook


def test_what_the_panel_holds_of_a_column():
    found = observed(entries.typed(TOY, toy_entries()))
    assert found.loc["a"].tolist() == [2020, 2020, 1, "1", "1"]
    assert found.loc["b"].tolist() == [2020, 2021, 2, "0.5", "2.25"]
    empty = observed(TOY.assign(c=np.nan)).loc["c"]
    assert pd.isna(empty["first_year"]) and empty["n"] == 0 and empty["min"] == ""


@pytest.mark.parametrize(
    ("value", "exact", "brief"),
    [(0, "0", "0"), (2005, "2005", "2,005"), (141488.94, "141488.94", "141,489"), (-0.0312, "-0.0312", "−0.0312"),
     (0.5, "0.5", "0.5"), (12.3456, "12.3456", "12.35")],
)  # fmt: skip
def test_numbers_in_full_and_in_brief(value: float, exact: str, brief: str):
    assert (plain(value), short(value)) == (exact, brief)


def test_the_codebook_has_one_row_a_column_of_every_file():
    described = [(row["file"], row["id"]) for row in rows("codebook/codebook.csv")]
    files = {"panel": "data/panel.csv", "units": "data/units.csv"}
    files |= {name: f"estimates/{name}.csv" for name in store.PARTS}
    header = {name: (RESULTS / path).read_text(encoding="utf-8").splitlines()[0] for name, path in files.items()}
    assert described == [(name, column) for name, line in header.items() for column in line.split(",")]


def test_the_codebook_says_what_the_dictionary_and_the_panel_say():
    frame = read("panel")
    book = {row["id"]: row for row in rows("codebook/codebook.csv") if row["file"] == "panel"}
    for name, variable in specs.dictionary().items():
        row = book[name]
        assert (row["zh"], row["en"], row["unit"], row["unit_zh"]) == (
            variable.zh, variable.en, variable.unit, variable.unit_zh,
        )  # fmt: skip
        assert (row["family"], row["nature"], row["check"]) == (variable.family, variable.nature, variable.check)
        present = frame.loc[frame[name].notna(), "year"]
        assert int(row["n"]) == len(present), name
        if len(present):
            assert (int(row["first_year"]), int(row["last_year"])) == (present.min(), present.max()), name
            assert (float(row["min"]), float(row["max"])) == (frame[name].min(), frame[name].max()), name


def test_every_column_has_both_languages():
    for row in rows("codebook/codebook.csv"):
        assert row["en"] and re.search(r"[\u4e00-\u9fff]|^p值$", row["zh"]), row["id"]
        assert bool(row["unit"]) == bool(row["unit_zh"]), row["id"]
        for name in ("publication", "vintage", "caution"):
            assert bool(row[name]) == bool(row[f"{name}_zh"]), f"{row['id']}: {row[name]!r} has no reading in Chinese"


def test_every_reading_is_used():
    shown = ("publication", "vintage", "caution", "nature")
    used = {getattr(v, name) for v in specs.dictionary().values() for name in shown}
    assert set(specs.codebook()["readings"]) - used == set()


def test_the_page_shows_every_column():
    path = RESULTS / "codebook" / "codebook.html"
    tree = parse(path.read_text(encoding="utf-8"))
    assert_bilingual(tree)
    assert_self_contained(tree)
    shown = {node.attributes["id"] for node in tree.all("tr") if "id" in node.attributes}
    assert shown == {f"{row['file']}.{row['id']}" for row in rows("codebook/codebook.csv")}
    ids = {node.attributes["id"] for node in tree.walk() if "id" in node.attributes}
    for target in targets(tree):
        assert target[1:] in ids if target.startswith("#") else (path.parent / target).resolve().is_file(), target


def test_the_page_is_the_same_every_time_and_escapes():
    given = [*toy_entries(), Entry("panel", "c", "<丙>", "R&D <c>", "number", unit="%", unit_zh="%", check="derived")]
    words = specs.codebook() | {"readings": {}}
    table = codebook(given, TOY.assign(c=1.0), {})
    found = [page("codebook.html", words=words, sections=sections(table, words, set())) for _ in range(2)]
    assert found[0] == found[1]
    assert "R&amp;D &lt;c&gt;" in found[0] and "<丙>" not in found[0]
    assert len(parse(found[0]).all("tr")) == 5 + 2  # a head for the key and one for what is computed


# Frictionless

PACKAGE_NAME, LICENCE_NAME = r"[-a-z0-9._/]+", r"[-a-zA-Z0-9._]+"
TYPES = {  # of Table Schema: how a cell is read, and the constraints that apply
    "string": (str, {"required", "unique", "pattern", "enum", "minLength", "maxLength"}),
    "integer": (int, {"required", "unique", "minimum", "maximum", "enum", "pattern"}),
    "number": (float, {"required", "unique", "minimum", "maximum", "enum", "pattern"}),
    "boolean": ({"True": True, "False": False}.__getitem__, {"required", "enum"}),
}


def descriptor_errors(found: dict[str, Any]) -> list[str]:
    """Return what breaks the rules of a Tabular Data Package (Frictionless specifications, version 1)."""
    wrong = []
    names = [resource["name"] for resource in found["resources"]]
    wrong += [] if found["profile"] == "tabular-data-package" else ["profile of the package"]
    wrong += [f"name {n}" for n in (found["name"], *names) if not re.fullmatch(PACKAGE_NAME, n)]
    wrong += [] if names and len(set(names)) == len(names) else ["names of resources"]
    for resource in found["resources"]:
        place, path = resource["name"], PurePosixPath(resource["path"])
        fields = [field["name"] for field in resource["schema"]["fields"]]
        wrong += [] if resource["profile"] == "tabular-data-resource" else [f"{place}: profile"]
        wrong += [f"{place}: path"] if path.is_absolute() or ".." in path.parts else []
        wrong += [] if fields and len(set(fields)) == len(fields) else [f"{place}: names of fields"]
        wrong += [f"{place}: licence" for x in resource["licenses"] if not re.fullmatch(LICENCE_NAME, x["name"])]
        wrong += [f"{place}: source" for x in resource["sources"] if not x["title"]]
        for field in resource["schema"]["fields"]:
            known = TYPES.get(field["type"], (None, set()))[1]
            wrong += [f"{place}.{field['name']}: {c}" for c in field.get("constraints", {}) if c not in known]
            wrong += [f"{place}.{field['name']}: type"] if field["type"] not in TYPES else []
            bounds = [v for k, v in field.get("constraints", {}).items() if k in ("minimum", "maximum")]
            fractions = field["type"] == "integer" and any(type(value) is not int for value in bounds)
            wrong += [f"{place}.{field['name']}: bounds of a whole number"] if fractions else []
        keys = [resource["schema"].get("primaryKey", []), *resource["schema"].get("uniqueKeys", [])]
        wrong += [f"{place}: key {name}" for key in keys for name in key if name not in fields]
        for key in resource["schema"].get("foreignKeys", []):
            there = [r for r in found["resources"] if r["name"] == key["reference"]["resource"]]
            columns = [field["name"] for r in there for field in r["schema"]["fields"]]
            known = set(key["fields"]) <= set(fields) and set(key["reference"]["fields"]) <= set(columns)
            wrong += [] if known else [f"{place}: foreign key"]
    return wrong


def data_errors(field: dict[str, Any], cells: list[str]) -> list[str]:
    """Return the cells of a column that are not of its type or break its constraints."""
    limits, parse_cell, wrong = field.get("constraints", {}), TYPES[field["type"]][0], []
    for cell in cells:
        try:
            value: Any = parse_cell(cell) if cell else None
        except (ValueError, KeyError):
            wrong.append(f"{cell!r} is no {field['type']}")
            continue
        if value is None:
            wrong += ["blank"] if limits.get("required") else []
        elif not limits.get("minimum", value) <= value <= limits.get("maximum", value):
            wrong.append(f"{cell} is out of bounds")
        elif not re.fullmatch(limits.get("pattern", ".*"), cell, re.DOTALL):
            wrong.append(f"{cell} does not match")
    return wrong + (["repeated"] if limits.get("unique") and len(set(cells)) < len(cells) else [])


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(json.loads((RESULTS / "datapackage.json").read_text(encoding="utf-8")))


def test_the_schema_keeps_the_rules(schema):
    assert descriptor_errors(schema) == []
    assert [r["name"] for r in schema["resources"]] == ["panel", "units", *store.PARTS]
    assert {k: schema[k] for k in ("data_sha256", "plan_sha256")} == {
        k: rows("estimates/estimates.csv")[0][k] for k in ("data_sha256", "plan_sha256")
    }


@pytest.mark.parametrize("name", ["panel", "units", *store.PARTS])
def test_the_files_keep_the_schema(schema, name):
    (resource,) = (r for r in schema["resources"] if r["name"] == name)
    records, fields = rows(resource["path"]), resource["schema"]["fields"]
    header = (RESULTS / resource["path"]).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [field["name"] for field in fields] == header
    wrong = {field["name"]: data_errors(field, [record[field["name"]] for record in records]) for field in fields}
    assert {column: found[:3] for column, found in wrong.items() if found} == {}
    for key in [resource["schema"].get("primaryKey"), *resource["schema"].get("uniqueKeys", [])]:
        if key:
            assert len({tuple(record[k] for k in key) for record in records}) == len(records)
    assert ("primaryKey" in resource["schema"]) == (name != "estimates")
    for key in resource["schema"].get("foreignKeys", []):
        there = rows(next(r["path"] for r in schema["resources"] if r["name"] == key["reference"]["resource"]))
        assert {r[key["fields"][0]] for r in records} <= {r[key["reference"]["fields"][0]] for r in there}


def test_units_and_sources_come_from_the_dictionary(schema):
    fields = {field["name"]: field for field in schema["resources"][0]["schema"]["fields"]}
    gdp = fields["gdp"]
    assert (gdp["unit"], gdp["unit_zh"], gdp["type"]) == ("1e8 CNY", "亿元", "number")
    assert gdp["constraints"] == {"minimum": 140, "maximum": 220000}
    assert specs.dictionary()["hightech_firms"].bounds == (2.5, 21000)
    assert fields["hightech_firms"]["constraints"] == {"minimum": 3, "maximum": 21000}
    assert fields["province_code"]["constraints"] == {"required": True, "pattern": r"[1-9]\d{5}"}
    published = {v.publication for v in specs.dictionary().values() if not v.derived}
    assert {source["title"] for source in schema["resources"][0]["sources"]} == published
    assert schema["resources"][0]["licenses"][0]["name"] == "unknown"


def test_a_key_with_blanks_is_unique_but_not_primary():
    licence = {"name": "unknown", "title": "unknown"}
    given = Resource(
        "toy", "toy.csv", {"en": "Toy", "zh": "例"}, toy_entries(), ("province_code", "a"), licence, ["s"], ("a",)
    )
    found = package([given], {"en": "Toys", "zh": "例"}, {"data_sha256": "d", "plan_sha256": "p"})
    table = found["resources"][0]["schema"]
    assert table["uniqueKeys"] == [["province_code", "a"]] and "primaryKey" not in table
    assert [field["name"] for field in table["fields"] if field.get("constraints", {}).get("required")] == [
        "province_code"
    ]
    assert descriptor_errors(found) == []


def test_the_rules_find_what_is_wrong(schema):
    broken = json.loads(json.dumps(schema))
    broken["resources"][0]["path"] = "../panel.csv"
    broken["resources"][1]["schema"]["fields"][0]["type"] = "text"
    broken["resources"][0]["schema"]["foreignKeys"][0]["fields"] = ["nowhere"]
    assert descriptor_errors(broken)[0] == "panel: path"
    assert {"units.province_code: type", "panel: foreign key"} <= set(descriptor_errors(broken))
    field = {"name": "x", "type": "integer", "constraints": {"required": True, "minimum": 2, "unique": True}}
    assert data_errors(field, ["1", "2.5", "", "3", "3"]) == [
        "1 is out of bounds", "'2.5' is no integer", "blank", "repeated",
    ]  # fmt: skip
