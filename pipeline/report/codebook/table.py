"""The codebook as a table: what the specifications say of each column, and what the panel holds of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from pipeline.report.codebook.entries import Entry

OBSERVED = ("first_year", "last_year", "n", "min", "max")
COLUMNS = (
    "file", "id", "family", "zh", "en", "unit", "unit_zh", "type", "bounds_low", "bounds_high", "nature", "publication",
    "publication_zh", "vintage", "vintage_zh", "breaks_en", "breaks_zh", "caution", "caution_zh", "derived_from",
    "formula", "check", *OBSERVED,
)  # fmt: skip


def observed(panel: pd.DataFrame) -> pd.DataFrame:
    """Return first and last year with a figure, number of figures, smallest and largest, by numeric column."""
    numbers = panel.select_dtypes("number").astype("float64")
    years = {name: panel.loc[numbers[name].notna(), "year"] for name in numbers}
    return pd.DataFrame(
        {
            "first_year": pd.Series({name: found.min() for name, found in years.items()}, dtype="Int64"),
            "last_year": pd.Series({name: found.max() for name, found in years.items()}, dtype="Int64"),
            "n": numbers.count().astype("Int64"),
            "min": numbers.min().map(plain),
            "max": numbers.max().map(plain),
        }
    )


def plain(value: float) -> str:
    """Return the shortest decimals that give the number back, whole numbers without a point."""
    return "" if math.isnan(value) else repr(float(value)).removesuffix(".0")


def codebook(entries: list[Entry], panel: pd.DataFrame, readings: Mapping[str, str]) -> pd.DataFrame:
    """Return the codebook, one row a column of a published file.

    Parameters
    ----------
    entries : list of Entry
        In the order to be printed.
    panel : DataFrame
        The columns of the file ``panel``, observed.
    readings : mapping of str to str
        English publication, vintage and caution to Chinese; what is not in it stays blank in Chinese.
    """
    rows = []
    for entry in entries:
        low, high = map(plain, entry.bounds or (math.nan, math.nan))
        row = {name: getattr(entry, name) for name in COLUMNS if hasattr(entry, name)}
        row |= {f"{name}_zh": readings.get(row[name], "") for name in ("publication", "vintage", "caution")}
        row |= {f"breaks_{k}": "; ".join(f"{b['year']}: {b[k]}" for b in entry.breaks) for k in ("en", "zh")}
        row |= {"bounds_low": low, "bounds_high": high, "derived_from": " ".join(entry.derived_from)}
        rows.append(row)
    table = pd.DataFrame(rows)
    seen = observed(panel).rename_axis("id").reset_index().assign(file="panel")
    return table.merge(seen, on=["file", "id"], how="left", validate="1:1")[list(COLUMNS)]
