"""From one row a figure to the panel, and from the panel to value added by industry."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

INDUSTRIES = (
    "agriculture",
    "industry",
    "construction",
    "wholesale_retail",
    "transport",
    "hotels_catering",
    "finance",
    "real_estate",
    "other_services",
)


def wide(figures: pd.DataFrame, variables: Sequence[str], provinces: Sequence[str]) -> pd.DataFrame:
    """Turn figures into a panel with a row for every province and year.

    Parameters
    ----------
    figures : DataFrame
        ``variable, province_code, year, value``, unique by the first three.
    variables : sequence of str
        Columns of the result, in order; one without figures is missing throughout.
    provinces : sequence of str
        Province codes; the rows are all of them times all years from the first to the last with a figure.

    Returns
    -------
    DataFrame
        ``province_code, year`` and one float column a variable; missing where no figure is published.
    """
    years = range(int(figures["year"].min()), int(figures["year"].max()) + 1)
    rows = pd.MultiIndex.from_product([sorted(provinces), years], names=["province_code", "year"])
    columns = {
        name: part.set_index(["province_code", "year"])["value"].reindex(rows)
        for name, part in figures.groupby("variable", sort=False)
    }
    return pd.DataFrame(columns, index=rows).reindex(columns=list(variables)).astype(float).reset_index()


def industries(panel: pd.DataFrame) -> pd.DataFrame:
    """List value added (1e8 CNY, after the 5th census) by province, industry and year, where published."""
    long = panel.melt(
        id_vars=["province_code", "year"],
        value_vars=[f"va_{name}_census5" for name in INDUSTRIES],
        var_name="industry",
        value_name="value_added",
    ).dropna(subset="value_added")
    names = long["industry"].str.removeprefix("va_").str.removesuffix("_census5")
    return long.assign(industry=names)[["province_code", "industry", "year", "value_added"]].reset_index(drop=True)
