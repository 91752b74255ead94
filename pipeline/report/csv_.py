"""Draw a grid as CSV: the text as printed, one column a grid column; a span stands in its first column.

For reading beside the other formats. Numbers to compute with are in ``results/estimates``; the ``cells`` file beside
each table says which.
"""

from __future__ import annotations

import csv
import io

from pipeline.report.grid import Grid

SUFFIX = "csv"


def render(grid: Grid) -> bytes:
    """Return the table as UTF-8 CSV with title and notes in the first column."""
    width = len(grid.widths)
    rows = [[f"{grid.heading} {grid.title}"]]
    for line in grid.lines:
        row: list[str] = []
        for cell in line.cells:
            row += [cell.text, *[""] * (cell.span - 1)]
        rows.append(row)
    rows += [["".join(run.text for run in note)] for note in grid.notes]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(row + [""] * (width - len(row)) for row in rows)
    return out.getvalue().encode()
