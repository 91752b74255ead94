"""Doubly robust difference-in-differences: one treatment date, covariates, no trimming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.balanced import check_balanced, unit_clusters, unit_values
from pipeline.econometrics.design import Codes, Design, Floats, build, check_columns, listed, to_float
from pipeline.econometrics.did2x2 import METHODS, TwoByTwo, two_by_two
from pipeline.econometrics.influence import influence_covariance
from pipeline.econometrics.results import Estimate, t_interval, tidy
from pipeline.errors import EstimationError

LABELS = {
    "improved": "inverse probability tilting, weighted least squares",
    "traditional": "logit, least squares",
    "regression": "least squares on the controls",
    "ipw": "logit, normalised weights",
}


def doubly_robust_did(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    treated: str,
    post: str,
    covariates: Sequence[str],
    method: str = "improved",
    cluster: str | None = None,
    weights: str | None = None,
    level: float = 0.95,
) -> Estimate:
    """Effect on the treated under parallel trends given covariates (Sant'Anna and Zhao 2020, J. Econometrics 219).

    The outcome is averaged over the pre periods and over the post periods of each unit; the change between the two
    means is what is compared.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), every unit in every period; rows with a missing outcome count as absent.
    outcome, unit, time : str
    treated : str
        0/1 column, constant within units.
    post : str
        0/1 column, constant within periods.
    covariates : sequence of str
        Taken from the pre periods: the mean over those pre rows of the unit in which the covariate is not missing;
        post values are never used. A constant is added. Empty: the difference of mean changes.
    method : {"improved", "traditional", "regression", "ipw"}
        As drdid_imp_panel, drdid_panel, reg_did_panel and std_ipw_did_panel of the R package DRDID; no propensity
        score is trimmed.
    cluster : str, optional
        Holds whole units; None is ``unit``.
    weights : str, optional
        Positive sampling weights, constant within units.
    level : float

    Returns
    -------
    Estimate
        One row in ``table``. ``weights`` has the weight of each control unit (sum one; negative where an outcome
        regression extrapolates), ``meta["effective_controls"]`` is 1/Σ weight². Standard error from the influence
        function summed within clusters, normal intervals. Missing, with ``meta["no_variance"]``, when the treated or
        the control units form one cluster.

    Raises
    ------
    EstimationError
        An unbalanced panel (units named), no overlap (no solution for the propensity score, or one of a control unit),
        a covariate missing in all pre rows of a unit, columns that are not 0/1 or not constant as they should be.
    CollinearityError
        A covariate is a combination of the others among the control units.
    """
    if method not in METHODS:
        raise EstimationError(f"method {method!r} is not one of {', '.join(METHODS)}")
    names = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    groups = unit if cluster is None else cluster
    design = build(panel, outcome, [treated, post], unit=unit, time=time, weights=weights, cluster=groups)
    check_balanced(design, "doubly robust DiD")
    is_treated, is_post = _groups(design, treated), _periods(design, post)
    y = design.y.reshape(design.unit.n, design.time.n)
    w = None if design.weights is None else unit_values(design, design.weights, f"weights {weights!r}")
    result = two_by_two(
        y[:, is_post].mean(axis=1) - y[:, ~is_post].mean(axis=1),
        is_treated,
        _pre_means(panel, design, names, is_post),
        method=method,
        names=names,
        weights=w,
    )
    meta = {
        "method": f"{method}: {LABELS[method]}",
        "covariates": ", ".join(names),
        "covariate_periods": listed([t for t, p in zip(design.time.labels, is_post, strict=True) if not p]),
        "weights": weights or "",
        **design.left_out,
    }
    return _assemble(design, result, is_treated, treated, level, meta)


def _assemble(
    design: Design,
    result: TwoByTwo,
    treated: NDArray[np.bool_],
    term: str,
    level: float,
    meta: dict[str, str],
) -> Estimate:
    clusters = unit_clusters(design)
    vcov = influence_covariance(result.influence[:, None], clusters)
    few = [s for s, rows in (("treated", treated), ("control", ~treated)) if _count(clusters, rows) < 2]
    if few:
        vcov[:] = np.nan
        meta |= {"no_variance": f"the {' and the '.join(few)} units form one cluster"}
    se = float(np.sqrt(vcov[0, 0]))
    low, high, p = t_interval(result.att, se, np.inf, level)
    omega = result.control_weights[~treated]
    controls = [label for label, t in zip(design.unit.labels, treated, strict=True) if not t]
    top = result.top_propensity
    return Estimate(
        att=result.att,
        std_error=se,
        df=float("inf"),
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=tidy([term], [result.att], [se], [np.inf], level),
        vcov=vcov,
        weights=pd.DataFrame({"unit": controls, "weight": omega}),
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=int(treated.sum()),
        n_clusters=clusters.n,
        n_treated_clusters=_count(clusters, treated),
        meta={
            "estimator": "doubly robust DiD",
            "covariance": f"influence function, {clusters.n} clusters, normal",
            "clusters": f"{next(iter(design.clusters))} ({clusters.n})",
            "effective_controls": f"{1 / float(omega @ omega):.1f}",
            "largest_control_propensity": "" if np.isnan(top) else f"{top:.6f}",
            **meta,
        },
    )


def _count(clusters: Codes, rows: NDArray[np.bool_]) -> int:
    return len(np.unique(clusters.ids[rows]))


def _groups(design: Design, name: str) -> NDArray[np.bool_]:
    """Treated units, (units,)."""
    values = unit_values(design, _binary(design, 0, name), f"treated column {name!r}")
    if values.min() == values.max():
        raise EstimationError(f"treated column {name!r} is {values[0]:g} in every unit: there is nothing to compare")
    return np.asarray(values == 1)


def _periods(design: Design, name: str) -> NDArray[np.bool_]:
    """Post periods, (periods,)."""
    by_period = _binary(design, 1, name).reshape(design.unit.n, design.time.n)
    moving = np.flatnonzero((by_period != by_period[0]).any(axis=0))
    if len(moving):
        periods = listed([design.time.labels[t] for t in moving])
        raise EstimationError(
            f"post column {name!r} must be the same for all units of a period; it differs in {periods}"
        )
    if by_period[0].min() == by_period[0].max():
        raise EstimationError(f"post column {name!r} is {by_period[0, 0]:g} in every period: there is no change")
    return np.asarray(by_period[0] == 1)


def _binary(design: Design, position: int, name: str) -> Floats:
    column = design.X[:, position]
    if not np.isin(column, (0.0, 1.0)).all():
        raise EstimationError(f"column {name!r} must be 0 or 1; it has {listed(sorted(set(column) - {0.0, 1.0}))}")
    return column


def _pre_means(panel: pd.DataFrame, design: Design, names: Sequence[str], is_post: NDArray[np.bool_]) -> Floats:
    """Means of the covariates over the pre rows in which they are known, (units, k)."""
    check_columns(panel, names)
    out = np.empty((design.unit.n, len(names)))
    for j, name in enumerate(names):
        values = to_float(panel, name)[design.rows].reshape(design.unit.n, design.time.n)[:, ~is_post]
        known = ~np.isnan(values)
        absent = np.flatnonzero(~known.any(axis=1))
        if len(absent):
            units = listed([design.unit.labels[u] for u in absent])
            raise EstimationError(f"covariate {name!r} is missing in every pre period of {units}")
        out[:, j] = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return out
