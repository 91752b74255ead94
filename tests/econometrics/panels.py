"""Simulated panels, and slow references that share no code with the library."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
from scipy.linalg import qr, solve_triangular

YEARS = (2013, 2014, 2015, 2016, 2018, 2019, 2020, 2022, 2023)
HUB_SIZES = (3, 4, 1, 2, 1, 1, 1, 1)  # 14 treated provinces in 8 clusters; 17 controls, each its own cluster


def provinces(seed=0, years=YEARS, first=2022, effect=0.0, drop=0):
    """31 units with two gaps in the calendar, 25 clusters, one cohort; ``drop`` rows removed at random."""
    rng = np.random.default_rng(seed)
    cluster = np.array(
        [f"hub{h}" for h, n in enumerate(HUB_SIZES) for _ in range(n)] + [f"c{i:02d}" for i in range(17)]
    )
    n, t = len(cluster), len(years)
    hub = np.arange(n) < sum(HUB_SIZES)
    x, shock = rng.normal(size=(n, 2)), rng.normal(size=(25, t))
    codes = np.unique(cluster, return_inverse=True)[1]
    y = rng.normal(size=(n, 1)) + rng.normal(size=t) + 0.5 * shock[codes] + rng.normal(size=(n, t))
    y = y + x[:, :1] * np.linspace(0, 1, t) + effect * hub[:, None] * (np.array(years) >= first)
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"{11 + i}0000" for i in range(n)], t),
            "year": np.tile(years, n),
            "cluster": np.repeat(cluster, t),
            "region": np.repeat(np.array(["east", "central", "west"])[np.arange(n) % 3], t),
            "hub": np.repeat(hub.astype(float), t),
            "cohort": np.repeat(np.where(hub, float(first), np.nan), t),
            "y": y.ravel(),
            "x1": np.repeat(x[:, 0], t),
            "x2": np.repeat(x[:, 1], t),
            "z": rng.normal(size=n * t),
            "w": rng.uniform(0.5, 2.0, size=n * t),
        }
    )
    frame["treated"] = frame["hub"] * (frame["year"] >= first)
    return frame.drop(index=rng.choice(len(frame), drop, replace=False)).reset_index(drop=True)


def small(seed=0, drop=0):
    """Nine units in six clusters over six periods: small enough to refit every assignment."""
    rng = np.random.default_rng(seed)
    cluster = np.array(["a", "a", "b", "c", "c", "c", "d", "e", "f"])
    n, t = len(cluster), 6
    x = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i}" for i in range(n)], t),
            "year": np.tile(np.arange(t), n),
            "cluster": np.repeat(cluster, t),
            "half": np.repeat(np.isin(cluster, ["a", "b", "f"]).astype(int), t),
            "x": np.repeat(x, t),
            "z": rng.normal(size=n * t),
            "y": (rng.normal(size=(n, t)) + np.outer(x, np.arange(t)) / 4).ravel(),
        }
    )
    frame["treated"] = (frame["cluster"].isin(["a", "d"]) & (frame["year"] >= 4)).astype(float)
    return frame.drop(index=rng.choice(len(frame), drop, replace=False)).reset_index(drop=True)


def dummy_matrix(frame, effects, by_time=()):
    """Full dummies of the effects, and by_time columns × every period; rank-deficient on purpose."""
    parts = [np.eye(g.max() + 1)[g] for g in (frame.groupby(list(e)).ngroup().to_numpy() for e in effects)]
    years = np.eye(frame["year"].nunique())[frame.groupby("year").ngroup()]
    parts += [frame[[c]].to_numpy() * years for c in by_time]
    return np.hstack([np.ones((len(frame), 1)), *parts])


def slow_fit(frame, columns, effects, by_time=(), weights=None, outcome="y"):
    """Coefficients of ``columns`` by pivoted QR on full dummies, with residuals and design."""
    root = np.sqrt(frame[weights].to_numpy()) if weights else np.ones(len(frame))
    X = np.hstack([frame[list(columns)].to_numpy(float), dummy_matrix(frame, effects, by_time)]) * root[:, None]
    y = frame[outcome].to_numpy() * root
    q, r, order = qr(X, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(r)) > 1e-10 * abs(r[0, 0])))
    b = np.zeros(X.shape[1])  # a basic solution: the coefficients that are identified do not depend on which
    b[order[:rank]] = solve_triangular(r[:rank, :rank], q[:, :rank].T @ y)
    return b[: len(columns)], y - X @ b, X


def slow_sandwich(X, k, meat):
    """(X'X)⁺ meat (X'X)⁺ for the first k columns."""
    bread = np.linalg.pinv(X.T @ X, rcond=1e-11)
    return (bread @ meat @ bread)[:k, :k]


def slow_crv1(frame, columns, effects, by_time=(), cluster="cluster", nested=("unit",), weights=None, outcome="y"):
    """CRV1 by a loop over clusters; ``nested`` are the effects whose parameters do not count."""
    b, u, X = slow_fit(frame, columns, effects, by_time, weights, outcome)
    meat = np.zeros((X.shape[1], X.shape[1]))
    for g in frame[cluster].unique():
        rows = (frame[cluster] == g).to_numpy()
        s = X[rows].T @ u[rows]
        meat += np.outer(s, s)
    open_effects = [e for e in effects if not (len(e) == 1 and e[0] in nested)]
    other = dummy_matrix(frame, open_effects, ())
    slopes = dummy_matrix(frame, effects, by_time)
    k = (
        np.linalg.matrix_rank(other)
        + np.linalg.matrix_rank(slopes)
        - np.linalg.matrix_rank(dummy_matrix(frame, effects))
    )
    k += len(columns)
    n, g = len(frame), frame[cluster].nunique()
    return b, slow_sandwich(X, len(columns), meat) * g / (g - 1) * (n - 1) / (n - k)


def exact_did(frame, treatment):
    """Two-way FE coefficient and CRV1 standard error in rational arithmetic; only the last square root is rounded."""
    rows = frame[["unit", "year", "cluster", treatment, "y"]].itertuples(index=False)
    rows = [(u, t, g, Fraction(d), Fraction(y)) for u, t, g, d, y in rows]
    years = sorted({r[1] for r in rows})
    columns = [[Fraction(int(r[1] == t)) for r in rows] for t in years[1:]] + [
        [r[3] for r in rows],
        [r[4] for r in rows],
    ]
    by_unit = {}
    for i, r in enumerate(rows):
        by_unit.setdefault(r[0], []).append(i)
    for column in columns:  # deviations from unit means
        for members in by_unit.values():
            mean = sum(column[i] for i in members) / len(members)
            for i in members:
                column[i] -= mean
    *time, d, y = columns
    basis = []
    for column in time:  # Gram–Schmidt without norms
        basis.append(_sweep(column, basis))
    d, y = _sweep(d, basis), _sweep(y, basis)
    dd = sum(a * a for a in d)
    b = sum(a * c for a, c in zip(d, y, strict=True)) / dd
    scores = {}
    for r, a, c in zip(rows, d, y, strict=True):
        scores[r[2]] = scores.get(r[2], Fraction(0)) + a * (c - b * a)
    n, g, k = len(rows), len(scores), 1 + len(years)
    variance = sum(s * s for s in scores.values()) / (dd * dd) * Fraction(g * (n - 1), (g - 1) * (n - k))
    return float(b), float(variance) ** 0.5


def _sweep(column, basis):
    for other in basis:
        share = sum(a * b for a, b in zip(column, other, strict=True)) / sum(a * a for a in other)
        column = [a - share * b for a, b in zip(column, other, strict=True)]
    return column
