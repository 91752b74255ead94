"""Derived variables by hand, and on the real panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline import specs
from pipeline.clean import derive, formats, panel, read
from pipeline.errors import SpecError
from tests.clean.helpers import RAW


@dataclass(frozen=True)
class Entry:
    derived_from: tuple[str, ...]
    formula: str | None = None
    method: str | None = None


PANEL = pd.DataFrame(
    {
        "province_code": ["a", "a", "a", "b", "b", "b"],
        "year": [2010, 2011, 2012, 2010, 2011, 2012],
        "population": [100.0, 110.0, np.nan, np.nan, 300.0, 310.0],
        "gdp_sector_sum": [50.0, 60.0, 70.0, 80.0, np.nan, 999.0],
        "gdp_per_capita": [5000.0, 5500.0, 7000.0, 4000.0, 4000.0, 1.0],
    }
)


def test_average_population_by_hand():
    got = derive.average_population(PANEL)
    want = [50 / 5000 * 1e4, 105.0, 70 / 7000 * 1e4, 80 / 4000 * 1e4, np.nan, 305.0]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_average_population_does_not_depend_on_the_order_of_rows():
    shuffled = PANEL.sample(frac=1, random_state=3)
    np.testing.assert_array_equal(derive.average_population(shuffled).sort_index(), derive.average_population(PANEL))


def test_formulas_are_computed_in_order_of_need_and_the_input_is_kept():
    before = PANEL.copy()
    entries = {
        "log_twice": Entry(("twice",), formula="log(twice)"),
        "twice": Entry(("population",), formula="population * 2"),
        "pop": Entry(("population", "gdp_sector_sum", "gdp_per_capita"), method="average_population"),
    }
    got = derive.add(PANEL, entries)
    np.testing.assert_allclose(got["log_twice"].dropna(), np.log([200, 220, 600, 620]))
    assert got["pop"].iloc[1] == 105
    pd.testing.assert_frame_equal(PANEL, before)


def test_what_is_not_finite_is_missing():
    frame = pd.DataFrame({"x": [0.0, -1.0, 1.0]})
    got = derive.add(frame, {"y": Entry(("x",), formula="log(x)"), "z": Entry(("x",), formula="1 / x")})
    assert got["y"].isna().tolist() == [True, True, False]
    assert got["z"].isna().tolist() == [True, False, False]


def test_what_cannot_be_derived_is_named():
    with pytest.raises(SpecError, match="these cannot be derived from the panel: u needs v; v needs u"):
        derive.add(PANEL, {"u": Entry(("v",), formula="v"), "v": Entry(("u",), formula="u")})
    with pytest.raises(SpecError, match="u has method magic; known: average_population"):
        derive.add(PANEL, {"u": Entry(("population",), method="magic")})


@pytest.fixture(scope="module")
def real():
    provinces = read.table(RAW / "geography" / "provinces.csv", formats.PROVINCES)
    known = specs.dictionary()
    published = [k for k, v in known.items() if not v.derived]
    frame = panel.wide(read.figures(RAW / "official"), published, provinces["province_code"].tolist())
    return derive.add(frame, {k: v for k, v in known.items() if v.derived})


def test_average_population_is_what_gdp_per_head_divides_by(real):
    before = real.groupby("province_code")["population"].shift()
    published = (before + real["population"]) / 2
    implied = real["gdp_sector_sum"] / real["gdp_per_capita"] * 1e4
    both = published.notna() & implied.notna()
    assert both.sum() == 344
    assert (published[both] / implied[both] - 1).abs().max() < 0.003
    assert real["pop"].notna().all()


def test_controls_by_hand(real):
    row = real.set_index(["province_code", "year"]).loc[("330000", 2018)]
    assert row["pop"] == (6170 + 6273) / 2
    assert row["x_gdp_per_capita"] == pytest.approx(np.log(row["gdp"] * 1e8 / (row["pop"] * 1e4)), rel=1e-14)
    assert row["x_tertiary_share"] == pytest.approx(row["va_tertiary"] / row["gdp_sector_sum"], rel=1e-14)
    assert row["x_population"] == pytest.approx(np.log(row["pop"]), rel=1e-14)
    early = real.set_index(["province_code", "year"]).loc[("330000", 2012)]
    assert early["pop"] == pytest.approx(early["gdp_sector_sum"] * 1e8 / early["gdp_per_capita"] / 1e4, rel=1e-14)


def test_derived_variables_are_within_their_bounds_and_years(real):
    for name, variable in specs.dictionary().items():
        if variable.derived:
            got = real.loc[real[name].notna(), ["year", name]]
            assert got[name].between(*variable.bounds).all()
            assert (got["year"].min(), got["year"].max()) == (variable.first_year, variable.last_year)
