"""Read printed tables back, and explain every number in them from the CSV files, without the code that printed them.

A number is explained when it is the stored decimal string of a named row of ``results/estimates/*.csv``, scaled and
rounded here; the ``cells`` file beside a table names the row. What is left must be a number in the fixed words of
the table's stanza: for a note those of that note, for a cell those of its template.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import docx

KEYS = {
    "estimates": ("spec_id", "term", "event_time", "cohort"),
    "tests": ("spec_id", "term", "method"),
    "values": ("view_id", "row", "column"),
}
Readings = Callable[[str, str], list[str]]
NUMBER = re.compile(r"[−-]?\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True)
class Stored:
    """The committed CSV files, every cell a string."""

    rows: dict[str, dict[tuple[str, ...], dict[str, str]]]

    @classmethod
    def read(cls, folder: Path) -> Stored:
        rows = {}
        for file, key in KEYS.items():
            with (folder / f"{file}.csv").open(encoding="utf-8", newline="") as lines:
                rows[file] = {tuple(row[k] for k in key): row for row in csv.DictReader(lines)}
        return cls(rows)

    def expected(self, cell: dict[str, str]) -> str:
        """What a printed run must be; for words the stored text, cut where a hash is."""
        parts = cell["key"].split(" | ")
        parts += [""] * (len(KEYS[cell["file"]]) - len(parts))
        raw = self.rows[cell["file"]][tuple(parts)][cell["field"]]
        if cell["decimals"] == "":
            return raw[:12] if cell["field"].endswith("sha256") else raw
        value = Decimal(raw) * Decimal(cell["scale"])
        printed = value.quantize(Decimal(10) ** -int(cell["decimals"]), ROUND_HALF_UP)
        if cell["field"] == "p_value" and Decimal(raw) < Decimal("0.001"):
            return "<0.001"
        return f"{printed:,}".replace("-", "−") if printed else f"{abs(printed)}"


def read_markdown(path: Path) -> tuple[list[list[str]], list[str]]:
    """Body rows of all blocks, headings and panel titles left out; and notes."""
    body: list[list[str]] = []
    notes: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("|") and set(line) <= set("|:- "):
            del body[-1]  # what stands above it is a heading
        elif line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not cells[0].startswith("**"):
                body.append([_plain(cell) for cell in cells])
        elif line and not line.startswith("**"):
            notes.append(_plain(line))
    return body, notes


def read_docx(path: Path) -> tuple[list[dict[int, str]], list[str]]:
    """All rows, each a mapping of the grid column (from 1) a cell begins in to its text; and notes."""
    document = docx.Document(str(path))
    rows = []
    for row in document.tables[0].rows:
        cells: dict[int, str] = {}
        seen: list[Any] = []
        for column, cell in enumerate(row.cells, start=1):
            if cell._tc not in seen:
                seen.append(cell._tc)
                cells[column] = cell.text
        rows.append(cells)
    return rows, [paragraph.text for paragraph in document.paragraphs[1:]]


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


@dataclass(frozen=True)
class Printed:
    """One table in one language, as its files stand in a folder."""

    folder: Path
    table_id: str
    stanza: dict[str, Any]
    language: str

    @property
    def stem(self) -> str:
        return f"{self.table_id}_{self.stanza['name']}"

    def path(self, suffix: str) -> Path:
        return self.folder / f"{self.stem}.{self.language}.{suffix}"

    def sidecar(self) -> dict[tuple[str, int], list[dict[str, str]]]:
        """Traced runs by (row, column)."""
        out: dict[tuple[str, int], list[dict[str, str]]] = {}
        with (self.folder / f"{self.stem}.cells.csv").open(encoding="utf-8", newline="") as lines:
            for cell in csv.DictReader(lines):
                if cell["language"] in ("", self.language):
                    out.setdefault((cell["row"], int(cell["column"])), []).append(cell)
        return out

    def cells(self, suffix: str) -> dict[tuple[str, int], str]:
        """Printed text by (row, column) of every body cell, and of every note."""
        drawn, notes = read_docx(self.path("docx"))
        body = sorted({int(row) for row, _ in self.sidecar() if row.isdigit()})
        rows = [drawn[row - 1] for row in body]
        if suffix == "md":
            written, notes = read_markdown(self.path("md"))
            rows = [dict(zip(row, cells, strict=True)) for row, cells in zip(rows, written, strict=True)]
        out = {
            (str(row), column): text for row, cells in zip(body, rows, strict=True) for column, text in cells.items()
        }
        return out | {(f"note {number}", 0): text for number, text in enumerate(notes, start=1)}

    def allowed(self, row: str, column: int, labels: list[str]) -> set[str]:
        """Numbers in fixed words that may stand in a cell or note."""
        if row.startswith("note"):
            note = self.stanza["notes"][int(row[5:]) - 1]
            fixed = _literals(note, self.language)
            if "{spec_ids}" in str(note):
                fixed += [cell["key"].split(" | ")[0] for cells in self.sidecar().values() for cell in cells]
        else:
            kinds = ("label",) if column == 1 else ("cell", "cells")
            parts = [part for kind in kinds for part in _find(self.stanza, kind)]
            fixed = [text for part in parts for text in _literals(part, self.language)] + labels
        return {number for text in fixed for number in NUMBER.findall(text)}


def _find(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        return [found for k, v in node.items() for found in ([v] if k == key else _find(v, key))]
    return [found for v in node for found in _find(v, key)] if isinstance(node, list) else []


def _literals(node: Any, language: str) -> list[str]:
    """Fixed words of a part of a stanza: its templates without their placeholders."""
    if isinstance(node, str):
        return [re.sub(r"\{[^{}]*\}", " ", node)]
    if isinstance(node, list):
        return [text for value in node for text in _literals(value, language)]
    other = {"zh": "en", "en": "zh"}[language]
    return [text for key, value in node.items() if key != other for text in _literals(value, language)]


def _cut(text: str, pieces: list[str]) -> tuple[str, list[str]]:
    """Take each piece out of a text once, longest first; return what is left and the pieces not found."""
    lost = []
    for piece in sorted(pieces, key=len, reverse=True):
        before = r"(?<![\d.,−-])" if piece[0].isdigit() else ""
        after = r"(?!\d|[.,]\d)" if piece[-1].isdigit() else ""
        found = re.search(before + re.escape(piece) + after, text)
        if found is None:
            lost.append(piece)
        else:
            text = text[: found.start()] + " ¦ " + text[found.end() :]
    return text, lost


def unexplained(printed: Printed, suffix: str, stored: Stored, labels: list[str], readings: Readings) -> list[str]:
    """Return every cell and note with a number that neither a stored number nor a fixed word explains.

    ``labels``: labels and units of variables, which are fixed words too. ``readings``: what a stored text may be
    printed as in the language of the table.
    """
    sidecar = printed.sidecar()
    out = []
    for (row, column), text in printed.cells(suffix).items():
        pieces = []
        for traced in sidecar.get((row, column), []):
            expected = stored.expected(traced)
            read = traced["decimals"] == "" and traced["text"] in readings(expected, printed.language)
            pieces.append(traced["text"] if read else expected)
        rest, lost = _cut(text, [piece for piece in pieces if piece])
        strange = sorted(set(NUMBER.findall(rest)) - printed.allowed(row, column, labels))
        if lost or strange:
            place = f"{printed.path(suffix).name}, row {row}, column {column}"
            out.append(f"{place}: {text!r}: stored but not printed {lost}, printed but not stored {strange}")
    return out
