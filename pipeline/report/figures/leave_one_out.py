"""F11: the headline without one hub or one province, one panel a specification on one axis of estimates."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.errors import ReportError
from pipeline.report.figures.rows import texts
from pipeline.report.figures.sheet import DEMAND, INK, MUTED, SHADE, SUPPLY_INK, Sheet, blank, finish, number

# colour, marker, size
LOOKS = {"demand": (DEMAND, "o", 3.9), "supply": (SUPPLY_INK, "s", 3.6), "control": ("#6e6e6e", "D", 3.0)}
NAME_SIZE = 6.3
GAP = 1.3  # lines between hubs and provinces
ROOM = {"above": 2.0, "below": 4.6}  # lines for the headline's numbers and for the key


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``points``: first the hubs, then the provinces, each as listed under ``left_out``."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    places = _places(sheet)
    for axis, adjustment in zip(axes, panels, strict=True):
        _panel(axis, adjustment, places, sheet)
        axis.set_title(sheet.word(adjustment))
        axis.set_xlabel(sheet.word("x_axis"))
    axes[0].set_yticks(places["height"], places["name"])
    axes[0].set_ylim(places["height"].min() - ROOM["below"], places["height"].max() + ROOM["above"])
    for label, group in zip(axes[0].get_yticklabels(), places["group"], strict=True):
        label.set_color(MUTED if group == "control" else LOOKS[group][0])
    for axis in axes:
        axis.tick_params(axis="y", length=0, labelsize=NAME_SIZE)
    signs = [
        Line2D([], [], color=colour, lw=1.3, marker=marker, ms=size, label=sheet.word(group))
        for group, (colour, marker, size) in LOOKS.items()
    ]
    key = axes[-1].legend(
        handles=signs, loc="lower right", fontsize=NAME_SIZE, handletextpad=0.4, borderaxespad=0.2, frameon=True,
        framealpha=1, edgecolor="none",
    )  # fmt: skip
    key.set_zorder(6)
    finish(figure, sheet, [sheet.word("note", covariance=sheet.fact("points", "covariance"))])
    return figure


def _places(sheet: Sheet) -> pd.DataFrame:
    """Return name, group and height of everything left out, from the top down."""
    hubs, provinces = (texts(sheet.key, sheet.rows[name]) for name in ("hubs", "provinces"))
    hubs = hubs.assign(name=[sheet.word(hub) for hub in hubs.index]).rename(columns={"role": "group"})
    provinces = provinces.rename(columns={f"name_{sheet.language}": "name"})
    named = pd.concat([frame[["name", "group"]] for frame in (hubs, provinces)])
    wanted = [*sheet.stanza["left_out"]["hubs"], *sheet.stanza["left_out"]["provinces"]]
    absent = [code for code in wanted if code not in named.index]
    if absent:
        raise ReportError(f"{sheet.key}: neither registry_hubs nor hub_map knows {', '.join(absent)}.")
    places = named.loc[wanted]
    first = len(sheet.stanza["left_out"]["hubs"])
    places["height"] = [-(at + (GAP if at >= first else 0.0)) for at in range(len(wanted))]
    return places


def _panel(axis: Axes, adjustment: str, places: pd.DataFrame, sheet: Sheet) -> None:
    points = sheet.rows["points"].set_index("spec_id")
    columns = ["estimate", "ci_low", "ci_high"]
    headline = points[columns].astype(float).loc[f"{sheet.stanza['headline']}.{adjustment}"].to_dict()
    axis.axvspan(headline["ci_low"], headline["ci_high"], color=SHADE, lw=0, zorder=0, gid="headline interval")
    axis.axvline(headline["estimate"], color=INK, lw=0.9, ls=(0, (4, 2)), zorder=1, gid="headline")
    axis.axvline(0, color=MUTED, lw=0.6, zorder=1)
    said = {name: number(headline[name], 3) for name in columns}
    axis.text(
        0.02, 0.995, sheet.word("headline", **said), transform=axis.transAxes, va="top", size=NAME_SIZE, color=INK
    )
    for group, (colour, marker, size) in LOOKS.items():
        some = places[places["group"] == group]
        rows = points.loc[[f"leave_out_{code}.{sheet.stanza['outcome']}.{adjustment}" for code in some.index]]
        axis.hlines(
            some["height"], rows["ci_low"], rows["ci_high"], color=colour, lw=1.3, zorder=3, gid=f"intervals {group}"
        )
        axis.plot(
            rows["estimate"], some["height"], ls="", marker=marker, ms=size, mfc=colour, mec="white", mew=0.5, zorder=4,
            gid=f"estimates {group}",
        )  # fmt: skip
