"""Draw a grid as a small HTML page: one table with booktabs rules, its notes below, nothing fetched from anywhere."""

from __future__ import annotations

from html import escape

from pipeline.report.grid import Cell, Grid, Line, Run

SUFFIX = "html"
LANG = {"zh": "zh-CN", "en": "en-GB"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """\
body { margin: 2em auto; padding: 0 1em; max-width: 72em; color: #111; background: #fff;
  font: 15px/1.45 "Times New Roman", "Songti SC", SimSun, "Noto Serif CJK SC", serif; }
.wide { overflow-x: auto; }
table { margin: 0 auto; border-collapse: collapse; border-top: 1.5pt solid; border-bottom: 1.5pt solid; }
table.fixed { width: 100%; min-width: 56em; table-layout: fixed; }
caption { padding-bottom: .5em; font-weight: bold; }
th, td { padding: .1em .6em; font-weight: normal; text-align: center; vertical-align: top; }
.l { text-align: left; }
.panel th { padding-top: .4em; font-weight: bold; }
.rule > * { border-top: .75pt solid; }
.under { border-bottom: .75pt solid; }
.gap > * { padding-top: .5em; }
.notes { margin: .6em auto; font-size: 13px; }
.notes p { margin: .3em 0; }
"""


def _run(run: Run) -> str:
    """Draw a run; pointing at a number shows where it is stored."""
    if run.ref is None or run.ref.decimals is None:
        return escape(run.text, quote=False)
    key = " | ".join(part for part in (*run.ref.key, run.ref.field) if part)
    return f'<span title="{escape(f"{run.ref.file}: {key}")}">{escape(run.text, quote=False)}</span>'


def _cell(cell: Cell, line: Line, at: int) -> str:
    """Draw a cell; headings say what they stand over: a column, a row, a panel."""
    scope = {"head": "col", "panel": "rowgroup", "body": "row" if at == 0 else ""}[line.kind] if cell.text else ""
    names = [name for name, on in (("l", cell.align == "left"), ("under", cell.rule)) if on]
    tag = "th" if scope else "td"
    attributes = f' scope="{scope}"' if scope else ""
    attributes += f' colspan="{cell.span}"' if cell.span > 1 else ""
    attributes += f' class="{" ".join(names)}"' if names else ""
    return f"<{tag}{attributes}>{''.join(map(_run, cell.runs))}</{tag}>"


def _line(line: Line) -> list[str]:
    on = (("panel", line.kind == "panel"), ("rule", line.rule), ("gap", line.gap))
    names = " ".join(name for name, here in on if here)
    cells, at = [], 0
    for cell in line.cells:
        cells.append(_cell(cell, line, at))
        at += cell.span
    return [f'<tr class="{names}">' if names else "<tr>", *cells, "</tr>"]


def _groups(lines: tuple[Line, ...]) -> list[list[Line]]:
    """Cut before every panel: each is a row group, over which its title stands."""
    groups: list[list[Line]] = [[]]
    for line in lines:
        if line.kind == "panel" and groups[-1]:
            groups.append([])
        groups[-1].append(line)
    return groups


def _section(tag: str, lines: list[Line]) -> list[str]:
    return [f"<{tag}>", *(text for line in lines for text in _line(line)), f"</{tag}>"]


def render(grid: Grid) -> bytes:
    """Return the table as a UTF-8 page of its own."""
    title = escape(f"{grid.heading} {grid.title}", quote=False)
    head = list(grid.lines[: grid.head])
    style = STYLE + ("@page { size: landscape; }\n" if grid.landscape else "")
    out = [
        "<!DOCTYPE html>",
        f'<html lang="{LANG[grid.language]}">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        '<div class="wide">',
        '<table class="fixed">' if grid.fixed else "<table>",
        f"<caption>{title}</caption>",
        "<colgroup>",
        *(f'<col style="width: {share * 100:.2f}%">' for share in grid.widths),
        "</colgroup>",
        *(_section("thead", head) if head else []),
        *(text for group in _groups(grid.lines[grid.head :]) for text in _section("tbody", group)),
        "</table>",
        "</div>",
        *(['<div class="notes">'] if grid.notes else []),
        *(f"<p>{''.join(map(_run, note))}</p>" for note in grid.notes),
        *(["</div>"] if grid.notes else []),
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(out).encode()
