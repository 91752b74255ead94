"""The list of results names every file, with specifications and hashes."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, store
from pipeline.report.site.contents import contents, figures, grouped, tables

SITE = {
    "files": {"data/panel.csv": {"en": "the panel", "zh": "面板"}},
    "pending": {"T8": {"title": {"en": "Cities", "zh": "城市"}, "needs": {"en": "a city panel", "zh": "城市面板"}}},
    "supply": {"en": "See there.", "zh": "见彼处。"},
}
HASHES = {"data_sha256": "d" * 64, "plan_sha256": "p" * 64}


def toy_list(**site: object) -> str:
    printed = [
        *tables({"T9": {"name": "toy", "title": {"en": "Toy", "zh": "例"}}}, {"T9": pd.Series(["did.y.x | post"])}),
        *figures(
            {"F9": {"name": "dots", "words": {"title": {"en": "F9  Dots", "zh": "图F9 点"}}}},
            {"F9": pd.Series([], dtype=str)},
        ),
    ]
    return contents(printed, SITE | site, HASHES)


def test_specification_ids_are_grouped_by_model_and_outcome():
    keys = pd.Series(["did.y.none | post", "did.y.x | post", "did.y.x | post | crv1", "event.y.x | pre | joint"])
    assert grouped(keys) == ["did.y.{none, x}", "event.y.x"]


def test_many_models_that_begin_alike_stand_together():
    left = [f"leave_out_{name}.y.{adjustment} | post" for name in ("A", "B", "C", "D") for adjustment in ("none", "x")]
    keys = pd.Series([*left, "did_2023.y.x | post", "did_to_2019.y.x | post", "curve | post | median"])
    assert grouped(keys) == ["leave_out_{A, B, C, D}.y.{none, x}", "did_2023.y.x", "did_to_2019.y.x", "curve"]
    keys = pd.Series([f"{name}.y.x | post" for name in ("did", "event", "roles", "raw")])
    assert grouped(keys) == ["{did, event, roles, raw}.y.x"]


def test_every_format_and_language_is_linked():
    text = toy_list()
    for link in (
        "tables/T9_toy.zh.docx",
        "tables/T9_toy.en.html",
        "tables/T9_toy.cells.csv",
        "figures/F9_dots.en.svg",
        "figures/F9_dots.csv",
        "data/panel.csv",
        "index.html",
    ):
        assert f"({link})" in text
    assert "Toy · 例" in text and "Dots · 点" in text
    assert "| `did.y.x` |" in text
    assert "d" * 64 in text and "p" * 64 in text


def test_what_is_not_printed_is_named_with_what_it_needs():
    assert "| T8 | Cities · 城市 | a city panel · 城市面板 |" in toy_list()
    assert "See there. 见彼处。" in toy_list()
    assert "Not printed" not in toy_list(pending={})


def test_what_is_not_printed_has_no_stanza():
    assert set(specs.site()["pending"]) & {*specs.tables(), *specs.figures()} == set()


def test_the_list_of_the_project_names_every_result_file():
    text = (store.ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for folder in ("tables", "figures", "data", "codebook"):
        for path in (store.ROOT / "results" / folder).iterdir():
            assert f"({folder}/{path.name})" in text, path.name
    for name in specs.site()["files"]:
        assert (store.ROOT / "results" / name).is_file(), name
