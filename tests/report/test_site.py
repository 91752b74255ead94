"""The entry page: the headline says what the interval allows; the page works from a folder, in two languages."""

from __future__ import annotations

import re
from typing import Any, get_args
from urllib.parse import unquote

import pandas as pd
import pytest

from pipeline import specs, store
from pipeline.errors import ReportError
from pipeline.report.grid import Language, Run
from pipeline.report.pages import page
from pipeline.report.resolve import Tidy, Words
from pipeline.report.site.contents import Printed
from pipeline.report.site.headline import headline
from tests.report.pages import Node, assert_bilingual, assert_self_contained, parse, targets
from tests.report.printed import Stored

RESULTS = store.ROOT / "results"
NUMBER = re.compile(r"−?\d+(?:,\d{3})*\.\d+")


def made_up(low: float, high: float) -> Tidy:
    """Tidy files with a number in every column of the rows that the headline names."""
    rows: dict[str, list[dict[str, Any]]] = {"estimates": [], "tests": [], "values": []}
    for file, *key in specs.site()["headline"]["sources"].values():
        row = dict.fromkeys(store.COLUMNS[file], 0.125) | dict(zip(store.PARTS[file], key, strict=False))
        row |= {name: None for name in store.OPTIONAL if name in row}
        rows[file].append(row | {"ci_low": low, "ci_high": high, "estimate": (low + high) / 2, "draws": 12345})
    return Tidy({name: pd.DataFrame(found, columns=list(store.COLUMNS[name])) for name, found in rows.items()})


def said(low: float, high: float, language: Language = "en") -> str:
    found = headline(specs.site()["headline"], made_up(low, high), Words(language, {}))
    return "".join(run.text for run in found["sentence"])


def test_an_interval_around_zero_is_reported_as_what_it_excludes():
    text = said(-0.1, 0.3)
    assert "the data exclude effects above 0.300 and below −0.100; they cannot tell zero from" in text
    assert text.count(".") - len(NUMBER.findall(text)) == 1, "one sentence"
    assert "数据排除了高于0.300和低于−0.100的效应，但不能区分零与两者之间的任何效应" in said(-0.1, 0.3, "zh")


@pytest.mark.parametrize(
    ("low", "high", "word", "wort"), [(0.1, 0.3, "above", "高于零"), (-0.3, -0.1, "below", "低于零")]
)
def test_an_interval_on_one_side_is_reported_as_such(low, high, word, wort):
    assert said(low, high).endswith(f"lies {word} zero.")
    assert wort in said(low, high, "zh")
    assert "cannot tell" not in said(low, high)


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.3), (0.1, 0.3), (-0.3, -0.1)])
def test_a_headline_never_says_no_effect(low, high):
    assert "no effect" not in said(low, high)
    assert "没有效应" not in said(low, high, "zh") and "无效应" not in said(low, high, "zh")


def test_both_languages_print_the_same_numbers():
    found = [headline(specs.site()["headline"], made_up(-0.1, 0.3), Words(k, {})) for k in get_args(Language)]
    runs = [[*side["sentence"], *(run for fact in side["facts"] for run in fact["runs"])] for side in found]
    zh, en = ([(run.text, run.ref) for run in side if run.ref is not None] for side in runs)
    assert zh == en
    assert len(en) > 15


def test_a_number_that_does_not_exist_stops_the_page():
    stanza = specs.site()["headline"]
    with pytest.raises(ReportError, match=r"site\.yaml, headline: estimates has no row did\.y\.x \| post"):
        headline(stanza | {"sources": stanza["sources"] | {"primary": ["estimates", "did.y.x", "post"]}},
                 made_up(-0.1, 0.3), Words("en", {}))  # fmt: skip


@pytest.fixture
def toy() -> dict[str, Any]:
    text = {"en": "A <b> & c", "zh": "甲"}
    line = {"sentence": (Run("R&D < 1"),), "facts": [{"label": "x", "runs": (Run("2"),)}]}
    return {
        "site": {
            "title": text,
            "reading": text,
            "supply": text,
            "files": {"data/panel.csv": text},
            "pending": {"T8": {"title": text, "needs": text}},
        },
        "headline": {"en": line, "zh": line},
        "facts": [(line["facts"][0], line["facts"][0])],
        "hashes": {"data_sha256": "d" * 64, "plan_sha256": "p" * 64},
        "tables": [Printed("T9", "tables", "T9_toy", text, ("html", "csv"), "T9_toy.cells.csv", ["did.y.{none, x}"])],
        "figures": [Printed("F9", "figures", "F9_dots", text, ("png",), "F9_dots.csv", [])],
    }


def test_the_page_names_every_file_once_a_language(toy):
    text = page("index.html", **toy)
    tree = parse(text)
    assert sorted(set(targets(tree))) == [
        "data/panel.csv",
        *(f"figures/F9_dots.{suffix}" for suffix in ("csv", "en.png", "zh.png")),
        *(f"tables/T9_toy.{suffix}" for suffix in ("cells.csv", "en.csv", "en.html", "zh.csv", "zh.html")),
    ]
    assert [node.attributes["src"] for node in tree.all("img")] == ["figures/F9_dots.en.png", "figures/F9_dots.zh.png"]
    assert "did.y.{none, x}" in text and "d" * 64 in text and "p" * 64 in text
    assert_bilingual(tree)
    assert_self_contained(tree)
    assert text == page("index.html", **toy)


def test_every_text_is_escaped(toy):
    text = page("index.html", **toy)
    assert "<b> &" not in text and "R&D" not in text
    assert "A &lt;b&gt; &amp; c" in text and "R&amp;D &lt; 1" in text
    assert parse(text).all("h1")[0].text == "A <b> & c甲"


def test_what_is_not_printed_is_named_only_if_there_is_any(toy):
    assert "Not printed" in page("index.html", **toy)
    assert "Not printed" not in page("index.html", **toy | {"site": toy["site"] | {"pending": {}}})


@pytest.fixture(scope="module")
def index() -> Node:
    return parse((RESULTS / "index.html").read_text(encoding="utf-8"))


def test_the_page_of_the_project_is_bilingual_and_fetches_nothing(index):
    assert_bilingual(index)
    assert_self_contained(index)


def test_every_link_of_the_project_leads_to_a_file_and_every_file_has_a_link(index):
    named = {unquote(target) for target in targets(index)}
    assert [name for name in named if not (RESULTS / name).is_file()] == []
    folders = ("tables", "figures", "data", "codebook")
    files = {f"{folder}/{path.name}" for folder in folders for path in (RESULTS / folder).iterdir()}
    assert files - named == set()


def test_the_numbers_of_the_headline_are_stored(index):
    stored = Stored.read(RESULTS / "estimates")
    (lead,) = (node for node in index.all("p") if "lead" in node.classes())
    spans = [span for span in lead.all("span") if "title" in span.attributes]
    for span in spans:
        file, key = span.attributes["title"].split(": ")
        *parts, field = key.split(" | ")
        decimals = str(len(span.text.partition(".")[2]))
        cell = {"file": file, "key": " | ".join(parts), "field": field, "decimals": decimals, "scale": "1"}
        assert span.text == stored.expected(cell)
    assert sorted(NUMBER.findall(lead.text)) == sorted(span.text for span in spans)
    assert len(spans) >= 6
