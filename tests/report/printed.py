"""Read printed tables back, and explain every number in them from the CSV files, without the code that printed them.

A number is explained when it is the stored decimal string of a named row of ``results/estimates/*.csv``, scaled and
rounded here; the ``cells`` file beside a table names the row. What is left must be a number in the fixed words of
the table's stanza: for a note those of that note, for a cell those of its template.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
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
NUMBER = re.compile(r"[−-]?\d[\d,]*(?:\.\d+)?")
Row = tuple[str, list[tuple[int, str]]]  # "4" or "note 1"; (column, text) of its cells


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


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def read_markdown(path: Path) -> tuple[list[list[str]], list[str]]:
    """Body rows of all blocks (headings and panel titles left out), and notes."""
    body, notes, previous = [], [], ""
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("| "):
            cells = [_plain(cell) for cell in re.split(r"(?<!\\) ?\| ?", line)[1:-1]]
            body.append(cells)
            if set(line) <= set("|:- "):
                del body[-2:]  # the rule and the heading above it
            elif cells[0].startswith("**"):
                del body[-1]
        elif line and not line.startswith("**"):
            notes.append(_plain(line))
        previous = line
    assert previous
    return body, notes


def read_docx(path: Path) -> tuple[list[list[str]], list[str]]:
    """All rows, merged cells once; and notes."""
    document = docx.Document(str(path))
    rows = []
    for row in document.tables[0].rows:
        cells = {id(cell._tc): cell.text for cell in row.cells}
        rows.append(list(cells.values()))
    return rows, [paragraph.text for paragraph in document.paragraphs[1:]]


def _sidecar(folder: Path, stem: str, language: str) -> dict[str, list[dict[str, str]]]:
    with (folder / f"{stem}.cells.csv").open(encoding="utf-8", newline="") as lines:
        cells = [row for row in csv.DictReader(lines) if row["language"] in ("", language)]
    out: dict[str, list[dict[str, str]]] = {}
    for cell in cells:
        out.setdefault(cell["row"], []).append(cell)
    return out


def _literals(node: Any, language: str) -> Iterator[str]:
    """Fixed words of a part of a stanza: its templates without their placeholders."""
    if isinstance(node, str):
        yield re.sub(r"\{[^{}]*\}", " ", node)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in {"zh": "en", "en": "zh"}[language]:
                yield from _literals(value, language)
    elif isinstance(node, list):
        for value in node:
            yield from _literals(value, language)


def _numbers(texts: Iterator[str]) -> set[str]:
    return {number for text in texts for number in NUMBER.findall(text)}


def _cut(text: str, pieces: list[str]) -> tuple[str, list[str]]:
    """Take each piece out of a text once, longest first; return what is left and the pieces not found."""
    lost = []
    for piece in sorted(pieces, key=len, reverse=True):
        found = re.search(rf"(?<![\d.,−-]){re.escape(piece)}(?![\d]|[.,]\d)", text)
        if found is None:
            lost.append(piece)
        else:
            text = text[: found.start()] + " ¦ " + text[found.end() :]
    return text, lost


def _pairs(stem: str, folder: Path, language: str, suffix: str, sidecar: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(row, column, text) of every body cell and note; rows are numbered as in the sidecar."""
    path = folder / f"{stem}.{language}.{suffix}"
    bodies = sorted((row for row in sidecar if not row.startswith("note")), key=int)
    if suffix == "md":
        rows, notes = read_markdown(path)
        assert len(rows) == len(bodies), f"{path.name}: {len(rows)} body rows, {len(bodies)} in the sidecar"
    else:
        drawn, notes = read_docx(path)
        rows = [drawn[int(row) - 1] for row in bodies]
    out = []
    for row, cells in zip(bodies, rows, strict=True):
        out += [(row, str(at), text) for at, text in enumerate(cells)]
    return out + [(f"note {number}", "0", text) for number, text in enumerate(notes, start=1)]


def unexplained(
    folder: Path, table_id: str, stanza: dict[str, Any], language: str, suffix: str, stored: Stored, words: list[str]
) -> list[str]:
    """Return every number of a printed table that no stored number and no fixed word explains.

    ``words``: further fixed texts that may stand in the first column, such as the labels of variables.
    """
    stem = f"{table_id}_{stanza['name']}"
    sidecar = _sidecar(folder, stem, language)
    cell_words = _numbers(_literals([_cells(stanza)], language))
    label_words = _numbers(iter([*_literals(_labels(stanza), language), *words]))
    out = []
    order: dict[str, list[str]] = {row: list(dict.fromkeys(c["column"] for c in cells)) for row, cells in sidecar.items()}
    for row, column, text in _pairs(stem, folder, language, suffix, sidecar):
        traced = sidecar.get(row, [])
        if row.startswith("note"):
            allowed = _numbers(_literals(stanza["notes"][int(row[5:]) - 1], language))
        else:
            allowed = label_words if column == "0" else cell_words | _numbers(iter(words))
            traced = [cell for cell in traced if _place(cell, order[row], text, traced) == column]
        pieces = [stored.expected(cell) for cell in traced]
        spoken = [cell["text"] for cell in traced if cell["decimals"] == ""]
        pieces = [p for cell, p in zip(traced, pieces, strict=True) if cell["decimals"] != "" or cell["text"] == p] + [
            said for said, cell in zip(spoken, [c for c in traced if c["decimals"] == ""], strict=True)
            if said != stored.expected(cell)
        ]
        rest, lost = _cut(text, pieces)
        strange = [number for number in NUMBER.findall(rest) if number not in allowed]
        if lost or strange:
            out.append(f"{stem}.{language}.{suffix}, row {row}, column {column}: {text!r}: not found {lost}, odd {strange}")
    return out
