"""Relative magnitudes: confidence sets by the conditional and the hybrid least-favourable test.

Rambachan and Roth (2023, REStud 90, 2555–2591) bound the change of the difference in trends between neighbouring post
periods by M̄ times the largest such change before treatment. For each pre change s and sign this is a set of moment
inequalities in the post effects, tested as in Andrews, Roth and Pakes (2023, REStud 90, 2763–2791): η̂ is the smallest
studentised violation over the effects that give θ, the value of a linear programme.

The dual of that programme has vertices in closed form. With slopes x_t of the post periods, gaps g_t, cumulated target
weights c_t = Σ_{j≥t} l_j and d the signed pre change, a row ±x_t – M̄d ≤ 0 has standard deviation σ_t^±. The vertices
are the two directions of θ, (±r – M̄Cd)/Σ|c_t|g_tσ_t^{±sgn c_t} with r = l'β_post – (Σl)β_last pre – θ and
C = Σ|c_t|g_t, and for each post period –2M̄d/(σ_t^+ + σ_t^-), since no path fits a negative d. Everything is a
function of the bivariate normal (r, d); least-favourable critical values are its integral, not a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from pipeline.econometrics.design import Floats
from pipeline.econometrics.honest_periods import EventPath
from pipeline.errors import EstimationError

FIRST_STAGE = 0.1  # share of the size that the hybrid test spends on the least-favourable test
GRID, FAR = 1000, 20.0  # points over the range searched for accepted values; standard deviations searched beyond it
NODES, TAIL = 128, 9.0  # Gauss–Legendre over the density of d
HALVINGS = 40
SMALLEST = 1e-300
CONSTANT = 1e-12  # variance of a change, over the largest variance, below which it is none


@dataclass(frozen=True, eq=False)
class Polyhedra:
    """All (s, sign) at one bound: the vertices p·r + q·d and the moments of (r, d); P = 2k rows.

    Attributes
    ----------
    r : float
        Estimate of the target at θ = 0, less the last pre coefficient.
    d : ndarray, (P,)
        Signed pre changes.
    p, q : ndarray, (P, K)
    v_rr : float
    v_rd, v_dd : ndarray, (P,)
    reach : float
        M̄C: how far the bound moves θ per unit of d.
    """

    r: float
    d: Floats
    p: Floats
    q: Floats
    v_rr: float
    v_rd: Floats
    v_dd: Floats
    reach: float


def relative_interval(
    b: Floats, path: EventPath, target: Floats, bound: float, level: float, method: str
) -> tuple[float, float]:
    """Smallest and largest value that is not rejected for some (s, sign); missing if all are.

    The range is searched on ``GRID`` points and the outermost changes are bisected, so the ends are those of the set to
    rounding; a set that is not an interval is covered by its hull, as in R's HonestDiD.
    """
    sets = polyhedra(b, path, target, bound)
    alpha = 1 - level
    kappa = FIRST_STAGE * alpha if method == "C-LF" else 0.0
    critical = _least_favourable(sets, kappa) if kappa else np.full(len(sets.d), np.inf)
    size = (alpha - kappa) / (1 - kappa)
    low, high = _range(sets, critical)
    share = np.linspace(0.0, 1.0, GRID)
    theta = low[:, None] + share * (high - low)[:, None]
    accepted = _accepts(sets, theta, critical, size) & (high >= low)[:, None]
    some = np.asarray(accepted.any(axis=1))
    if not some.any():
        return float("nan"), float("nan")
    sets, critical, theta, accepted = _some(sets, some), critical[some], theta[some], accepted[some]
    rows = np.arange(len(theta))
    ends = []
    for direction in (1, -1):
        at = np.argmax(accepted[:, ::direction], axis=1)
        at = at if direction == 1 else GRID - 1 - at
        inside, outside = theta[rows, at], theta[rows, np.clip(at - direction, 0, GRID - 1)]
        end = _bisect(sets, inside, outside, critical, size)
        edge = accepted[:, 0 if direction == 1 else -1]
        ends.append(np.where(edge, -direction * np.inf, end))
    return float(ends[0].min()), float(ends[1].max())


def polyhedra(b: Floats, path: EventPath, target: Floats, bound: float) -> Polyhedra:
    """Vertices of every (s, sign) at ``bound`` and the moments that they need."""
    slopes, k = path.slopes(), path.pre
    gaps = np.diff(path.points)[k:]
    weights = np.cumsum(target[::-1])[::-1] * gaps  # of the slopes in the target
    pre = np.concatenate([slopes[:k], -slopes[:k]])
    post = slopes[k:]
    direction = weights @ post
    v_rr = float(direction @ path.vcov @ direction)
    v_pp = np.einsum("ti,ij,tj->t", post, path.vcov, post)
    v_dd = np.einsum("pi,ij,pj->p", pre, path.vcov, pre)
    cross = pre @ path.vcov @ post.T
    spread = v_pp + bound**2 * v_dd[:, None]
    up, down = spread - 2 * bound * cross, spread + 2 * bound * cross  # variances of x_t – M̄d and of –x_t – M̄d
    if min(v_rr, v_pp.min(), v_dd.min(), up.min(), down.min()) < CONSTANT * np.diag(path.vcov).max():
        raise EstimationError("vcov is singular: the change between two neighbouring coefficients has no variance")
    upper, lower = np.sqrt(up), np.sqrt(down)
    positive = weights > 0
    size = np.abs(weights)
    s_up = np.where(positive, upper, lower) @ size
    s_down = np.where(positive, lower, upper) @ size
    reach = bound * float(size.sum())
    zero = np.zeros_like(upper)
    boxes = -2 * bound / (upper + lower) if bound else zero[:, :0]
    p = np.column_stack([1 / s_up, -1 / s_down, zero[:, : boxes.shape[1]]])
    q = np.column_stack([-reach / s_up, -reach / s_down, boxes])
    return Polyhedra(
        r=float(direction @ b),
        d=pre @ b,
        p=p,
        q=q,
        v_rr=v_rr,
        v_rd=pre @ path.vcov @ direction,
        v_dd=v_dd,
        reach=reach,
    )


def _accepts(sets: Polyhedra, theta: Floats, critical: Floats, size: float) -> NDArray[np.bool_]:
    """Whether the test does not reject θ, (P, G).

    Given the largest vertex, η̂/σ is a standard normal truncated to where that vertex stays the largest (and, in the
    hybrid test, below the least-favourable critical value); the test rejects for η̂ > 0 in the upper tail.
    """
    p, q = sets.p[:, :, None], sets.q[:, :, None]
    values = p * (sets.r - theta)[:, None, :] + q * sets.d[:, None, None]
    best = np.argmax(values, axis=1)
    rows = np.arange(len(best))[:, None]
    eta = np.take_along_axis(values, best[:, None, :], axis=1)[:, 0]
    p_best, q_best = sets.p[rows, best], sets.q[rows, best]
    v_rr, v_rd, v_dd = sets.v_rr, sets.v_rd[:, None], sets.v_dd[:, None]
    with_r, with_d = p_best * v_rr + q_best * v_rd, p_best * v_rd + q_best * v_dd
    variance = np.maximum(p_best * with_r + q_best * with_d, SMALLEST)
    share = (p * with_r[:, None] + q * with_d[:, None]) / variance[:, None]  # cov(vertex, best)/var(best)
    gap = 1 - share
    own = np.arange(values.shape[1])[None, :, None] == best[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = (values - share * eta[:, None]) / gap
    lower = np.where(own | (gap <= 0), -np.inf, cut).max(axis=1)
    upper = np.where(own | (gap >= 0), np.inf, cut).min(axis=1)
    sd = np.sqrt(variance)
    tail = _tail(eta / sd, np.minimum(lower, eta) / sd, np.minimum(upper, critical[:, None]) / sd)
    return (eta <= 0) | ((eta <= critical[:, None]) & (tail >= size))


def _tail(z: Floats, low: Floats, high: Floats) -> Floats:
    """P(Z ≥ z | low ≤ Z ≤ high), elementwise, in logarithms so that far tails keep their digits."""

    def mass(a: Floats) -> Floats:
        top = log_ndtr(-a)
        with np.errstate(divide="ignore"):
            return np.asarray(top + np.log(-np.expm1(np.minimum(log_ndtr(-high) - top, 0.0))))

    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.exp(mass(z) - mass(low)), nan=0.0)


def _least_favourable(sets: Polyhedra, kappa: float) -> Floats:
    """Critical value that the largest vertex exceeds with probability κ when all moments are zero, (P,).

    For q > 0: P(η ≤ q) = ∫ φ(d) P(–q·s₋ – M̄Cd ≤ r ≤ q·s₊ + M̄Cd | d) over d ≥ –q/max_t box_t.
    """
    sd = np.sqrt(sets.v_dd)[:, None]
    slope = sets.v_rd[:, None] / sets.v_dd[:, None]
    rest = np.sqrt(np.maximum(sets.v_rr - (sets.v_rd**2) / sets.v_dd, 1e-14 * sets.v_rr))[:, None]
    s_up, s_down = 1 / sets.p[:, :1], -1 / sets.p[:, 1:2]
    box = (-sets.q[:, 2:]).max(axis=1, initial=0.0)[:, None]
    nodes, weights = _legendre()

    def below(value: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            start = np.maximum(-value / box, -TAIL * sd)
        half = (TAIL * sd - start) / 2
        d = start + half * (1 + nodes)
        density = np.exp(-((d / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
        top = (value * s_up + sets.reach * d - slope * d) / rest
        bottom = (-value * s_down - sets.reach * d - slope * d) / rest
        mass = half * weights * density * np.maximum(ndtr(top) - ndtr(bottom), 0.0)
        return np.asarray(mass.sum(axis=1))

    low, high = np.zeros(len(sd)), np.full(len(sd), TAIL)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        small = below(middle[:, None]) < 1 - kappa
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    return np.asarray((low + high) / 2)


@cache
def _legendre() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return np.asarray(nodes), np.asarray(weights)


def _range(sets: Polyhedra, critical: Floats) -> tuple[Floats, Floats]:
    """Ends of the values that can be accepted: all that pass the first stage, or ``FAR`` beyond every bound."""
    s_up, s_down = 1 / sets.p[:, 0], -1 / sets.p[:, 1]
    if np.isfinite(critical).all():
        return sets.r - s_up * critical - sets.reach * sets.d, sets.r + s_down * critical + sets.reach * sets.d
    far = FAR * np.sqrt(sets.v_rr) + sets.reach * (np.abs(sets.d).max() + FAR * np.sqrt(sets.v_dd.max()))
    return np.full(len(sets.d), sets.r - far), np.full(len(sets.d), sets.r + far)


def _some(sets: Polyhedra, rows: NDArray[np.bool_]) -> Polyhedra:
    columns = (sets.d[rows], sets.p[rows], sets.q[rows])
    return Polyhedra(sets.r, *columns, sets.v_rr, sets.v_rd[rows], sets.v_dd[rows], sets.reach)


def _bisect(sets: Polyhedra, inside: Floats, outside: Floats, critical: Floats, size: float) -> Floats:
    """Last accepted value between an accepted and a rejected one, (P,)."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        accepted = _accepts(sets, middle[:, None], critical, size)[:, 0]
        inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
    return inside
