"""F2: rank of every province in two years, one panel an index; hub provinces stand out by colour and mark."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.errors import ReportError
from pipeline.report.figures.rows import texts
from pipeline.report.figures.sheet import CONTROL, DEMAND, INK, MUTED, PALE, SUPPLY_INK, Sheet, blank, finish

# colour of marks and name, marker, size
LOOKS = {"demand": (DEMAND, "o", 4.2), "supply": (SUPPLY_INK, "s", 3.9), "control": (CONTROL, "o", 3.0)}
NAME_SIZE = 6.3


def draw(sheet: Sheet) -> Figure:
    """Draw the rows named under ``panels`` (ranks in x), provinces in the order of the later year, highest on top."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    provinces = texts(sheet.key, sheet.rows["provinces"])
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        _panel(axis, _ranks(sheet, panel, provinces), provinces, sheet)
        axis.set_title(sheet.word(panel))
    axes[len(panels) // 2].set_xlabel(sheet.word("x"))
    _key(axes[-1], sheet)
    finish(figure, sheet, [sheet.word("note")])
    return figure


def _ranks(sheet: Sheet, panel: str, provinces: pd.DataFrame) -> pd.DataFrame:
    """Return one row a province, from the lowest rank of the later year up; columns are the two years."""
    ranks = sheet.rows[panel].pivot(index="row", columns="column", values="x")  # noqa: PD010 - refuses a repeated key
    unlike = set(ranks.index) ^ set(provinces.index)
    if unlike or ranks.isna().any(axis=None):
        raise ReportError(f"{sheet.key}: {panel} and hub_map disagree about {', '.join(sorted(unlike)) or 'a year'}.")
    first, last = sheet.stanza["years"]
    return ranks.sort_values([last, first], kind="stable")[[first, last]]


def _panel(axis: Axes, ranks: pd.DataFrame, provinces: pd.DataFrame, sheet: Sheet) -> None:
    first, last = ranks.columns
    groups = provinces["group"].reindex(ranks.index)
    heights = pd.Series(range(1, len(ranks) + 1), index=ranks.index)
    for group, (colour, marker, size) in LOOKS.items():
        some, at = ranks[groups == group], heights[groups == group]
        axis.hlines(at, some[first], some[last], color=colour, lw=1.1, zorder=2, gid=f"lines {group}")
        for year, face in ((first, "white"), (last, colour)):
            axis.plot(
                some[year], at, ls="", marker=marker, ms=size, mfc=face, mec=colour, mew=0.9,
                zorder=3 if face == "white" else 4, gid=f"{year} {group}",
            )  # fmt: skip
    axis.grid(axis="y", color=PALE, lw=0.4)
    axis.set_yticks(heights, provinces[f"name_{sheet.language}"].reindex(ranks.index))
    axis.tick_params(axis="y", length=0, labelsize=NAME_SIZE)
    for label, group in zip(axis.get_yticklabels(), groups, strict=True):
        label.set_color(MUTED if group == "control" else LOOKS[group][0])
    axis.set_ylim(0.2, len(ranks) + 0.8)
    axis.set_xlim(0, len(ranks) + 1)
    axis.set_xticks([1, *range(5, len(ranks), 5)])


def _key(axis: Axes, sheet: Sheet) -> None:
    """Explain colours and marks in the corner that the order of the provinces leaves free."""
    signs = [
        Line2D([], [], ls="", marker=marker, ms=size, mfc=colour, mec=colour, label=sheet.word(group))
        for group, (colour, marker, size) in LOOKS.items()
    ]
    signs += [
        Line2D([], [], ls="", marker="o", ms=4, mfc=face, mec=INK, mew=0.9, label=sheet.word("in_year", year=year))
        for year, face in zip(sheet.stanza["years"], ("white", INK), strict=True)
    ]
    axis.legend(handles=signs, loc="lower right", fontsize=NAME_SIZE, handletextpad=0.3, borderaxespad=0.4)
