"""F15: what each industry gained in hub provinces against its exposure, and the slope of that line by year."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.errors import ReportError
from pipeline.report.figures.sheet import DEMAND, HUB, INK, MUTED, SHADE, Sheet, blank, finish, number, p_value

APART = 0.135  # least distance between markers, standard deviations of exposure
ROOM = 0.16  # of the height of the lower panels, for the line with the test


def draw(sheet: Sheet) -> Figure:
    """Draw ``gradient`` and ``slope`` above, ``points`` and ``tests`` by year below, one column an adjustment."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(2, len(panels), sharey="row", squeeze=False)
    exposure = _exposures(sheet)
    for (above, below), name in zip(axes.T, panels, strict=True):
        _gradient(above, name, exposure, sheet)
        above.set_title(sheet.word(f"gradient_{name}"))
        above.set_xlabel(sheet.word("x_gradient"))
        _event_study(below, name, sheet)
        below.set_title(sheet.word(f"event_{name}"))
        below.set_xlabel(sheet.word("x_event"))
    low, high = axes[1, 0].get_ylim()
    axes[1, 0].set_ylim(low, high + ROOM * (high - low))
    axes[0, 0].set_ylabel(sheet.word("y_gradient"))
    axes[1, 0].set_ylabel(sheet.word("y_event"))
    key = sheet.word("between").join(
        sheet.word("entry", number=at, industry=sheet.word(industry)) for at, industry in enumerate(exposure.index, 1)
    )
    facts = {c: sheet.fact("slope", c) for c in ("n_obs", "n_units", "n_clusters", "covariance", "df")}
    years = sheet.fact("slope", "sample").replace(", ", sheet.word("between"))
    finish(figure, sheet, [sheet.word("note", industries=key, sample=years, **facts)])
    return figure


def _exposures(sheet: Sheet) -> pd.Series:
    """Return the exposure by industry, the least exposed first."""
    exposure = sheet.rows["exposure"].set_index("row")["value"].sort_values(kind="stable")
    unlike = set(exposure.index) ^ set(sheet.rows["gradient"]["term"])
    if unlike:
        raise ReportError(f"{sheet.key}: exposures and gradient disagree about {', '.join(sorted(unlike))}.")
    return exposure


def _gradient(axis: Axes, name: str, exposure: pd.Series, sheet: Sheet) -> None:
    """Draw the industries as numbers in the order of exposure, and the slope through the origin with its interval."""
    gradient, slope = (sheet.rows[rows] for rows in ("gradient", "slope"))
    chosen = gradient["spec_id"].str.endswith(f".{name}")
    rows = gradient[chosen].set_index("term").reindex(exposure.index)
    line = slope[slope["spec_id"].str.endswith(f".{name}")].iloc[0]
    at = apart(exposure.to_numpy(dtype=float), APART)
    ends = np.array([at.min() - 0.2, at.max() + 0.2])
    axis.axhline(0, color=MUTED, lw=0.7, zorder=1)
    axis.fill_between(
        [ends[0], 0, ends[1]],
        [ends[0] * line["ci_low"], 0, ends[1] * line["ci_low"]],
        [ends[0] * line["ci_high"], 0, ends[1] * line["ci_high"]],
        color=SHADE, lw=0, zorder=0, gid="slope interval",
    )  # fmt: skip
    axis.plot(ends, ends * line["estimate"], color=INK, lw=0.9, ls=(0, (4, 2)), zorder=2, gid="slope")
    axis.vlines(at, rows["ci_low"], rows["ci_high"], color=DEMAND, lw=1.3, zorder=3, gid="intervals")
    axis.plot(at, rows["estimate"], ls="", marker="o", ms=7.4, mfc="white", mec=DEMAND, mew=1.0, zorder=4, gid="points")
    for place, (x, y) in enumerate(zip(at, rows["estimate"], strict=True), 1):
        axis.annotate(str(place), (x, y), ha="center", va="center_baseline", size=5.8, color=INK, zorder=5)
    axis.plot(
        exposure, np.zeros(len(exposure)), ls="", marker="|", ms=5, mew=0.8, color=MUTED, zorder=2, gid="exposures",
        transform=axis.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip
    axis.set_xlim(*ends)
    axis.xaxis.set_major_locator(MaxNLocator(8, prune="both"))
    said = {k: number(line[k], 3) for k in ("estimate", "ci_low", "ci_high")}
    axis.text(0.02, 0.985, sheet.word("slope", **said), transform=axis.transAxes, size=6.6, va="top", color=INK)


def apart(values: np.ndarray, gap: float) -> np.ndarray:
    """Return ascending values at least ``gap`` apart: a run that is too close is centred on its mean."""
    steps = gap * np.arange(len(values))
    blocks = [[value] for value in values - steps]
    at = 0
    while at + 1 < len(blocks):  # pool adjacent violators
        if np.mean(blocks[at]) > np.mean(blocks[at + 1]):
            blocks[at : at + 2] = [blocks[at] + blocks[at + 1]]
            at = max(at - 1, 0)
        else:
            at += 1
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    return np.asarray(level + steps)


def _event_study(axis: Axes, name: str, sheet: Sheet) -> None:
    announced, reference = sheet.params["announcement_year"], sheet.params["reference_year"]
    points, tests = (sheet.rows[rows] for rows in ("points", "tests"))
    rows = points[points["spec_id"].str.endswith(f".{name}")]
    rows = rows.assign(year=rows["event_time"].astype(int) + sheet.params["event_year"]).sort_values("year")
    axis.axvspan(announced - 0.5, announced + 0.5, color=SHADE, lw=0, zorder=0)
    axis.axhline(0, color=MUTED, lw=0.7, zorder=1)
    kinds = {
        "reference": (rows["year"] == reference, "white", INK),
        "announcement": (rows["year"] == announced, "#c8c8c8", MUTED),
        "effects": (~rows["year"].isin([announced, reference]), HUB, HUB),
    }
    for kind, (chosen, face, edge) in kinds.items():
        some = rows[chosen]
        if kind != "reference":  # a zero by construction: nothing is estimated
            axis.vlines(
                some["year"], some["ci_low"], some["ci_high"], color=edge, lw=1.8, zorder=3, gid=f"intervals {kind}"
            )
        axis.plot(
            some["year"], some["estimate"], ls="", marker="o", ms=4.4, mfc=face, mec=edge, mew=0.9, zorder=4, gid=kind
        )
    axis.set_xlim(rows["year"].min() - 0.6, rows["year"].max() + 0.6)
    axis.set_xticks(rows["year"].tolist()[::2])
    axis.set_xticks(rows["year"].tolist(), minor=True)
    joint = tests[tests["spec_id"].str.endswith(f".{name}")].iloc[0]
    said = {"df1": f"{joint['df1']:g}", "df2": f"{joint['df2']:g}", "f": number(joint["statistic"])}
    text = sheet.word("tests", p=p_value(joint["p_value"]), **said)
    axis.text(0.02, 0.985, text, transform=axis.transAxes, size=6.6, va="top", color=INK)
