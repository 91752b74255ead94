"""Draw a grid as a Word document: a three-line table (三线表) with its notes, the same bytes every time."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import Any

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Emu, Pt

from pipeline.report.grid import Cell, Grid, Line

SUFFIX = "docx"
LATIN, CHINESE = "Times New Roman", "宋体"
RULES = {"outer": 12, "inner": 6}  # eighths of a point
PAGE, MARGIN = (21.0, 29.7), 1.8  # cm
SIZES = {"title": 10.5, "body": 8.0, "fixed": 7.5, "notes": 7.5}  # points
LEADING, PADDING = 1.2, 0.3  # of the size; points
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_QUOTES = set("“”‘’…—")


def _element(tag: str, **attributes: str | int) -> Any:
    element = OxmlElement(tag)
    for name, value in attributes.items():
        element.set(qn(f"w:{name}"), str(value))
    return element


def _write(paragraph: Any, text: str, size: float, language: str, *, bold: bool = False) -> None:
    """Append a run with both fonts; Chinese quotation marks ask for the Chinese one."""
    run = paragraph.add_run(text)
    run.bold = bold or None
    run.font.size = Pt(size)
    run.font.name = LATIN
    fonts = run._element.rPr.rFonts
    fonts.set(qn("w:eastAsia"), CHINESE)
    fonts.set(qn("w:cs"), LATIN)
    if language == "zh" and _QUOTES & set(text):
        fonts.set(qn("w:hint"), "eastAsia")


def _set(paragraph: Any, align: str, size: float, *, before: float = 0, after: float = 0) -> None:
    """Align and space a paragraph; the line height is exact, so that pages break alike under any Chinese font."""
    form = paragraph.paragraph_format
    form.space_before, form.space_after, form.line_spacing = Pt(before), Pt(after), Pt(LEADING * size)
    form.alignment = {
        "left": WD_ALIGN_PARAGRAPH.LEFT,
        "center": WD_ALIGN_PARAGRAPH.CENTER,
        "both": WD_ALIGN_PARAGRAPH.JUSTIFY,
    }[align]


def _borders(cell: Any, **sides: int) -> None:
    """Draw rules of a width in eighths of a point on the sides of a cell."""
    properties = cell._element.get_or_add_tcPr()
    borders = _element("w:tcBorders")
    for side in ("top", "bottom"):
        if side in sides:
            borders.append(_element(f"w:{side}", val="single", sz=sides[side], space=0, color="000000"))
    properties.append(borders)


def _rules(line: Line, cell: Cell, *, first: bool, last: bool, under: bool) -> dict[str, int]:
    sides = {}
    if first or line.rule:
        sides["top"] = RULES["outer" if first else "inner"]
    if last or under or cell.rule:
        sides["bottom"] = RULES["outer" if last else "inner"]
    return sides


def _draw(table: Any, grid: Grid, index: int) -> None:
    line, row = grid.lines[index], table.rows[index]
    last = index == len(grid.lines) - 1
    under = not last and grid.lines[index + 1].rule
    size = SIZES["fixed" if grid.fixed else "body"]
    cells, at = row.cells, 0
    for cell in line.cells:
        target = cells[at] if cell.span == 1 else cells[at].merge(cells[at + cell.span - 1])
        paragraph = target.paragraphs[0]
        _set(paragraph, cell.align, size, before=2.5 if line.gap or line.kind == "panel" else PADDING, after=PADDING)
        paragraph.paragraph_format.keep_with_next = grid.together(index) or None
        for run in cell.runs:
            _write(paragraph, run.text, size, grid.language, bold=line.kind == "panel")
        sides = _rules(line, cell, first=index == 0, last=last, under=under)
        if sides:
            _borders(target, **sides)
        at += cell.span
    properties = row._tr.get_or_add_trPr()
    properties.append(_element("w:cantSplit"))
    if index < grid.head:
        properties.append(_element("w:tblHeader"))


def _table(document: Any, grid: Grid, width: float) -> None:
    table = document.add_table(rows=len(grid.lines), cols=len(grid.widths))
    table.alignment = WD_TABLE_ALIGNMENT.CENTER
    table.autofit = False
    columns = [Emu(int(Cm(width) * share)) for share in grid.widths]
    for column, wide in zip(table.columns, columns, strict=True):
        column.width = wide
        for cell in column.cells:
            cell.width = wide
    for index in range(len(grid.lines)):
        _draw(table, grid, index)


def _document(grid: Grid) -> Any:
    document = Document()
    section = document.sections[0]
    wide, high = (PAGE[1], PAGE[0]) if grid.landscape else PAGE
    section.orientation = WD_ORIENT.LANDSCAPE if grid.landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = Cm(wide), Cm(high)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(MARGIN)
    title = document.add_paragraph()
    _set(title, "center", SIZES["title"], after=4)
    title.paragraph_format.keep_with_next = True
    _write(title, f"{grid.heading} {grid.title}", SIZES["title"], grid.language, bold=True)
    _table(document, grid, wide - 2 * MARGIN)
    for number, note in enumerate(grid.notes):
        paragraph = document.add_paragraph()
        # Justified Chinese is torn apart where a long name of a specification moves to the next line.
        _set(paragraph, "left" if grid.language == "zh" else "both", SIZES["notes"], before=4 if number == 0 else 1)
        _write(paragraph, "".join(run.text for run in note), SIZES["notes"], grid.language)
    core = document.core_properties
    core.title, core.language = f"{grid.heading} {grid.title}", {"zh": "zh-CN", "en": "en-GB"}[grid.language]
    core.author = core.comments = core.last_modified_by = core.keywords = core.subject = ""
    core.created = core.modified = core.last_printed = EPOCH
    core.revision = 1
    return document


def _repack(content: bytes) -> bytes:
    """Rewrite a zip with sorted names and one fixed date."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            new.writestr(entry, old.read(name))
    return out.getvalue()


def render(grid: Grid) -> bytes:
    """Return the table as a .docx document."""
    out = io.BytesIO()
    _document(grid).save(out)
    return _repack(out.getvalue())
