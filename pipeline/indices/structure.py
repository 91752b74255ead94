"""Structure of an economy: shares, ratios and movements of its sectors."""

from __future__ import annotations

import pandas as pd

from pipeline.errors import EstimationError

SECTORS = ("va_primary_census5", "va_secondary_census5", "va_tertiary_census5")
STRUCTURE = {"advancement": SECTORS}  # what stage ``indices`` adds to the indices, and the series each needs


def advancement(value_added: pd.DataFrame) -> pd.Series:
    """Return industrial advancement TS = Y₃/Y₂ (Gan, Zheng and Yu 2011, Economic Research Journal 46(5), 4–16).

    Parameters
    ----------
    value_added : DataFrame, rows × 3
        Value added of the primary, secondary and tertiary sector, in this order and one unit.

    Returns
    -------
    Series by row, dimensionless; missing where a sector is.

    Raises
    ------
    EstimationError
        There are not three columns, or a value is negative.
    """
    if value_added.shape[1] != 3:
        raise EstimationError(f"advancement: expected three sectors, found {value_added.shape[1]} columns.")
    if (value_added < 0).any(axis=None):
        raise EstimationError("advancement: value added is negative.")
    return (value_added.iloc[:, 2] / value_added.iloc[:, 1]).rename("advancement")
