"""The figures of synthetic controls, leave-one-out and the industries draw every row, and name one that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline import specs
from pipeline.errors import ReportError
from pipeline.report.figures import build, industry_gradient, rows, sheet
from tests.report import fixture_designs

STANZAS = specs.figures()
PARAMS = {"event_year": 2022, "reference_year": 2020, "announcement_year": 2021}
HASHES = {"data_sha256": "d" * 64, "plan_sha256": "b" * 64}
Tidy = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tidy() -> Tidy:
    made = fixture_designs.figures(HASHES)
    role = dict.fromkeys(fixture_designs.TREATED, "demand") | dict.fromkeys(("150000", "520000", "620000"), "supply")
    codes = (*fixture_designs.TREATED, *fixture_designs.CONTROLS)
    provinces = [
        {"view_id": "hub_map", "row": code, "column": column, "text": text}
        for code in codes
        for column, text in (("group", role.get(code, "control")), ("name_zh", f"省{code}"), ("name_en", f"P {code}"))
    ]
    return made | {"values": pd.concat([made["values"], pd.DataFrame(provinces)], ignore_index=True)}


def figure(figure_id: str, tidy: Tidy, language: str = "en", **changed: object) -> Figure:
    stanza = STANZAS[figure_id] | changed
    with sheet.house_style():
        page = sheet.Sheet(figure_id, stanza, rows.select(figure_id, stanza, tidy), PARAMS, language, HASHES)
        drawn = build.DRAW[stanza["module"]](page)
        drawn.draw_without_rendering()
    return drawn


def artists(drawn: Figure, gid: str) -> list[Any]:
    return [a for axis in drawn.axes for a in axis.findobj(lambda a: a.get_gid() == gid)]


def test_every_path_and_gap_is_drawn_in_its_year(tidy: Tidy) -> None:
    drawn = figure("F8", tidy)
    values = tidy["values"].set_index(["view_id", "row"])
    gids = {
        f"{kind} {hub}": ("synthetic_path", f"{hub}|{kind}")
        for hub in fixture_designs.HUBS
        for kind in ("actual", "synthetic")
    }
    gids |= {f"gap {hub}": ("synthetic_gaps", hub) for hub in fixture_designs.HUBS}
    gids |= {kind: ("sdid_path", kind) for kind in ("treated", "synthetic", "counterfactual")}
    for gid, key in gids.items():
        (line,) = artists(drawn, gid)
        path = pd.Series(line.get_ydata(), index=line.get_xdata())
        assert np.isnan(path[[2017, 2021]]).all()  # no figure: the line breaks
        expected = values.loc[[key]].set_index("x")["value"]
        assert path.dropna().to_dict() == expected.to_dict()
    for donor in fixture_designs.CONTROLS:
        lines = artists(drawn, f"placebo {donor}")
        assert len(lines) == len(fixture_designs.HUBS)
        expected = values.loc[[("synthetic_gaps", donor)], "value"].tolist()
        assert all(line.get_ydata().tolist() == expected for line in lines)
    said = [text.get_text() for axis in drawn.axes for text in axis.texts]
    assert sum(text.startswith("rank 3, p = ") for text in said) == len(fixture_designs.HUBS)
    row = tidy["estimates"].query("spec_id == 'sdid.chain_ln.none'").iloc[0]
    assert f"[{sheet.number(row['ci_low'], 3)}, {sheet.number(row['ci_high'], 3)}]" in said[0]


@pytest.mark.parametrize("adjustment", ["none", "x"])
def test_every_estimate_without_one_stands_beside_its_name(adjustment: str, tidy: Tidy) -> None:
    drawn = figure("F11", tidy)
    panel = STANZAS["F11"]["panels"].index(adjustment)
    axis, estimates = drawn.axes[panel], tidy["estimates"].set_index("spec_id")
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    heights = dict(zip(drawn.axes[0].get_yticks(), names, strict=True))
    left = STANZAS["F11"]["left_out"]
    called = {STANZAS["F11"]["words"][hub]["en"]: hub for hub in left["hubs"]}
    called |= {f"P {code}": code for code in left["provinces"]}
    found = {}
    for group in ("demand", "supply", "control"):
        segments = axis.findobj(lambda a, g=group: a.get_gid() == f"intervals {g}")[0].get_segments()
        points = axis.findobj(lambda a, g=group: a.get_gid() == f"estimates {g}")[0].get_xydata()
        for (x, y), ((low, _), (high, _)) in zip(points, segments, strict=True):
            found[called[heights[y]]] = (x, low, high)
    columns = ["estimate", "ci_low", "ci_high"]
    expected = {code: estimates.loc[f"leave_out_{code}.chain_ln.{adjustment}", columns] for code in called.values()}
    assert {code: tuple(row) for code, row in expected.items()} == found
    headline = estimates.loc[f"did.chain_ln.{adjustment}"]
    line = axis.findobj(lambda a: a.get_gid() == "headline")[0]
    assert line.get_xdata()[0] == headline["estimate"]
    assert sheet.number(headline["ci_low"], 3) in axis.texts[0].get_text()


def test_a_left_out_region_that_no_view_knows_is_named(tidy: Tidy) -> None:
    values = tidy["values"][~((tidy["values"]["view_id"] == "hub_map") & (tidy["values"]["row"] == "540000"))]
    with pytest.raises(ReportError, match=r"neither registry_hubs nor hub_map knows 540000"):
        figure("F11", tidy | {"values": values})


@pytest.mark.parametrize("adjustment", ["none", "x"])
def test_industries_stand_in_the_order_of_exposure_with_their_intervals(adjustment: str, tidy: Tidy) -> None:
    drawn = figure("F15", tidy)
    panel = STANZAS["F15"]["panels"].index(adjustment)
    above, below = drawn.axes[panel], drawn.axes[panel + 2]
    exposure = tidy["values"].query("view_id == 'exposures' and column == 'complete_it_z'").set_index("row")["value"]
    estimates = tidy["estimates"]
    gradient = estimates[estimates["spec_id"] == f"industry_gradient.ln_value_added.{adjustment}"].set_index("term")
    gradient = gradient.loc[exposure.sort_values().index]
    points = above.findobj(lambda a: a.get_gid() == "points")[0]
    segments = above.findobj(lambda a: a.get_gid() == "intervals")[0].get_segments()
    assert points.get_ydata().tolist() == gradient["estimate"].tolist()
    assert (np.diff(points.get_xdata()) > 0).all()
    assert [(s[0, 1], s[1, 1]) for s in segments] == list(
        gradient[["ci_low", "ci_high"]].itertuples(index=False, name=None)
    )
    slope = estimates.set_index("spec_id").loc[f"triple_complete_it.ln_value_added.{adjustment}"]
    line = above.findobj(lambda a: a.get_gid() == "slope")[0].get_xydata()
    assert np.allclose(line[:, 1], line[:, 0] * slope["estimate"])
    years = estimates[estimates["spec_id"] == f"triple_event.ln_value_added.{adjustment}"]
    drawn_points = {
        int(x): y
        for gid in ("reference", "announcement", "effects")
        for x, y in below.findobj(lambda a, g=gid: a.get_gid() == g)[0].get_xydata()
    }
    assert drawn_points == dict(zip(years["event_time"].astype(int) + 2022, years["estimate"], strict=True))
    note = " ".join(next(t for t in drawn.texts if t.get_gid() == "notes").get_text().split())
    first = STANZAS["F15"]["words"][gradient.index[0]]["en"]
    assert f"1 {first}" in note


def test_an_industry_without_exposure_is_named(tidy: Tidy) -> None:
    values = tidy["values"][~((tidy["values"]["view_id"] == "exposures") & (tidy["values"]["row"] == "finance"))]
    with pytest.raises(ReportError, match="exposures and gradient disagree about finance"):
        figure("F15", tidy | {"values": values})


def test_markers_that_would_touch_move_apart_as_little_as_their_order_allows() -> None:
    moved = industry_gradient.apart(np.array([-1.2, -0.66, -0.65, -0.64, 1.0]), 0.2)
    assert np.allclose(np.diff(moved[1:4]), 0.2)
    assert np.isclose(moved[1:4].mean(), -0.65)
    assert np.allclose(moved[[0, 4]], [-1.2, 1.0])


@pytest.mark.parametrize("figure_id", ["F8", "F11", "F15"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_figure_is_drawn_in_both_languages_without_a_missing_word(figure_id: str, language: str, tidy: Tidy) -> None:
    files, data = build.build(figure_id, STANZAS[figure_id], tidy, PARAMS)
    assert f"{build.stem(figure_id, STANZAS[figure_id])}.{language}.pdf" in files
    assert len(data) > 0
