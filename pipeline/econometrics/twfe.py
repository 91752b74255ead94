"""Two-way fixed effects, any number of effects, by linearmodels with our own covariances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.covariance import CLUSTERED, Covariance, covariance_of
from pipeline.econometrics.design import Design, Effects, Floats, build
from pipeline.econometrics.engine import linearmodels_coefficients
from pipeline.econometrics.fit import Fit, fit
from pipeline.econometrics.results import Estimate, t_interval, tidy


def two_way_fe(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    *,
    unit: str,
    time: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    level: float = 0.95,
) -> Estimate:
    """Least squares on a panel with fixed effects.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time); rows with a missing value in a used column are left out and counted in ``meta``.
    outcome : str
    treatment : str or sequence of str
        The first is the headline (``att``).
    unit, time : str
        Key columns.
    controls : sequence of str
        Further regressors, shown after the treatments.
    by_time : sequence of str
        Unit-constant columns that get a coefficient in every period; not in ``table``.
    effects : sequence of str or tuple of str, optional
        Fixed effects, a tuple being an interaction; None is (unit, time), () a constant.
    weights : str, optional
        Positive weights; the sum of w·e² is minimised.
    cluster : str or two names, optional
        Clusters of the errors; None is ``unit``.
    covariance : {"CRV1", "CRV3", "CR2", "HC1", "iid"}
        Conventions in :mod:`pipeline.econometrics.covariance`; two clusters with CRV1 only.
    level : float
        Confidence level.

    Returns
    -------
    Estimate
        ``table`` has the treatments, then the controls. A CRV3 that cannot be had, because a coefficient is not
        identified once a cluster is left out, is missing, and ``meta["no_variance"]`` says which.

    Raises
    ------
    EstimationError
        See :func:`pipeline.econometrics.design.build`; also fewer than two clusters, no degrees of freedom.
    CollinearityError
        A regressor is a combination of others; the message names it.
    """
    treatments = [treatment] if isinstance(treatment, str) else list(treatment)
    design = build(
        panel,
        outcome,
        treatments,
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    fitted, coefficients, cov, meta = estimate(design, covariance)
    table = coefficient_table(design.terms, coefficients, cov, level)
    treated = np.asarray(design.X[:, : design.n_treatments].any(axis=1))
    meta = {"estimator": "TWFE", "weights": weights or ""} | meta
    return assemble(fitted, table, cov, np.eye(len(coefficients))[0], level, treated, meta)


def estimate(design: Design, kind: str) -> tuple[Fit, Floats, Covariance, dict[str, str]]:
    """Fit, printed coefficients (linearmodels), covariance of this kind and the text common to all estimators."""
    fitted = fit(design, nested_first=kind in ("CRV3", "CR2") and len(design.clusters) == 1)
    cov = covariance_of(fitted, kind)
    coefficients, engine = linearmodels_coefficients(fitted)
    meta = {
        "engine": engine,
        "covariance": cov.label,
        "clusters": ", ".join(f"{n} ({c.n})" for n, c in design.clusters.items()) if kind in CLUSTERED else "",
        "effects": ", ".join(design.effects),
        "controls": ", ".join(design.terms[design.n_treatments :]),
        "by_time": ", ".join(design.by_time),
        **design.left_out,
        **cov.notes,
    }
    return fitted, coefficients, cov, meta


def coefficient_table(terms: Sequence[str], coefficients: Floats, cov: Covariance, level: float) -> pd.DataFrame:
    """Tidy rows of coefficients with t intervals and p-values."""
    df = [cov.df(c) for c in np.eye(len(coefficients))]
    return tidy(terms, coefficients, np.sqrt(np.diag(cov.matrix)), df, level)


def assemble(
    fitted: Fit,
    table: pd.DataFrame,
    cov: Covariance,
    contrast: Floats,
    level: float,
    treated: np.ndarray,
    meta: dict[str, str],
) -> Estimate:
    """Headline contrast'b over the rows of ``table``, counts and matrices as an :class:`Estimate`."""
    design = fitted.design
    att, df = float(contrast @ table["estimate"].to_numpy()), cov.df(contrast)
    used = contrast != 0
    se = float(np.sqrt(contrast[used] @ cov.matrix[np.ix_(used, used)] @ contrast[used]))
    low, high, p = t_interval(att, se, df, level)
    groups = list(design.clusters.values()) if cov.n_clusters else []
    return Estimate(
        att=att,
        std_error=se,
        df=df,
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=table,
        vcov=cov.matrix,
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=len(np.unique(design.unit.ids[treated])),
        n_clusters=cov.n_clusters,
        n_treated_clusters=min((len(np.unique(g.ids[treated])) for g in groups), default=0),
        meta=meta,
    )
