"""Covariance matrices of the shown coefficients, small-sample conventions in one place.

CRV1 = G/(G – 1)·(N – 1)/(N – k) with effects nested in the cluster not counted in k, t(G – 1).
CRV3 = (G – 1)/G Σ(b₍g₎ – b)(b₍g₎ – b)', t(G – 1) (MacKinnon, Nielsen and Webb 2023, J. Appl. Econometrics 38, 671–694).
CR2 with Satterthwaite degrees of freedom (Bell and McCaffrey 2002; Pustejovsky and Tipton 2018, JBES 36, 672–683).
HC1 = N/(N – k), iid = RSS/(N – k), every effect counted in k, t(N – k).
Two clusters: V₁ + V₂ – V₁₂ of Cameron, Gelbach and Miller (2011, JBES 29, 238–249), min(G₁, G₂) in the factor and in t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipeline.econometrics.design import Codes, Floats, interact
from pipeline.econometrics.fit import Fit
from pipeline.errors import EstimationError

KINDS = ("CRV1", "CRV3", "CR2", "HC1", "iid")
CLUSTERED = ("CRV1", "CRV3", "CR2")
SINGULAR = 1e-9  # a leverage eigenvalue within this of one: a direction that one cluster alone identifies


@dataclass(frozen=True, eq=False)
class Covariance:
    """A covariance matrix and the degrees of freedom of any contrast c'b.

    Attributes
    ----------
    matrix : ndarray, (K, K)
        NaN rows and columns where a coefficient has no variance of this kind.
    df : callable
        Degrees of freedom of a contrast (K,).
    label : str
    n_clusters : int
        Smallest number of clusters over the dimensions; 0 where there are none.
    notes : dict of str
        Text for ``meta``.
    """

    matrix: Floats
    df: Callable[[Floats], float]
    label: str
    n_clusters: int = 0
    notes: dict[str, str] = field(default_factory=dict)


def covariance_of(fit: Fit, kind: str) -> Covariance:
    """Covariance of the shown coefficients; kinds as in the module's head.

    Raises
    ------
    EstimationError
        Unknown kind, fewer than two clusters, or two-way clusters with a kind other than CRV1.
    """
    if kind not in KINDS:
        raise EstimationError(f"covariance {kind!r} is not one of {', '.join(KINDS)}")
    n, k = fit.design.n, fit.k_all
    if kind == "iid":
        return Covariance(fit.inverse * (fit.residuals @ fit.residuals) / (n - k), lambda _: float(n - k), "iid")
    if kind == "HC1":
        scores = fit.X * fit.residuals[:, None]
        return Covariance(fit.inverse @ (scores.T @ scores) @ fit.inverse * n / (n - k), lambda _: float(n - k), "HC1")
    clusters = fit.design.clusters
    for name, codes in clusters.items():
        if codes.n < 2:
            raise EstimationError(f"cluster {name!r} has {codes.n} group: {kind} needs at least 2")
    if len(clusters) > 1 and kind != "CRV1":
        raise EstimationError(f"{kind} is not defined for two-way clusters {tuple(clusters)}; use CRV1")
    if len(clusters) > 2:
        raise EstimationError(f"at most two clusters, not {tuple(clusters)}")
    return {"CRV1": _crv1, "CRV3": _crv3, "CR2": _cr2}[kind](fit)


def crv1_factor(fit: Fit, n_clusters: int) -> float:
    """G/(G – 1)·(N – 1)/(N – k)."""
    n = fit.design.n
    return n_clusters / (n_clusters - 1) * (n - 1) / (n - fit.k_clustered)


def cluster_sums(columns: Floats, codes: Codes) -> Floats:
    """Sum rows (n, c) by cluster (G, c)."""
    out = np.zeros((codes.n, *columns.shape[1:]))
    np.add.at(out, codes.ids, columns)
    return out


def _crv1(fit: Fit) -> Covariance:
    codes = list(fit.design.clusters.values())
    g = min(c.n for c in codes)
    scores = fit.X * fit.residuals[:, None]

    def meat(by: Codes) -> Floats:
        sums = cluster_sums(scores, by)
        return np.asarray(sums.T @ sums)

    total = meat(codes[0])
    if len(codes) == 2:
        total = total + meat(codes[1]) - meat(interact(codes))
    matrix = fit.inverse @ total @ fit.inverse * crv1_factor(fit, g)
    notes = {}
    if len(codes) == 2:
        values, vectors = np.linalg.eigh(matrix)
        if values[0] < -1e-12 * values[-1]:
            matrix = (vectors * np.maximum(values, 0.0)) @ vectors.T
            notes["two_way"] = "not positive semidefinite; negative eigenvalues set to zero"
    return Covariance(matrix, lambda _: float(g - 1), f"CRV1, t({g - 1})", g, notes)


@dataclass(frozen=True, eq=False)
class _Leverage:
    """Per cluster: rows, Q_g (n_g, r), eigenvalues and eigenvectors of H_gg = Q_g Q_g', and u_g."""

    blocks: list[tuple[Floats, Floats, Floats, Floats]]
    solve: Floats  # (K, r): coefficients = solve @ (coordinates in Q)


