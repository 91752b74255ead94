"""Rules on what figures must satisfy among themselves: parts, sums, ratios, published growth, definition breaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.clean.quality.jumps import misses, moves, usual
from pipeline.clean.quality.series import Bools, Floats, Published, Series, flags, gathered, median

GROWTH_Z = 4.0
BREAK, BREAK_Z = 0.30, 5.0
EXPLAINS = 0.5  # of a gap a single figure must explain all but this share to be blamed for it

Gap = tuple[Floats, Floats]  # by how much an identity is missed, and what it allows


def parts(data: Published) -> pd.DataFrame:
    """Flag figures outside what their identity allows.

    Every ``sum``, ``within`` and ``ratio`` of ``specs/identities.yaml`` is checked in each province and year. Of the
    figures in a broken identity the one is flagged whose own neighbouring years say that it is off by just the gap (at
    least half of it explained), else the total. It sees parts above their total, sectors that do not add up, GDP per
    head that is not GDP over population. It cannot see an error that keeps the identity (a part and its total wrong
    together) nor one smaller than the rounding. The score is the gap over what the identity allows.
    """
    found = [
        _blamed(data, entry, *_gap(data, entry))
        for entry in data.identities
        if entry["relation"] != "growth" and _known(data, entry)
    ]
    flat = gathered([f for frames in found for f in frames])
    return flat.sort_values("score", ascending=False).drop_duplicates(["variable", "province_code", "year"])


def _known(data: Published, entry: Mapping[str, Any]) -> bool:
    return all(name in data.series for name in (entry["total"], *entry["parts"]))


def _on(series: Series, years: Floats) -> Floats:
    """Return the figures in ``years``, NaN where the series has none."""
    at = {int(y): j for j, y in enumerate(series.years)}
    columns = [series.figures[:, at[int(y)]] if int(y) in at else np.full(len(series.codes), np.nan) for y in years]
    return np.column_stack(columns)


def _gap(data: Published, entry: Mapping[str, Any]) -> Gap:
    total = data.series[entry["total"]]
    years = total.years.astype(float)
    values = [_on(data.series[name], years) for name in entry["parts"]]
    if entry["relation"] == "ratio":
        below = values[1]
        if entry.get("average"):
            below = (below + _on(data.series[entry["parts"][1]], years - 1)) / 2
        implied = values[0] * float(entry["factor"]) / below
    else:
        implied = np.sum(values, axis=0)
    gap = implied - total.figures
    if entry["relation"] == "within":
        gap = np.fmax(gap, 0.0)
    if "years" in entry:
        gap = np.where(np.isin(total.years, entry["years"]), gap, np.nan)
    return gap, float(entry["tolerance"]) + float(entry.get("relative", 0.0)) * np.abs(total.figures)


def _blamed(data: Published, entry: Mapping[str, Any], gap: Floats, allowed: Floats) -> list[pd.DataFrame]:
    total = data.series[entry["total"]]
    broken: Bools = np.abs(gap) > allowed
    score = np.abs(gap) / allowed
    short = -_deviation(total) - gap
    left = {entry["total"]: -short if entry["relation"] == "within" else np.abs(short)}
    for name in entry["parts"]:
        # A part moves a sum by as much as itself; in a ratio a part's share of itself is the total's share.
        part = data.series[name]
        scale = 1.0 if entry["relation"] != "ratio" else total.figures / _on(part, total.years.astype(float))
        sign = -1.0 if entry["relation"] == "ratio" and name == entry["parts"][1] else 1.0
        off = _aligned(_deviation(part), part, total) * scale * sign - gap
        left[name] = -off if entry["relation"] == "within" else np.abs(off)  # a part may be above its bound by more
    names = list(left)
    stack = np.nan_to_num(np.stack([left[n] for n in names]), nan=np.inf)
    best, least = stack.argmin(axis=0), stack.min(axis=0)
    best = np.where(least <= EXPLAINS * np.abs(gap), best, 0)
    frames = []
    for i, name in enumerate(names):
        series = data.series[name]
        mine = _aligned(np.where(broken & (best == i), 1.0, 0.0), total, series) == 1.0
        if mine.any():
            frames.append(flags(series, "parts", mine, np.nan_to_num(_aligned(score, total, series))))
    return frames


def _deviation(series: Series) -> Floats:
    """Return by how much each figure exceeds what its neighbouring years let expect, in its own unit."""
    around, _ = misses(series)
    return series.figures - np.exp(around)


def _aligned(values: Floats, of: Series, to: Series) -> Floats:
    at = {int(y): j for j, y in enumerate(of.years)}
    blank = np.full(len(of.codes), np.nan)
    return np.column_stack([values[:, at[int(y)]] if int(y) in at else blank for y in to.years])


def national_total(data: Published) -> pd.DataFrame:
    """Flag the figure that makes the provinces' sum miss the published national total.

    Only totals listed in ``specs/identities.yaml`` are compared, in years in which all provinces have a figure; none
    is part of the raw figures. Of the provinces the one is flagged whose neighbouring years say that it is off by the
    gap, at least half of it explained. It sees one wrong figure in an otherwise right year. It cannot see two errors
    that cancel, an exchange of two provinces, or which figure is wrong where none stands out: then nothing is
    flagged. A sum that meets its total is evidence that each odd figure in it is the office's own. The score is the
    gap over the tolerance.
    """
    frames = []
    for entry in data.totals:
        series = data.series.get(entry["variable"])
        if series is None or int(entry["year"]) not in series.years:
            continue
        j = int(np.flatnonzero(series.years == int(entry["year"]))[0])
        figures = series.figures[:, j]
        gap = float(figures.sum() - float(entry["total"]))  # NaN, and not compared, where a province is missing
        if not abs(gap) > float(entry["tolerance"]):
            continue
        left = np.abs(np.nan_to_num(_deviation(series)[:, j]) - gap)
        found = np.zeros(series.figures.shape, dtype=bool)
        found[int(left.argmin()), j] = bool(left.min() <= EXPLAINS * abs(gap))
        frames.append(
            flags(series, "national_total", found, np.full(found.shape, abs(gap) / float(entry["tolerance"])))
        )
    return gathered(frames)


def growth(data: Published) -> pd.DataFrame:
    """Flag a level that contradicts the published real growth.

    For each ``growth`` of ``specs/identities.yaml``: the level over the year before, divided by one plus the real
    growth, is the implied price change of a province. It is flagged where it differs from the year's median by more
    than the tolerance (8 points) and four times the spread of that year. It sees a level of the wrong vintage, an
    exchange or a slip in GDP or in its growth. It cannot see an error within the spread of prices; coal provinces in
    2017 and 2021 are real and look the same. The score is the distance over the spread.
    """
    frames = []
    for entry in data.identities:
        if entry["relation"] != "growth" or not _known(data, entry):
            continue
        level = data.series[entry["total"]]
        real = _aligned(data.series[entry["parts"][0]].figures, data.series[entry["parts"][0]], level)
        price = np.full(level.figures.shape, np.nan)
        price[:, 1:] = level.figures[:, 1:] / level.figures[:, :-1] / (1 + real[:, 1:] / 100)
        distance = np.abs(price - median(price, axis=0))
        spread = np.fmax(1.4826 * median(distance, axis=0), 0.005)
        found = (distance > float(entry["tolerance"])) & (distance / spread > GROWTH_Z)
        frames.append(flags(level, "growth", found, np.nan_to_num(distance / spread)))
    return gathered(frames)


def breaks(data: Published) -> pd.DataFrame:
    """Flag figures that a declared definition break moves much more than it moves the other provinces.

    At each year that the dictionary declares a break, a figure is flagged whose log change less the year's median
    exceeds
    30 % and five times the province's usual move. It says where a break bites, so that a series is not chained
    across it. It cannot see an undeclared break, nor tell a break from an event of the same year. The score is the move
    over the usual one.
    """
    frames = []
    for series in data.series.values():
        if not series.breaks or not series.ratios or series.figures.shape[1] < 4:
            continue
        relative = np.abs(moves(series))
        found, score = np.zeros(series.figures.shape, dtype=bool), np.zeros(series.figures.shape)
        for j in np.flatnonzero(np.isin(series.years[1:], series.breaks)):
            z = relative[:, j] / usual(relative, [int(j)])
            found[:, j + 1] = (relative[:, j] > BREAK) & (z > BREAK_Z)
            score[:, j + 1] = np.nan_to_num(z)
        frames.append(flags(series, "breaks", found, score))
    return gathered(frames)
