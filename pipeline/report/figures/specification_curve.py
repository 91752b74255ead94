"""F10: every specification of the headline in the order of its estimate, and below it the choices that it makes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.errors import ReportError
from pipeline.report.figures.sheet import (
    CONTROL,
    HUB,
    INK,
    MUTED,
    PALE,
    SUPPLY_INK,
    Sheet,
    blank,
    finish,
    number,
    p_value,
)

HEADLINE = SUPPLY_INK
OPTION_SIZE = 6.2


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``estimates``, place in ``x``; ``choices`` of the stanza name the options of each part of a row."""
    figure = blank(sheet)
    choices = sheet.stanza["choices"]
    count = sum(map(len, choices.values())) + len(choices)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 0.058 * count))
    rows = sheet.rows["estimates"].sort_values("x").reset_index(drop=True)
    chosen = rows[rows["row"] == sheet.stanza["headline"]]
    if len(chosen) != 1:
        raise ReportError(f"{sheet.key}: the view holds no specification {sheet.stanza['headline']!r}.")
    headline = {name: float(chosen[name].iloc[0]) for name in ("x", "value", "low", "high")}
    _estimates(upper, rows, headline, sheet)
    _options(lower, rows, sheet)
    for axis in (upper, lower):
        axis.axvline(headline["x"], color=HEADLINE, lw=0.8, zorder=1, gid="headline")
    lower.set_xlabel(sheet.word("x", count=f"{len(rows):,}"))
    lower.set_xlim(rows["x"].min() - 8, rows["x"].max() + 8)
    lower.set_xticks(np.arange(0, rows["x"].max(), 200))
    finish(figure, sheet, [sheet.word("note", count=f"{len(rows):,}", **_joint(sheet))])
    return figure


def _estimates(axis: Axes, rows: pd.DataFrame, headline: Mapping[str, float], sheet: Sheet) -> None:
    axis.axhline(0, color=MUTED, lw=0.7, zorder=2)
    axis.vlines(rows["x"], rows["low"], rows["high"], color=CONTROL, lw=0.28, alpha=0.55, zorder=1, gid="intervals")
    axis.plot(rows["x"], rows["value"], ls="", marker=".", ms=1.6, mew=0, color=HUB, zorder=3, gid="estimates")
    axis.vlines(headline["x"], headline["low"], headline["high"], color=HEADLINE, lw=1.8, zorder=4)
    axis.plot(headline["x"], headline["value"], marker="D", ms=4.6, mfc=HEADLINE, mec="white", mew=0.6, zorder=5)
    said = {name: number(headline[c], 3) for name, c in (("b", "value"), ("low", "low"), ("high", "high"))}
    right = headline["x"] > rows["x"].mean()
    axis.annotate(
        sheet.word("headline", **said), (headline["x"], 0.03), xycoords=("data", "axes fraction"), color=HEADLINE,
        xytext=(-5 if right else 5, 0), textcoords="offset points", ha="right" if right else "left", va="bottom",
    )  # fmt: skip
    axis.set_ylabel(sheet.word("y"))
    axis.tick_params(axis="x", length=0)


def _options(axis: Axes, rows: pd.DataFrame, sheet: Sheet) -> None:
    """One line an option, a tick wherever a specification takes it; the lines of one choice stand together."""
    taken = rows["row"].str.split("|", expand=True)
    line, places, words, titles = 0.0, [], [], []
    for part, (choice, options) in enumerate(sheet.stanza["choices"].items()):
        astray = sorted(set(taken[part]) ^ set(options))
        if astray:
            raise ReportError(f"{sheet.key}: the view and choices.{choice} disagree about {', '.join(astray)}.")
        titles.append((line, sheet.word(choice)))
        line += 1
        for option in options:
            where = rows.loc[taken[part] == option, "x"].to_numpy(dtype=float)
            axis.plot(
                np.repeat(where, 3), np.tile([line - 0.36, line + 0.36, np.nan], len(where)), color=INK, lw=0.3,
                solid_capstyle="butt", zorder=3, gid=f"taken {choice} {option}",
            )  # fmt: skip
            places.append(line)
            words.append(sheet.word(f"{choice}_{option}"))
            line += 1
    axis.set_yticks(places, words)
    axis.tick_params(axis="y", length=0, labelsize=OPTION_SIZE)
    axis.hlines([p + 0.5 for p in places], *axis.get_xlim(), color=PALE, lw=0.3, zorder=0)
    for place, title in titles:
        axis.text(
            0.0, place, title, transform=axis.get_yaxis_transform(), va="center", size=OPTION_SIZE + 0.4, color=HUB
        )
    axis.set_ylim(line - 0.4, -0.6)
    axis.spines["left"].set_visible(False)


def _joint(sheet: Sheet) -> dict[str, str]:
    """Return statistic and p of every joint test, and the number of draws."""
    tests = sheet.rows["tests"].set_index("method")
    statistic, p = tests["statistic"].to_dict(), tests["p_value"].to_dict()
    said = {"draws": " / ".join(f"{int(n):,}" for n in tests["draws"].unique())}
    said |= {"median": number(statistic["median"], 3), "average_z": number(statistic["average_z"])}
    said |= {name: number(100 * statistic[name], 1) for name in ("share_significant", "share_same_sign")}
    return said | {f"p_{name}": p_value(value) for name, value in p.items()}
