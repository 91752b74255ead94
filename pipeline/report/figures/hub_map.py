"""F1: tile-grid map of hubs, clusters and service links: one square a province-level region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle

from pipeline.errors import ReportError
from pipeline.report.figures.rows import texts
from pipeline.report.figures.sheet import CM, DEMAND, INK, MUTED, PALE, SUPPLY, Sheet, blank, finish, wrap

FILL = {"demand": DEMAND, "supply": SUPPLY, "control": PALE, "": "white"}
TEXT = {"demand": "white", "supply": INK, "control": INK, "": MUTED}
LINK = "#8a1f3d"
GAP = 0.035  # between tiles, in tiles
LINE, KEY_SIZE = 0.255, 6  # of the key: between its lines, in tiles; of its letters, in points


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``provinces`` and ``links``; names from ``hubs`` and ``clusters``, places from ``tiles``."""
    figure = blank(sheet)
    axis = figure.add_subplot()
    provinces = _provinces(sheet)
    hubs = provinces.loc[provinces["hub"] != ""].sort_values("group", kind="stable")["hub"].unique()
    names = texts(sheet.key, sheet.rows["clusters"])[f"cluster_{sheet.language}"]
    unlike = set(names.index) ^ {cluster for some in provinces["clusters"] for cluster in some}
    if unlike:
        raise ReportError(
            f"{sheet.key}: column clusters of hub_map and the view registry_clusters disagree about "
            f"{', '.join(sorted(unlike))}: each cluster has a name and at least one host province."
        )
    hosted = {hub: list(dict.fromkeys(provinces.loc[provinces["hub"] == hub, "clusters"].sum())) for hub in hubs}
    marks = {cluster: i for i, cluster in enumerate((c for hub in hubs for c in hosted[hub]), start=1)}
    for code, tile in provinces.iterrows():
        _tile(axis, str(code), tile, [marks[c] for c in tile["clusters"]])
    for hub in hubs:
        _outline(axis, provinces[provinces["hub"] == hub])
    _links(axis, sheet)
    numbered = {hub: sheet.word("and").join(f"{marks[c]} {names[c]}" for c in hosted[hub]) for hub in hubs}
    for group in ("demand", "supply"):
        _hub_list(axis, sheet, provinces, group, numbered)
    _signs(axis, sheet)
    axis.set_xlim(provinces["column"].min() - 0.08, provinces["column"].max() + 1.08)
    axis.set_ylim(provinces["line"].max() + 1.08, provinces["line"].min() - 0.08)
    axis.set_aspect("equal")
    axis.set_axis_off()
    finish(figure, sheet, [sheet.word("note")])
    return figure


def _provinces(sheet: Sheet) -> pd.DataFrame:
    """Return one row a tile: group, hub, label, clusters (list), line and column."""
    known = texts(sheet.key, sheet.rows["provinces"])
    tiles: Mapping[str, Any] = sheet.stanza["tiles"]
    astray = [c for c in known.index if c not in tiles]
    astray += [c for c, tile in tiles.items() if c not in known.index and "words" not in tile]
    if astray:
        raise ReportError(
            f"{sheet.key}: specs/figures.yaml and the rows of hub_map disagree about {', '.join(astray)}: "
            "each province needs a tile, and a tile without a province its own words."
        )
    out = []
    for code, tile in tiles.items():
        row: Mapping[Any, Any] = known.loc[code].to_dict() if code in known.index else {}
        out.append(
            {
                "group": row.get("group", ""),
                "hub": row.get("hub", ""),
                "label": row[f"name_{sheet.language}"] if row else tile["words"][sheet.language],
                "clusters": [c for c in row.get("clusters", "").split(";") if c],
                "line": tile["at"][0],
                "column": tile["at"][1],
            }
        )
    return pd.DataFrame(out, index=pd.Index(list(tiles), name="province_code"))


def _tile(axis: Axes, code: str, tile: pd.Series, marks: list[int]) -> None:
    column, line, group = tile["column"], tile["line"], tile["group"]
    axis.add_patch(
        Rectangle(
            (column + GAP, line + GAP), 1 - 2 * GAP, 1 - 2 * GAP, fc=FILL[group], ec="#999999" if not group else "none",
            ls=(0, (2, 2)) if not group else "-", lw=0.6, zorder=1, gid=f"tile {code}",
        )
    )  # fmt: skip
    long = len(tile["label"]) > 9
    label = tile["label"].replace(" ", "\n") if long else tile["label"]
    words = axis.text(
        column + 0.1, line + 0.12, label, color=TEXT[group], size=6.6 if label.isascii() else 8.2, va="top",
        linespacing=1.0, zorder=5,
    )  # fmt: skip
    words.set_path_effects([patheffects.withStroke(linewidth=1.6, foreground=FILL[group])])
    for place, mark in enumerate(marks):
        _mark(axis, column + 0.8 - 0.3 * place, line + 0.79, mark)


