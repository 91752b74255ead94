"""Coverage and revisions, on frames small enough to count by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline import store
from pipeline.clean import read
from pipeline.clean.quality import views
from tests.clean.helpers import RAW

FIGURES = pd.DataFrame(
    [
        ("a", "110000", 2020, 100.0),
        ("a", "120000", 2020, 200.0),
        ("a", "110000", 2021, 110.0),
        ("b", "110000", 2020, 125.0),
        ("b", "120000", 2020, 200.0),
        ("b", "110000", 2021, 110.0),
        ("b", "120000", 2021, 210.0),
    ],
    columns=["variable", "province_code", "year", "value"],
)


def cells(view):
    return view.set_index(["row", "column"])


def test_coverage_counts_provinces_by_year_and_the_years_that_are_complete():
    got = cells(views.coverage(FIGURES))["value"]
    assert got[("a", "2020")] == 2 and got[("a", "2021")] == 1
    assert got[("a", "figures")] == 3 and got[("b", "figures")] == 4
    assert got[("a", "years_complete")] == 1 and got[("b", "years_complete")] == 2
    assert got[("a", "first_year")] == 2020 and got[("a", "last_year")] == 2021


def test_revisions_compare_what_both_vintages_have():
    got = cells(views.revisions(FIGURES, [("a", "b")]))
    assert got.loc[("a|b|2020", "provinces"), "value"] == 2
    assert got.loc[("a|b|2020", "differ"), "value"] == 1
    assert got.loc[("a|b|2020", "max"), ["value", "text"]].tolist() == [pytest.approx(20.0), "110000"]
    assert got.loc[("a|b|2020", "median"), "value"] == pytest.approx(10.0)
    assert got.loc[("a|b|2021", "differ"), "value"] == 0
    assert got.loc[("a|b|2021", "provinces"), "value"] == 1


def test_growth_rates_are_compared_in_points():
    frame = FIGURES.replace({"variable": {"a": "gdp_real_growth", "b": "gdp_real_growth_census5"}})
    got = cells(views.revisions(frame, [("gdp_real_growth", "gdp_real_growth_census5")]))
    assert got.loc[("gdp_real_growth|gdp_real_growth_census5|2020", "max"), "value"] == pytest.approx(25.0)


def test_the_views_of_the_published_figures_have_unique_keys_and_the_tidy_columns():
    figures = read.figures(RAW / "official")
    tidy = store.part_frame("values", pd.concat([views.coverage(figures), views.revisions(figures)]))
    assert not tidy.duplicated(["view_id", "row", "column"]).any()
    by_year = cells(tidy)["value"]
    # Chained over the vintage break of 2022, GDP of the older vintage falls short of the newer by 2 % and more.
    assert by_year[("gdp_census4|gdp|2022", "median")] > 1
    assert by_year[("gdp_census4|gdp|2022", "provinces")] == 31
