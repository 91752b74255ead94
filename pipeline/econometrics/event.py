"""Event study: one coefficient for each period relative to treatment, with simultaneous bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pipeline.econometrics.cohorts import event_time, first_treated
from pipeline.econometrics.design import Effects, Floats, build
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.twfe import assemble, coefficient_table, estimate
from pipeline.errors import EstimationError

BAND_DRAWS = 200_000  # Monte Carlo error of a 95 % critical value: below .01


def event_study(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    reference: int = -1,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    exclude: Sequence[int] = (),
    level: float = 0.95,
    weights: str | None = None,
    term: str | None = None,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """Two-way fixed effects with a dummy for every event time but the reference.

    Event times are those that occur: a gap in the calendar is simply absent. Cohorts share one coefficient an event
    time; with several cohorts and effects that differ between them this pools them as TWFE does.

    Parameters
    ----------
    panel, outcome, unit, time, controls, by_time, effects, weights, cluster, covariance, level
        As in :func:`two_way_fe`; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    reference : int
        Event time whose effect is set to zero; it stands in ``table`` with estimate 0 and no standard error.
    exclude : sequence of int
        Event times that are estimated but belong to no test, to no band and not to ``att``.
    term : str, optional
        Name in ``table``; None is the name of ``cohort``.
    bands : bool
        Whether to compute the simultaneous bands; missing otherwise.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        ``att`` is the mean of the coefficients at event times ≥ 0 that are not excluded. ``band_low`` and ``band_high``
        are simultaneous over the coefficients that are neither reference nor excluded: the critical value is the
        quantile of max |t| under the multivariate t with the coefficients' correlation and degrees of freedom.
        ``vcov`` has a zero row for the reference.

    Raises
    ------
    EstimationError
        The reference does not occur, no unit is treated, a cohort changes within a unit, or as in :func:`two_way_fe`.
    CollinearityError
        An event time is a combination of the others (for instance without a never-treated unit).
    """
    name = term or cohort
    design = build(
        panel,
        outcome,
        [],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    since = event_time(design, first_treated(panel, design, cohort))
    times = sorted({int(e) for e in since[np.isfinite(since)]})
    if reference not in times:
        raise EstimationError(f"no row used lies at the reference event time {reference}; there are {times}")
    free = np.array([e for e in times if e != reference])
    design = replace(
        design,
        X=np.hstack([(since[:, None] == free).astype(np.float64), design.X]),
        terms=(*(f"{name} at event time {e}" for e in free), *design.terms),
        n_treatments=len(free),
    )
    fitted, coefficients, cov, meta = estimate(design, covariance)
    tested = ~np.isin(free, list(exclude))
    table = coefficient_table(design.terms, coefficients, cov, level)
    table["term"] = [name] * len(free) + list(controls)
    table["event_time"] = pd.array([*free, *[pd.NA] * len(controls)], dtype="Int64")
    members = np.flatnonzero(tested)
    critical = (
        sup_t(cov.matrix[np.ix_(members, members)], cov.df(np.eye(len(coefficients))[members[0]]), level, seed)
        if bands and len(members)
        else np.nan
    )
    half = np.where(np.isin(np.arange(len(table)), np.flatnonzero(tested)), critical, np.nan) * table["std_error"]
    table["band_low"], table["band_high"] = table["estimate"] - half, table["estimate"] + half
    post = np.flatnonzero(tested & (free >= 0))
    if not len(post):
        raise EstimationError("no event time ≥ 0 is left to average: all are excluded or absent")
    contrast = np.zeros(len(coefficients))
    contrast[post] = 1 / len(post)
    meta = {"estimator": "event study", "reference": str(reference), "weights": weights or ""} | meta
    meta |= {"excluded": ", ".join(str(e) for e in free[~tested]), "band_critical_value": f"{critical:.6f}"}
    result = assemble(fitted, table, cov, contrast, level, np.isfinite(since), meta)
    return _with_reference(result, name, reference, int((free < reference).sum()))


def sup_t(matrix: Floats, df: float, level: float, seed: int) -> float:
    """Critical value of max |t| over the coefficients that have a variance.

    Parameters
    ----------
    matrix : ndarray, (k, k)
        Covariance of the coefficients.
    df : float
        Of the multivariate t; infinite for the normal.
    level : float
    seed : int
        Of the draws.
    """
    known = np.isfinite(np.diag(matrix)) & (np.diag(matrix) > 0)
    matrix = matrix[np.ix_(known, known)]
    if not len(matrix):
        return float("nan")
    if len(matrix) == 1:
        return float(stdtrit(df, 0.5 + level / 2))
    se = np.sqrt(np.diag(matrix))
    values, vectors = np.linalg.eigh(matrix / np.outer(se, se))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # symmetric: does not hang on eigenvector signs
    rng = np.random.default_rng(seed)
    largest = np.abs(rng.standard_normal((BAND_DRAWS, len(se))) @ root).max(axis=1)
    scale = np.sqrt(rng.chisquare(df, BAND_DRAWS) / df) if np.isfinite(df) else 1.0
    return float(np.quantile(largest / scale, level))


def _with_reference(result: Estimate, name: str, reference: int, position: int) -> Estimate:
    """Insert the reference row: estimate 0, no standard error, a zero row and column in ``vcov``."""
    table = result.table
    row = pd.DataFrame({"term": [name], "event_time": [reference], "estimate": [0.0]}).reindex(columns=table.columns)
    rows = [table.iloc[:position], row.astype(table.dtypes.to_dict()), table.iloc[position:]]
    vcov = np.insert(np.insert(result.vcov, position, 0.0, axis=0), position, 0.0, axis=1)
    return replace(result, table=pd.concat(rows, ignore_index=True), vcov=vcov)
