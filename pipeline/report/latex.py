r"""Draw a grid as a LaTeX fragment for ``\input``: booktabs, threeparttable, a label; longtable over several pages.

The document loads booktabs, threeparttable, longtable, array and pdflscape, and for Chinese xeCJK with a font.
"""

from __future__ import annotations

from pipeline.report.grid import Cell, Grid, Line

SUFFIX = "tex"
PAGE_LINES = 48
UPRIGHT_COLUMNS = 6  # more need smaller letters on an upright page
# A \midrule after which no page breaks: booktabs leaves a breakpoint behind the rule.
UNBROKEN = r"\noalign{\nobreak\vskip\aboverulesep\hrule height\lightrulewidth\nobreak\vskip\belowrulesep\nobreak}"
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "$": r"\$",
    "_": r"\_\allowbreak{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "√": r"$\surd$",
    "δ": r"$\delta$",
    "τ": r"$\tau$",
    "λ": r"$\lambda$",
    "γ": r"$\gamma$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "–": "--",
}
_LATIN = {"’": "'", "‘": "`", "”": "''", "“": "``"}  # xeCJK sets the Unicode quotes full width


def escape(text: str, language: str) -> str:
    """Escape text; signs that Latin or Chinese fonts may lack are set in mathematics."""
    table = _ESCAPES if language == "zh" else _ESCAPES | _LATIN
    return "".join(table.get(sign, sign) for sign in text)


def _column(grid: Grid, at: int, span: int, align: str) -> str:
    if not grid.fixed:
        return {"left": "l", "center": "c"}[align]
    share = sum(grid.widths[at : at + span])
    return rf">{{\raggedright\arraybackslash}}p{{\dimexpr {share:.4f}\linewidth-2\tabcolsep}}"


def _cell(grid: Grid, cell: Cell, at: int, kind: str) -> str:
    text = escape(cell.text, grid.language)
    if kind == "panel":
        return rf"\multicolumn{{{cell.span}}}{{l}}{{\textbf{{{text}}}}}"
    if text.startswith(("[", "*")):
        text = f"{{}}{text}"  # after a line end it would be read as its argument
    if grid.fixed and cell.align == "center" and text:
        text = rf"\centering\arraybackslash {text}"
    usual = grid.fixed or cell.align == ("left" if at == 0 else "center") or not text
    if cell.span == 1 and usual:
        return text
    return rf"\multicolumn{{{cell.span}}}{{{_column(grid, at, cell.span, cell.align)}}}{{{text}}}"


def _line(grid: Grid, line: Line, *, bound: bool, together: bool) -> list[str]:
    """Draw a line; ``bound`` to the one before it and ``together`` with the next, no page breaks between them."""
    out = [UNBROKEN if bound else r"\midrule"] if line.rule else [r"\addlinespace"] if line.gap else []
    cells, rules, at = [], [], 0
    for cell in line.cells:
        cells.append(_cell(grid, cell, at, line.kind))
        if cell.rule:
            rules.append(rf"\cmidrule(lr){{{at + 1}-{at + cell.span}}}")
        at += cell.span
    if together and rules:
        rules = _unbroken_rules(line)
    return [*out, " & ".join(cells) + (r" \\*" if together else r" \\"), *rules]


def _unbroken_rules(line: Line) -> list[str]:
    """Draw the rules under spans as a row of their own: no page breaks after it, as one may after a cmidrule."""
    drawn = r"\hskip\tabcolsep\leaders\hrule height\cmidrulewidth\hfill\hskip\tabcolsep"
    cells = [rf"\multispan{{{cell.span}}}" + (drawn if cell.rule else r"\hfil") for cell in line.cells]
    return [
        r"\noalign{\nobreak\vskip\aboverulesep}",
        "&".join(cells) + r"\cr",
        r"\noalign{\nobreak\vskip\belowrulesep\nobreak}",
    ]


def _notes(grid: Grid) -> list[str]:
    return [escape("".join(run.text for run in note), grid.language) for note in grid.notes]


def _long(grid: Grid, columns: str, caption: str, head: list[str], body: list[str]) -> list[str]:
    first = [rf"{caption}\\", r"\toprule", *head, r"\endfirsthead", r"\toprule", *head]
    first += [r"\endhead", r"\endfoot", r"\bottomrule", r"\endlastfoot"]
    if not head:
        first = [rf"{caption}\\", r"\toprule", r"\endfirsthead", r"\endhead", r"\bottomrule", r"\endlastfoot"]
    wide = columns if grid.fixed else rf"@{{\extracolsep{{\fill}}}}{columns}@{{}}"
    table = [
        r"\setlength{\LTleft}{0pt}\setlength{\LTright}{0pt}\setlength{\LTcapwidth}{\linewidth}",
        rf"\begin{{longtable}}{{{wide}}}",
        *first,
        *body,
        r"\end{longtable}",
    ]
    notes = [rf"\noindent {note}\par" for note in _notes(grid)]
    size = r"\footnotesize"
    if len(grid.widths) > UPRIGHT_COLUMNS and not (grid.landscape or grid.fixed):
        size = r"\scriptsize\setlength{\tabcolsep}{2pt}"
    return [size, *table, r"\scriptsize\setlength{\emergencystretch}{3em}", *notes]


def _float(columns: str, caption: str, lines: list[str], notes: list[str]) -> list[str]:
    items = [
        r"\begin{tablenotes}[flushleft]\scriptsize\setlength{\labelsep}{0pt}",
        *(rf"\item {note}" for note in notes),
        r"\end{tablenotes}",
    ]
    table = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]
    inner = [r"\begin{threeparttable}", caption, r"\footnotesize", *table, *(items if notes else [])]
    return [r"\begin{table}[htbp]\centering", *inner, r"\end{threeparttable}", r"\end{table}"]


def render(grid: Grid) -> bytes:
    """Return the table as a UTF-8 fragment; the number in the caption is that of the table's id."""
    columns = "".join(_column(grid, at, 1, "left" if at == 0 else "center") for at in range(len(grid.widths)))
    caption = rf"\caption{{{escape(grid.title, grid.language)}}}\label{{{grid.label}}}"
    long = len(grid.lines) > PAGE_LINES or grid.landscape
    keep = [long and grid.together(at) for at in range(len(grid.lines))]
    bound = [False, *keep]
    drawn = [_line(grid, line, bound=bound[at], together=keep[at]) for at, line in enumerate(grid.lines)]
    head = [text for line in drawn[: grid.head] for text in line]
    body = [text for line in drawn[grid.head :] for text in line]
    if long and head:
        head, body = [*head, r"\midrule"], body[1:]  # the rule under the heading is repeated with it
    out = _long(grid, columns, caption, head, body) if long else _float(columns, caption, head + body, _notes(grid))
    name = "表" if grid.language == "zh" else "Table"
    out = [
        r"\begingroup",
        rf"\renewcommand{{\thetable}}{{{grid.id.removeprefix('T')}}}\renewcommand{{\tablename}}{{{name}}}",
        *out,
    ]
    out += [r"\endgroup"]
    if grid.landscape:
        out = [r"\begin{landscape}", *out, r"\end{landscape}"]
    needs = "% booktabs, threeparttable, longtable, array, pdflscape" + (", xeCJK" if grid.language == "zh" else "")
    return "\n".join([needs, *out, ""]).encode()
