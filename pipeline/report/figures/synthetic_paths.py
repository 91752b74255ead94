"""F8: synthetic difference-in-differences, and for each hub its synthetic control and the gaps of hub and placebos."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pipeline.report.figures.sheet import (
    CONTROL,
    DEMAND,
    HUB,
    INK,
    MUTED,
    SHADE,
    SUPPLY_INK,
    Sheet,
    blank,
    finish,
    number,
    p_value,
)

LOOKS = {"demand": DEMAND, "supply": SUPPLY_INK}
SYNTHETIC = (0, (3.2, 1.6))  # dashes
PLACEBO = "#bdbdbd"
SMALL = 6.2
SPACE = 0.06  # between the roles, of the height of a panel


def draw(sheet: Sheet) -> Figure:
    """Draw ``sdid_path`` above, then a row of paths and a row of gaps for the hubs of each role."""
    figure = blank(sheet)
    roles = sheet.stanza["hubs"]
    wide = max(map(len, roles.values()))
    heights = [1.25, *[1.0, 1.0, SPACE] * len(roles)][:-1]
    grid = GridSpec(len(heights), wide, figure=figure, height_ratios=heights)
    _sdid(figure.add_subplot(grid[0, : wide // 2]), sheet)
    _key(figure.add_subplot(grid[0, wide // 2 :]), sheet)
    ranks = sheet.rows["ranks"].pivot(index="row", columns="column", values="value")  # noqa: PD010 - refuses a repeated key
    for at, (role, hubs) in enumerate(roles.items()):
        first: Axes | None = None
        for place, hub in enumerate(hubs):
            above = figure.add_subplot(grid[1 + 3 * at, place])
            _paths(above, hub, LOOKS[role], sheet)
            above.set_title(sheet.word(hub), size=7, pad=3)
            below = figure.add_subplot(grid[2 + 3 * at, place], sharey=first)
            _gaps(below, hub, LOOKS[role], ranks.loc[hub], sheet)
            if first is None:
                first = below
                above.set_ylabel(sheet.word("y_paths"), size=SMALL)
                below.set_ylabel(sheet.word("y_gaps"), size=SMALL)
            else:
                below.tick_params(axis="y", labelleft=False)
        assert first is not None
        low, high = first.get_ylim()
        first.set_ylim(low, high + 0.2 * (high - low))  # room for rank and p
    finish(figure, sheet, [sheet.word("note", placebos=f"{ranks['placebos'].iloc[0]:g}")])
    return figure


def _series(sheet: Sheet, view: str, row: str) -> pd.Series:
    """Return one path by year; a year without a figure breaks the line."""
    rows = sheet.rows[view]
    path = rows[rows["row"] == row].set_index("x")["value"].sort_index()
    return path.reindex(range(int(path.index.min()), int(path.index.max()) + 1))


def _line(axis: Axes, path: pd.Series, gid: str, colour: str, style: object = "-", width: float = 1.1) -> None:
    """Draw a path; years without a figure are bridged by a thin line."""
    known = path.dropna()
    axis.plot(known.index, known, color=colour, lw=0.5 * width, ls=(0, (1, 1.6)), zorder=2)
    axis.plot(path.index, path, color=colour, lw=width, ls=style, marker=".", ms=2.2 * width**0.5, zorder=3, gid=gid)


def _years(axis: Axes, sheet: Sheet, path: pd.Series) -> None:
    start = sheet.params["event_year"]
    axis.axvspan(start - 0.5, path.index.max() + 0.5, color=SHADE, lw=0, zorder=0)
    axis.set_xlim(path.index.min() - 0.5, path.index.max() + 0.5)
    axis.set_xticks([path.index.min(), 2018, path.index.max()])
    axis.set_xticks(path.index.tolist(), minor=True)
    axis.tick_params(labelsize=SMALL, pad=1.5)
    axis.yaxis.set_major_locator(MaxNLocator(5, prune="both"))  # no label where the next panel begins


def _sdid(axis: Axes, sheet: Sheet) -> None:
    treated, synthetic, counterfactual = (
        _series(sheet, "sdid_path", row) for row in ("treated", "synthetic", "counterfactual")
    )
    _years(axis, sheet, treated)
    _line(axis, treated, "treated", HUB, width=1.4)
    _line(axis, counterfactual, "counterfactual", HUB, SYNTHETIC, 1.2)
    _line(axis, synthetic, "synthetic", CONTROL, width=1.0)
    row = sheet.rows["sdid"].iloc[0]
    said = {name: number(row[name], 3) for name in ("estimate", "ci_low", "ci_high")}
    axis.text(0.02, 0.98, sheet.word("sdid", **said), transform=axis.transAxes, size=SMALL, va="top", linespacing=1.4)
    axis.set_title(sheet.word("sdid_title"), size=7.4, pad=3)
    axis.set_ylabel(sheet.word("y"), size=SMALL)


def _paths(axis: Axes, hub: str, colour: str, sheet: Sheet) -> None:
    actual, synthetic = (_series(sheet, "paths", f"{hub}|{kind}") for kind in ("actual", "synthetic"))
    _years(axis, sheet, actual)
    _line(axis, actual, f"actual {hub}", colour, width=1.3)
    _line(axis, synthetic, f"synthetic {hub}", INK, SYNTHETIC, 0.9)
    axis.tick_params(axis="x", labelbottom=False)


def _gaps(axis: Axes, hub: str, colour: str, rank: pd.Series, sheet: Sheet) -> None:
    own = _series(sheet, "gaps", hub)
    _years(axis, sheet, own)
    for donor in sheet.stanza["placebos"]:
        path = _series(sheet, "gaps", donor).dropna()
        axis.plot(path.index, path, color=PLACEBO, lw=0.5, zorder=1, gid=f"placebo {donor}")
    axis.axhline(0, color=MUTED, lw=0.6, zorder=2)
    _line(axis, own, f"gap {hub}", colour, width=1.3)
    said = sheet.word("rank", rank=f"{rank['rank']:g}", p=p_value(rank["p_value"]))
    axis.text(0.03, 0.98, said, transform=axis.transAxes, size=5.8, va="top", zorder=5)


def _key(axis: Axes, sheet: Sheet) -> None:
    """Explain the lines in the corner beside synthetic difference-in-differences."""
    axis.set_axis_off()
    looks = {
        "key_treated": (HUB, "-", 1.4),
        "key_synthetic": (CONTROL, "-", 1.0),
        "key_counterfactual": (HUB, SYNTHETIC, 1.2),
        "key_demand": (DEMAND, "-", 1.3),
        "key_supply": (SUPPLY_INK, "-", 1.3),
        "key_control": (INK, SYNTHETIC, 0.9),
        "key_placebo": (PLACEBO, "-", 0.8),
    }
    lines = [Line2D([], [], color=c, ls=s, lw=w, label=sheet.word(name)) for name, (c, s, w) in looks.items()]
    axis.legend(handles=lines, loc="center left", fontsize=SMALL + 0.3, handlelength=2.6, labelspacing=0.5)
