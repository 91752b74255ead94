"""The rows an equation is estimated on: outcome, hub status, clusters, fixed covariates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.econometrics import neighbour_exposure

if TYPE_CHECKING:
    from pipeline.specs import Adjustment, Model, Sample, Treatment

KEY = ["province_code", "year"]


def merge(panel: pd.DataFrame, indices: pd.DataFrame, units: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Join variables, index scores and the units' attributes, one row a (province_code, year).

    Adds by province, 0 to 1: ``hubs``, whether it belongs to a national computing hub; ``hosts``, whether it holds a
    data-centre cluster; ``has_bigdata_zone`` and ``has_ai_zone``; ``neighbour_hubs``, the share of its land neighbours
    that are hub provinces.
    """
    borders = links[links["kind"] == "adjacency"]
    members = units.loc[units["hub"] != "", "province_code"]
    exposure = neighbour_exposure(borders[["source", "target"]], members, list(units["province_code"]))
    people = panel[panel["year"] == 2020].set_index("province_code")["pop"]
    units = units.assign(
        population_2020=units["province_code"].map(people),
        hubs=(units["hub"] != "").astype(float),
        hosts=units["host"].astype(float),
        has_bigdata_zone=units["bigdata_zone"].notna().astype(float),
        has_ai_zone=units["ai_zone"].notna().astype(float),
        neighbour_hubs=units["province_code"].map(exposure),
    )
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


CARRIED = [
    *("region", "cluster", "hub", "hubs", "role", "latitude", "longitude", "population_2020"),
    *("hosts", "has_bigdata_zone", "has_ai_zone", "neighbour_hubs"),
]


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
        Its ``by_time`` variables become standardised province means; "outcome" stands for the outcome itself.

    Returns
    -------
    DataFrame with province_code, year, the units' attributes, the outcome and the ``by_time`` columns.
    """
    carried = [name for name in CARRIED if name not in adjustment.by_time]
    kept = rows.loc[rows["year"].isin(years), [*KEY, *carried, outcome]]
    for names, window in adjustment.windows():
        means = standardised_means(rows.assign(outcome=rows[outcome]), names, window)
        kept = kept.merge(means, left_on="province_code", right_index=True, how="left", validate="many_to_one")
    return kept.dropna(subset=[outcome]).reset_index(drop=True)


def keep(frame: pd.DataFrame, sample: Sample, without: str) -> pd.DataFrame:
    """Return the rows of the provinces of a sample, without one more province or hub if asked."""
    left = {*sample.without, *((without,) if without else ())}
    out = frame["province_code"].isin(left) | frame["cluster"].isin(left) | (frame["hubs"].eq(1) & sample.controls)
    return frame[~out].reset_index(drop=True)


def with_treatments(
    frame: pd.DataFrame, rows: pd.DataFrame, model: Model, treatments: dict[str, Treatment], event_years: dict[str, int]
) -> pd.DataFrame:
    """Add the treatment columns of a specification, and the moderators they are multiplied with.

    ``moderator_<treatment>`` is the standardised mean of the moderator over all provinces.
    """
    frame = frame.copy()
    for name in model.treatments:
        if name not in treatments:
            continue
        given = treatments[name]
        first = event_years[given.first] if isinstance(given.first, str) else given.first
        frame[name] = treated(frame, given.group, first=first, only=given.only)
        if given.moderator:
            level = standardised_means(rows, (given.moderator,), given.moderator_years)[given.moderator]
            frame[f"moderator_{name}"] = frame["province_code"].map(level)
            frame[name] *= frame[f"moderator_{name}"]
    return frame


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
    last = sample.last or counts.index.max()
    enough = counts.index[(counts >= sample.minimum_units) & counts.index.isin(range(sample.first, last + 1))]
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
        f"names_{k}": between.join(f"{n} {y}" for n, y in zip(absent[f"name_{k}"], absent["year"], strict=True))
        for k, between in (("zh", "、"), ("en", ", "))
    }
    out = [{"row": spec_id, "column": "rows", "value": float(len(absent))}]
    out += [{"row": spec_id, "column": k, "text": v} for k, v in texts.items()]
    return pd.DataFrame(out).assign(view_id="left_out")


def treated(
    sample: pd.DataFrame, group: str = "hub", *, first: int | None = None, only: int | None = None
) -> np.ndarray:
    """Return group × 1[year ≥ first], or group × 1[year = only], by row of the sample.

    A group is "hub", a role, or a unit-constant column of the sample.
    """
    years = sample["year"] >= first if first is not None else sample["year"] == only
    if group == "hub":
        members = sample["hubs"]
    else:
        members = sample[group] if group in sample else (sample["role"] == group).astype(float)
    return np.asarray(members * years, dtype=float)


def pre_period(sample: pd.DataFrame, outcome: str, reference_year: int) -> tuple[float, float]:
    """Return mean and SD (n – 1) over provinces of their means of the outcome up to the reference year."""
    means = sample[sample["year"] <= reference_year].groupby("province_code")[outcome].mean()
    return float(means.mean()), float(means.std(ddof=1))
