"""Each format of one small grid with spans, notes, Chinese and every character that a format could trip over.

The expected files are in snapshots/; a deliberate change is written there with
``SNAPSHOT_UPDATE=1 python -m pytest tests/report/test_backends.py``.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml.ns import qn
from lxml import etree

from pipeline.report import csv_, latex, markdown, word
from pipeline.report.grid import Cell, Grid, Line, Run

SNAPSHOTS = Path(__file__).parent / "snapshots"
SPECIAL = r"50 % of R&D_x #1 $2 {a}\b^c~d *e* `f` <g> |h|"


def _cell(text: str, span: int = 1, align: Any = "center", *, rule: bool = False) -> Cell:
    return Cell((Run(text),) if text else (), span, align, rule)


def small(**changes: Any) -> Grid:
    lines = (
        Line((_cell(""), _cell("Both ‘groups’", 2, rule=True)), "head"),
        Line((_cell("结果", align="left"), _cell("(1)"), _cell("(2)")), "head"),
        Line((_cell("A. 对数", 3, "left"),), "panel", rule=True),
        Line((_cell(SPECIAL, align="left"), _cell("−0.067†"), _cell("<0.001"))),
        Line((_cell("[p]", align="left"), _cell("[0.250]"), _cell("")), gap=True),
        Line((_cell("B. “level” × δ ≥ 1", 3, "left"),), "panel", rule=True),
        Line((_cell("枢纽", align="left"), _cell("1,234.5", 2))),
    )
    notes = ((Run("注："), Run("95 % of “them”, "), Run("0.123"), Run(f"; {SPECIAL}.")), (Run("第二段。"),))
    given: dict[str, Any] = {
        "id": "T9",
        "name": "small",
        "language": "zh",
        "label": "tab:small",
        "heading": "表9",
        "title": f"标题 & {SPECIAL}",
        "lines": lines,
        "widths": (0.5, 0.25, 0.25),
        "notes": notes,
    }
    return Grid(**(given | changes))


def panels() -> Grid:
    """Panels that bring their own headings: no common head, running text, on its side."""
    lines = (
        Line((_cell("A. Hubs", 3, "left"),), "panel"),
        Line((_cell("Hub", align="left"), _cell("Province", align="left"), _cell("Year")), "head"),
        Line((_cell("One", align="left"), _cell("Here", align="left"), _cell("2021-05-24")), rule=True),
        Line((_cell("B. Dates", 3, "left"),), "panel", rule=True),
        Line((_cell("Date", align="left"), _cell("Fact", 2, "left")), "head"),
        Line((_cell("2022", align="left"), _cell("Hub’s opening – 5 %", 2, "left")), rule=True),
    )
    return small(language="en", heading="Table 9.", title="Panels", lines=lines, landscape=True, fixed=True)


def document_xml(content: bytes) -> bytes:
    """The body of a document, indented, without the namespace declarations."""
    tree = etree.fromstring(zipfile.ZipFile(io.BytesIO(content)).read("word/document.xml"))
    etree.indent(tree)
    return re.sub(rb' xmlns:\w+="[^"]*"', b"", etree.tostring(tree[0], encoding="utf-8")) + b"\n"


@pytest.mark.parametrize("name", ["small", "panels"])
@pytest.mark.parametrize("backend", [markdown, csv_, latex, word], ids=lambda b: b.SUFFIX)
def test_drawn_as_recorded(name: str, backend: Any) -> None:
    drawn = backend.render({"small": small, "panels": panels}[name]())
    suffix = backend.SUFFIX
    if suffix == "docx":
        drawn, suffix = document_xml(drawn), "docx.xml"
    path = SNAPSHOTS / f"{name}.{suffix}"
    if os.environ.get("SNAPSHOT_UPDATE"):
        path.write_bytes(drawn)
    assert drawn.decode() == path.read_bytes().decode()


@pytest.mark.parametrize("backend", [markdown, csv_, latex, word], ids=lambda b: b.SUFFIX)
def test_the_same_bytes_every_time(backend: Any) -> None:
    assert backend.render(small()) == backend.render(small())


def test_latex_keeps_a_group_heading_of_a_long_table_on_its_page_and_shrinks_many_columns() -> None:
    def drawn(columns: int, repeats: int) -> str:
        group = Line((_cell(""), _cell("Group", columns - 1, rule=True)), "head")
        body = Line(tuple(_cell("1") for _ in range(columns)))
        lines = (group, *[body] * repeats)
        return latex.render(small(lines=lines, widths=(1 / columns,) * columns)).decode()

    assert "cmidrule(lr){2-3}" in drawn(3, 10)
    assert r"\multispan{1}\hfil&\multispan{2}\hskip" in drawn(3, 60)
    assert r"\cmidrule(" not in drawn(3, 60)
    assert r"\setlength{\tabcolsep}" not in drawn(6, 60)
    assert r"\scriptsize\setlength{\tabcolsep}{2pt}" in drawn(7, 60)


def test_csv_has_one_column_a_grid_column() -> None:
    rows = list(csv.reader(io.StringIO(csv_.render(small()).decode())))
    assert {len(row) for row in rows} == {3}
    assert rows[4] == [SPECIAL, "−0.067†", "<0.001"]
    assert rows[7] == ["枢纽", "1,234.5", ""]


@pytest.fixture
def document() -> Any:
    return docx.Document(io.BytesIO(word.render(small())))


def _sides(cell: Any) -> dict[str, str]:
    borders = cell._element.tcPr.find(qn("w:tcBorders"))
    return {} if borders is None else {side.tag.split("}")[1]: side.get(qn("w:sz")) for side in borders}


def test_word_draws_three_lines(document: Any) -> None:
    rows = document.tables[0].rows
    assert [_sides(row.cells[0]) for row in rows] == [
        {"top": "12"},
        {"bottom": "6"},
        {"top": "6"},
        {},
        {"bottom": "6"},
        {"top": "6"},
        {"bottom": "12"},
    ]
    assert _sides(rows[0].cells[1]) == {"top": "12", "bottom": "6"}  # the span has its own rule
    assert document.tables[0].style.name == "Normal Table"


def test_word_sets_both_fonts_on_every_run(document: Any) -> None:
    runs = list(document.element.body.iter(qn("w:r")))
    assert len(runs) > 15
    for run in runs:
        fonts = run.rPr.find(qn("w:rFonts"))
        assert (fonts.get(qn("w:ascii")), fonts.get(qn("w:hAnsi"))) == ("Times New Roman", "Times New Roman")
        assert fonts.get(qn("w:eastAsia")) == "宋体"


def test_word_merges_cells_and_repeats_the_heading(document: Any) -> None:
    rows = document.tables[0].rows
    assert [len({id(cell._tc) for cell in row.cells}) for row in rows] == [2, 3, 1, 3, 3, 1, 2]
    assert rows[2].cells[0].text == "A. 对数"
    assert [row._tr.find(f".//{qn('w:tblHeader')}") is not None for row in rows] == [True, True, *[False] * 5]


def test_word_carries_no_time_and_no_tool(document: Any) -> None:
    core = document.core_properties
    assert {core.created.isoformat(), core.modified.isoformat()} == {"2000-01-01T00:00:00+00:00"}
    assert (core.author, core.comments, core.last_modified_by, core.revision) == ("", "", "", 1)
    entries = zipfile.ZipFile(io.BytesIO(word.render(small()))).infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


def test_word_turns_a_wide_table() -> None:
    section = docx.Document(io.BytesIO(word.render(panels()))).sections[0]
    assert section.page_width > section.page_height
    assert section.orientation == docx.enum.section.WD_ORIENT.LANDSCAPE