def _leverage(fit: Fit) -> _Leverage:
    q_x, r_x = np.linalg.qr(fit.X)
    between = fit.projector.basis[:, fit.nested_columns :]
    q = np.hstack([between, q_x])
    solve = np.hstack([np.zeros((len(r_x), between.shape[1])), np.linalg.solve(r_x, np.eye(len(r_x)))])
    codes = next(iter(fit.design.clusters.values()))
    blocks = []
    for g in range(codes.n):
        rows = codes.ids == g
        values, vectors = np.linalg.eigh(q[rows] @ q[rows].T)
        blocks.append((q[rows], values, vectors, fit.residuals[rows]))
    return _Leverage(blocks, solve)


def _crv3(fit: Fit) -> Covariance:
    """Leave-one-cluster-out coefficients without a refit.

    With H_gg the leverage block of everything that is not nested in clusters, the coordinates change by
    –Q_g'(I – H_gg)⁻¹u_g when cluster g leaves. An eigenvalue of one is a direction that only g identifies; a
    coefficient that moves along it has no estimate without g, hence no jackknife variance.
    """
    leverage = _leverage(fit)
    codes = next(iter(fit.design.clusters.values()))
    k, g = len(fit.coefficients), codes.n
    shifts, lost = np.zeros((g, k)), np.full(k, -1)
    scale = np.sqrt(np.diag(fit.inverse))
    for i, (q, values, vectors, u) in enumerate(leverage.blocks):
        alone = values > 1 - SINGULAR
        weights = np.where(alone, 0.0, vectors.T @ u) / np.where(alone, 1.0, 1 - values)
        shifts[i] = -leverage.solve @ (q.T @ (vectors @ weights))
        moved = np.abs(leverage.solve @ (q.T @ vectors[:, alone])) > 1e-6 * scale[:, None]
        lost[moved.any(axis=1)] = i
    matrix = (g - 1) / g * shifts.T @ shifts
    matrix[lost >= 0, :], matrix[:, lost >= 0] = np.nan, np.nan
    names = [f"{fit.design.terms[j]} (without {codes.labels[lost[j]]})" for j in range(k) if lost[j] >= 0]
    notes = {"no_variance": "not identified when a cluster is left out: " + ", ".join(names)} if names else {}
    return Covariance(matrix, lambda _: float(g - 1), f"CRV3, t({g - 1})", g, notes)


def _cr2(fit: Fit) -> Covariance:
    """Bias-reduced linearisation under the working model of equal variances (in the √w-scaled space)."""
    leverage = _leverage(fit)
    adjusted, scores = [], []
    for q, values, vectors, u in leverage.blocks:
        alone = values > 1 - SINGULAR
        root = np.where(alone, 0.0, 1.0) / np.sqrt(np.where(alone, 1.0, 1 - values))
        weighted = (vectors * root) @ (vectors.T @ q) @ leverage.solve.T  # A_g X_g (X'X)⁻¹, (n_g, K)
        adjusted.append(weighted)
        scores.append(weighted.T @ u)
    sums = np.array(scores)

    def satterthwaite(contrast: Floats) -> float:
        vectors = [w @ contrast for w in adjusted]
        cross = np.array([q.T @ v for (q, *_), v in zip(leverage.blocks, vectors, strict=True)])
        p = np.diag([float(v @ v) for v in vectors]) - cross @ cross.T
        return float(np.trace(p) ** 2 / np.sum(p * p))

    return Covariance(sums.T @ sums, satterthwaite, "CR2, t(Satterthwaite)", len(scores))
