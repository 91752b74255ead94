"""Driscoll–Kraay standard errors: robust to cross-sectional dependence and, up to a lag, to serial correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.covariance import Covariance, cluster_sums
from pipeline.econometrics.design import Effects, Floats, build
from pipeline.econometrics.fit import Fit
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.twfe import assemble, coefficient_table, estimate
from pipeline.errors import EstimationError

FEW_PERIODS = 20  # the justification is a long panel: Driscoll and Kraay's simulations start at 20 periods


def driscoll_kraay(
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
    bandwidth: int | None = None,
    level: float = 0.95,
) -> Estimate:
    """Two-way fixed effects with the covariance of Driscoll and Kraay (1998, REStat 80, 549–560).

    With h_t the sum over units of the scores of period t, V = (X'X)⁻¹ Σ_l w_l Γ_l (X'X)⁻¹, where
    Γ_l = Σ_t (h_t h_{t-l}' + h_{t-l} h_t') and w_l = 1 – l/(L + 1) (Bartlett); no small-sample factor, as in plm's
    ``vcovSCC`` and linearmodels with ``debiased=False, auto_df=False, count_effects=False``. Lags count the periods
    that occur: a gap in the calendar is no lag.

    Parameters
    ----------
    panel, outcome, treatment, unit, time, controls, by_time, effects, weights, level
        As in :func:`two_way_fe`.
    bandwidth : int, optional
        Largest lag L, from 0 to T – 1; None is the integer part of T^(1/4).

    Returns
    -------
    Estimate
        t(T – 1), as the sums are over T periods. ``n_clusters`` is 0: there are no clusters. ``meta["few_periods"]``
        warns below twenty periods.

    Raises
    ------
    EstimationError
        Fewer than two periods or a bandwidth outside its range; see also :func:`two_way_fe`.
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
    )
    periods = design.time.n
    if periods < 2:
        raise EstimationError("Driscoll–Kraay needs at least two periods")
    lag = int(periods**0.25 + 1e-9) if bandwidth is None else bandwidth
    if not 0 <= lag < periods:
        raise EstimationError(f"bandwidth {lag} is not between 0 and {periods - 1}, the periods less one")
    fitted, coefficients, _, meta = estimate(design, "iid")
    cov = Covariance(
        _matrix(fitted, lag), lambda _: float(periods - 1), f"Driscoll–Kraay, Bartlett lag {lag}, t({periods - 1})"
    )
    meta |= {"estimator": "TWFE", "weights": weights or "", "covariance": cov.label}
    if periods < FEW_PERIODS:
        meta["few_periods"] = f"{periods} periods: the covariance is justified by many, and too small with few"
    table = coefficient_table(design.terms, coefficients, cov, level)
    treated = np.asarray(design.X[:, : design.n_treatments].any(axis=1))
    return assemble(fitted, table, cov, np.eye(len(coefficients))[0], level, treated, meta)


def _matrix(fitted: Fit, lag: int) -> Floats:
    sums = cluster_sums(fitted.X * fitted.residuals[:, None], fitted.design.time)
    meat = sums.T @ sums
    for step in range(1, lag + 1):
        gamma = sums[step:].T @ sums[:-step]
        meat = meat + (1 - step / (lag + 1)) * (gamma + gamma.T)
    return np.asarray(fitted.inverse @ meat @ fitted.inverse)
