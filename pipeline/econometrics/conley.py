"""Conley standard errors: correlation over space within a period, and over time within a unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import period_values
from pipeline.econometrics.covariance import Covariance
from pipeline.econometrics.design import Design, Effects, Floats, build, listed, to_float
from pipeline.econometrics.fit import Fit
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.spillovers import distances
from pipeline.econometrics.twfe import assemble, coefficient_table, estimate
from pipeline.errors import EstimationError

KERNELS = ("bartlett", "uniform")
ROUNDING = 1e-12  # a variance below this share of the heteroskedasticity-robust one is zero up to rounding


def conley_covariance(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    *,
    unit: str,
    time: str,
    latitude: str,
    longitude: str,
    cutoff: float,
    lags: int | Literal["all"] = 0,
    kernel: str = "bartlett",
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    level: float = 0.95,
) -> Estimate:
    """Two-way fixed effects with the spatial HAC covariance of Conley (1999, J. Econometrics 92, 1–45).

    V = (X'X)⁻¹ [Σ_t Σ_ij K(d_ij) s_it s_jt' + Σ_i Σ_{t≠u} w(|t – u|) s_it s_iu'] (X'X)⁻¹ with scores s, so that pairs
    of different units at different times do not count (Hsiang 2010, PNAS 107, 15367–15372). Great-circle distances on
    a sphere of 6371 km. No small-sample factor, normal intervals.

    Parameters
    ----------
    panel, outcome, treatment, unit, time, controls, by_time, effects, weights, level
        As in :func:`two_way_fe`.
    latitude, longitude : str
        Columns in degrees, constant within units.
    cutoff : float
        km.
    lags : int or "all"
        Serial correlation within a unit: w(l) = 1 – l/(lags + 1) up to ``lags`` units of ``time`` (positions where
        time is not numeric); "all" gives every pair of periods weight 1, as clusters of units do.
    kernel : {"bartlett", "uniform"}
        K(d) = 1 – d/cutoff, or 1, for d ≤ cutoff.

    Returns
    -------
    Estimate
        Neither kernel makes the matrix positive semidefinite on a sphere for certain: ``meta["psd"]`` says when it is
        not, and a coefficient whose variance is not positive has none (``meta["no_variance"]``). A uniform kernel over
        the whole map is the Driscoll–Kraay covariance without lags, and zero, hence missing, in a single period.

    Raises
    ------
    EstimationError
        Coordinates that are out of range or move within a unit, an unknown kernel, a cutoff that is not positive, lags
        that are negative; see also :func:`two_way_fe`.
    """
    if kernel not in KERNELS:
        raise EstimationError(f"kernel {kernel!r} is not one of {', '.join(KERNELS)}")
    if not 0 < cutoff < np.inf:
        raise EstimationError(f"cutoff must be a positive number of km, not {cutoff}")
    if lags != "all" and (not isinstance(lags, int | np.integer) or lags < 0):
        raise EstimationError(f'lags must be a whole number from 0 on, or "all", not {lags!r}')
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
    near = _space(_coordinates(panel, design, latitude, longitude), cutoff, kernel)
    fitted, coefficients, _, meta = estimate(design, "iid")
    cov = _covariance(fitted, near, _serial(design, lags), f"Conley, {kernel} {cutoff:g} km, lags {lags}")
    meta |= {"estimator": "TWFE", "weights": weights or "", "covariance": cov.label, **cov.notes}
    table = coefficient_table(design.terms, coefficients, cov, level)
    treated = np.asarray(design.X[:, : design.n_treatments].any(axis=1))
    return assemble(fitted, table, cov, np.eye(len(coefficients))[0], level, treated, meta)


def _coordinates(panel: pd.DataFrame, design: Design, latitude: str, longitude: str) -> pd.DataFrame:
    """One row a unit: latitude, longitude."""
    first = np.unique(design.unit.ids, return_index=True)[1]
    columns = {}
    for name in (latitude, longitude):
        values = to_float(panel, name)[design.rows]
        at = values[first]
        moving = np.unique(design.unit.ids[~(values == at[design.unit.ids])])
        if len(moving):
            names = listed([design.unit.labels[u] for u in moving])
            raise EstimationError(f"{name!r} must be known and constant within units; it is not in {names}")
        columns[name] = at
    return pd.DataFrame(columns, index=pd.Index(design.unit.labels))


def _space(points: pd.DataFrame, cutoff: float, kernel: str) -> Floats:
    """Weights between units, (N, N)."""
    km = distances(points.iloc[:, 0].to_numpy(), points.iloc[:, 1].to_numpy(), points.index).to_numpy()
    return np.where(km <= cutoff, 1 - km / cutoff if kernel == "bartlett" else 1.0, 0.0)


def _serial(design: Design, lags: int | Literal["all"]) -> Floats:
    """Weights between periods of a unit, (T, T); zero diagonal."""
    numeric = all(isinstance(label, int | float | np.number) for label in design.time.labels)
    at = period_values(design) if numeric else np.arange(design.time.n, dtype=np.float64)
    apart = np.abs(at[:, None] - at)
    near = np.ones_like(apart) if lags == "all" else np.maximum(1 - apart / (lags + 1), 0.0)
    return np.where(apart > 0, near, 0.0)


def _covariance(fitted: Fit, space: Floats, serial: Floats, label: str) -> Covariance:
    design = fitted.design
    scores = fitted.X * fitted.residuals[:, None]
    cube = np.zeros((design.unit.n, design.time.n, scores.shape[1]))
    cube[design.unit.ids, design.time.ids] = scores
    smooth = np.einsum("ij,jtk->itk", space, cube, optimize=True) + np.einsum(
        "tu,iuk->itk", serial, cube, optimize=True
    )
    meat = np.einsum("itk,itl->kl", cube, smooth, optimize=True)
    matrix = fitted.inverse @ ((meat + meat.T) / 2) @ fitted.inverse
    plain = np.diag(fitted.inverse @ (scores.T @ scores) @ fitted.inverse)
    notes = {}
    scale = np.sqrt(np.where(plain > 0, plain, 1.0))
    smallest = float(np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0])
    if smallest < -ROUNDING:
        notes["psd"] = "not positive semidefinite: a joint test may have a negative statistic"
    lost = np.diag(matrix) <= ROUNDING * plain
    if lost.any():
        matrix[lost, :], matrix[:, lost] = np.nan, np.nan
        names = listed([t for t, gone in zip(design.terms, lost, strict=True) if gone])
        notes["no_variance"] = f"the estimated variance is not positive: {names}"
    return Covariance(matrix, lambda _: float("inf"), label, 0, notes)
