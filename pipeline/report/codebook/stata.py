"""A frame as a Stata file, with labels in one language.

Stata keeps one set of variable labels in use at a time, and pandas writes no others: so there is a file a language.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Mapping

import pandas as pd

from pipeline.errors import ReportError

NAME, LABEL = 32, 80  # characters
EPOCH = dt.datetime(2000, 1, 1)
RESERVED = {
    "_all",
    "_b",
    "_coef",
    "_cons",
    "_n",
    "_N",
    "_pi",
    "_pred",
    "_rc",
    "_se",
    "_skip",
    "byte",
    "double",
    "float",
}
RESERVED |= {"if", "in", "int", "long", "strL", "using", "with"}


def unfit(names: list[str]) -> list[str]:
    """Return the names that Stata does not accept: too long, reserved, or with other signs than letters, digits, _."""
    return [
        name
        for name in names
        if not re.fullmatch(rf"[A-Za-z_][A-Za-z0-9_]{{0,{NAME - 1}}}", name)
        or name in RESERVED
        or re.fullmatch(r"str\d+", name)
    ]


def label(text: str, unit: str, comma: str) -> str:
    """Return a label with its unit where the two fit, else the text, cut with … where it is still too long."""
    full = f"{text}{comma}{unit}" if unit else text
    if len(full) <= LABEL:
        return full
    return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def dta(frame: pd.DataFrame, labels: Mapping[str, str], title: str) -> bytes:
    """Return the frame as a .dta file, the same bytes every time.

    Parameters
    ----------
    frame : DataFrame
        Text, whole numbers, floats and booleans; a whole number that may be missing is stored as a double.
    labels : mapping of str to str
        A label for each column.
    title : str
        Label of the data set.

    Raises
    ------
    ReportError
        A column has a name that Stata does not accept; all are named.
    """
    wrong = unfit(list(frame.columns))
    if wrong:
        raise ReportError(f"Stata accepts no column named {', '.join(wrong)}: at most {NAME} letters, digits and _.")
    out = frame.copy()
    for name, kind in frame.dtypes.items():
        if isinstance(kind, pd.Int64Dtype):
            out[name] = frame[name].astype("float64")
        elif pd.api.types.is_bool_dtype(kind):
            out[name] = frame[name].astype("int8")
    buffer = io.BytesIO()
    out.to_stata(
        buffer,
        write_index=False,
        version=118,  # Stata 14 and later, UTF-8
        byteorder="little",
        time_stamp=EPOCH,
        data_label=label(title, "", ""),
        variable_labels={name: labels[name] for name in frame.columns},
    )
    return buffer.getvalue()
