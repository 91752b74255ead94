"""Errors planted in the real figures: each is named with file, row, region, year, variable and what was expected."""

from __future__ import annotations

import pytest

from pipeline import specs
from pipeline.clean import formats, read, validate
from pipeline.errors import ValidationError
from tests.clean.helpers import RAW, copy_raw, edit


@pytest.fixture
def official(tmp_path):
    return copy_raw(tmp_path, "official") / "official"


def run(official):
    provinces = read.table(RAW / "geography" / "provinces.csv", formats.PROVINCES)
    published = {k: v for k, v in specs.dictionary().items() if not v.derived}
    validate.figures(read.figures(official), published, provinces)


def message(official):
    with pytest.raises(ValidationError) as caught:
        run(official)
    return str(caught.value)


def test_the_published_figures_pass():
    run(RAW / "official")


def test_a_duplicate_key_is_named_with_both_rows(official):
    line = "population,540000,2020,366,1e4 persons"
    row = edit(official / "population.csv", line, f"{line}\n{line}")
    text = message(official)
    assert "in 1 place(s)" in text and "official/population.csv, 1 violation(s):" in text
    assert (
        f"row {row + 1}: population, 540000 Tibet, 2020: 366, expected one figure a variable, province and year; "
        f"official/population.csv row {row} has it too"
    ) in text


def test_an_unknown_province_is_named(official):
    row = edit(
        official / "education.csv", *[f"bachelor_graduates,{p},2013,114149,persons" for p in ("110000", "710000")]
    )
    text = message(official)
    assert (
        f"official/education.csv, 1 violation(s):\n  row {row}: bachelor_graduates, 710000 (unknown), 2013: 114149, "
        "expected a province of geography/provinces.csv"
    ) in text


@pytest.mark.parametrize(
    ("file", "old", "new", "wording"),
    [
        (
            "energy.csv",
            "electricity_consumption,540000,2019,78,1e8 kWh",
            "electricity_consumption,540000,2019,780000,1e8 kWh",
            "electricity_consumption, 540000 Tibet, 2019: 780000, expected 1e8 kWh, near 69.02 of 2018; "
            "it is 11,301 times larger: probably in 1e4 kWh",
        ),
        (
            "population.csv",
            "population,540000,2024,370,1e4 persons",
            "population,540000,2024,0.037,1e4 persons",
            "population, 540000 Tibet, 2024: 0.037, expected 1e4 persons, near 365 of 2023; "
            "it is 9,865 times smaller: probably in 1e8 persons",
        ),
        (
            "population.csv",
            "urbanization_rate,110000,2010,85.96,%",
            "urbanization_rate,110000,2010,0.8596,%",
            "urbanization_rate, 110000 Beijing, 2010: 0.8596, expected %, near 86.2 of 2011; "
            "it is 100 times smaller: probably in a fraction, not percent",
        ),
    ],
)
def test_a_value_in_the_wrong_unit_is_named_even_where_it_is_plausible_elsewhere(official, file, old, new, wording):
    row = edit(official / file, old, new)
    text = message(official)
    assert "in 1 place(s)" in text
    assert f"official/{file}, 1 violation(s):\n  row {row}: {wording}" in text


def test_every_violation_of_every_file_is_named_at_once(official):
    unit = edit(
        official / "energy.csv",
        "electricity_generation,110000,2016,434.39,1e8 kWh",
        "electricity_generation,110000,2016,434.39,1e4 kWh",
    )
    year = edit(official / "population.csv", *[f"population,110000,{y},1962,1e4 persons" for y in (2010, 2009)])
    whole = edit(
        official / "education.csv", *[f"bachelor_graduates,110000,2013,{v},persons" for v in ("114149", "114149.5")]
    )
    share = edit(official / "population.csv", *[f"urbanization_rate,310000,2024,{v},%" for v in ("89.85", "100.1")])
    name = edit(
        official / "education.csv", *[f"{v},120000,2013,67160,persons" for v in ("bachelor_graduates", "graduates")]
    )
    text = message(official)
    assert "in 5 place(s)" in text
    for part in (
        f"row {unit}: electricity_generation, 110000 Beijing, 2016: 434.39, expected unit '1e8 kWh', found '1e4 kWh'",
        f"row {year}: population, 110000 Beijing, 2009: 1962, expected a year from 2010 to 2024",
        f"row {whole}: bachelor_graduates, 110000 Beijing, 2013: 114149.5, expected a whole number",
        f"row {share}: urbanization_rate, 310000 Shanghai, 2024: 100.1, expected 20 to 100 %",
        f"row {name}: graduates, 120000 Tianjin, 2013: 67160, expected a variable of specs/dictionary.yaml",
    ):
        assert part in text


def test_a_variable_without_figures_is_named(official):
    (official / "education.csv").unlink()
    assert "no file has figures of: bachelor_graduates" in message(official)


def test_many_violations_are_counted(official):
    path = official / "population.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",1e4 persons", ",persons"), encoding="utf-8")
    text = message(official)
    assert "official/population.csv, 438 violation(s):" in text and "  and 238 more" in text
