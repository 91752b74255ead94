"""Coverage of the published series, and what differs between the vintages of one: views for the tidy values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

COLUMNS = ["view_id", "row", "column", "x", "value", "text"]
KEY = ["province_code", "year"]
# One series in two vintages: (older, newer). Levels are compared in per cent of the newer, growth rates in points.
VINTAGES = (
    ("gdp_census4", "gdp"),
    ("gdp_first_release", "gdp"),
    ("gdp_sector_sum", "gdp"),
    ("gdp_2024_preliminary", "gdp"),
    ("gdp_per_capita", "gdp_per_capita_census5"),
    ("retail_sales", "retail_sales_census5"),
    ("va_primary", "va_primary_census5"),
    ("va_secondary", "va_secondary_census5"),
    ("va_tertiary", "va_tertiary_census5"),
    ("gdp_real_growth", "gdp_real_growth_census5"),
)
POINTS = ("gdp_real_growth",)


class Named(Protocol):
    """Something with a name in both languages."""

    @property
    def zh(self) -> str:
        """Chinese name."""

    @property
    def en(self) -> str:
        """English name."""


def coverage(figures: pd.DataFrame) -> pd.DataFrame:
    """Return how many provinces have a figure, by variable and year.

    Parameters
    ----------
    figures : DataFrame
        ``variable, province_code, year``, one row a figure.

    Returns
    -------
    DataFrame
        View ``coverage``: row = variable; columns ``figures``, ``first_year``, ``last_year``, ``years_complete`` (years
        in which every province has one) and one column a year with x = year, value = provinces.
    """
    provinces = figures["province_code"].nunique()
    counts = figures.groupby(["variable", "year"]).size().rename("value").reset_index()
    by_year = counts.assign(column=counts["year"].astype(str), x=counts["year"].astype(float))
    series = counts.groupby("variable")
    summary = pd.DataFrame(
        {
            "figures": series["value"].sum(),
            "first_year": series["year"].min(),
            "last_year": series["year"].max(),
            "years_complete": (counts["value"] == provinces).groupby(counts["variable"]).sum(),
        }
    )
    long = summary.reset_index().melt("variable", var_name="column", value_name="value")
    out = pd.concat([long, by_year[["variable", "column", "x", "value"]]], ignore_index=True)
    return _view("coverage", out.rename(columns={"variable": "row"}))


def revisions(figures: pd.DataFrame, pairs: Sequence[tuple[str, str]] = VINTAGES) -> pd.DataFrame:
    """Return by how much two vintages of a series differ, by year.

    Parameters
    ----------
    figures : DataFrame
        ``variable, province_code, year, value``.
    pairs : sequence of (str, str)
        Older and newer vintage.

    Returns
    -------
    DataFrame
        View ``revisions``: row = ``older|newer|year``; columns ``provinces`` (in both), ``differ`` (by more than
        rounding: .05 % or .05 points), ``median`` and ``max`` (newer less older, in per cent of the newer, or points;
        ``max`` is the one largest in size, its province in text), all with x = year.
    """
    rows: list[tuple[str, str, float, float, str | None]] = []
    for older, newer in pairs:
        old, new = (figures.loc[figures["variable"] == v, [*KEY, "value"]] for v in (older, newer))
        both = old.merge(new, on=KEY, suffixes=("_old", "_new"))
        change = both["value_new"] - both["value_old"]
        both["change"] = change if older in POINTS else 100 * change / both["value_new"]
        for year, one in both.groupby("year"):
            row, x, size = f"{older}|{newer}|{year}", float(str(year)), one["change"].abs()
            largest = one.iloc[int(size.to_numpy().argmax())]
            rows += [
                (row, "provinces", x, float(len(one)), None),
                (row, "differ", x, float((size > 0.05).sum()), None),
                (row, "median", x, float(one["change"].median()), None),
                (row, "max", x, float(largest["change"]), str(largest["province_code"])),
            ]
    return _view("revisions", pd.DataFrame(rows, columns=["row", "column", "x", "value", "text"]))


def verdict_rows(
    judged: pd.DataFrame,
    verdicts: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Named],
    provinces: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """Return every flagged cell with its verdict.

    Parameters
    ----------
    judged : DataFrame
        ``indicator, province_code, year, value, rule, score, decision``, one row a flag.
    verdicts : sequence of mapping
        Entries of ``specs/verdicts.yaml``: the reasons in both languages.
    variables, provinces : mapping
        Names (``zh``, ``en``) of the variables by id and of the provinces by code.

    Returns
    -------
    DataFrame
        View ``quality``: row = ``variable|province_code|year``; columns ``value`` (number), and in text
        ``variable_zh``, ``variable_en``, ``province_zh``, ``province_en``, ``year``, ``rules``, ``decision``,
        ``reason_zh``, ``reason_en``.
    """
    reasons = {(v["variable"], str(v["province_code"]), int(v["year"])): v["reason"] for v in verdicts}
    rows: list[dict[str, object]] = []
    keys = judged[["indicator", "province_code", "year"]].drop_duplicates().itertuples(index=False, name=None)
    for name, code, year in keys:
        chosen = (judged["indicator"] == name) & (judged["province_code"] == code) & (judged["year"] == year)
        flags = judged[chosen]
        row = f"{name}|{code}|{year}"
        texts = {
            "year": str(year),
            "rules": ", ".join(sorted(flags["rule"])),
            "decision": str(flags["decision"].iloc[0]),
        }
        for language in ("zh", "en"):
            texts[f"variable_{language}"] = getattr(variables[name], language)
            texts[f"province_{language}"] = provinces[code][language]
            texts[f"reason_{language}"] = " ".join(reasons[name, code, year][language].split())
        rows.append({"row": row, "column": "value", "value": float(flags["value"].iloc[0])})
        rows += [{"row": row, "column": k, "text": v} for k, v in texts.items()]
    return _view("quality", pd.DataFrame(rows))


def rule_counts(judged: pd.DataFrame) -> pd.DataFrame:
    """Return view ``quality_rules``: by rule, the cells flagged, kept, corrected and set missing, and the precision.

    Precision is the share of a rule's flagged cells that are judged errors. Row ``all`` counts each cell once.
    """
    cells = judged.drop_duplicates(["indicator", "province_code", "year"]).assign(rule="all")
    both = pd.concat([judged, cells])
    counts = pd.crosstab(both["rule"], both["decision"]).astype(float)
    counts = counts.reindex(columns=["kept", "corrected", "set missing"], fill_value=0.0)
    counts.columns = pd.Index(["kept", "corrected", "missing"])
    counts["flagged"] = counts.sum(axis=1)
    counts["precision"] = (counts["corrected"] + counts["missing"]) / counts["flagged"]
    return _view("quality_rules", counts.rename_axis("row").reset_index().melt("row", var_name="column"))


def _view(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.reindex(columns=COLUMNS).assign(view_id=name)
    return rows.sort_values(["row", "column"], kind="stable").reset_index(drop=True)
