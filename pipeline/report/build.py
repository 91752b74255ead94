"""Build the finished grid of a table from its stanza and the three tidy files.

A stanza of ``specs/tables.yaml`` (texts are a string, or a zh and en pair)::

    T4:
      name: baseline                       # file name, ASCII
      label: tab:baseline                  # LaTeX
      title: {zh: …, en: …}
      decimals: 3                          # of placeholders that name no style
      landscape: false
      fixed: false                         # true: running text, so that columns have fixed widths
      widths: [4, 2, 2]                    # relative; default: the first column twice as wide as the others
      stub: {zh: …, en: …}                 # heading of the first column
      sources:                             # name: [file, parts of its key …]; {word} is a variable
        did: [estimates, "did.{outcome}.{adjustment}", hub_post]
      columns:
        - {id: x, head: ["(2)", {zh: …, en: …}], vars: {adjustment: x}}
      panels:
        - {id: ln, title: {…}, vars: {outcome: chain_ln}, decimals: 3}
      rows:
        - {id: estimate, label: {…}, cell: "{did.estimate}", stars: did.p_value}
      marks: [{panel: ln, column: x, row: estimate, text: "†"}]
      notes: [{zh: …, en: …}]

A panel may have its own ``columns``, ``rows``, ``stub`` and ``sources``. ``rows: {view: v, label: …}`` makes one row of
every row of a view of ``values``: those named under ``first``, then the others in the order of the file, or by the
numbers in the column ``order``; ``where: {column: text or texts}`` keeps some. ``rows: {each: [a, b], lines: […]}``
makes the same lines for every entry, an id or ``{id: …, vars: {…}}``; ``{item}`` is the id. A column may have a
``cell`` (used where the row has none), ``decimals``, a ``group`` heading over consecutive columns, a ``span``, an
``align`` and the ``panels`` it belongs to; a row may have its ``panels`` and ``columns``, a template a column under
``cells``, a ``gap`` above it and ``vars``. ``pipeline.report.notes`` describes the forms of a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from pipeline.errors import ReportError
from pipeline.report import format as fmt
from pipeline.report import notes, table_rows
from pipeline.report.grid import Cell, Grid, Language, Line, Run
from pipeline.report.resolve import Scope, Tidy, Words

FIELDS = {
    "stanza": {"name", "label", "title", "decimals", "landscape", "fixed", "widths", "stub", "sources", "columns"}
    | {"panels", "rows", "marks", "notes"},
    "panel": {"id", "title", "vars", "decimals", "columns", "rows", "stub", "sources"},
    "column": {"id", "head", "vars", "cell", "decimals", "group", "span", "align", "panels"},
    "row": {"id", "label", "vars", "cell", "cells", "stars", "panels", "columns", "gap"},
}


def build(
    table_id: str,
    stanza: Mapping[str, Any],
    tidy: Tidy,
    words: Words,
    *,
    labels: Mapping[str, Mapping[str, str]],
    stars: bool = False,
) -> Grid:
    """Build one table in one language.

    Parameters
    ----------
    table_id : str
        ``T4``.
    stanza : mapping
        Its entry of ``specs/tables.yaml``; see the module's description.
    tidy, words : Tidy, Words
        Numbers, and fixed words in the language of the table.
    labels : mapping
        Variable to its zh and en label and unit: ``{label}`` and ``{unit}`` of a row with that id.
    stars : bool
        Whether rows that name a p-value under ``stars`` carry 10, 5 and 1 per cent stars; a note says so.

    Raises
    ------
    ReportError
        The stanza asks for a key, field, phrase or label that does not exist, or is malformed; the message names
        table, cell and key.
    """
    _known(stanza, "stanza", table_id)
    build_ = _Builder(table_id, stanza, tidy, words, labels, stars)
    return build_.grid()


def _known(node: Any, kind: str, place: str) -> None:
    unknown = sorted(set(node) - FIELDS[kind]) if isinstance(node, Mapping) else [repr(node)]
    if unknown:
        raise ReportError(f"{place}: unknown field(s) {', '.join(unknown)}. Known: {', '.join(sorted(FIELDS[kind]))}.")


def _belongs(node: Mapping[str, Any], panel: Mapping[str, Any]) -> bool:
    return "panels" not in node or panel["id"] in node["panels"]


@dataclass(frozen=True)
class _Builder:
    table_id: str
    stanza: Mapping[str, Any]
    tidy: Tidy
    words: Words
    labels: Mapping[str, Mapping[str, str]]
    stars: bool

    @property
    def language(self) -> Language:
        return self.words.language

    def grid(self) -> Grid:
        stanza, place = self.stanza, self.table_id
        lines = [] if "columns" not in stanza else self._head(stanza, stanza["columns"], place)
        for panel in stanza["panels"]:
            lines += self._panel(panel, first=not lines)
        count = sum(cell.span for cell in lines[0].cells)
        for line in lines:
            if sum(cell.span for cell in line.cells) != count:
                raise ReportError(f"{place}: the line {line.cells[0].text!r} does not span {count} columns.")
        widths = stanza.get("widths", [2, *[1] * (count - 1)])
        if len(widths) != count:
            raise ReportError(f"{place}: {len(widths)} widths for {count} columns.")
        heading = self.words.phrase("table", place).replace("{number}", place.removeprefix("T"))
        return Grid(
            id=place,
            name=stanza["name"],
            language=self.language,
            label=stanza["label"],
            heading=heading,
            title=self.words.say(stanza["title"], place),
            lines=tuple(lines),
            widths=tuple(width / sum(widths) for width in widths),
            notes=self._notes(lines),
            landscape=bool(stanza.get("landscape", False)),
            fixed=bool(stanza.get("fixed", False)),
        )

    def _head(self, owner: Mapping[str, Any], columns: list[Any], place: str) -> list[Line]:
        """Lines of a heading: groups over columns where there are any, then one line a part of ``head``."""
        for column in columns:
            _known(column, "column", place)
        lines = []
        if any("group" in column for column in columns):
            cells = [Cell()]
            for _, together in groupby(columns, key=lambda c: str(c.get("group", c["id"]))):
                over = list(together)
                text = self.words.say(over[0]["group"], place) if "group" in over[0] else ""
                cells.append(Cell((Run(text),) if text else (), sum(map(self._span, over)), rule=bool(text)))
            lines.append(Line(tuple(cells), "head"))
        heads = [h if isinstance(h, list) else [h] for h in (column["head"] for column in columns)]
        depth = max(map(len, heads))
        stub = self.words.say(owner.get("stub", self.stanza.get("stub", "")), place)
        for level in range(depth):
            cells = [Cell((Run(stub),) if level == depth - 1 and stub else (), align="left")]
            for column, head in zip(columns, heads, strict=True):
                text = self.words.say(head[level], place) if level < len(head) else ""
                cells.append(Cell((Run(text),) if text else (), self._span(column), column.get("align", "center")))
            lines.append(Line(tuple(cells), "head"))
        return lines

    def _span(self, column: Mapping[str, Any]) -> int:
        span = column.get("span", 1)
        return int(span[self.language] if isinstance(span, Mapping) else span)

    def _panel(self, panel: Mapping[str, Any], *, first: bool) -> list[Line]:
        place = f"{self.table_id}, panel {panel.get('id')}"
        _known(panel, "panel", place)
        columns = panel.get("columns", self.stanza.get("columns", []))
        columns = [c for c in columns if self._span(c) > 0]
        width = 1 + sum(map(self._span, columns))
        title = Cell((Run(self.words.say(panel["title"], place)),), width, "left")
        lines = [Line((title,), "panel", rule=not first)]
        if "columns" in panel:
            lines += self._head(panel, columns, place)
        body = [self._row(panel, row, columns) for row in self._rows(panel, place)]
        return [*lines, replace(body[0], rule="columns" in panel), *body[1:]]

    def _rows(self, panel: Mapping[str, Any], place: str) -> list[Mapping[str, Any]]:
        rows = table_rows.expand(panel.get("rows", self.stanza.get("rows", [])), self.tidy, place)
        for row in rows:
            _known(row, "row", place)
        rows = [row for row in rows if _belongs(row, panel)]
        if not rows:
            raise ReportError(f"{place}: no row is listed.")
        return rows

    def _scope(self, panel: Mapping[str, Any], node: Mapping[str, Any], row: Mapping[str, Any], place: str) -> Scope:
        known = {"lang": self.language, "row": row.get("id", ""), "column": node.get("id", "")}
        variable = row.get("vars", {}).get("item", known["row"])
        if variable in self.labels:
            label = self.labels[variable]
            text = self.words.say(label, place)
            text = text if text.startswith("ln ") else text[:1].upper() + text[1:]
            known |= {"label": text, "unit": self._unit(label, place)}
        for part in (panel, node, row):
            known |= {name: self.words.say(value, place) for name, value in part.get("vars", {}).items()}
        sources = self.stanza.get("sources", {}) | panel.get("sources", {})
        decimals = node.get("decimals", panel.get("decimals", self.stanza.get("decimals", 3)))
        return Scope(self.tidy, self.words, sources, known, decimals, place, self.labels)

    def _unit(self, label: Mapping[str, str], place: str) -> str:
        """Return a unit as this language writes it: from the label, or by the phrase list."""
        unit = label.get(f"unit_{self.language}", label["unit"])
        return self.words.translate(unit, place) if unit in self.words.phrases.get("texts", {}) else unit

    def _row(self, panel: Mapping[str, Any], row: Mapping[str, Any], columns: list[Mapping[str, Any]]) -> Line:
        place = f"{self.table_id}, panel {panel['id']}, row {row['id']}"
        scope = self._scope(panel, {}, row, place)
        cells = [Cell(scope.fill(self.words.say(row["label"], place)), align="left")]
        for column in columns:
            cells.append(self._cell(panel, row, column, f"{place}, column {column['id']}"))
        return Line(tuple(cells), gap=bool(row.get("gap", False)))

    def _cell(self, panel: Mapping[str, Any], row: Mapping[str, Any], column: Mapping[str, Any], place: str) -> Cell:
        span, align = self._span(column), column.get("align", "center")
        here = row.get("cells", row.get("columns", [column["id"]]))
        if not _belongs(column, panel) or column["id"] not in here:
            return Cell((), span, align)
        scope = self._scope(panel, column, row, place)
        template = row["cells"][column["id"]] if "cells" in row else row.get("cell", column.get("cell"))
        if template is None:
            raise ReportError(f"{place}: neither the row nor the column says what stands here.")
        runs = scope.fill(self.words.say(template, place))
        source, field = row.get("stars", ".").split(".")
        if self.stars and source and f"{{{source}." in str(template):
            shown = fmt.stars(scope.number(scope.ref(source, field)))
            runs += (Run(shown),) if shown else ()
        at = {"panel": panel["id"], "row": row["id"], "column": column["id"]}
        for mark in self.stanza.get("marks", []):
            if at == {k: mark[k] for k in at}:
                runs += (Run(mark["text"]),)
        return Cell(runs, span, align)

    def _notes(self, lines: list[Line]) -> tuple[tuple[Run, ...], ...]:
        out = []
        for number, note in enumerate(self.stanza.get("notes", []), start=1):
            scope = self._scope({"id": ""}, {}, {}, f"{self.table_id}, note {number}")
            said = {**scope.variables, "spec_ids": notes.spec_ids(lines)}
            out.append(notes.fill(note, replace(scope, variables=said)))
        if self.stars:
            out.append((Run(self.words.phrase("stars", self.table_id)),))
        if out:
            out[0] = (Run(self.words.phrase("notes", self.table_id)), *out[0])
        return tuple(out)