def _mark(axis: Axes, x: float, y: float, mark: int) -> None:
    axis.plot(x, y, marker="o", ms=9.5, mfc="white", mec=INK, mew=0.7, zorder=6)
    axis.text(x, y, str(mark), size=6, ha="center", va="center_baseline", color=INK, zorder=7)


def _outline(axis: Axes, tiles: pd.DataFrame) -> None:
    """Draw the outer border of a group of tiles: the sides that no other tile of the group shares."""
    cells = set(zip(tiles["column"], tiles["line"], strict=True))
    for x, y in sorted(cells):
        sides = {
            (0, -1): ((x, x + 1), (y, y)),
            (0, 1): ((x, x + 1), (y + 1, y + 1)),
            (-1, 0): ((x, x), (y, y + 1)),
            (1, 0): ((x + 1, x + 1), (y, y + 1)),
        }
        for (across, down), side in sides.items():
            if (x + across, y + down) not in cells:
                axis.plot(*side, color=INK, lw=1.7, solid_capstyle="projecting", zorder=3)


def _links(axis: Axes, sheet: Sheet) -> None:
    """Draw each service link as a curved arrow along its route."""
    routes: Mapping[str, Any] = sheet.stanza["routes"]
    links = texts(sheet.key, sheet.rows["links"])
    lacking = [name for name in links.index if name not in routes]
    if lacking:
        raise ReportError(f"{sheet.key}: routes in specs/figures.yaml lacks the link(s) {', '.join(lacking)}.")
    for name in links.index:
        route = routes[name]
        arrow = _arrow(tuple(route["start"]), tuple(route["end"]), route["bend"])
        arrow.set_gid(f"link {name}")
        axis.add_patch(arrow)


def _arrow(start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> FancyArrowPatch:
    arrow = FancyArrowPatch(
        start, end, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>,head_length=4,head_width=1.8",
        lw=1.1, color=LINK, shrinkA=0, shrinkB=0, zorder=4,
    )  # fmt: skip
    arrow.set_path_effects([patheffects.withStroke(linewidth=2.6, foreground="white"), patheffects.Normal()])
    return arrow


def _hub_list(axis: Axes, sheet: Sheet, provinces: pd.DataFrame, group: str, clusters: Mapping[str, str]) -> None:
    """List the hubs of a group beside the map; ``clusters`` says which each has, with their numbers."""
    place = sheet.stanza["key"][group]
    line, column = place["at"]
    _swatch(axis, column, line, group)
    axis.text(column + 0.26, line, sheet.word(group), size=7, va="center")
    hubs = texts(sheet.key, sheet.rows["hubs"])[f"hub_{sheet.language}"]
    members = provinces[provinces["group"] == group]
    for hub in members["hub"].unique():
        text = sheet.word("hub_clusters", hub=hubs[hub], clusters=clusters[hub])
        for row in wrap(text, place["width_cm"] * CM * 72, KEY_SIZE):
            line += LINE
            axis.text(column, line, row, size=KEY_SIZE, va="center")


def _signs(axis: Axes, sheet: Sheet) -> None:
    """Say what tiles, circles, lines and arrows mean."""
    top, column = sheet.stanza["key"]["signs"]["at"]
    lines = {name: top + LINE * i for i, name in enumerate(("control", "no_data", "cluster", "outline", "link"))}
    _swatch(axis, column, lines["control"], "control")
    _swatch(axis, column, lines["no_data"], "")
    axis.plot(column + 0.09, lines["cluster"], marker="o", ms=6, mfc="white", mec=INK, mew=0.7)
    axis.add_line(Line2D([column, column + 0.18], [lines["outline"]] * 2, color=INK, lw=1.7))
    axis.add_patch(_arrow((column - 0.04, lines["link"]), (column + 0.22, lines["link"])))
    for name, line in lines.items():
        axis.text(column + 0.26, line, sheet.word(name), size=6.5, va="center")


def _swatch(axis: Axes, column: float, line: float, group: str) -> None:
    axis.add_patch(
        Rectangle(
            (column, line - 0.09), 0.18, 0.18, fc=FILL[group], ec="#999999" if not group else "none",
            ls=(0, (1.5, 1.5)) if not group else "-", lw=0.6,
        )
    )  # fmt: skip
