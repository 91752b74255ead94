"""F7: robust intervals of the event study by the bound on differences in trends, one panel a restriction."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.figures.sheet import DEMAND, MUTED, SUPPLY_INK, Sheet, blank, finish, number

# colour, marker, size, shift in shares of the axis
LOOKS = {"none": (SUPPLY_INK, "s", 3.6, -0.011), "x": (DEMAND, "o", 4.0, 0.011)}


def draw(sheet: Sheet) -> Figure:
    """Draw the rows ``intervals``, bounds in ``statistic``, one series a specification of ``series``, on one y axis."""
    figure = blank(sheet)
    panels = list(sheet.stanza["panels"])
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, restriction in zip(axes, panels, strict=True):
        _panel(axis, restriction, sheet)
        axis.set_title(sheet.word(restriction))
        axis.set_xlabel(sheet.word(f"x_{restriction}"))
    axes[0].set_ylabel(sheet.word("y"))
    axes[0].legend(loc="upper left", handletextpad=0.3)
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.1 * (high - low))  # room for the legend
    finish(figure, sheet, [sheet.word("note", **_breakdown(sheet))])
    return figure


def _panel(axis: Axes, restriction: str, sheet: Sheet) -> None:
    rows = sheet.rows["intervals"]
    rows = rows[rows["method"].str.startswith(f"honest_{restriction}_")].sort_values("statistic")
    width = float(rows["statistic"].max() - rows["statistic"].min())
    axis.axhline(0, color=MUTED, lw=0.7, zorder=1)
    for name, spec_id in sheet.stanza["series"].items():
        colour, marker, size, shift = LOOKS[name]
        some = rows[rows["spec_id"] == spec_id]
        at = some["statistic"] + shift * width
        axis.vlines(at, some["ci_low"], some["ci_high"], color=colour, lw=1.6, zorder=3, gid=f"intervals {name}")
        for end in ("ci_low", "ci_high"):
            axis.plot(at, some[end], ls="", marker="_", ms=4.5, mew=0.9, color=colour, zorder=3)
        # The estimate under parallel trends, the same at every bound.
        axis.plot(
            at, some["estimate"], ls="", marker=marker, ms=size, mfc=colour, mec="white", mew=0.6, zorder=4,
            gid=f"estimate {name}", label=sheet.word(name),
        )  # fmt: skip
    axis.set_xticks(sorted(rows["statistic"].unique()))
    axis.set_xticklabels([f"{bound:g}" for bound in sorted(rows["statistic"].unique())])
    axis.set_xlim(-0.05 * width, 1.05 * width)


def _breakdown(sheet: Sheet) -> dict[str, str]:
    """Return the breakdown values by restriction and specification: ``smoothness_x``."""
    rows = sheet.rows["breakdown"].set_index(["method", "spec_id"])["statistic"]
    return {
        f"{restriction}_{name}": number(float(rows[f"breakdown_{restriction}", spec_id]))
        for restriction in sheet.stanza["panels"]
        for name, spec_id in sheet.stanza["series"].items()
    }
