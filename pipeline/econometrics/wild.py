"""Wild cluster bootstrap with the null imposed, all draws as matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.covariance import cluster_sums, crv1_factor
from pipeline.econometrics.design import Codes, Effects, Floats, build
from pipeline.econometrics.fit import fit, partial_out_controls
from pipeline.econometrics.results import TestResult
from pipeline.errors import EstimationError

WEIGHTS = {
    "rademacher": np.array([-1.0, 1.0]),
    "webb": np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)]),
}
TIE = 1 - 1e-9  # a draw counts if |t*| ≥ |t|·TIE, so that a tie does not hang on the last bit
MOST = 20_000_000  # draws beyond this are refused
BATCH = 4096


def wild_cluster_bootstrap(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str,
    *,
    unit: str,
    time: str,
    cluster: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    distribution: str = "webb",
    draws: int | None = 9999,
    null: float = 0.0,
    seed: int,
    weights: str | None = None,
) -> TestResult:
    """Restricted wild cluster bootstrap of the CRV1 t (Cameron, Gelbach and Miller 2008, REStat 90, 414–427).

    Residuals under the null change sign (Rademacher) or scale (the six points of Webb 2023, CJE 56, 839–858) by
    cluster, and each draw re-estimates the regression. With d the residualised treatment and e the restricted
    residuals, b* – null = Σ v_g d_g'e_g / d'd, and the score of cluster g is K_g v – (b* – null) d_g'd_g, where
    K_gh = d_g'[M(e of h)]_g and M removes effects, slopes and controls: a product with a G × G matrix replaces every
    regression (Roodman et al. 2019, Stata Journal 19, 4–60).

    Parameters
    ----------
    panel, outcome, treatment, unit, time, controls, by_time, effects, weights
        As in :func:`two_way_fe`; one treatment.
    cluster : str
    distribution : {"webb", "rademacher"}
    draws : int or None
        Random draws; where all 2^G or 6^G weights are no more than that, they are enumerated. None enumerates.
    null : float
        Effect under the null hypothesis.
    seed : int

    Returns
    -------
    TestResult
        ``p_value`` is the share of draws with |t*| ≥ |t|, ties counted; ``distribution`` the t*.

    Raises
    ------
    EstimationError
        Unknown distribution, too many assignments to enumerate, and as in :func:`two_way_fe`.
    """
    if distribution not in WEIGHTS:
        raise EstimationError(f"distribution {distribution!r} is not one of {', '.join(WEIGHTS)}")
    design = build(
        panel,
        outcome,
        [treatment],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=cluster,
    )
    codes = design.clusters[cluster]
    if codes.n < 2:
        raise EstimationError(f"cluster {cluster!r} has {codes.n} group: the bootstrap needs at least 2")
    fitted = fit(design)
    projector = partial_out_controls(fitted)
    d = projector.residual(design.X[:, 0])
    restricted = projector.residual(design.y) - null * d
    bread = cluster_sums(d * d, codes)
    scores = _score_matrix(projector.residual, d, restricted, design.weights, codes)
    factor = crv1_factor(fitted, codes.n)
    points = WEIGHTS[distribution]
    total = len(points) ** codes.n
    exact = draws is None or total <= draws
    count = total if exact else int(draws or 0)
    if not 0 < count <= MOST:
        raise EstimationError(f"{count} draws; give a number between 1 and {MOST}")
    batches = _every(points, codes.n, total) if exact else _random(points, codes.n, count, seed)
    observed = float(_t_statistics(scores, bread, factor, np.ones((codes.n, 1)))[0])
    t = np.concatenate([_t_statistics(scores, bread, factor, v) for v in batches])
    return TestResult(
        statistic=observed,
        p_value=float(np.mean(np.abs(t) >= abs(observed) * TIE)),
        df=float(codes.n - 1),
        estimate=float(fitted.coefficients[0]),
        draws=count,
        exact=exact,
        distribution=t,
        meta={
            "test": f"wild cluster bootstrap, restricted, {distribution}",
            "null": repr(float(null)),
            **design.left_out,
        },
    )


def _score_matrix(
    residual: Callable[[Floats], Floats], d: Floats, e: Floats, weights: Floats | None, codes: Codes
) -> Floats:
    """K, (G, G): the score of cluster g per unit of the weight of cluster h."""
    blocks = np.zeros((len(e), codes.n))
    blocks[np.arange(len(e)), codes.ids] = e if weights is None else e / np.sqrt(weights)
    return cluster_sums(d[:, None] * residual(blocks), codes)


def _t_statistics(scores: Floats, bread: Floats, factor: float, v: Floats) -> Floats:
    """CRV1 t of b* – null for weights v, (G, B)."""
    moved = scores @ v
    b = moved.sum(axis=0) / bread.sum()
    moved -= bread[:, None] * b
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(b * bread.sum() / np.sqrt(factor * np.einsum("gb,gb->b", moved, moved)))


def _every(points: Floats, g: int, total: int) -> Iterator[Floats]:
    """All assignments of weights to clusters, in batches (G, B)."""
    for start in range(0, total, BATCH):
        index = np.arange(start, min(start + BATCH, total))
        yield points[np.array(np.unravel_index(index, (len(points),) * g))]


def _random(points: Floats, g: int, count: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        yield points[rng.integers(len(points), size=(min(BATCH, count - start), g))].T
