"""Declared corrections of published figures, each guarded by the value it mends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import CorrectionError

ACTIONS = ("set_missing", "set", "exchange")


def apply(figures: pd.DataFrame, corrections: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Apply the corrections in the order declared.

    Parameters
    ----------
    figures : DataFrame
        ``file, variable, province_code, year, value`` and more, unique by variable, province and year.
    corrections : sequence of dict
        Entries of ``specs/corrections.yaml``: ``id``; ``file``; ``variable``; ``action``: ``set_missing``, ``set`` or
        ``exchange``; ``cells``, each with ``province_code, year, expect`` and, for ``set``, ``becomes``; ``exchange``
        has two cells, whose values change places.

    Returns
    -------
    DataFrame
        The figures with corrected values; a figure set to missing has no row. The input is unchanged.

    Raises
    ------
    CorrectionError
        Names every cell that does not show the value its correction expects: the source has mended it, or changed.
    """
    values = figures["value"].copy()
    keys = figures[["file", "variable", "province_code", "year"]].itertuples(index=False, name=None)
    index = dict(zip(keys, figures.index, strict=True))
    problems: list[str] = []
    dropped: list[int] = []
    for entry in corrections:
        rows = _guarded(entry, index, values, problems)
        if rows is None:
            continue
        if entry["action"] == "set_missing":
            dropped += rows
        elif entry["action"] == "set":
            for i, cell in zip(rows, entry["cells"], strict=True):
                values[i] = float(cell["becomes"])
        else:
            values[rows[0]], values[rows[1]] = values[rows[1]], values[rows[0]]
    if problems:
        head = "specs/corrections.yaml: the source no longer shows what these corrections mend; review or remove them:"
        raise CorrectionError("\n".join([head, *problems]))
    return figures.assign(value=values).drop(index=dropped).reset_index(drop=True)


def _guarded(
    entry: dict[str, Any], index: Mapping[tuple[Any, ...], int], values: pd.Series, problems: list[str]
) -> list[int] | None:
    """Return the rows of the cells, or None after noting what is wrong."""
    before = len(problems)
    name, cells = entry["id"], entry["cells"]
    if entry["action"] not in ACTIONS:
        problems.append(f"  {name}: action {entry['action']!r}, expected one of {', '.join(ACTIONS)}")
    if entry["action"] == "exchange" and len(cells) != 2:
        problems.append(f"  {name}: an exchange has two cells, found {len(cells)}")
    rows = []
    for cell in cells:
        where = f"{entry['file']}: {entry['variable']}, {cell['province_code']}, {cell['year']}"
        row = index.get((entry["file"], entry["variable"], str(cell["province_code"]), int(cell["year"])))
        if row is None:
            problems.append(f"  {name}: {where}: there is no figure, expected {cell['expect']}")
        elif not math.isclose(values[row], float(cell["expect"]), rel_tol=1e-9):
            problems.append(f"  {name}: {where}: found {values[row]:.10g}, expected {cell['expect']}")
        else:
            rows.append(row)
    return rows if len(problems) == before else None
