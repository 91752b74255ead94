"""F6: event study of demand and supply hubs in one equation, one panel a specification on one y axis."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.figures.sheet import DEMAND, MUTED, SHADE, SUPPLY_INK, Sheet, blank, finish

# colour, marker, size, shift within the year
LOOKS = {"demand": (DEMAND, "o", 4.6, -0.14), "supply": (SUPPLY_INK, "s", 4.2, 0.14)}


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``points``, panels in the order of ``panels``; the reference year is hollow."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    points = sheet.rows["points"]
    for axis, spec_id in zip(axes, panels, strict=True):
        _panel(axis, points[points["spec_id"] == spec_id], sheet)
        axis.set_title(sheet.word(spec_id))
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.13 * (high - low))  # room for the two lines of the legend
    axes[0].set_ylabel(sheet.word("y"))
    axes[0].legend(loc="upper left", handletextpad=0.3)
    facts = {c: sheet.fact("points", c) for c in ("n_obs", "n_units", "n_clusters", "covariance")}
    finish(figure, sheet, [sheet.word("note", df=sheet.fact("points", "df"), **facts)])
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, sheet: Sheet) -> None:
    announced, reference = sheet.params["announcement_year"], sheet.params["reference_year"]
    rows = rows.assign(year=rows["event_time"].astype(int) + sheet.params["event_year"]).sort_values("year")
    years = range(rows["year"].min(), rows["year"].max() + 1)
    axis.axvspan(announced - 0.5, announced + 0.5, color=SHADE, lw=0, zorder=0)
    axis.axhline(0, color=MUTED, lw=0.7, zorder=1)
    for role, (colour, marker, size, shift) in LOOKS.items():
        some = rows[rows["term"] == role]
        some = some.assign(at=some["year"] + shift)
        chosen = some["year"] == reference  # a zero by construction: nothing is estimated
        known = some[~chosen]
        axis.vlines(
            known["at"], known["ci_low"], known["ci_high"], color=colour, lw=1.4, zorder=3, gid=f"intervals {role}"
        )
        look: dict[str, Any] = {"ls": "", "marker": marker, "ms": size, "mec": colour, "mew": 0.9, "zorder": 4}
        axis.plot(known["at"], known["estimate"], mfc=colour, gid=role, label=sheet.word(role), **look)
        axis.plot(some["at"][chosen], some["estimate"][chosen], mfc="white", gid=f"reference {role}", **look)
    axis.set_xlim(years[0] - 0.6, years[-1] + 0.6)
    axis.set_xticks(list(years)[::2])
    axis.set_xticks(list(years), minor=True)
    axis.set_xlabel(sheet.word("x"))
