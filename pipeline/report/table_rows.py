"""The rows of a panel: as listed, one of every row of a view, or the same lines for each entry of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ReportError
from pipeline.report.resolve import Tidy

Row = Mapping[str, Any]
VIEW = ("view", "first", "order", "where")


def expand(rows: Any, tidy: Tidy, place: str) -> list[Row]:
    """Return the rows that a panel's ``rows`` stand for.

    ``pipeline.report.build`` describes the three forms; a list may mix them.

    Raises
    ------
    ReportError
        The view does not exist, lacks a row named under ``first``, or holds none that ``where`` lets through.
    """
    out: list[Row] = []
    for part in [rows] if isinstance(rows, Mapping) else rows:
        forms = part if isinstance(part, Mapping) else {}
        out += _each(part) if "each" in forms else _of_view(part, tidy, place) if "view" in forms else [part]
    return out


def _each(rows: Row) -> list[Row]:
    """Return the ``lines`` once an entry: ``{item}`` is its id, its ``vars`` hold for every line; a gap between."""
    out: list[Row] = []
    for number, entry in enumerate(rows["each"]):
        entry = {"id": entry} if isinstance(entry, str) else entry
        for at, line in enumerate(rows["lines"]):
            own = {"item": entry["id"]} | entry.get("vars", {}) | line.get("vars", {})
            gap = bool(line.get("gap")) or bool(at == 0 and number > 0 and len(rows["lines"]) > 1)
            out.append(line | {"id": f"{entry['id']}.{line['id']}", "vars": own, "gap": gap})
    return out


def _of_view(rows: Row, tidy: Tidy, place: str) -> list[Row]:
    there, first = tidy.view(rows["view"], place), list(rows.get("first", []))
    absent = [row for row in first if row not in there]
    if absent:
        raise ReportError(f"{place}: the view {rows['view']} has no row {', '.join(absent)}.")
    for column, wanted in rows.get("where", {}).items():
        found = tidy.column(rows["view"], column)
        there = [row for row in there if found.get(row) in ([wanted] if isinstance(wanted, str) else wanted)]
    if "order" in rows:
        rank = tidy.column(rows["view"], rows["order"])
        unplaced = [row for row in there if row not in rank]
        if unplaced:
            raise ReportError(f"{place}: {rows['view']} has no {rows['order']} for {', '.join(unplaced)}.")
        there = sorted(there, key=lambda row: rank[row])
    template = {key: part for key, part in rows.items() if key not in VIEW}
    return [{"id": row} | template for row in (*first, *(row for row in there if row not in first))]
