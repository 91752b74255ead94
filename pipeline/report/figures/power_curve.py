"""F14: power of the test of the headline by the true effect, one line a specification."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.figures.sheet import CONTROL, DEMAND, MUTED, SUPPLY_INK, Sheet, blank, finish, number

# colour, line style, marker of the detectable effect
LOOKS = {
    "none": (SUPPLY_INK, (0, (1.2, 1.2)), "s"),
    "x": (DEMAND, "-", "o"),
    "region": (CONTROL, (0, (4, 1.5)), "^"),
}


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``curves`` and the detectable effects of ``estimates``; specifications as in ``series``."""
    figure = blank(sheet)
    axis = figure.add_subplot()
    power = float(sheet.stanza["power"])
    for level, word in ((power, "reached"), (float(sheet.stanza["level"]), "level")):
        axis.axhline(level, color=MUTED, lw=0.7, zorder=1)
        axis.text(0.996, level + 0.02, sheet.word(word), transform=axis.get_yaxis_transform(), ha="right", color=MUTED)
    for name in sheet.stanza["series"]:
        _curve(axis, name, power, sheet)
    for effect in sheet.stanza["effects"]:
        axis.axvline(float(effect), color=MUTED, lw=0.6, ls=(0, (1, 2)), zorder=1)
    axis.set_xlim(0, float(sheet.rows["curves"]["x"].max()))
    axis.set_ylim(0, 1.02)
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_xlabel(sheet.word("x"))
    axis.set_ylabel(sheet.word("y"))
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.2), handlelength=2.6)
    facts = {name: sheet.fact("estimates", name) for name in ("df", "covariance")}
    finish(figure, sheet, [sheet.word("note", **facts)])
    return figure


def _curve(axis: Axes, name: str, power: float, sheet: Sheet) -> None:
    spec_id = sheet.stanza["series"][name]
    colour, style, marker = LOOKS[name]
    curve = sheet.rows["curves"]
    curve = curve[curve["row"] == spec_id].sort_values("x")
    estimate = sheet.rows["estimates"].set_index("spec_id").loc[spec_id]
    facts = {"mde": number(float(estimate["mde"]), 3)}
    facts |= {f: number(float(estimate[f])) for f in ("power_05", "power_10")}
    label = sheet.word(f"series_{name}", **facts)
    axis.plot(curve["x"], curve["value"], color=colour, ls=style, lw=1.5, zorder=3, gid=f"power {name}")
    marked: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5, "mec": "white", "mew": 0.6}
    axis.plot([estimate["mde"]], [power], ls="", zorder=5, gid=f"mde {name}", **marked)
    axis.plot([], [], ls=style, lw=1.5, label=label, **marked)
