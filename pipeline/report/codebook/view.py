"""The codebook as a page shows it: sections of rows, every number a short text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.report import format as fmt

DIGITS = 4


def short(value: float) -> str:
    """Print a number with four significant digits, or all digits before the point; trailing zeros are left out."""
    if value == 0:
        return "0"
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = fmt.number(value, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: "" if pd.isna(value) else value for name, value in record.items()}
    row["years"] = f"{row['first_year']}–{row['last_year']}" if row["first_year"] != "" else ""
    row |= {name: short(float(row[name])) if row[name] != "" else "" for name in ("min", "max")}
    return row


def sections(table: pd.DataFrame, words: Mapping[str, Any], indices: set[str]) -> list[dict[str, Any]]:
    """Return the sections of the page: the panel by publication, what is computed, the indices, then the other files.

    Parameters
    ----------
    table : DataFrame
        Output of :func:`pipeline.report.codebook.table.codebook`.
    words : mapping
        ``specs/codebook.yaml``: ``headings``, ``readings`` and ``files``.
    indices : set of str
        Names of the columns that the indices add.

    Returns
    -------
    list of dict with ``title`` (zh and en), ``variables`` (whether the rows are some) and ``rows``.
    """
    headings = words["headings"]
    found: dict[str, dict[str, Any]] = {}
    for record in table.to_dict("records"):
        row = _row({str(k): v for k, v in record.items()})
        if row["file"] != "panel":
            title = words["files"][row["file"]]
        elif row["id"] in indices:
            title = headings["indices"]
        elif row["check"] == "derived":
            title = headings["derived"]
        elif row["publication"]:
            said = {"en": row["publication"], "zh": words["readings"].get(row["publication"], row["publication"])}
            title = {k: headings["published"][k].format(**said) for k in ("en", "zh")}
        else:
            title = headings["key"]
        variable = row["file"] == "panel" and title is not headings["key"]
        section = found.setdefault(title["en"], {"title": title, "variables": variable, "rows": []})
        section["rows"].append(row)
    return list(found.values())
