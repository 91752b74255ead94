"""Least squares after partialling out fixed effects and period-specific slopes: the arrays every covariance needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.econometrics.absorb import Projector
from pipeline.econometrics.design import Design, Floats, is_nested
from pipeline.errors import CollinearityError, EstimationError


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted regression in the space where fixed effects and ``by_time`` columns are removed.

    Attributes
    ----------
    y, X : ndarray, (n,), (n, K)
        Residualised outcome and shown regressors, scaled by √w.
    coefficients, residuals : ndarray, (K,), (n,)
    inverse : ndarray, (K, K)
        (X'X)⁻¹.
    slopes : ndarray, (n, q)
        The independent columns of by_time × period, as they enter the regression.
    projector : Projector
        Removes effects and slopes.
    nested_columns : int
        How many leading columns of ``projector.basis`` span effects nested in the clusters (``nested_first`` only).
    k_all, k_clustered : int
        Parameters: all of them; without the effects nested in a cluster (a constant always counts).
    """

    design: Design
    y: Floats
    X: Floats
    coefficients: Floats
    residuals: Floats
    inverse: Floats
    slopes: Floats
    projector: Projector
    nested_columns: int
    k_all: int
    k_clustered: int


def fit(design: Design, *, nested_first: bool = False) -> Fit:
    """Fit a design.

    Parameters
    ----------
    design : Design
    nested_first : bool
        Remove by group means only effects that are nested in the cluster, so that ``projector.basis`` holds everything
        that ties clusters together; the cluster jackknife and CR2 need it.

    Raises
    ------
    CollinearityError
        A regressor is a combination of the fixed effects and of the columns before it.
    EstimationError
        No degrees of freedom are left.
    """
    projector, nested_columns = _effects(design, nested_first=nested_first)
    projector, slopes = _add_slopes(design, projector)
    _, kept = projector.with_columns(design.X)
    for j, term in enumerate(design.terms):
        if j not in kept:
            raise CollinearityError(_collinear_message(design, term, j))
    y, X = projector.residual(design.y), projector.residual(design.X)
    k_all = projector.rank + X.shape[1]
    if design.n <= k_all:
        raise EstimationError(f"{design.n} rows cannot identify {k_all} parameters")
    q, r = np.linalg.qr(X)
    coefficients = np.linalg.solve(r, q.T @ y)
    half = np.linalg.solve(r, np.eye(len(r)))
    return Fit(
        design=design,
        y=y,
        X=X,
        coefficients=coefficients,
        residuals=y - X @ coefficients,
        inverse=half @ half.T,
        slopes=slopes,
        projector=projector,
        nested_columns=nested_columns,
        k_all=k_all,
        k_clustered=_unnested_rank(design) + slopes.shape[1] + X.shape[1],
    )


def _effects(design: Design, *, nested_first: bool) -> tuple[Projector, int]:
    effects = list(design.effects.values())
    if not nested_first:
        return Projector.on(effects, design.n, design.weights), 0
    cluster = next(iter(design.clusters.values()))
    nested = [e for e in effects if is_nested(e, cluster)]
    others = [e for e in effects if not is_nested(e, cluster)]
    if not nested:
        return Projector.on(effects, design.n, design.weights, by_means=False), 0
    projector = Projector.on(nested, design.n, design.weights)
    nested_columns = projector.basis.shape[1]
    for effect in sorted(others, key=lambda e: -e.n):
        projector = projector.with_effect(effect)
    return projector, nested_columns


def _add_slopes(design: Design, projector: Projector) -> tuple[Projector, Floats]:
    """Add each by_time column × every period but those that the effects imply (the first, with unit effects)."""
    effects_only, slopes = projector, [np.empty((design.n, 0))]
    periods = np.arange(design.time.n)[::-1]  # last to first, so that the first period is the one dropped
    for name, column in design.by_time.items():
        block = column[:, None] * (design.time.ids[:, None] == periods)
        alone = effects_only.with_columns(block)[1]
        projector, kept = projector.with_columns(block[:, alone])
        if not alone or len(kept) < len(alone):
            raise CollinearityError(
                f"by_time column {name!r} × period is a combination of the fixed effects "
                f"({', '.join(design.effects) or 'a constant'}) and the by_time columns before it"
            )
        slopes.append(block[:, alone][:, ::-1])
    return projector, np.hstack(slopes)


def _unnested_rank(design: Design) -> int:
    """Parameters of the effects that are nested in no cluster, and the constant."""
    open_effects = [e for e in design.effects.values() if not any(is_nested(e, c) for c in design.clusters.values())]
    return Projector.on(open_effects, design.n, None).rank


def _collinear_message(design: Design, term: str, position: int) -> str:
    before = [t for t in design.terms[:position] if t != term]
    kind = "treatment" if position < design.n_treatments else "control"
    parts = [f"the fixed effects ({', '.join(design.effects) or 'a constant'})"]
    parts += [f"by_time ({', '.join(design.by_time)})"] if design.by_time else []
    parts += [f"the columns before it ({', '.join(before)})"] if before else []
    return f"{kind} {term!r} is a combination of {', '.join(parts)}: drop one"


def partial_out_controls(fitted: Fit) -> Projector:
    """Residual-maker of everything but the treatments: effects, slopes and controls."""
    design = fitted.design
    return fitted.projector.with_columns(design.X[:, design.n_treatments :])[0]
