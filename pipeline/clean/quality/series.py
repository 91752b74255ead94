"""Published series as arrays: what every quality rule reads, and the table that every rule returns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FLAG = ["variable", "province_code", "year", "value", "rule", "score"]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Declared(Protocol):
    """The part of a dictionary entry that the rules read."""

    @property
    def nature(self) -> str:
        """Stock, flow, share, index, rate or price."""

    @property
    def max_jump(self) -> float | None:
        """None for growth rates, whose ratios mean nothing."""

    @property
    def breaks(self) -> tuple[dict[str, Any], ...]:
        """Declared definition breaks, each with its ``year``."""


@dataclass(frozen=True)
class Series:
    """One published series.

    Attributes
    ----------
    variable, nature : str
        Its name and what it is.
    codes : tuple of str
        The P provinces, in order.
    years : ndarray of int, shape (T,)
        The years with any figure, rising; not always consecutive.
    figures, decimals : ndarray of float, shape (P, T)
        The figures and the number of decimals each is printed with; NaN where there is none.
    ratios : bool
        Whether one figure over another means anything; not so for growth rates.
    breaks : tuple of int
        Years from which the declared definition differs.
    """

    variable: str
    nature: str
    codes: tuple[str, ...]
    years: NDArray[np.int64]
    figures: Floats
    decimals: Floats
    ratios: bool
    breaks: tuple[int, ...]

    @property
    def logs(self) -> Floats:
        """Natural logarithms of the positive figures."""
        return np.log(np.where(self.figures > 0, self.figures, np.nan))


@dataclass(frozen=True)
class Published:
    """Everything the rules read: the series, and the identities and national totals declared for them.

    Attributes
    ----------
    series : dict of str to Series
        By variable.
    identities : tuple of dict
        Entries of ``specs/identities.yaml``.
    totals : tuple of dict
        National totals declared there.
    """

    series: dict[str, Series]
    identities: tuple[dict[str, Any], ...] = ()
    totals: tuple[dict[str, Any], ...] = ()


def published(
    figures: pd.DataFrame,
    dictionary: Mapping[str, Declared],
    identities: Mapping[str, Any] | None = None,
) -> Published:
    """Arrange the published figures for the rules.

    Parameters
    ----------
    figures : DataFrame
        ``variable, province_code, year, value``, unique by the first three, as published.
    dictionary : mapping of str to dictionary entry
        Every variable of ``figures``.
    identities : mapping, optional
        ``specs/identities.yaml``: lists ``identities`` and ``national_totals``.
    """
    codes = tuple(sorted(figures["province_code"].unique()))
    frame = figures[["variable", "province_code", "year", "value"]].assign(
        decimals=[decimals(v) for v in figures["value"]]
    )
    series = {}
    for variable, rows in frame.groupby("variable", sort=True):
        name = str(variable)
        wide = rows.pivot_table(index="province_code", columns="year", values=["value", "decimals"])
        value, places = (wide[c].reindex(codes).to_numpy(dtype=float) for c in ("value", "decimals"))
        years = np.asarray(wide["value"].columns, dtype=np.int64)
        entry = dictionary[name]
        breaks = tuple(int(b["year"]) for b in entry.breaks)
        series[name] = Series(name, entry.nature, codes, years, value, places, entry.max_jump is not None, breaks)
    declared = identities or {}
    return Published(series, tuple(declared.get("identities", ())), tuple(declared.get("national_totals", ())))


def decimals(value: float) -> int:
    """Count the decimals in the shortest text of a figure, which is how it was published.

    >>> [decimals(v) for v in (1499.0, 10.5, 55.3218)]
    [0, 1, 4]
    """
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def integer_digits(values: Floats) -> Floats:
    """Count the digits before the decimal point; a figure below one has none."""
    size = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size >= 1, np.floor(np.log10(size) + 1e-12) + 1, np.where(np.isnan(size), np.nan, 0.0))


def median(values: Floats, axis: int) -> Floats:
    """Median that ignores NaN; a line without any figure has none and gives NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis), dtype=float)


def flags(series: Series, rule: str, found: Bools, score: Floats) -> pd.DataFrame:
    """Return the cells ``found`` (P, T) of a series as flags with their scores."""
    row, column = np.nonzero(found)
    return pd.DataFrame(
        {
            "variable": series.variable,
            "province_code": [series.codes[i] for i in row],
            "year": series.years[column].astype("int64"),
            "value": series.figures[row, column],
            "rule": rule,
            "score": score[row, column],
        },
        columns=FLAG,
    )


def gathered(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the flags of several series under each other; none gives an empty table with the columns."""
    filled = [f for f in frames if len(f)]
    if not filled:
        empty = pd.DataFrame(columns=FLAG)
        return empty.astype({"variable": str, "province_code": str, "year": "int64", "value": float, "score": float})
    return pd.concat(filled, ignore_index=True)
