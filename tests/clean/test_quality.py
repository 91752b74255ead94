"""The quality rules leave a clean panel alone, find each kind of error planted in it, and leave real jumps alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import specs
from pipeline.clean import quality, read
from pipeline.clean.quality.series import decimals, integer_digits, published
from pipeline.store import ROOT
from tests.clean import simulated
from tests.clean.helpers import RAW

CELL = ["variable", "province_code", "year"]
IDENTITIES = yaml.safe_load((ROOT / "specs" / "identities.yaml").read_text(encoding="utf-8"))
RELATIONS = {"identities": IDENTITIES["identities"]}  # the simulated panel has totals of its own


@pytest.fixture(scope="session")
def real():
    return published(read.figures(RAW / "official"), specs.dictionary(), IDENTITIES)


@pytest.fixture(scope="session")
def clean(real):
    return simulated.panel(real, IDENTITIES, seed=20220217)


@pytest.fixture(scope="session")
def clean_flags(clean):
    return quality.flag(published(clean, specs.dictionary(), RELATIONS))


def plant(frame, variable, code, year, change):
    """Return a copy with the value of one cell changed, and the cell."""
    row = frame.index[(frame["variable"] == variable) & (frame["province_code"] == code) & (frame["year"] == year)]
    assert len(row) == 1
    value = float(frame.loc[row[0], "value"])
    out = frame.copy()
    out.loc[row[0], "value"] = float(f"{change(value):.10g}")
    return out, (variable, code, year)


def found(frame, rule, identities=RELATIONS):
    """Return the cells that one rule flags."""
    flags = quality.RULES[rule](published(frame, specs.dictionary(), identities))
    return set(flags[CELL].itertuples(index=False, name=None))


def value(frame, variable, code, year):
    return float(frame.set_index(CELL)["value"].loc[(variable, code, year)])


def only(frame, *variables):
    return frame[frame["variable"].isin(variables)].reset_index(drop=True)


def test_a_clean_panel_has_fewer_than_one_flagged_cell_in_two_hundred(clean, clean_flags, real):
    assert len(clean) > 0.99 * sum(int(np.isfinite(s.figures).sum()) for s in real.series.values())
    assert set(clean["variable"]) == set(real.series)
    cells = clean_flags[CELL].drop_duplicates()
    assert len(cells) / len(clean) < 1 / 200


def test_the_clean_panel_keeps_every_identity(clean_flags):
    assert not set(clean_flags["rule"]) & {"parts", "growth", "interpolation"}


@pytest.mark.parametrize("provinces", [31, 14])
def test_an_interpolated_year_is_found_in_every_province_that_has_it(clean, provinces):
    frame = only(clean, "websites")
    wide = frame.pivot_table(index="province_code", columns="year", values="value")
    chosen = wide.index[:provinces]
    middle = ((wide[2018] + wide[2020]) / 2).round(4)
    for code in chosen:
        frame, _ = plant(frame, "websites", code, 2019, lambda _, code=code: middle[code])
    assert found(frame, "interpolation") == {("websites", code, 2019) for code in chosen}


def test_a_placeholder_and_a_foreign_figure_are_found_by_their_decimals(clean):
    frame, coarse = plant(only(clean, "it_employment", "gdp"), "it_employment", "370000", 2017, round)
    frame, fine = plant(frame, "gdp", "370000", 2017, lambda v: v + 0.0123)
    assert {coarse, fine} <= found(frame, "decimals")
    assert not {coarse, fine} & found(clean, "decimals")


def test_a_figure_carried_forward_is_found(clean):
    before = value(clean, "budget_revenue", "410000", 2018)
    frame, cell = plant(only(clean, "budget_revenue"), "budget_revenue", "410000", 2019, lambda _: before)
    assert found(frame, "repeated") == {cell}


@pytest.mark.parametrize("factor", [10.0, 2.0, 0.5])
def test_a_spike_of_one_year_is_found(clean, factor):
    frame, cell = plant(
        only(clean, "education_expenditure"), "education_expenditure", "620000", 2016, lambda v: v * factor
    )
    assert cell in found(frame, "spike")
    assert cell not in found(clean, "spike")


def test_a_stock_that_falls_and_returns_is_found(clean):
    frame, cell = plant(only(clean, "broadband_ports"), "broadband_ports", "150000", 2019, lambda v: round(v * 0.7, 2))
    assert found(frame, "stock_dip") == {cell}


def test_two_provinces_exchanged_are_found_and_no_third(clean):
    frame = only(clean, "rd_expenditure")
    year = frame[frame["year"] == 2016].set_index("province_code")["value"].sort_values()
    small, large = year.index[8], year.index[-8]
    frame, one = plant(frame, "rd_expenditure", small, 2016, lambda _: year[large])
    frame, other = plant(frame, "rd_expenditure", large, 2016, lambda _: year[small])
    assert found(frame, "exchange") == {one, other}


@pytest.mark.parametrize(
    ("variable", "factor"),
    [
        ("industrial_rd", 3.0),  # a part above its total
        ("broadband_subscribers_urban", 1.2),  # parts that do not add up
        ("broadband_subscribers", 0.8),
        ("va_tertiary_census5", 1.3),
        ("va_finance_census5", 1.5),
        ("gdp_per_capita_census5", 1.1),  # a rate that is not its ratio
        ("rd_intensity", 1.3),
    ],
)
def test_a_figure_outside_its_identity_is_found_and_no_other(clean, variable, factor):
    frame, cell = plant(clean, variable, "340000", 2019, lambda v: round(v * factor, 1))
    assert found(frame, "parts") == {cell}


def test_a_sum_that_misses_the_national_total_names_the_province(clean):
    frame = only(clean, "base_stations")
    total = float(frame[frame["year"] == 2019]["value"].sum())
    totals = {"national_totals": [{"variable": "base_stations", "year": 2019, "total": total, "tolerance": 0.1}]}
    assert found(frame, "national_total", totals) == set()
    frame, cell = plant(frame, "base_stations", "330000", 2019, lambda v: round(v * 1.6, 4))
    assert found(frame, "national_total", totals) == {cell}


def test_a_sum_with_a_missing_province_is_not_compared(clean):
    frame = only(clean, "base_stations")
    totals = {"national_totals": [{"variable": "base_stations", "year": 2019, "total": 1.0, "tolerance": 0.1}]}
    gone = (frame["province_code"] == "330000") & (frame["year"] == 2019)
    assert found(frame[~gone], "national_total", totals) == set()


@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_a_level_that_contradicts_published_growth_is_found(clean, factor):
    frame, cell = plant(clean, "gdp", "220000", 2018, lambda v: round(v * factor, 1))
    assert cell in found(frame, "growth")
    assert found(frame, "growth") <= {cell, ("gdp", "220000", 2019)}


def test_a_declared_break_names_the_province_it_moves_most(clean):
    frame = only(clean, "urban_employment")
    for year in range(2013, 2025):
        frame, _ = plant(frame, "urban_employment", "440000", year, lambda v: round(v * 1.9, 1))
    assert found(frame, "breaks") == {("urban_employment", "440000", 2013)}


@pytest.mark.parametrize("factor", [2.5, 0.4])
def test_a_level_shift_that_stays_is_not_taken_for_an_error(clean, clean_flags, factor):
    """The statistical correction of a province, the audit of its firms, a census."""
    frame = clean.copy()
    shifted = (
        (frame["variable"] == "fiscal_expenditure") & (frame["province_code"] == "210000") & (frame["year"] >= 2016)
    )
    frame.loc[shifted, "value"] = (frame.loc[shifted, "value"] * factor).round(2)
    new = quality.flag(published(only(frame, "fiscal_expenditure"), specs.dictionary()))
    old = clean_flags[clean_flags["variable"] == "fiscal_expenditure"]
    assert set(new[CELL].itertuples(index=False)) <= set(old[CELL].itertuples(index=False))


def test_a_year_in_which_all_provinces_move_is_not_taken_for_an_error(clean, clean_flags):
    """A re-count, a new frame of enterprises, the first year of the pandemic."""
    frame = clean.copy()
    moved = (frame["variable"] == "broadband_ports") & (frame["year"] == 2020)
    frame.loc[moved, "value"] = (frame.loc[moved, "value"] * 0.6).round(1)
    new = quality.flag(published(only(frame, "broadband_ports"), specs.dictionary()))
    old = clean_flags[clean_flags["variable"] == "broadband_ports"]
    assert set(new[CELL].itertuples(index=False)) <= set(old[CELL].itertuples(index=False))


def test_chance_midpoints_of_short_integers_stay_unflagged():
    rng = np.random.default_rng(1)
    rows = [
        ("population", f"{11 + i}0000", 2010 + t, float(round(1000 + 10 * i + 3 * t + rng.integers(-2, 3))))
        for i in range(31)
        for t in range(16)
    ]
    frame = pd.DataFrame(rows, columns=[*CELL, "value"])
    wide = frame.pivot_table(index="province_code", columns="year", values="value")
    assert sum(((wide[y - 1] + wide[y + 1]) / 2 == wide[y]).sum() for y in range(2011, 2025)) > 30
    assert found(frame, "interpolation") == set()


def test_rules_leave_their_input_alone_and_return_one_table(clean):
    data = published(only(clean, "broadband_ports", "gdp"), specs.dictionary())
    before = {k: s.figures.copy() for k, s in data.series.items()}
    flags = quality.flag(data)
    assert list(flags.columns) == [*CELL, "value", "rule", "score"]
    assert all(np.array_equal(before[k], s.figures, equal_nan=True) for k, s in data.series.items())
    assert not flags.duplicated([*CELL, "rule"]).any()


def test_every_rule_says_what_it_sees_and_what_it_cannot():
    for name, rule in quality.RULES.items():
        text = " ".join(rule.__doc__.split())
        assert "annot see" in text, name
        assert " sees " in text or " says " in text, name
        assert "The score is" in text, name


def test_decimals_are_those_of_the_shortest_text():
    assert [decimals(v) for v in (1499.0, 10.5, 55.3218, 1e-5, 12000.0)] == [0, 1, 4, 5, 0]
    assert integer_digits(np.array([999.9, 1000.0, 0.5, 0.0, -12.0])).tolist() == [3, 4, 0, 0, 2]
