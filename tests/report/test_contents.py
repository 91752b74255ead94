"""The list of results names every file, with specifications and hashes."""

from __future__ import annotations

import pandas as pd

from pipeline import store
from pipeline.report.site.contents import contents, specifications


def test_specification_ids_are_grouped_by_model_and_outcome():
    keys = pd.Series(["did.y.none | post", "did.y.x | post", "did.y.x | post | crv1", "event.y.x | pre | joint"])
    assert specifications(keys) == "`did.y.{none, x}`, `event.y.x`"


def test_every_format_and_language_is_linked():
    text = contents(
        {"T9": {"name": "toy", "title": {"en": "Toy", "zh": "例"}}},
        {"F9": {"name": "dots", "words": {"title": {"en": "F9  Dots", "zh": "图F9 点"}}}},
        {"T9": pd.Series(["did.y.x | post"]), "F9": pd.Series([], dtype=str)},
        {"data_sha256": "d" * 64, "plan_sha256": "p" * 64},
    )
    for link in ("tables/T9_toy.zh.docx", "tables/T9_toy.cells.csv", "figures/F9_dots.en.svg", "figures/F9_dots.csv"):
        assert f"({link})" in text
    assert "Toy · 例" in text and "Dots · 点" in text
    assert "d" * 64 in text and "p" * 64 in text


def test_the_list_of_the_project_names_every_result_file():
    text = (store.ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for folder in ("tables", "figures"):
        for path in (store.ROOT / "results" / folder).iterdir():
            assert f"({folder}/{path.name})" in text, path.name
