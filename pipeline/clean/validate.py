"""Raw figures against the dictionary: keys, codes, years, units, bounds; every violation at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pandas as pd

from pipeline.clean.formats import records
from pipeline.clean.magnitude import likely_unit, out_of_line
from pipeline.errors import ValidationError

KEY = ["variable", "province_code", "year"]
SHOWN = 200  # violations of one file spelt out before the message only counts

Violations = dict[tuple[int, str], str]  # (row index, check): what was expected


class Declared(Protocol):
    """The part of a dictionary entry that a published figure must obey."""

    @property
    def unit(self) -> str:
        """Unit, as in the raw file."""

    @property
    def type(self) -> str:
        """``int`` or ``float``."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest plausible value, inclusive."""

    @property
    def first_year(self) -> int | None:
        """First year with figures."""

    @property
    def last_year(self) -> int | None:
        """Last year with figures."""

    @property
    def max_jump(self) -> float | None:
        """Ratio to the nearest years above which the unit is doubted; None: not compared."""


def figures(frame: pd.DataFrame, dictionary: Mapping[str, Declared], provinces: pd.DataFrame) -> None:
    """Check the published figures against the dictionary.

    Parameters
    ----------
    frame : DataFrame
        ``file, row, variable, province_code, year, value, unit``, as the reader returns them.
    dictionary : mapping of str to dictionary entry
        The published variables; each must have figures.
    provinces : DataFrame
        ``province_code, name_en``.

    Raises
    ------
    ValidationError
        Lists every violation: file, row, variable, region, year, value, what was expected.
    """
    names = dict(zip(provinces["province_code"], provinces["name_en"], strict=True))
    rows = frame.join(_declared(dictionary), on="variable")
    found = _violations(_schema(dictionary, names), rows) | _duplicates(frame) | _units(rows)
    # A figure in a wrong unit is mostly out of bounds too: one line, the one that says what happened.
    found = {(i, c): text for (i, c), text in found.items() if c != "bounds" or (i, "magnitude") not in found}
    lacking = sorted(set(dictionary) - set(frame["variable"]))
    if found or lacking:
        raise ValidationError("\n".join(_report(frame, names, found, lacking)))


def _declared(dictionary: Mapping[str, Declared]) -> pd.DataFrame:
    rows = {
        key: (v.unit, float(v.type == "int"), *v.bounds, v.first_year, v.last_year, v.max_jump)
        for key, v in dictionary.items()
    }
    numbers = ["whole", "low", "high", "first_year", "last_year", "max_jump"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["declared_unit", *numbers])
    return frame.astype(dict.fromkeys(numbers, float))


def _schema(dictionary: Mapping[str, Declared], names: Mapping[str, str]) -> Any:
    """Build the pandera schema; the ``error`` of a check is the key of its wording in ``_expected``."""
    import pandera.pandas as pa

    def unknown(rows: pd.DataFrame) -> pd.Series:
        return rows["declared_unit"].isna()

    checks = {
        "year": lambda r: r["year"].between(r["first_year"], r["last_year"]) | unknown(r),
        "unit": lambda r: (r["unit"] == r["declared_unit"]) | unknown(r),
        "whole": lambda r: (r["value"] % 1 == 0) | (r["whole"] == 0) | unknown(r),
        "bounds": lambda r: r["value"].between(r["low"], r["high"]) | unknown(r),
    }
    return pa.DataFrameSchema(
        {
            "variable": pa.Column(str, pa.Check.isin(list(dictionary), error="variable")),
            "province_code": pa.Column(str, pa.Check.isin(list(names), error="province")),
            "year": pa.Column(int),
            "value": pa.Column(float),
            "unit": pa.Column(str),
        },
        checks=[pa.Check(test, error=name) for name, test in checks.items()],
    )


def _violations(schema: Any, rows: pd.DataFrame) -> Violations:
    import pandera.errors

    try:
        schema.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases[["index", "check"]].drop_duplicates()
        places, checks = cases["index"].astype(int).tolist(), cases["check"].astype(str).tolist()
        named = zip(places, checks, records(rows.loc[places]), strict=True)
        return {(i, check): _expected(check, row) for i, check, row in named}
    return {}


def _expected(check: str, row: dict[str, Any]) -> str:
    wording = {
        "variable": "a variable of specs/dictionary.yaml",
        "province": "a province of geography/provinces.csv",
        "unit": f"unit {row['declared_unit']!r}, found {row['unit']!r}",
        "year": f"a year from {row['first_year']:.0f} to {row['last_year']:.0f}",
        "whole": "a whole number",
        "bounds": f"{row['low']:g} to {row['high']:g} {row['declared_unit']}",
    }
    return wording[check]


def _duplicates(frame: pd.DataFrame) -> Violations:
    twice = frame[frame.duplicated(KEY, keep=False)]
    first = twice.groupby(KEY)[["file", "row"]].transform("first")
    again = first[twice.duplicated(KEY)]
    wording = "one figure a variable, province and year; {file} row {row} has it too"
    return {(i, "duplicate"): wording.format(**row) for i, row in zip(again.index, records(again), strict=True)}


def _units(rows: pd.DataFrame) -> Violations:
    odd = out_of_line(rows.drop_duplicates(KEY)).join(rows["declared_unit"])
    found = {}
    for i, near in zip(odd.index, records(odd), strict=True):
        factor, unit = abs(near["factor"]), near["declared_unit"]
        times = f"{factor:,.0f} times larger" if factor > 1 else f"{1 / factor:,.0f} times smaller"
        found[(i, "magnitude")] = (
            f"{unit}, near {near['near_value']:g} of {near['near_year']:.0f}; it is {times}: "
            f"probably in {likely_unit(unit, factor)}"
        )
    return found


def _report(frame: pd.DataFrame, names: Mapping[str, str], violations: Violations, lacking: list[str]) -> Iterator[str]:
    count = len(violations) + len(lacking)
    yield f"data/raw/official breaks specs/dictionary.yaml in {count} place(s). Mend the rows named."
    rows = frame.loc[[i for i, _ in violations]].assign(expected=list(violations.values()))
    for file, part in rows.sort_values(["file", "row"], kind="stable").groupby("file", sort=True):
        yield f"{file!s}, {len(part)} violation(s):"
        for row in records(part.head(SHOWN)):
            region = f"{row['province_code']} {names.get(row['province_code'], '(unknown)')}"
            yield (
                f"  row {row['row']}: {row['variable']}, {region}, {row['year']}: {row['value']:.10g}, "
                f"expected {row['expected']}"
            )
        if len(part) > SHOWN:
            yield f"  and {len(part) - SHOWN} more"
    if lacking:
        yield f"no file has figures of: {', '.join(lacking)}"
