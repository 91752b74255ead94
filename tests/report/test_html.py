"""The HTML page of a table: semantic, self-contained, and showing what the grid says.

A deliberate change of the drawing is written to snapshots/ with
``SNAPSHOT_UPDATE=1 python -m pytest tests/report/test_html.py``.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pipeline.report import html
from pipeline.report.grid import Cell, Grid, Line, Ref, Run
from tests.report.pages import Node, assert_self_contained, parse
from tests.report.test_backends import SNAPSHOTS, panels, small

GRIDS = {"small": small, "panels": panels}


def drawn(grid: Grid) -> Node:
    return parse(html.render(grid).decode())


def cells(row: Node) -> list[Node]:
    return [child for child in row.children if isinstance(child, Node)]


@pytest.mark.parametrize("name", GRIDS)
def test_drawn_as_recorded(name: str) -> None:
    content = html.render(GRIDS[name]())
    path = SNAPSHOTS / f"{name}.html"
    if os.environ.get("SNAPSHOT_UPDATE"):
        path.write_bytes(content)
    assert content.decode() == path.read_bytes().decode()
    assert content == html.render(GRIDS[name]())


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_stands_where_the_grid_has_it(name: str) -> None:
    grid = GRIDS[name]()
    rows = drawn(grid).all("tr")
    found = [[(c.text, int(c.attributes.get("colspan", "1"))) for c in cells(row)] for row in rows]
    assert found == [[(cell.text, cell.span) for cell in line.cells] for line in grid.lines]
    assert {sum(span for _, span in row) for row in found} == {len(grid.widths)} == {len(drawn(grid).all("col"))}


@pytest.mark.parametrize("name", GRIDS)
def test_nothing_is_fetched(name: str) -> None:
    page = drawn(GRIDS[name]())
    assert_self_contained(page)
    assert page.all("a") == page.all("img") == []


def test_title_language_and_notes() -> None:
    page, grid = drawn(small()), small()
    assert page.all("html")[0].attributes["lang"] == "zh-CN"
    assert drawn(panels()).all("html")[0].attributes["lang"] == "en-GB"
    assert [node.text for tag in ("title", "caption") for node in page.all(tag)] == [f"{grid.heading} {grid.title}"] * 2
    assert [node.text for node in page.all("p")] == ["".join(run.text for run in note) for note in grid.notes]


def test_headings_say_what_they_stand_over() -> None:
    page = drawn(small())
    (head,) = page.all("thead")
    assert [[c.attributes.get("scope") for c in cells(row)] for row in head.all("tr")] == [
        [None, "col"],
        ["col", "col", "col"],
    ]
    first, second = page.all("tbody")
    assert [cells(row)[0].attributes["scope"] for row in first.all("tr")] == ["rowgroup", "row", "row"]
    assert [cells(row)[0].attributes["scope"] for row in second.all("tr")] == ["rowgroup", "row"]
    assert {cell.tag for row in first.all("tr") for cell in cells(row)[1:]} == {"td"}


def test_panels_with_headings_of_their_own_have_no_common_head() -> None:
    page = drawn(panels())
    assert page.all("thead") == []
    assert [[cells(row)[0].attributes["scope"] for row in group.all("tr")] for group in page.all("tbody")] == [
        ["rowgroup", "col", "row"],
        ["rowgroup", "col", "row"],
    ]


def test_rules_are_those_of_the_grid() -> None:
    rows = drawn(small()).all("tr")
    assert ["rule" in row.classes() for row in rows] == [line.rule for line in small().lines]
    assert ["gap" in row.classes() for row in rows] == [line.gap for line in small().lines]
    assert ["under" in cell.classes() for cell in cells(rows[0])] == [False, True]


def test_pointing_at_a_number_shows_where_it_is_stored() -> None:
    number = Run("0.1", Ref("estimates", ("did.y.x", "post", "", ""), "p_value", 3))
    word = Run("Here & there", Ref("values", ("hubs", "A", "name"), "text"))
    page = drawn(replace(small(), lines=(Line((Cell((word,)), Cell((Run("["), number, Run("]"))), Cell())),)))
    assert [(s.text, s.attributes["title"]) for s in page.all("span")] == [
        ("0.1", "estimates: did.y.x | post | p_value")
    ]
    assert cells(page.all("tr")[0])[0].text == "Here & there"


def test_a_wide_table_is_printed_on_its_side() -> None:
    assert "size: landscape" in drawn(panels()).all("style")[0].text
    assert "size: landscape" not in drawn(small()).all("style")[0].text
