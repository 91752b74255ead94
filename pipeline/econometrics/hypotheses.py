"""Joint tests of linear restrictions on an estimate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, fdtrc

from pipeline.econometrics.design import Floats
from pipeline.econometrics.results import Estimate, TestResult
from pipeline.errors import EstimationError


def wald(estimate: Estimate, restrictions: str | Sequence[str | int] | ArrayLike, value: ArrayLike = 0) -> TestResult:
    """Test R b = value by F = W/q against F(q, df).

    Parameters
    ----------
    estimate : Estimate
    restrictions : "pre", "post", sequence of str or int, or array (q, rows of ``estimate.table``)
        Strings are terms and integers event times, each restricted to ``value``. "pre" ("post") are all event times
        below zero (from zero on) except the reference and those that the event study excluded. An array holds one row
        of weights for each restriction.
    value : float or array, (q,)

    Returns
    -------
    TestResult
        ``statistic`` F, ``df`` (q, df of the t tests: G – 1 with clusters, else N – k; infinite for estimators with
        normal intervals, where q·F is χ²(q)).

    Raises
    ------
    EstimationError
        Unknown term, redundant restrictions, a coefficient without a variance, or CR2 (whose degrees of freedom differ
        by contrast: use the t of the one coefficient).
    """
    table = estimate.table
    matrix = _matrix(estimate, restrictions)
    used = np.abs(matrix).sum(axis=0) > 0
    df = np.unique(table.loc[used, "df"].dropna())
    if len(df) != 1:
        raise EstimationError("a joint test needs one degrees of freedom for all coefficients; CR2 has one for each")
    vcov = estimate.vcov[np.ix_(used, used)]
    if not np.isfinite(vcov).all():
        raise EstimationError(f"a coefficient has no variance: {estimate.meta.get('no_variance', '')}")
    gap = matrix @ table["estimate"].to_numpy() - np.broadcast_to(np.asarray(value, dtype=np.float64), len(matrix))
    middle = matrix[:, used] @ vcov @ matrix[:, used].T
    scale = np.sqrt(np.diag(middle))
    if not (scale > 0).all() or np.linalg.cond(middle / np.outer(scale, scale)) > 1e12:
        raise EstimationError(f"{len(matrix)} restrictions, but their covariance has a lower rank: drop the redundant")
    q = len(matrix)
    f = float((gap / scale) @ np.linalg.solve(middle / np.outer(scale, scale), gap / scale)) / q
    return TestResult(
        statistic=f,
        p_value=float(fdtrc(q, df[0], f) if np.isfinite(df[0]) else chdtrc(q, q * f)),
        df=(float(q), float(df[0])),
        estimate=float(gap[0]) if q == 1 else None,
        meta={"test": "Wald/q against F", "covariance": estimate.meta.get("covariance", "")},
    )


def _matrix(estimate: Estimate, restrictions: str | Sequence[str | int] | ArrayLike) -> Floats:
    """Restrictions as rows of weights."""
    times = estimate.table["event_time"]
    if isinstance(restrictions, str) and restrictions in ("pre", "post"):
        skipped = {int(e) for e in estimate.meta.get("excluded", "").split(", ") if e}
        skipped |= {int(estimate.meta["reference"])} if "reference" in estimate.meta else set()
        restrictions = [int(e) for e in times.dropna() if e not in skipped and (e < 0) == (restrictions == "pre")]
        if not restrictions:
            raise EstimationError("the estimate has no such event times to test")
    if isinstance(restrictions, str):
        restrictions = [restrictions]
    if isinstance(restrictions, Sequence) and all(isinstance(r, (str, int, np.integer)) for r in restrictions):
        return np.array([_row(estimate, r) for r in restrictions])
    matrix = np.atleast_2d(np.asarray(restrictions, dtype=np.float64))
    if matrix.shape[1] != len(times):
        raise EstimationError(f"restrictions have {matrix.shape[1]} columns, the table has {len(times)} rows")
    return matrix


def _row(estimate: Estimate, name: object) -> Floats:
    table = estimate.table
    hit = (table["term"] == name) if isinstance(name, str) else (table["event_time"] == name).fillna(False)
    if hit.sum() != 1:
        found = "no" if not hit.any() else "more than one"
        raise EstimationError(f"the table has {found} row {name!r}")
    return np.asarray(hit, dtype=np.float64)
