"""Say for each printed number where it is stored: the sidecar beside every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.errors import ReportError
from pipeline.report.grid import Grid, Language, Ref

COLUMNS = ("row", "column", "language", "text", "file", "key", "field", "decimals", "scale")


def trace(grids: Mapping[Language, Grid]) -> pd.DataFrame:
    """Return one row a printed number or stored word: where it stands and where it comes from.

    Parameters
    ----------
    grids : mapping of language to Grid
        The same table in each language.

    Returns
    -------
    DataFrame with ``row`` (line of the grid from 1, or "note 1"), ``column`` (of the grid, from 1; 0 in notes),
    ``language`` (blank where all languages print the same), ``text``, ``file``, ``key`` (parts joined by " | "),
    ``field``, ``decimals``, ``scale``.

    Raises
    ------
    ReportError
        The languages do not print the same numbers.
    """
    _same_numbers(grids)
    found: dict[tuple[Any, ...], list[str]] = {}
    for language, grid in grids.items():
        for row, column, text, ref in _references(grid):
            key = " | ".join(ref.key).rstrip(" |")
            at = (row, column, text, ref.file, key, ref.field, ref.decimals, ref.scale)
            found.setdefault(at, [])
            if language not in found[at]:
                found[at].append(language)
    out = pd.DataFrame(list(found), columns=[name for name in COLUMNS if name != "language"])
    out["language"] = ["" if len(said) == len(grids) else " ".join(said) for said in found.values()]
    return out[list(COLUMNS)].astype({"decimals": "Int64"})


def _references(grid: Grid) -> list[tuple[str, int, str, Ref]]:
    """Return (row, column, text, reference) of every run that has one; notes are in column 0."""
    out = []
    for row, line in enumerate(grid.lines, start=1):
        column = 1
        for cell in line.cells:
            out += [(str(row), column, run.text, run.ref) for run in cell.runs if run.ref is not None]
            column += cell.span
    for row, note in enumerate(grid.notes, start=1):
        out += [(f"note {row}", 0, run.text, run.ref) for run in note if run.ref is not None]
    return out


def _same_numbers(grids: Mapping[Language, Grid]) -> None:
    numbers = {
        language: [(row, *ref.key, ref.field) for row, _, _, ref in _references(grid) if ref.decimals is not None]
        for language, grid in grids.items()
    }
    first, *others = numbers
    for other in others:
        both = set(numbers[first]) & set(numbers[other])
        unlike = [number for number in (*numbers[first], *numbers[other]) if number not in both]
        if unlike:
            row, *key = unlike[0]
            raise ReportError(
                f"{grids[other].id}: {first} and {other} do not print the same numbers: "
                f"line {row}, {' | '.join(part for part in key if part)}. Mend the two texts in specs/tables.yaml."
            )
