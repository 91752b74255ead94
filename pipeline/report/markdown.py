"""Draw a grid as Markdown: a pipe table a block, panels as bold rows."""

from __future__ import annotations

import re

from pipeline.report.grid import Cell, Grid, Line

SUFFIX = "md"


def escape(text: str) -> str:
    """Escape what Markdown would read as markup; HTML only where a tag could begin."""
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", re.sub(r"([\\|*_`~$])", r"\\\1", text))


def _bold(text: str) -> str:
    return f"**{escape(text)}**" if text else ""


def _blocks(lines: tuple[Line, ...]) -> list[list[Line]]:
    """Cut where a panel brings its own heading: its columns are others, so it is a pipe table of its own."""
    blocks: list[list[Line]] = [[]]
    for line, after in zip(lines, (*lines[1:], None), strict=True):
        if line.kind == "panel" and after is not None and after.kind == "head" and blocks[-1]:
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _pipe(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _starts(line: Line) -> dict[int, Cell]:
    """Return the cells of a line by the grid column they begin in."""
    starts, at = {}, 0
    for cell in line.cells:
        starts[at] = cell
        at += cell.span
    return starts


def _heading(heads: list[Line], columns: dict[int, Cell]) -> list[str]:
    """Stack the heading of each column; a group stands over every column that it spans."""
    stacked = []
    for at in columns:
        over = [cell for line in heads for start, cell in _starts(line).items() if start <= at < start + cell.span]
        stacked.append("<br>".join(escape(cell.text) for cell in over if cell.text))
    return stacked


def _block(lines: list[Line]) -> list[str]:
    out = []
    if lines[0].kind == "panel":
        out, lines = [_bold(lines[0].cells[0].text), ""], lines[1:]
    heads = [line for line in lines if line.kind == "head"]
    columns = _starts(heads[-1])
    out.append(_pipe(_heading(heads, columns)))
    out.append(_pipe([":--" if cell.align == "left" else ":-:" for cell in columns.values()]))
    for line in lines[len(heads) :]:
        cells = _starts(line)
        texts = [cells[at].text if at in cells else "" for at in columns]
        out.append(_pipe([_bold(text) if line.kind == "panel" else escape(text) for text in texts]))
    return [*out, ""]


def render(grid: Grid) -> bytes:
    """Return the table as UTF-8 Markdown with title and notes."""
    out = [f"**{escape(grid.heading)} {escape(grid.title)}**", ""]
    for block in _blocks(grid.lines):
        out += _block(block)
    for note in grid.notes:
        out += [escape("".join(run.text for run in note)), ""]
    return "\n".join(out[:-1]).encode() + b"\n"
