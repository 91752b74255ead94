"""Rules on how figures move: one-year spikes that return, stocks that fall and return, provinces exchanged."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.clean.quality.series import Floats, Published, Series, flags, gathered, median

SPIKE, SPIKE_Z = 0.10, 4.0
DIP, DIP_Z = 0.10, 3.0
RETURN = 0.5  # of a spike at most this part may remain the year after
EXCHANGE, EXCHANGE_Z, EXCHANGE_LEFT = 0.15, 5.0, 0.5
FLOOR = 0.01  # growth that differs by less than this from the year's is noise in every series


def moves(series: Series) -> Floats:
    """Return log growth less the year's median over provinces, (P, T-1)."""
    growth = np.diff(series.logs, axis=1)
    return np.asarray(growth - median(growth, axis=0), dtype=float)


def usual(values: Floats, without: list[int]) -> Floats:
    """Return how large the values of each province usually are, (P,), leaving the columns ``without`` out.

    The median absolute value on the scale of a standard deviation, no smaller than half of what it is over all
    provinces (few years say little about one province) and than ``FLOOR``.
    """
    rest = np.abs(np.delete(values, [c for c in without if 0 <= c < values.shape[1]], axis=1))
    own, pooled = 1.4826 * median(rest, axis=1), 1.4826 * float(median(rest.reshape(1, -1), axis=1)[0])
    return np.fmax(np.fmax(own, 0.5 * pooled), FLOOR)


def spike(data: Published) -> pd.DataFrame:
    """Flag a figure that leaves its province's path for one year and returns.

    The move in and the move out, each less the year's median over provinces, have opposite signs, both exceed 10 % in
    logs and four times the usual move of the province, and at most half of the move in remains. It sees slips of the
    pen, misplaced points and units, and one-year events. It cannot see an error in the first or last year, an error
    that stays, a spike within the usual noise of a volatile series, or one shared by most provinces. Many real events
    look the same (vaccines in 2021, Hubei 2020, audits of registries): a flag asks for a judgement. The score is the
    smaller of the two moves over the usual one.
    """
    return gathered([_spikes(s) for s in data.series.values() if s.ratios and s.figures.shape[1] >= 4])


def _spikes(series: Series) -> pd.DataFrame:
    relative = moves(series)
    into, out = relative[:, :-1], relative[:, 1:]
    size, larger = np.fmin(np.abs(into), np.abs(out)), np.fmax(np.abs(into), np.abs(out))
    z = size / np.column_stack([usual(relative, [j, j + 1]) for j in range(size.shape[1])])
    returns = (into * out < 0) & (np.abs(into + out) <= RETURN * larger)
    found = np.zeros(series.figures.shape, dtype=bool)
    found[:, 1:-1] = returns & (size > SPIKE) & (z > SPIKE_Z)
    score = np.zeros(series.figures.shape)
    score[:, 1:-1] = np.nan_to_num(z)
    return flags(series, "spike", found, score)


def stock_dip(data: Published) -> pd.DataFrame:
    """Flag a stock that falls for one year and returns.

    Things that are there (ports, cables, patents in force, staff, sites) do not vanish and come back within a year. The
    stock falls by more than a tenth against the year before and against the year's median move, by more than three
    times the usual move, and is back at 90 % or more the year after. It sees an undercount of one year. It cannot see a
    fall that stays (dismantled copper ports, an audit), one in the first or last year, or one that all provinces share
    (a re-count). The score is the smaller of fall and return over the usual move.
    """
    stocks = [s for s in data.series.values() if s.nature == "stock" and s.figures.shape[1] >= 4]
    return gathered([_dips(s) for s in stocks])


def _dips(series: Series) -> pd.DataFrame:
    logs, relative = series.logs, moves(series)
    fall, rise = np.fmax(np.diff(logs, axis=1), relative)[:, :-1], relative[:, 1:]
    z = np.fmin(-fall, rise) / np.column_stack([usual(relative, [j, j + 1]) for j in range(fall.shape[1])])
    back = logs[:, 2:] - logs[:, :-2] >= np.log(0.9)
    found = np.zeros(logs.shape, dtype=bool)
    found[:, 1:-1] = (fall < -DIP) & (rise > 0.5 * DIP) & back & (z > DIP_Z)
    score = np.zeros(logs.shape)
    score[:, 1:-1] = np.nan_to_num(z)
    return flags(series, "stock_dip", found, score)


def exchange(data: Published) -> pd.DataFrame:
    """Flag two provinces of one year whose figures fit only in each other's place.

    What a figure should be is read from its neighbouring years (at the ends from the one neighbour) and the year's
    median move. Both figures miss it by more than 15 % in logs and five times the province's usual miss; after
    changing places each misses by less than half of the smaller miss. It sees rows that were swapped. It cannot see a
    swap of provinces of nearly the same size, a rotation of three, or a swap within the noise of a volatile series;
    two real moves that mirror each other look the same. The score is the smaller of the two misses over the usual.
    """
    return gathered([_exchanges(s) for s in data.series.values() if s.ratios and s.figures.shape[1] >= 4])


def misses(series: Series) -> tuple[Floats, Floats]:
    """Return the log figure expected from the neighbouring years, (P, T), and by how much the figure misses it."""
    x = series.logs
    padded = np.pad(x, ((0, 0), (1, 1)), constant_values=np.nan)
    before, after = padded[:, :-2], padded[:, 2:]
    around = np.where(np.isnan(before), after, np.where(np.isnan(after), before, (before + after) / 2))
    around = around + median(x - around, axis=0)
    return around, x - around


def _exchanges(series: Series) -> pd.DataFrame:
    x, (around, miss) = series.logs, misses(series)
    found, score = np.zeros(x.shape, dtype=bool), np.zeros(x.shape)
    for j in range(x.shape[1]):
        noise = usual(miss, [j - 1, j, j + 1])
        size = np.abs(miss[:, j])
        worst = size >= np.nan_to_num(np.abs(miss[:, max(0, j - 1) : j + 2])).max(axis=1)  # its neighbours miss by half
        rows = np.flatnonzero((size > EXCHANGE) & (size / noise > EXCHANGE_Z) & worst)
        left = np.abs(x[rows, j][:, None] - around[rows, j])  # by row, the figure of one province in another's place
        left = np.fmax(left, left.T)
        limit = EXCHANGE_LEFT * np.fmin.outer(size[rows], size[rows])
        for a, b in zip(*np.nonzero(np.triu(left < limit, 1)), strict=True):
            pair = rows[[a, b]]
            found[pair, j] = True
            score[pair, j] = float(np.min(size[pair] / noise[pair]))
    return flags(series, "exchange", found, score)
