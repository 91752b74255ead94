"""F9: the t of every assignment of hub status to the clusters, and the one that took place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.figures.sheet import CONTROL, HUB, INK, Sheet, blank, finish, number, p_value

BIN = 0.1  # width of a bar, as the view says
LIMIT = 6.0


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``shares``, one panel a specification; p and interval from the rows ``tests``."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, spec_id in zip(axes, panels, strict=True):
        _panel(axis, spec_id, sheet)
        axis.set_title(sheet.word(spec_id))
        axis.set_xlabel(sheet.word("x"))
    axes[0].set_ylabel(sheet.word("y"))
    axes[0].set_ylim(0, 1.3 * axes[0].get_ylim()[1])  # room for the words
    finish(figure, sheet, [sheet.word("note", draws=_draws(sheet))])
    return figure


def _panel(axis: Axes, spec_id: str, sheet: Sheet) -> None:
    rows = sheet.rows["shares"]
    rows = rows[rows["row"] == spec_id]
    chosen = rows["column"] == "observed"
    bars = rows[~chosen].sort_values("x")
    observed = float(rows.loc[chosen, "value"].iloc[0])
    tests = sheet.rows["tests"]
    test = tests[tests["spec_id"] == spec_id].iloc[0].to_dict()
    axis.bar(bars["x"], 100 * bars["value"], width=BIN, color=CONTROL, lw=0, zorder=2, gid="shares")
    axis.axvline(observed, ymax=0.79, color=HUB, lw=1.6, zorder=4, gid="observed")
    axis.axvline(-observed, ymax=0.79, color=HUB, lw=1.0, ls=(0, (3, 2)), zorder=4, gid="mirrored")
    axis.text(0.02, 0.985, _said(observed, test, sheet), transform=axis.transAxes, va="top", linespacing=1.4, color=INK)
    axis.set_xlim(-LIMIT, LIMIT)
    axis.set_xticks(range(-4, 5, 2))
    axis.set_xticks(range(-6, 7), minor=True)


def _said(observed: float, test: Mapping[Any, Any], sheet: Sheet) -> str:
    ends = {name: number(float(test[name]), 3) for name in ("ci_low", "ci_high")}
    return sheet.word("result", t=number(observed), p=p_value(float(test["p_value"])), **ends)


def _draws(sheet: Sheet) -> str:
    return " / ".join(f"{int(n):,}" for n in sheet.rows["tests"]["draws"].unique())
