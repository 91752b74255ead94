"""F4: unadjusted means by year, with quartile bands and the stages of the policy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.report.figures.sheet import CONTROL, DEMAND, HUB, INK, MUTED, SHADE, SUPPLY_INK, Sheet, blank, finish

# colour, line style, width, marker, alpha of the quartile band (0: none)
LOOKS = {
    "hub": (HUB, "-", 1.8, "o", 0.12),
    "control": (CONTROL, "-", 1.8, "s", 0.2),
    "demand": (DEMAND, (0, (4, 1.5)), 0.9, "", 0.0),
    "supply": (SUPPLY_INK, (0, (1.2, 1.2)), 1.1, "", 0.0),
}


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``means``: one line a group; a year without figures breaks the line."""
    figure = blank(sheet)
    axis = figure.add_subplot()
    means = sheet.rows["means"].assign(year=sheet.rows["means"]["x"].astype(int))
    years = np.arange(means["year"].min(), means["year"].max() + 1)
    announced = sheet.params["announcement_year"]
    axis.axvspan(announced - 0.5, announced + 0.5, color=SHADE, lw=0, zorder=0)
    ends = {}
    for group, look in LOOKS.items():
        rows = means[means["row"] == group].set_index("year").reindex(years)
        _group(axis, group, rows, look)
        ends[group] = float(rows["value"].iloc[-1])
    axis.set_xlim(years[0] - 0.4, years[-1] + 1.0)
    axis.set_xticks(years)
    axis.set_xlabel(sheet.word("x"))
    axis.set_ylabel(sheet.word("y"))
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.02 * (high - low))
    for group, height in _spread(ends, 0.052 * (high - low)).items():
        axis.text(years[-1] + 0.16, height, sheet.word(group), color=LOOKS[group][0], va="center", size=7)
    _stages(axis, sheet)
    finish(figure, sheet, [sheet.word("note")])
    return figure


def _group(axis: Axes, group: str, rows: pd.DataFrame, look: tuple[str, object, float, str, float]) -> None:
    colour, style, width, marker, alpha = look
    if alpha:
        axis.fill_between(
            rows.index, rows["low"], rows["high"], color=colour, alpha=alpha, lw=0, zorder=1, gid=f"quartiles {group}"
        )
        for end in ("low", "high"):  # edges, so that overlapping bands can be told apart
            axis.plot(rows.index, rows[end], color=colour, lw=0.6, alpha=0.8, zorder=2)
    axis.plot(
        rows.index, rows["value"], color=colour, ls=style, lw=width, marker=marker or None, ms=4, mec="white", mew=0.6,
        zorder=4 if alpha else 3, gid=f"mean {group}",
    )  # fmt: skip


def _spread(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Return label heights at least ``gap`` apart, moved as little as their order allows."""
    order = sorted(heights, key=lambda k: heights[k])
    placed = np.array([heights[k] for k in order])
    steps = gap * np.arange(len(order))
    # Pool adjacent violators: labels that would touch share the centre of their block.
    blocks = [[value] for value in placed - steps]
    at = 0
    while at + 1 < len(blocks):
        if np.mean(blocks[at]) > np.mean(blocks[at + 1]):
            blocks[at : at + 2] = [blocks[at] + blocks[at + 1]]
            at = max(at - 1, 0)
        else:
            at += 1
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + steps
    return dict(zip(order, level.tolist(), strict=True))


def _stages(axis: Axes, sheet: Sheet) -> None:
    """Draw the stages of the policy as a strip above the years they cover."""
    across = axis.get_xaxis_transform()
    right = axis.get_xlim()[1]
    for stage in sheet.stanza["stages"]:
        start, end = float(stage["from"]), float(stage["to"] or right)
        axis.add_patch(
            Rectangle((start, 1.015), end - start, 0.105, transform=across, fc="white", ec=MUTED, lw=0.6, clip_on=False)
        )
        axis.text(
            (start + end) / 2, 1.0675, sheet.word(stage["word"]), transform=across, ha="center", va="center",
            size=6.2, color=INK, linespacing=1.15,
        )  # fmt: skip
