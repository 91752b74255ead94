"""The rows an equation is estimated on: outcome, hub status, clusters, fixed covariates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pipeline.specs import Adjustment, Sample

KEY = ["province_code", "year"]


def merge(panel: pd.DataFrame, indices: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Join variables, index scores and the units' attributes, one row a (province_code, year).

    Adds ``hubs``: 1 where the province belongs to a national computing hub, else 0.
    """
    units = units.assign(hubs=(units["hub"] != "").astype(float))
    joined = panel.merge(indices, on=KEY, how="outer", validate="one_to_one")
    return joined.merge(units, on="province_code", how="inner", validate="many_to_one").sort_values(
        KEY, ignore_index=True
    )


def standardised_means(rows: pd.DataFrame, variables: tuple[str, ...], years: tuple[int, ...]) -> pd.DataFrame:
    """Return province means of ``variables`` over ``years``, standardised over the provinces (SD with n – 1).

    Parameters
    ----------
    rows : DataFrame
        Columns province_code, year and the variables.
    variables, years : tuple
        What is averaged, and over which years.

    Returns
    -------
    DataFrame indexed by province_code, dimensionless.
    """
    means = rows[rows["year"].isin(years)].groupby("province_code")[list(variables)].mean()
    return (means - means.mean()) / means.std(ddof=1)


def build(rows: pd.DataFrame, outcome: str, years: tuple[int, ...], adjustment: Adjustment) -> pd.DataFrame:
    """Return the rows of one equation, without treatment columns.

    Parameters
    ----------
    rows : DataFrame
        Output of :func:`merge`.
    outcome : str
        Column of ``rows``; rows without it are left out.
    years : tuple of int
        Years of the sample.
    adjustment : Adjustment
        Its ``by_time`` variables become standardised province means.

    Returns
    -------
    DataFrame with province_code, year, region, cluster, hub, hubs, role, the outcome and the ``by_time`` columns.
    """
    kept = rows.loc[rows["year"].isin(years), [*KEY, "region", "cluster", "hub", "hubs", "role", outcome]]
    if adjustment.by_time:
        means = standardised_means(rows, adjustment.by_time, adjustment.by_time_years)
        kept = kept.merge(means, left_on="province_code", right_index=True, how="left", validate="many_to_one")
    return kept.dropna(subset=[outcome]).reset_index(drop=True)


def years_of(rows: pd.DataFrame, outcome: str, sample: Sample, announcement_year: int) -> tuple[int, ...]:
    """Return the years of a sample: those listed, or all from ``first`` on in which enough provinces have the outcome.

    Parameters
    ----------
    rows : DataFrame
        Output of :func:`merge`.
    outcome : str
        Column of ``rows``.
    sample : Sample
        ``minimum_units`` provinces must have the outcome; ``announcement`` false leaves that year out.
    announcement_year : int
        The year of announcement.
    """
    if sample.years or sample.first is None or sample.minimum_units is None:
        return sample.years
    counts = rows.groupby("year")[outcome].count()
    enough = counts.index[(counts >= sample.minimum_units) & (counts.index >= sample.first)]
    return tuple(int(y) for y in enough if sample.announcement or y != announcement_year)


def left_out(spec_id: str, rows: pd.DataFrame, frame: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return rows of the ``values`` view ``left_out``: which province-years of the sample lack the outcome.

    Parameters
    ----------
    spec_id : str
        The specification.
    rows, frame : DataFrame
        Output of :func:`merge`, and the rows the specification uses.
    outcome : str
        The outcome.
    """
    inside = rows[rows["year"].isin(frame["year"].unique())]
    absent = inside[inside[outcome].isna()]
    texts = {
        f"names_{k}": "; ".join(f"{n} {y}" for n, y in zip(absent[f"name_{k}"], absent["year"], strict=True))
        for k in ("zh", "en")
    }
    out = [{"row": spec_id, "column": "rows", "value": float(len(absent))}]
    out += [{"row": spec_id, "column": k, "text": v} for k, v in texts.items()]
    return pd.DataFrame(out).assign(view_id="left_out")


def treated(
    sample: pd.DataFrame, group: str = "hub", *, first: int | None = None, only: int | None = None
) -> np.ndarray:
    """Return group × 1[year ≥ first], or group × 1[year = only], by row of the sample; a group is "hub" or a role."""
    years = sample["year"] >= first if first is not None else sample["year"] == only
    members = sample["hubs"] if group == "hub" else (sample["role"] == group).astype(float)
    return np.asarray(members * years, dtype=float)


def pre_period(sample: pd.DataFrame, outcome: str, reference_year: int) -> tuple[float, float]:
    """Return mean and SD (n – 1) over provinces of their means of the outcome up to the reference year."""
    means = sample[sample["year"] <= reference_year].groupby("province_code")[outcome].mean()
    return float(means.mean()), float(means.std(ddof=1))
