"""Exposure of industries to a digital input: its share in their cost, direct and along the domestic chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.errors import EstimationError
from pipeline.indices.input_output import leontief_inverse


def blocks(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Split a national table into domestic flows, imported flows and gross output.

    Parameters
    ----------
    table : DataFrame
        ``origin, supplier, user, value``, sectors by name; gross output is the user ``GO`` of domestic deliveries.

    Returns
    -------
    domestic, imported : DataFrame, (n, n)
    output : Series, (n,)
    """
    domestic, imported = (
        table[table["origin"] == origin].pivot_table(index="supplier", columns="user", values="value")
        for origin in ("domestic", "imported")
    )
    sectors = domestic.index
    return domestic[sectors], imported.loc[sectors, sectors], domestic["GO"]


def input_coefficients(
    domestic: pd.DataFrame, imported: pd.DataFrame, output: pd.Series, inputs: Sequence[str]
) -> pd.DataFrame:
    """Return what each sector buys of some inputs per unit of its output.

    Parameters
    ----------
    domestic, imported : DataFrame, (n, n)
        Flows from row to column sector.
    output : Series, (n,)
        Gross output, in the same unit.
    inputs : sequence of str
        The supplying sectors; their deliveries are added up, domestic and imported.

    Returns
    -------
    DataFrame by sector
        ``direct``: deliveries over output. ``complete``: direct coefficients times the domestic Leontief inverse, the
        deliveries to the sector and to everyone along its domestic chain.

    Raises
    ------
    EstimationError
        An input is no sector, or as :func:`pipeline.indices.input_output.leontief_inverse`.
    """
    unknown = [name for name in inputs if name not in domestic.index]
    if unknown:
        raise EstimationError(f"no sector of the table is called {', '.join(unknown)}.")
    names = list(inputs)
    direct = (domestic.loc[names] + imported.loc[names]).sum() / output
    return pd.DataFrame({"direct": direct, "complete": direct @ leontief_inverse(domestic, output)})


def by_industry(values: pd.DataFrame, output: pd.Series, industries: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Average sector values over each industry, weighted by gross output.

    Parameters
    ----------
    values : DataFrame by sector
    output : Series by sector
    industries : mapping of str to sequence of str
        The sectors of each industry: every sector in exactly one.

    Raises
    ------
    EstimationError
        Names each sector that is in no industry or in two, or that the table does not have.
    """
    listed = [name for sectors in industries.values() for name in sectors]
    faults = {
        "in no industry": [name for name in values.index if name not in listed],
        "in two industries": sorted({name for name in listed if listed.count(name) > 1}),
        "not in the table": [name for name in listed if name not in values.index],
    }
    if any(faults.values()):
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in faults.items() if names)
        raise EstimationError(f"every sector must be in one industry. {told}.")
    return pd.DataFrame({key: _mean(values, output, names) for key, names in industries.items()}).T


def relative_to_input(
    complete: pd.Series, output: pd.Series, groups: Mapping[str, Sequence[str]], inputs: Sequence[str]
) -> pd.Series:
    """Return the exposure of groups of sectors over that of the sectors that supply the input.

    Parameters
    ----------
    complete : Series by sector
        Complete coefficients of the input.
    output : Series by sector
    groups : mapping of str to sequence of str
        Sectors of each group; a group without sectors has exposure 0.
    inputs : sequence of str
        The supplying sectors, whose own exposure is 1.
    """
    values = complete.to_frame("exposure")
    own = _mean(values, output, inputs)
    shares = {key: _mean(values, output, names) / own if names else own * 0 for key, names in groups.items()}
    return pd.DataFrame(shares).T["exposure"]


def _mean(values: pd.DataFrame, output: pd.Series, names: Sequence[str]) -> pd.Series:
    weight = output[list(names)]
    return values.loc[list(names)].mul(weight, axis=0).sum() / weight.sum()


def standardised(values: pd.DataFrame) -> pd.DataFrame:
    """Deviations from the unweighted mean over the rows, in standard deviations (ddof 1)."""
    return (values - values.mean()) / values.std(ddof=1)
