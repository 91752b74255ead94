"""A declared correction mends what it names and stops the run once the source no longer shows the error."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline import specs
from pipeline.clean import corrections, read
from pipeline.errors import CorrectionError
from pipeline.overlap import names_in
from tests.clean.helpers import RAW, copy_raw, edit

FIGURES = pd.DataFrame(
    {
        "file": "official/a.csv",
        "variable": ["v", "v", "v", "w"],
        "province_code": ["110000", "120000", "130000", "110000"],
        "year": 2020,
        "value": [1.0, 2.0, 3.0, 4.0],
    }
)


def entry(action, *cells, **more):
    rows = [{"province_code": p, "year": 2020, "expect": e, **extra} for p, e, extra in cells]
    return {"id": "one", "file": "official/a.csv", "variable": "v", "action": action, "cells": rows} | more


def test_each_action_on_a_hand_made_frame():
    before = FIGURES.copy()
    missing = corrections.apply(FIGURES, [entry("set_missing", ("120000", 2, {}))])
    assert missing["value"].tolist() == [1.0, 3.0, 4.0]
    assert corrections.apply(FIGURES, [entry("set", ("120000", 2, {"becomes": 20}))])["value"].tolist() == [1, 20, 3, 4]
    swapped = corrections.apply(FIGURES, [entry("exchange", ("110000", 1, {}), ("130000", 3, {}))])
    assert swapped["value"].tolist() == [3.0, 2.0, 1.0, 4.0]
    pd.testing.assert_frame_equal(FIGURES, before)


def test_every_failing_guard_is_named():
    stale = entry("set_missing", ("110000", 1.5, {}), ("140000", 1, {}), id="stale")
    lone = entry("exchange", ("110000", 1, {}), id="lone")
    odd = entry("delete", ("110000", 1, {}), id="odd")
    with pytest.raises(CorrectionError) as caught:
        corrections.apply(FIGURES, [stale, lone, odd])
    text = str(caught.value)
    assert "stale: official/a.csv: v, 110000, 2020: found 1, expected 1.5" in text
    assert "stale: official/a.csv: v, 140000, 2020: there is no figure, expected 1" in text
    assert "lone: an exchange has two cells, found 1" in text
    assert "odd: action 'delete', expected one of set_missing, set, exchange" in text


def test_a_correction_of_a_cell_already_corrected_meets_the_corrected_value():
    first = entry("set", ("110000", 1, {"becomes": 10}))
    with pytest.raises(CorrectionError, match=r"again: .*found 10, expected 1$"):
        corrections.apply(FIGURES, [first, entry("set", ("110000", 1, {"becomes": 5}), id="again")])


def test_the_declared_corrections_find_their_errors():
    figures = read.figures(RAW / "official")
    declared = specs.corrections()
    got = corrections.apply(figures, declared)
    assert len(figures) - len(got) == sum(len(c["cells"]) for c in declared if c["action"] == "set_missing") == 39
    assert got[(got["variable"] == "websites") & (got["year"] == 2019)].empty


def test_a_mended_source_stops_the_run(tmp_path):
    official = copy_raw(tmp_path, "official") / "official"
    edit(official / "telecommunications.csv", *[f"optical_cable_km,460000,2018,{v},km" for v in ("914.96", "3214.96")])
    with pytest.raises(CorrectionError) as caught:
        corrections.apply(read.figures(official), specs.corrections())
    assert (
        "optical_cable_hainan_2018: official/telecommunications.csv: optical_cable_km, 460000, 2018: "
        "found 3214.96, expected 914.96"
    ) in str(caught.value)


def test_no_correction_touches_a_series_of_an_index_gdp_population_or_a_control():
    known = specs.dictionary()
    used = {n for index in specs.indices().values() for c in index.indicators for n in names_in(c.formula)}
    families = {known[n].family for n in used} | {"gdp", "population", "va_tertiary", "gdp_per_capita"}
    assert len(used) >= 17
    assert not families & {known[c["variable"]].family for c in specs.corrections()}


def test_the_evidence_of_each_correction_holds():
    figures = read.figures(RAW / "official")
    websites = _wide(figures, "websites")
    middle = (websites[2018] + websites[2020]) / 2
    assert (middle - websites[2019]).abs().max() < 5.01e-5 and len(middle) == 31
    assert (websites[2016] < websites[2015]).sum() == 1 and websites[2016]["310000"] == 10
    cable, all_cable = _wide(figures, "optical_cable_km"), _wide(figures, "optical_cable_total_km")
    fall, rise = cable[2018] / cable[2017], cable[2019] / cable[2018]
    assert fall.drop("460000").min() > 0.75 and rise.drop("460000").max() < 1.825
    assert fall["460000"] < 0.28 and rise["460000"] > 3.5
    assert all_cable.loc["460000", 2017:2019].is_monotonic_increasing


def _wide(figures, variable):
    return figures[figures["variable"] == variable].pivot_table(index="province_code", columns="year", values="value")
