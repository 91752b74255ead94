"""First treated periods: the checks that every estimator with a ``cohort`` column shares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Design, Floats, check_columns, listed
from pipeline.errors import EstimationError


def first_treated(panel: pd.DataFrame, design: Design, cohort: str) -> Floats:
    """First treated period by row used; infinite for never treated.

    Parameters
    ----------
    panel : DataFrame
        The caller's frame.
    design : Design
        The rows used.
    cohort : str
        Numeric column; infinite or missing for never treated.

    Raises
    ------
    EstimationError
        A time or cohort column that is not numeric, a cohort that changes within a unit, nobody ever treated, or
        event times that are not whole numbers.
    """
    check_columns(panel, [cohort])
    periods = period_values(design)
    if not pd.api.types.is_numeric_dtype(panel[cohort]):
        raise EstimationError(f"cohort column {cohort!r} is not numeric (type {panel[cohort].dtype})")
    first = panel[cohort].to_numpy(dtype=np.float64, na_value=np.nan)[design.rows]
    first = np.where(np.isfinite(first), first, np.inf)
    units, start = np.unique(design.unit.ids, return_index=True)
    moving = units[np.bincount(design.unit.ids, weights=first != first[start][design.unit.ids]) > 0]
    if len(moving):
        raise EstimationError(f"cohort {cohort!r} changes within {listed([design.unit.labels[u] for u in moving])}")
    if not np.isfinite(first).any():
        raise EstimationError(f"no unit is ever treated according to {cohort!r}")
    since = periods[design.time.ids] - first
    if (since[np.isfinite(since)] % 1 != 0).any():
        raise EstimationError("event times must be whole numbers of periods")
    return first


def event_time(design: Design, first: Floats) -> Floats:
    """Periods since treatment by row used; infinite for never treated."""
    since = period_values(design)[design.time.ids] - first
    return np.where(np.isfinite(since), since, np.inf)


def period_values(design: Design) -> Floats:
    """Labels of the periods as numbers, (T,)."""
    labels = np.array(design.time.labels)
    if not np.issubdtype(labels.dtype, np.number):
        raise EstimationError("event times need a numeric time column")
    return labels.astype(np.float64)
