"""F5: event study, one panel a specification on one y axis."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.figures.sheet import HUB, INK, MUTED, SHADE, Sheet, blank, finish, number, p_value


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``points`` (estimates) and ``tests`` (joint and slope), panels in the order of ``panels``."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    points, tests = sheet.rows["points"], sheet.rows["tests"]
    for axis, spec_id in zip(axes, panels, strict=True):
        _panel(axis, points[points["spec_id"] == spec_id], sheet)
        axis.set_title(sheet.word(spec_id))
        axis.text(
            0.02, 0.985, _pretrend(tests[tests["spec_id"] == spec_id], sheet), transform=axis.transAxes,
            size=6.6, va="top", linespacing=1.4, color=INK,
        )  # fmt: skip
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.24 * (high - low))  # room for the two lines of test results
    axes[0].set_ylabel(sheet.word("y"))
    facts = {c: sheet.fact("points", c) for c in ("n_obs", "n_units", "n_clusters", "n_treated_clusters", "covariance")}
    finish(figure, sheet, [sheet.word("note", df=sheet.fact("points", "df"), **facts)])
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, sheet: Sheet) -> None:
    announced, reference = sheet.params["announcement_year"], sheet.params["reference_year"]
    rows = rows.assign(year=rows["event_time"].astype(int) + sheet.params["event_year"]).sort_values("year")
    years = range(rows["year"].min(), rows["year"].max() + 1)
    axis.axvspan(announced - 0.5, announced + 0.5, color=SHADE, lw=0, zorder=0)
    axis.axhline(0, color=MUTED, lw=0.7, zorder=1)
    kinds = {
        "reference": (rows["year"] == reference, "white", INK),
        "announcement": (rows["year"] == announced, "#c8c8c8", MUTED),
        "effects": (~rows["year"].isin([announced, reference]), HUB, HUB),
    }
    for name, (chosen, face, edge) in kinds.items():
        some = rows[chosen]
        if name != "reference":  # a zero by construction: nothing is estimated
            _uncertainty(axis, some, name, edge)
        axis.plot(
            some["year"], some["estimate"], ls="", marker="o", ms=4.6, mfc=face, mec=edge, mew=0.9, zorder=4, gid=name
        )
    axis.set_xlim(years[0] - 0.6, years[-1] + 0.6)
    axis.set_xticks(list(years)[::2])
    axis.set_xticks(list(years), minor=True)
    axis.set_xlabel(sheet.word("x"))


def _uncertainty(axis: Axes, rows: pd.DataFrame, name: str, colour: str) -> None:
    """Draw intervals thick and simultaneous bands thin, with an end mark."""
    kinds = {"intervals": ("ci_low", "ci_high", 2.2), "bands": ("band_low", "band_high", 0.7)}
    for kind, (low, high, width) in kinds.items():
        known = rows.dropna(subset=[low, high])
        axis.vlines(known["year"], known[low], known[high], color=colour, lw=width, zorder=3, gid=f"{kind} {name}")
    for end in ("band_low", "band_high"):
        axis.plot(rows["year"], rows[end], ls="", marker="_", ms=4.5, mew=0.7, color=colour, zorder=2)


def _pretrend(tests: pd.DataFrame, sheet: Sheet) -> str:
    joint, slope = (tests[tests["method"] == method].iloc[0].to_dict() for method in ("joint", "slope"))
    return sheet.word(
        "tests",
        df1=f"{joint['df1']:g}",
        df2=f"{joint['df2']:g}",
        f=number(joint["statistic"]),
        p=p_value(joint["p_value"]),
        slope=number(slope["estimate"], 3),
        slope_p=p_value(slope["p_value"]),
    )
