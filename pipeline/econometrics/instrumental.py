"""Two-stage least squares with fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.econometrics.covariance import cluster_sums, covariance_of, crv1_factor
from pipeline.econometrics.design import Design, Effects, Floats, build
from pipeline.econometrics.fit import Fit, fit
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.twfe import assemble, coefficient_table
from pipeline.errors import CollinearityError, EstimationError

KINDS = ("CRV1", "HC1", "iid")
AGREE = 1e-7  # largest difference between linearmodels and the own coefficients, in units of a coefficient's scale


@dataclass(frozen=True, eq=False)
class Stages:
    """A design split into its regressions, everything residualised on effects and by_time columns, scaled by √w.

    Attributes
    ----------
    structural : Design
        Outcome on endogenous variables and controls.
    first : Fit
        The outcome on instruments and controls (the reduced form); its projector removes effects and slopes.
    x, z, y : ndarray, (n, p), (n, k), (n,)
        Endogenous variables, an orthonormal basis of the instruments, and the outcome, also without the controls.
    """

    structural: Design
    first: Fit
    x: Floats
    z: Floats
    y: Floats

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the excluded instruments."""
        return self.first.design.terms[: self.z.shape[1]]


def two_stage_least_squares(
    panel: pd.DataFrame,
    outcome: str,
    endogenous: str | Sequence[str],
    instruments: str | Sequence[str],
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
    """Two-stage least squares on a panel with fixed effects (linearmodels ``IV2SLS`` after partialling out).

    Parameters
    ----------
    panel, outcome, unit, time, by_time, effects, weights, cluster, level
        As in :func:`two_way_fe`; a cross-section has one period and ``effects=()``.
    endogenous : str or sequence of str
        The first is the headline (``att``).
    instruments : str or sequence of str
        Excluded from the equation; at least as many as endogenous variables.
    controls : sequence of str
        Exogenous regressors, in the equation and in the first stage.
    covariance : {"CRV1", "HC1", "iid"}
        Conventions of :mod:`pipeline.econometrics.covariance`, with the fitted values of the first stage as regressors
        and the residuals of the equation itself; Stata's ``ivregress 2sls, small`` has the same.

    Returns
    -------
    Estimate
        ``table`` has the endogenous variables, then the controls. With one endogenous variable ``meta["effective_f"]``
        is its first-stage F (:func:`effective_f`, same covariance).

    Raises
    ------
    EstimationError
        Fewer instruments than endogenous variables, another covariance, or as in :func:`two_way_fe`.
    CollinearityError
        An instrument or control is a combination of others, or the instruments do not move an endogenous variable
        independently of the others; the message names it.
    """
    if covariance not in KINDS:
        raise EstimationError(f"covariance {covariance!r} is not one of {', '.join(KINDS)} for two-stage least squares")
    stages = split(panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster)
    design = stages.structural
    least_squares = fit(design)
    q = np.linalg.qr(stages.first.X)[0]
    projected = q @ (q.T @ least_squares.X)
    check_rank(stages)
    q, r = np.linalg.qr(projected)
    half = np.linalg.solve(r, np.eye(len(r)))
    coefficients = half @ (q.T @ least_squares.y)
    scale = np.linalg.norm(half, axis=1) * np.linalg.norm(least_squares.y)
    printed = _linearmodels(design, least_squares, stages)
    if (np.abs(printed - coefficients) > AGREE * scale).any():
        raise EstimationError("two algorithms disagree on the two-stage coefficients: the instruments are too weak")
    fitted = replace(
        least_squares,
        X=projected,
        coefficients=printed,
        residuals=least_squares.y - least_squares.X @ printed,
        inverse=half @ half.T,
    )
    cov = covariance_of(fitted, covariance)
    table = coefficient_table(design.terms, printed, cov, level)
    meta = {
        "estimator": "2SLS",
        "engine": "linearmodels IV2SLS",
        "covariance": cov.label,
        "instruments": ", ".join(stages.instruments),
        "effects": ", ".join(design.effects),
        "controls": ", ".join(design.terms[design.n_treatments :]),
        "by_time": ", ".join(design.by_time),
        "weights": weights or "",
        **design.left_out,
        **cov.notes,
    }
    if design.n_treatments == 1 and len(design.clusters) == 1:
        meta["effective_f"] = f"{first_stage_f(stages, covariance):.6f}"
    treated = np.asarray(design.X[:, : design.n_treatments].any(axis=1))
    return assemble(fitted, table, cov, np.eye(len(printed))[0], level, treated, meta)


def split(
    panel: pd.DataFrame,
    outcome: str,
    endogenous: str | Sequence[str],
    instruments: str | Sequence[str],
    unit: str,
    time: str,
    controls: Sequence[str],
    by_time: Sequence[str],
    effects: Effects,
    weights: str | None,
    cluster: str | Sequence[str] | None,
) -> Stages:
    """Check a panel and split it; arguments as in :func:`two_stage_least_squares`."""
    moved = [endogenous] if isinstance(endogenous, str) else list(endogenous)
    movers = [instruments] if isinstance(instruments, str) else list(instruments)
    if len(movers) < len(moved):
        raise EstimationError(f"{len(movers)} instruments cannot identify {len(moved)} endogenous variables")
    design = build(
        panel,
        outcome,
        [*moved, *movers],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    p, k = len(moved), len(movers)
    outside = [*range(p, p + k), *range(p + k, len(design.terms))]
    inside = [*range(p), *range(p + k, len(design.terms))]

    def part(columns: list[int], count: int) -> Design:
        return replace(
            design, X=design.X[:, columns], terms=tuple(design.terms[j] for j in columns), n_treatments=count
        )

    try:
        first = fit(part(outside, k))
    except CollinearityError as error:
        raise CollinearityError(str(error).replace("treatment", "instrument", 1)) from None
    rest = first.projector.with_columns(design.X[:, p + k :])[0]
    z = np.linalg.qr(rest.residual(design.X[:, p : p + k]))[0]
    return Stages(part(inside, p), first, rest.residual(design.X[:, :p]), z, rest.residual(design.y))


def check_rank(stages: Stages) -> None:
    """Raise where a fitted endogenous variable is a combination of the columns before it."""
    inner = stages.z @ (stages.z.T @ stages.x)
    for j in range(inner.shape[1]):
        rest = inner[:, j]
        if j:
            rest = rest - inner[:, :j] @ np.linalg.lstsq(inner[:, :j], rest, rcond=None)[0]
        if np.linalg.norm(rest) <= 1e-9 * np.linalg.norm(stages.x[:, j]):
            raise CollinearityError(
                f"the instruments do not move endogenous variable {stages.structural.terms[j]!r}"
                + (" independently of those before it" if j else "")
            )


def _linearmodels(design: Design, least_squares: Fit, stages: Stages) -> Floats:
    """The adapter to linearmodels: coefficients of endogenous variables, then controls."""
    from linearmodels.iv import IV2SLS

    p, k = design.n_treatments, stages.z.shape[1]

    def frame(values: Floats, prefix: str) -> pd.DataFrame:
        return pd.DataFrame(values, columns=[f"{prefix}{j}" for j in range(values.shape[1])])

    x, exog = frame(least_squares.X[:, :p], "x"), frame(least_squares.X[:, p:], "c")
    z = frame(stages.first.X[:, :k], "z")
    model = IV2SLS(pd.Series(least_squares.y, name="y"), exog if exog.shape[1] else None, x, z)
    params = pd.Series(model.fit(cov_type="unadjusted").params)
    return np.asarray(params[[*x.columns, *exog.columns]].to_numpy(dtype=np.float64))


def denominator(stages: Stages, kind: str) -> float:
    """Degrees of freedom of a statistic on the instruments' coefficients: G – 1, or N less all parameters."""
    design = stages.first.design
    return float(next(iter(design.clusters.values())).n - 1 if kind == "CRV1" else design.n - stages.first.k_all)


def moments(stages: Stages, kind: str) -> tuple[Floats, Floats, Floats]:
    """Covariances of Q'y with itself, of Q'y with Q'x, and of Q'x with itself, each (k, k).

    Q is ``stages.z``; x the first endogenous variable; the errors are those of the reduced form and the first stage.
    """
    if kind not in KINDS:
        raise EstimationError(f"covariance {kind!r} is not one of {', '.join(KINDS)} for instruments")
    q, first = stages.z, stages.first
    ey, ex = (v - q @ (q.T @ v) for v in (stages.y, stages.x[:, 0]))
    free = first.design.n - first.k_all
    if kind == "iid":
        eye = np.eye(q.shape[1]) / free
        return (ey @ ey) * eye, (ey @ ex) * eye, (ex @ ex) * eye
    y, x, factor = q * ey[:, None], q * ex[:, None], first.design.n / free
    if kind == "CRV1":
        codes = next(iter(first.design.clusters.values()))
        if codes.n < 2:
            raise EstimationError("CRV1 needs at least 2 clusters")
        y, x, factor = cluster_sums(y, codes), cluster_sums(x, codes), crv1_factor(first, codes.n)
    return factor * y.T @ y, factor * y.T @ x, factor * x.T @ x


def first_stage_f(stages: Stages, kind: str) -> float:
    """Effective F of the first endogenous variable: x'QQ'x / tr W₂."""
    moved = stages.z.T @ stages.x[:, 0]
    return float(moved @ moved / np.trace(moments(stages, kind)[2]))
