"""Normalisation and objective weights of composite indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.errors import EstimationError


def normalise(
    values: pd.DataFrame, *, negative: Sequence[str] = (), reference: pd.Series | np.ndarray | None = None
) -> pd.DataFrame:
    """Min–max normalise the columns with bounds taken from reference rows.

    Parameters
    ----------
    values : DataFrame, rows × indicators
        Indicators in their own units, complete.
    negative : sequence of str
        Columns in which less is better; they are reversed.
    reference : boolean per row, optional
        Rows that set the bounds; all rows by default. Values outside the bounds are kept, not clipped.

    Returns
    -------
    DataFrame, rows × indicators
        Dimensionless; within [0, 1] on the reference rows.

    Raises
    ------
    EstimationError
        A value is missing, or a column is constant on the reference rows.
    """
    if values.isna().to_numpy().any():
        columns = values.columns[values.isna().any()].tolist()
        raise EstimationError(f"normalise: missing values in {', '.join(map(str, columns))}; pass complete rows.")
    rows = np.ones(len(values), bool) if reference is None else np.asarray(reference, bool)
    low, high = values[rows].min(), values[rows].max()
    constant = (high <= low) | high.isna()
    if constant.any():
        raise EstimationError(f"normalise: constant on the reference rows: {', '.join(map(str, low.index[constant]))}.")
    scaled = (values - low) / (high - low)
    for column in negative:
        scaled[column] = 1 - scaled[column]
    return scaled


def entropy(normalised: pd.DataFrame) -> pd.Series:
    """Return each column's information entropy e = –(1/ln n) Σ p ln p, with 0·ln 0 = 0 and no shift.

    Parameters
    ----------
    normalised : DataFrame, n × indicators
        Non-negative; p is a cell's share of its column's sum.

    Returns
    -------
    Series by indicator, within [0, 1]; 1 when all cells are equal.
    """
    if (normalised.to_numpy() < 0).any():
        raise EstimationError("entropy: a normalised value is negative; pass the rows that set the bounds.")
    share = normalised / normalised.sum()
    information = share * np.log(share.where(share > 0, 1.0))
    sums: pd.Series = information.sum()
    return -sums / math.log(len(normalised))


def entropy_weights(normalised: pd.DataFrame) -> pd.Series:
    """Return entropy weights w ∝ 1 – e (Shannon 1948; the entropy-weight method of regional studies).

    Parameters
    ----------
    normalised : DataFrame, n × indicators
        Output of :func:`normalise` on the reference rows.

    Returns
    -------
    Series by indicator, summing to 1.
    """
    divergence = 1 - entropy(normalised)
    return divergence / divergence.sum()
