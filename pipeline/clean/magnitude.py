"""Figures that stand out from their province's neighbouring years by so much that their unit must be another."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

STEPS = (2, 3, 4, 6, 8)  # powers of ten between units in use: %, thousand, 万, million, 亿
SERIES = ["variable", "province_code"]


def out_of_line(figures: pd.DataFrame) -> pd.DataFrame:
    """Find figures more than ``max_jump`` times above or below the nearest years of their province.

    A single figure that differs from both neighbours, the first or last one that differs from its only neighbour, and
    the first year of a lasting shift are found; zeros are not compared, signs are ignored.

    Parameters
    ----------
    figures : DataFrame
        ``variable, province_code, year, value, max_jump``, unique by the first three; a missing ``max_jump`` is not
        compared.

    Returns
    -------
    DataFrame
        Indexed like the figures found: ``near_year, near_value`` of the year compared with, ``factor`` = value over it.
    """
    frame = figures[(figures["value"] != 0) & figures["max_jump"].notna()]
    frame = frame.sort_values([*SERIES, "year"], kind="stable")[[*SERIES, "year", "value", "max_jump"]]
    frame = frame.assign(size=np.log10(frame["value"].abs()), limit=np.log10(frame["max_jump"]))
    series = frame.groupby(SERIES, sort=False)
    columns = ["year", "value", "size"]
    before, after = series[columns].shift(1), series[columns].shift(-1)
    up, down = frame["size"] - before["size"], frame["size"] - after["size"]
    odd_before, odd_after = up.abs() > frame["limit"], down.abs() > frame["limit"]
    first = before["size"].isna()
    spike = odd_before & odd_after & (up * down > 0)
    by_series = [frame[c] for c in SERIES]
    before_spike = spike.groupby(by_series, sort=False).shift(-1, fill_value=False)
    # Of a series of two years the later is blamed: which is wrong cannot be told.
    start = odd_after & first & ~before_spike & (series["size"].transform("count") > 2)
    alone = spike | start
    found = alone | (odd_before & ~alone.groupby(by_series, sort=False).shift(1, fill_value=False))
    near_year, near_value = (before[c].where(odd_before, after[c]) for c in ("year", "value"))
    out = pd.DataFrame({"near_year": near_year, "near_value": near_value, "factor": frame["value"] / near_value})
    return out.loc[found].sort_index()


def likely_unit(unit: str, factor: float) -> str:
    """Name the unit a figure is probably in, given its declared unit and how many times too large it is.

    >>> likely_unit("1e8 kWh", 9800.0)
    '1e4 kWh'
    """
    power = math.log10(abs(factor))
    step = min(STEPS, key=lambda s: abs(s - abs(power))) * (1 if power > 0 else -1)
    if unit == "%" and step == -2:
        return "a fraction, not percent"
    match = re.fullmatch(r"(?:1e(\d+) )?(.+)", unit)
    assert match is not None  # every text matches
    exponent = int(match[1] or 0) - step
    if exponent < 0 or unit in ("%", "index"):
        return "another unit"
    return match[2] if exponent == 0 else f"1e{exponent} {match[2]}"
