"""Rules on how figures are written: interpolations, decimals that differ from the year's, repeated figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom

from pipeline.clean.quality.series import Bools, Floats, Published, Series, flags, gathered, integer_digits, median

MIN_HITS = 5  # provinces on their midpoint in one year; fewer are chance in short integers
MIN_SHARE = 1 / 3
MAX_CHANCE = 1e-6
PEERS = 3  # provinces that must print as many decimals for them to be the year's format
ROUNDER = 4  # decimals fewer than the year's: one figure in ten thousand ends in four zeros
MAX_REPEATS = 0.05  # share of repeats above which a series repeats by its nature (installed capacity)
REPEAT_CHANCE = 0.005
MIN_DIGITS = 3


def interpolation(data: Published) -> pd.DataFrame:
    """Flag figures that are the straight line between their neighbours in many provinces of one year.

    A figure counts as a hit when it is the linear or geometric interpolation of the years before and after, to the last
    decimal of that year's format, and the neighbours differ. It sees a year filled in for a third of the provinces or
    more (at least 5), where so many hits have a chance below 1e-6 given how often the other years of the series come as
    near. It cannot see a single interpolated province, a gap filled over several years at once, or an interpolation
    rounded so coarsely that any smooth year comes as near. Chance midpoints of short integers (population, percentages)
    stay unflagged, since the series itself sets the chance. The score is minus the decimal logarithm of that chance.
    """
    return gathered([_interpolated(s) for s in data.series.values()])


def _interpolated(series: Series) -> pd.DataFrame:
    v = series.figures
    if v.shape[1] < 3:
        return gathered([])
    before, middle, after = v[:, :-2], v[:, 1:-1], v[:, 2:]
    weight = np.diff(series.years)[:-1] / (series.years[2:] - series.years[:-2])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((before > 0) & (after > 0), after / before, np.nan)
        miss = np.fmin(np.abs(middle - before - (after - before) * weight), np.abs(middle - before * ratio**weight))
    miss = np.where(before != after, miss, np.nan)
    n = np.isfinite(miss).sum(axis=0)
    found, score = np.zeros(v.shape, dtype=bool), np.zeros(v.shape)
    for j in np.flatnonzero(n >= MIN_HITS):
        near = 0.505 * 10.0 ** -np.nanmedian(series.decimals[:, j + 1])
        hit = miss <= near
        hits = int(hit[:, j].sum())
        # How often the other years come as near decides what is chance; half a hit in ten more: never is never certain.
        others = np.delete(np.arange(n.size), j)
        usual = (hit[:, others].sum() + 0.5) / (n[others].sum() + 10.0)
        chance = float(binom.sf(hits - 1, n[j], usual))
        if hits >= max(MIN_HITS, MIN_SHARE * n[j]) and chance < MAX_CHANCE:
            found[:, j + 1] = hit[:, j]
            score[:, j + 1] = -np.log10(max(chance, 1e-300))
    return flags(series, "interpolation", found, score)


def decimals(data: Published) -> pd.DataFrame:
    """Flag figures printed with more decimals than their year's, or rounded four decimals coarser.

    What a year prints is read from the provinces themselves: the decimals of figures with as many integer digits, the
    decimals that three other provinces reach, and, where the source prints significant digits, what those leave for a
    figure of this size. It sees a figure taken from another publication and a placeholder such as 10 among figures of
    four decimals. It cannot see a foreign figure that happens to carry the usual number of decimals, nor coarse
    rounding by less than four; a true figure ends in four zeros once in ten thousand. The score is the number of
    decimals too many (positive) or too few (negative).
    """
    return gathered([_odd_decimals(s) for s in data.series.values()])


def _odd_decimals(series: Series) -> pd.DataFrame:
    places, size = series.decimals, integer_digits(series.figures)
    excess = np.zeros(places.shape)
    for j in range(places.shape[1]):
        known = np.flatnonzero(np.isfinite(places[:, j]))
        if known.size < 10:
            continue
        p, k = places[known, j], size[known, j]
        excess[known, j] = [_excess(p, k, i) for i in range(known.size)]
    return flags(series, "decimals", excess != 0, excess)


def _excess(places: Floats, size: Floats, i: int) -> float:
    others = np.arange(places.size) != i
    year = np.sort(places[others])[-PEERS]
    peers = places[others & (size == size[i])]
    digits = np.sort((places + size)[others])[-PEERS]
    allowed = max(year, peers.max() if peers.size >= PEERS else digits - size[i])
    if places[i] > allowed:
        return float(places[i] - allowed)
    format_ = np.median(peers if peers.size >= PEERS else places[others])
    uniform = np.mean(places[others] >= format_ - 1) >= 0.8
    return float(places[i] - format_) if uniform and format_ - places[i] >= ROUNDER else 0.0


def repeated(data: Published) -> pd.DataFrame:
    """Flag figures that repeat the year before to the last digit.

    A repeat is flagged where its chance is below one in two hundred: the unit of the last digit over the usual change
    of the province, for figures of three or more significant digits. It sees figures carried forward. It cannot see
    repeats in series that repeat by their nature (installed capacity, rates of growth: more than one pair in twenty),
    a figure carried forward and altered, or a slow series whose years are equal by chance. The score is minus the
    decimal logarithm of the chance.
    """
    return gathered([_repeats(s) for s in data.series.values() if s.ratios])


def _repeats(series: Series) -> pd.DataFrame:
    v = series.figures
    unit = 10.0**-series.decimals
    long = _significant(v, series.decimals) >= MIN_DIGITS
    same = np.zeros(v.shape, dtype=bool)
    same[:, 1:] = (v[:, 1:] == v[:, :-1]) & (v[:, 1:] != 0)
    pairs = np.isfinite(v[:, 1:]) & np.isfinite(v[:, :-1])
    if v.shape[1] < 4 or same.sum() > MAX_REPEATS * pairs.sum():
        return gathered([])
    change = np.abs(np.diff(v, axis=1))
    usual = median(np.where(change > 0, change, np.nan), axis=1)[:, None]
    chance = np.clip(unit / usual, 1e-12, 1.0)
    found: Bools = same & long & (chance < REPEAT_CHANCE)
    return flags(series, "repeated", found, -np.log10(chance))


def _significant(values: Floats, places: Floats) -> Floats:
    return places + np.maximum(integer_digits(values), 0)
