"""Tests about instruments: how strong they are, and what holds however weak they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.linalg import eigvals
from scipy.optimize import minimize_scalar
from scipy.special import chndtr, chndtrix, fdtrc, fdtri

from pipeline.econometrics.design import Effects, Floats
from pipeline.econometrics.instrumental import Stages, check_rank, denominator, first_stage_f, moments, split
from pipeline.econometrics.results import TestResult
from pipeline.errors import EstimationError


def effective_f(
    panel: pd.DataFrame,
    outcome: str,
    endogenous: str,
    instruments: str | Sequence[str],
    *,
    unit: str,
    time: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    cluster: str | None = None,
    covariance: str = "CRV1",
    tau: float = 0.1,
    level: float = 0.95,
) -> TestResult:
    """Test for weak instruments by the effective F of Montiel Olea and Pflueger (2013, JBES 31, 358–369).

    With orthonormal instruments Q, F = x'QQ'x / tr W₂, W₂ the covariance of Q'x. Under the null the bias of 2SLS may
    exceed the share ``tau`` of the worst case: then F is about χ²(K, x·K)/K with x = B/τ and the effective degrees of
    freedom K = (tr W₂)²(1 + 2x)/(tr W₂² + 2x·tr W₂·max eigenvalue), Patnaik's approximation. B is the largest bias over
    all coefficients and directions, found over one dimension as in Stata's ``weakivtest``. With one instrument F is
    the square of its t in the first stage.

    Parameters
    ----------
    panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster, covariance
        As in :func:`two_stage_least_squares`; one endogenous variable, one cluster.
    tau : float
        Tolerated share of the worst-case bias.
    level : float
        One minus the size of the test.

    Returns
    -------
    TestResult
        ``statistic`` F, ``df`` K, ``p_value`` of weak instruments; ``meta["critical_value"]`` that of the generalised
        test, ``meta["simplified_critical_value"]`` the conservative one with B = 1.

    Raises
    ------
    EstimationError
        See :func:`two_stage_least_squares`; also several endogenous variables or clusters, tau outside (0, 1).
    """
    if not 0 < tau < 1:
        raise EstimationError(f"tau is a share between 0 and 1, not {tau}")
    stages = _single(panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster)
    f, (w1, w12, w2) = first_stage_f(stages, covariance), moments(stages, covariance)
    bound = _worst_bias(w1, w12, w2)
    df, shift = _patnaik(w2, bound / tau)
    simple_df, simple_shift = _patnaik(w2, 1 / tau)
    return TestResult(
        statistic=f,
        p_value=float(1 - chndtr(f * df, df, shift)),
        df=df,
        meta={
            "test": f"effective F, bias of 2SLS above {tau:g} of the worst case",
            "critical_value": f"{chndtrix(level, df, shift) / df:.6f}",
            "simplified_critical_value": f"{chndtrix(level, simple_df, simple_shift) / simple_df:.6f}",
            "covariance": covariance,
            "instruments": ", ".join(stages.instruments),
        },
    )


def anderson_rubin(
    panel: pd.DataFrame,
    outcome: str,
    endogenous: str,
    instruments: str | Sequence[str],
    *,
    unit: str,
    time: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    cluster: str | None = None,
    covariance: str = "CRV1",
    null: float = 0.0,
    level: float = 0.95,
) -> TestResult:
    """Test of Anderson and Rubin (1949, Ann. Math. Stat. 20, 46–63), valid however weak the instruments are.

    Outcome minus ``null`` × endogenous is regressed on the instruments; F is the Wald statistic over their number k,
    against F(k, G – 1), with CRV1, or F(k, N – k – …) otherwise. The interval holds every null that is not rejected:
    it is exact, from the roots of a polynomial of degree 2k (a quadratic eigenvalue problem), not from a grid.

    Parameters
    ----------
    panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster, covariance
        As in :func:`two_stage_least_squares`; one endogenous variable, one cluster.
    null : float
        Coefficient under the null.
    level : float

    Returns
    -------
    TestResult
        ``estimate`` is that of 2SLS, ``ci`` the smallest interval around the set, with infinite ends where it is
        unbounded; None if the set is empty (overidentification is rejected everywhere). ``meta["set"]`` is the set
        itself, which may be two rays.

    Raises
    ------
    EstimationError
        See :func:`two_stage_least_squares`; also several endogenous variables or clusters, more instruments than G – 1.
    """
    stages = _single(panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster)
    k, df = stages.z.shape[1], denominator(stages, covariance)
    if k > df:
        raise EstimationError(f"{k} instruments have no joint variance with {df + 1:g} clusters: at most {df:g}")
    gy, gx = stages.z.T @ stages.y, stages.z.T @ stages.x[:, 0]
    w1, w12, w2 = moments(stages, covariance)
    centre = float(gx @ gy / (gx @ gx))
    # b = centre + spread·t, and everything in units of the moments' spread at the centre: roots of order one
    at_centre = w1 - centre * (w12 + w12.T) + centre**2 * w2
    unit_of_g = np.sqrt(np.trace(at_centre))
    spread = float(unit_of_g / np.linalg.norm(gx))
    omega = [w / unit_of_g**2 for w in (at_centre, spread * (2 * centre * w2 - w12 - w12.T), spread**2 * w2)]
    g0, g1 = (gy - centre * gx) / unit_of_g, -spread * gx / unit_of_g

    def statistic(t: float) -> float:
        g = g0 + t * g1
        return float(g @ np.linalg.solve(omega[0] + t * omega[1] + t * t * omega[2], g)) / len(g)

    inside = _accepted(statistic, omega, g0, g1, float(fdtri(k, df, level)))
    sets = [(centre + spread * low, centre + spread * high) for low, high in inside]
    f = statistic((null - centre) / spread)
    return TestResult(
        statistic=f,
        p_value=float(fdtrc(k, df, f)),
        df=(float(k), df),
        estimate=centre,
        ci=(sets[0][0], sets[-1][1]) if sets else None,
        meta={
            "test": f"Anderson–Rubin F, coefficient {null:g}",
            "set": " ∪ ".join(_interval(low, high) for low, high in sets) or "empty",
            "covariance": covariance,
            "instruments": ", ".join(stages.instruments),
        },
    )


def _single(
    panel: pd.DataFrame,
    outcome: str,
    endogenous: str,
    instruments: str | Sequence[str],
    unit: str,
    time: str,
    controls: Sequence[str],
    by_time: Sequence[str],
    effects: Effects,
    weights: str | None,
    cluster: str | None,
) -> Stages:
    """Stages with one endogenous variable and one cluster."""
    if not isinstance(endogenous, str):
        raise EstimationError(f"this test is for one endogenous variable, not {endogenous!r}")
    if cluster is not None and not isinstance(cluster, str):
        raise EstimationError(f"this test is for one cluster, not {cluster!r}")
    stages = split(panel, outcome, endogenous, instruments, unit, time, controls, by_time, effects, weights, cluster)
    check_rank(stages)
    return stages


def _patnaik(w2: Floats, x: float) -> tuple[float, float]:
    """Effective degrees of freedom and noncentrality."""
    eigenvalues = np.linalg.eigvalsh(w2)
    share = eigenvalues / eigenvalues.sum()
    df = float((1 + 2 * x) / (share @ share + 2 * x * share.max()))
    return df, df * x


def _worst_bias(w1: Floats, w12: Floats, w2: Floats) -> float:
    """Largest Nagar bias over its benchmark, over coefficients b in (–∞, ∞) and all directions of the first stage.

    b = b₀ + s·tan(a) maps the line to angles; the bias is smooth in a up to kinks, so a grid and local searches find
    its maximum.
    """
    centre = np.trace(w12) / np.trace(w2)
    spread = np.sqrt(max(np.trace(w1) / np.trace(w2) - centre**2, np.finfo(float).tiny))

    def bias(angle: float) -> float:
        cos, sin = np.cos(angle), np.sin(angle)  # both sides times cos(a), so that the ends are finite
        s12 = cos * (w12 - centre * w2) - spread * sin * w2
        s1 = cos**2 * (w1 - centre * (w12 + w12.T) + centre**2 * w2) - cos * sin * spread * (
            w12 + w12.T - 2 * centre * w2
        )
        s1 = s1 + (spread * sin) ** 2 * w2
        values = np.linalg.eigvalsh((s12 + s12.T) / 2)
        top = max(abs(np.trace(s12) - 2 * values[0]), abs(np.trace(s12) - 2 * values[-1]))
        return float(top / np.sqrt(np.trace(w2) * np.trace(s1)))

    grid = np.linspace(-np.pi / 2, np.pi / 2, 721)
    heights = np.array([bias(a) for a in grid])
    best = float(heights.max())
    for i in np.argsort(-heights, kind="stable")[:5]:
        low, high = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
        found = minimize_scalar(lambda a: -bias(a), bounds=(low, high), method="bounded", options={"xatol": 1e-10})
        best = max(best, -float(found.fun))
    return best


def _accepted(
    statistic: Callable[[float], float], omega: list[Floats], g0: Floats, g1: Floats, critical: float
) -> list[tuple[float, float]]:
    """Intervals of t where the statistic g'Ω⁻¹g/k is at most critical, with g = g₀ + tg₁ and Ω = Σ tʲ omega[j].

    Their ends are real roots of det[[k·critical·Ω, g], [g', 1]], which is zero exactly where the two are equal.
    """
    k = len(g0)
    parts = [np.zeros((k + 1, k + 1)) for _ in range(3)]
    for part, block in zip(parts, omega, strict=True):
        part[:k, :k] = k * critical * block
    parts[0][:k, k] = parts[0][k, :k] = g0
    parts[1][:k, k] = parts[1][k, :k] = g1
    parts[0][k, k] = 1.0
    kept: list[tuple[float, float]] = []
    for low, high in pairwise([-np.inf, *_real_roots(parts), np.inf]):
        if statistic(_between(low, high)) <= critical:
            kept = [*kept[:-1], (kept[-1][0], high)] if kept and kept[-1][1] == low else [*kept, (low, high)]
    return kept


def _real_roots(parts: list[Floats]) -> list[float]:
    """Real t with det(P₀ + tP₁ + t²P₂) = 0, by the companion pencil, in ascending order."""
    m = len(parts[0])
    eye, zero = np.eye(m), np.zeros((m, m))
    alpha, beta = eigvals(
        np.block([[zero, eye], [-parts[0], -parts[1]]]),
        np.block([[eye, zero], [zero, parts[2]]]),
        homogeneous_eigvals=True,
    )
    finite = np.abs(beta) > 1e-12 * np.abs(alpha)
    values = alpha[finite] / beta[finite]
    real = np.abs(values.imag) <= 1e-7 * np.maximum(np.abs(values), np.finfo(float).tiny)
    return sorted(float(v) for v in values[real].real)


def _between(low: float, high: float) -> float:
    """A point inside an interval that may be unbounded."""
    if np.isinf(low) and np.isinf(high):
        return 0.0
    if np.isinf(low):
        return high - 1.0 - abs(high)
    if np.isinf(high):
        return low + 1.0 + abs(low)
    return (low + high) / 2


def _interval(low: float, high: float) -> str:
    left, right = ("(–∞" if np.isinf(low) else f"[{low:.6g}"), ("∞)" if np.isinf(high) else f"{high:.6g}]")
    return f"{left}, {right}"
