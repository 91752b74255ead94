"""The figures of the inference draw every row of their views, and name a row or an option that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline import specs
from pipeline.errors import ReportError
from pipeline.report.figures import build, rows, sheet
from tests.report import fixture_inference

STANZAS = specs.figures()
HASHES = {"data_sha256": "d" * 64, "plan_sha256": "b" * 64}
Tidy = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tidy() -> Tidy:
    return fixture_inference.figures(HASHES)


def figure(figure_id: str, tidy: Tidy, language: str = "en", **changed: object) -> Figure:
    stanza = STANZAS[figure_id] | changed
    with sheet.house_style():
        page = sheet.Sheet(figure_id, stanza, rows.select(figure_id, stanza, tidy), {}, language, HASHES)
        drawn = build.DRAW[stanza["module"]](page)
        drawn.draw_without_rendering()
    return drawn


def artist(drawn: Figure, gid: str, panel: int = 0) -> Any:
    return drawn.axes[panel].findobj(lambda a: a.get_gid() == gid)[0]


def notes(drawn: Figure) -> str:
    text = next(t for t in drawn.texts if t.get_gid() == "notes")
    return " ".join(text.get_text().split())


def test_every_robust_interval_stands_at_its_bound(tidy: Tidy) -> None:
    drawn, tests = figure("F7", tidy), tidy["tests"]
    for panel, kind in enumerate(("relative_magnitude", "smoothness")):
        for name, side in {"none": -1, "x": 1}.items():
            chosen = tests["method"].str.startswith(f"honest_{kind}_") & (tests["term"] == "average")
            expected = tests[chosen & (tests["spec_id"] == f"event.chain_ln.{name}")]
            segments = artist(drawn, f"intervals {name}", panel).get_segments()
            assert [(s[0, 1], s[1, 1]) for s in segments] == list(
                expected[["ci_low", "ci_high"]].itertuples(index=False, name=None)
            )
            shifts = np.array([s[0, 0] for s in segments]) - expected["statistic"].to_numpy()
            assert (np.sign(shifts) == side).all()
            assert np.allclose(artist(drawn, f"estimate {name}", panel).get_ydata(), expected["estimate"])
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()
    broken = tests.set_index(["spec_id", "term", "method"])["statistic"]
    value = broken["event.chain_ln.x", "average", "breakdown_smoothness"]
    assert f"and {value:.2f}; 0.00 says" in notes(drawn)


def test_all_assignments_are_drawn_and_the_one_that_took_place_is_marked(tidy: Tidy) -> None:
    drawn, values = figure("F9", tidy), tidy["values"]
    for panel, spec in enumerate(STANZAS["F9"]["panels"]):
        view = values[(values["view_id"] == "randomization_distribution") & (values["row"] == spec)]
        shares = view[view["column"] != "observed"].sort_values("x")
        bars = [p for p in drawn.axes[panel].patches if p.get_gid() == "shares"]
        assert np.allclose([b.get_height() for b in bars], 100 * shares["value"])
        assert np.allclose([b.get_x() + b.get_width() / 2 for b in bars], shares["x"])
        observed = float(view.loc[view["column"] == "observed", "value"].iloc[0])
        assert list(artist(drawn, "observed", panel).get_xdata()) == [observed, observed]
        assert list(artist(drawn, "mirrored", panel).get_xdata()) == [-observed, -observed]
    assert drawn.axes[0].texts[0].get_text() == "Observed t = −0.70, p = 0.50\n95 % interval −0.200 to 0.150"
    assert "All 1,081,575 ways" in notes(drawn)


def test_the_curve_shows_every_specification_with_its_interval_and_choices(tidy: Tidy) -> None:
    drawn, values = figure("F10", tidy), tidy["values"]
    view = values[values["view_id"] == "specification_curve"].sort_values("x")
    assert artist(drawn, "estimates").get_xydata().tolist() == view[["x", "value"]].to_numpy().tolist()
    segments = artist(drawn, "intervals").get_segments()
    assert [(s[0, 1], s[1, 1]) for s in segments] == list(view[["low", "high"]].itertuples(index=False, name=None))
    for part, (choice, options) in enumerate(STANZAS["F10"]["choices"].items()):
        for option in options:
            marked = artist(drawn, f"taken {choice} {option}", 1).get_xdata()[::3]
            assert marked.tolist() == view.loc[view["row"].str.split("|").str[part] == option, "x"].tolist()
    headline = view.loc[view["row"] == "entropy|all|ln|x|all", "x"].iloc[0]
    assert list(artist(drawn, "headline").get_xdata()) == [headline, headline]
    assert "All 1,280 combinations" in notes(drawn)
    assert "share with the more frequent sign 60.0 % (p = 0.70)" in notes(drawn)


def test_an_option_that_the_figure_does_not_name_is_an_error(tidy: Tidy) -> None:
    choices = STANZAS["F10"]["choices"] | {"scheme": ["entropy"]}
    with pytest.raises(ReportError, match=r"the view and choices\.scheme disagree about equal"):
        figure("F10", tidy, choices=choices)
    with pytest.raises(ReportError, match="holds no specification 'pca'"):
        figure("F10", tidy, headline="pca")


def test_power_curves_carry_their_detectable_effects(tidy: Tidy) -> None:
    drawn, values = figure("F14", tidy), tidy["values"]
    estimates = tidy["estimates"].set_index("spec_id")
    for name, spec in STANZAS["F14"]["series"].items():
        curve = values[(values["view_id"] == "power_curve") & (values["row"] == spec)]
        assert artist(drawn, f"power {name}").get_xydata().tolist() == curve[["x", "value"]].to_numpy().tolist()
        assert artist(drawn, f"mde {name}").get_xydata().tolist() == [[estimates.loc[spec, "mde"], 0.8]]
    said = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert said[1] == "X × year: detectable 0.170, power 0.10 and 0.20"


@pytest.mark.parametrize("figure_id", ["F7", "F9", "F10", "F14"])
def test_every_figure_shows_in_both_languages_the_same_numbers(figure_id: str, tidy: Tidy) -> None:
    english, chinese = (figure(figure_id, tidy, language) for language in ("en", "zh"))
    for left, right in zip(english.axes, chinese.axes, strict=True):
        for line, other in zip(left.lines, right.lines, strict=True):
            assert np.array_equal(line.get_xydata(), other.get_xydata(), equal_nan=True)
