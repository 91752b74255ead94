"""Size of every test in the design at hand: simulated long differences without an effect, all replications at once.

Each panel is reduced to one change a province, as equation 1 is on a balanced panel; with one
cohort two-way fixed effects are a cross-section of mean changes. The noise has unit variance in the controls:
``independent``; ``hub_shock``, a shock common to a cluster with half the variance; ``hub_variance``, three times the
standard deviation in hub provinces; ``spatial``, correlation exp(–distance/400 km).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

Floats = NDArray[np.float64]
NOISES = ("independent", "hub_shock", "hub_variance", "spatial")
RANGE_KM = 400.0
TIE = 1 - 1e-9
WEBB = np.sqrt(np.array([0.5, 1.0, 1.5]))


@dataclass(frozen=True, eq=False)
class Layout:
    """The provinces of the study.

    Attributes
    ----------
    hub : ndarray, (n,)
        1 in hub provinces.
    cluster : ndarray of int, (n,)
        Clusters of assignment, 0 … G – 1.
    region : ndarray of int, (n,)
    x : ndarray, (n, k)
        The covariates X.
    distance : ndarray, (n, n)
        In km.
    hubs, provinces, strata : ndarray, (draws, n)
        Assignments drawn for the randomisation tests: of clusters, of single provinces, of provinces within regions.
    contiguous : ndarray of int, (draws, n)
        Connected sets: 0 where untreated, else the number of the set.
    """

    hub: Floats
    cluster: NDArray[np.intp]
    region: NDArray[np.intp]
    x: Floats
    distance: Floats
    hubs: Floats
    provinces: Floats
    strata: Floats
    contiguous: NDArray[np.intp]

    @cached_property
    def member(self) -> Floats:
        """Cluster membership, (G, n)."""
        return np.asarray(self.cluster == np.arange(self.cluster.max() + 1)[:, None], dtype=np.float64)


def noise(layout: Layout, kind: str, replications: int, rng: np.random.Generator) -> Floats:
    """Draw changes without an effect, (n, replications)."""
    n = len(layout.hub)
    own = rng.standard_normal((n, replications))
    if kind == "hub_shock":
        shared = rng.standard_normal((len(layout.member), replications))
        return np.asarray(np.sqrt(0.5) * (own + shared[layout.cluster]))
    if kind == "hub_variance":
        return np.asarray(own * (1 + 2 * layout.hub)[:, None])
    if kind == "spatial":
        return np.asarray(np.linalg.cholesky(np.exp(-layout.distance / RANGE_KM)) @ own)
    return own


@dataclass(frozen=True, eq=False)
class Regression:
    """Least squares of the change on hub status and the columns ``z``, for all replications.

    Attributes
    ----------
    d : ndarray, (n,)
        Hub status with ``z`` partialled out.
    y, residuals : ndarray, (n, R)
        Change with ``z`` partialled out, and residuals.
    b : ndarray, (R,)
    k : int
        Number of coefficients.
    """

    layout: Layout
    z: Floats
    d: Floats
    y: Floats
    b: Floats
    residuals: Floats
    k: int

    @classmethod
    def of(cls, layout: Layout, z: Floats, changes: Floats) -> Regression:
        """Fit."""
        d, y = _without(z, layout.hub), _without(z, changes)
        b = d @ y / (d @ d)
        return cls(layout, z, d, y, b, y - np.outer(d, b), z.shape[1] + 1)

    def scores(self) -> Floats:
        """Cluster sums of d·residual, (G, R)."""
        return np.asarray(self.layout.member @ (self.d[:, None] * self.residuals))


def _without(z: Floats, columns: Floats) -> Floats:
    return np.asarray(columns - z @ np.linalg.lstsq(z, columns, rcond=None)[0])


def _two_sided(t: Floats, df: float | Floats) -> Floats:
    return np.asarray(2 * stdtr(df, -np.abs(t)))


def crv1(fit: Regression) -> Floats:
    """P by CRV1 and t(G – 1), (R,)."""
    g, n = len(fit.layout.member), len(fit.d)
    factor = g / (g - 1) * (n - 1) / (n - fit.k)
    variance = factor * (fit.scores() ** 2).sum(axis=0) / (fit.d @ fit.d) ** 2
    return _two_sided(fit.b / np.sqrt(variance), g - 1)


def crv3(fit: Regression) -> Floats:
    """P by the cluster jackknife and t(G – 1)."""
    member = fit.layout.member
    shifts = []
    for row in member:
        keep = row == 0
        design = np.column_stack([fit.layout.hub, fit.z])[keep]
        shifts.append(np.linalg.lstsq(design, fit.y[keep], rcond=None)[0][0] - fit.b)
    g = len(member)
    return _two_sided(fit.b / np.sqrt((g - 1) / g * (np.array(shifts) ** 2).sum(axis=0)), g - 1)


def cr2(fit: Regression) -> Floats:
    """P by CR2 with Satterthwaite degrees of freedom."""
    q = np.linalg.qr(np.column_stack([fit.z, fit.d]))[0]
    total, vectors = np.zeros(len(fit.b)), []
    for row in fit.layout.member:
        own = row == 1
        values, sides = np.linalg.eigh(np.eye(int(own.sum())) - q[own] @ q[own].T)
        root = (sides / np.sqrt(values)) @ sides.T
        weights = root @ fit.d[own] / (fit.d @ fit.d)
        total += (weights @ fit.residuals[own]) ** 2
        vectors.append(np.zeros(len(own)))
        vectors[-1][own] = weights
    spread = np.array(vectors)
    p = spread @ spread.T - (spread @ q) @ (spread @ q).T
    return _two_sided(fit.b / np.sqrt(total), float(np.trace(p) ** 2 / (p * p).sum()))


def conley(fit: Regression, cutoff: float) -> Floats:
    """P by the Bartlett kernel in space, normal."""
    kernel = np.maximum(0.0, 1 - fit.layout.distance / cutoff)
    scores = fit.d[:, None] * fit.residuals
    variance = (scores * (kernel @ scores)).sum(axis=0) / (fit.d @ fit.d) ** 2
    with np.errstate(invalid="ignore"):
        return _two_sided(fit.b / np.sqrt(variance), np.inf)


def welch(fit: Regression) -> Floats:
    """P of Welch's test on the cluster means."""
    member = fit.layout.member
    means = member @ fit.y / member.sum(axis=1)[:, None]
    treated = (member @ fit.layout.hub) > 0
    gap, parts, below = means[treated].mean(axis=0) - means[~treated].mean(axis=0), [], []
    for group in (means[treated], means[~treated]):
        parts.append(group.var(axis=0, ddof=1) / len(group))
        below.append(parts[-1] ** 2 / (len(group) - 1))
    return _two_sided(gap / np.sqrt(parts[0] + parts[1]), (parts[0] + parts[1]) ** 2 / (below[0] + below[1]))


def randomised(fit: Regression, assignments: Floats, *, studentise: bool) -> Floats:
    """P of a randomisation test, the observed assignment counted as one more draw."""
    d = _without(fit.z, assignments.T)
    squares = (d * d).sum(axis=0)
    b = d.T @ fit.y / squares[:, None]
    if studentise:
        member = fit.layout.member
        variance = np.zeros_like(b)
        for row in member:
            own = row == 1
            score = d[own].T @ fit.y[own] - (d[own] ** 2).sum(axis=0)[:, None] * b
            variance += score * score
        drawn = np.abs(b) * squares[:, None] / np.sqrt(variance)
        observed = np.abs(fit.b) * (fit.d @ fit.d) / np.sqrt((fit.scores() ** 2).sum(axis=0))
    else:
        drawn, observed = np.abs(b), np.abs(fit.b)
    return np.asarray((1 + (drawn >= observed * TIE).sum(axis=0)) / (1 + len(assignments)))


def connected(fit: Regression, sets: NDArray[np.intp]) -> Floats:
    """Return p of the contiguity-respecting test of the t: a drawn set is one cluster, any other province its own."""
    observed = np.abs(fit.b) * (fit.d @ fit.d) / np.sqrt((fit.scores() ** 2).sum(axis=0))
    count = np.zeros(len(fit.b))
    for numbers in sets:
        d = _without(fit.z, (numbers > 0).astype(np.float64))
        b = d @ fit.y / (d @ d)
        own = np.where(numbers > 0, numbers, numbers.max() + 1 + np.arange(len(numbers)))
        member = (own == np.unique(own)[:, None]).astype(np.float64)
        scores = member @ (d[:, None] * (fit.y - np.outer(d, b)))
        count += np.abs(b) * (d @ d) >= observed * TIE * np.sqrt((scores**2).sum(axis=0))
    return np.asarray((1 + count) / (1 + len(sets)))


def wild(fit: Regression, draws: int, rng: np.random.Generator) -> Floats:
    """P of the restricted wild cluster bootstrap with Webb weights."""
    member, squares = fit.layout.member, float(fit.d @ fit.d)
    observed = np.abs(fit.b) * squares / np.sqrt((fit.scores() ** 2).sum(axis=0))
    count = np.zeros(len(fit.b))
    for _ in range(draws):
        signs = rng.choice(np.concatenate([-WEBB, WEBB]), len(member))
        y = _without(fit.z, fit.y * signs[fit.layout.cluster][:, None])
        b = fit.d @ y / squares
        scores = member @ (fit.d[:, None] * (y - np.outer(fit.d, b)))
        count += np.abs(b) * squares >= observed * TIE * np.sqrt((scores**2).sum(axis=0))
    return np.asarray((1 + count) / (1 + draws))


def sizes(layout: Layout, kind: str, adjustment: str, *, replications: int, draws: int, seed: int) -> pd.DataFrame:
    """Share of replications without an effect in which each test rejects at 5 %.

    Parameters
    ----------
    layout : Layout
    kind : str
        One of ``NOISES``.
    adjustment : {"none", "x"}
    replications, draws : int
        Replications, and bootstrap draws in each.
    seed : int

    Returns
    -------
    DataFrame
        Rows of the view ``test_size``: row ``<kind>|<adjustment>``, column the test, value its size.
    """
    rng = np.random.default_rng(seed)
    changes = noise(layout, kind, replications, rng)
    one = np.ones((len(layout.hub), 1))
    extra = layout.x if adjustment == "x" else np.empty((len(one), 0))
    regions = (layout.region[:, None] == np.arange(layout.region.max() + 1)).astype(np.float64)
    fit = Regression.of(layout, np.hstack([one, extra]), changes)
    within = Regression.of(layout, np.hstack([regions, extra]), changes)
    tests: dict[str, Callable[[], Floats]] = {
        "crv3": lambda: crv3(fit),
        "crv1": lambda: crv1(fit),
        "cr2": lambda: cr2(fit),
        "wild_webb": lambda: wild(fit, draws, rng),
        "randomization_hub": lambda: randomised(fit, layout.hubs, studentise=True),
        "randomization_hub_coefficient": lambda: randomised(fit, layout.hubs, studentise=False),
        "randomization_contiguous": lambda: connected(fit, layout.contiguous),
        "randomization_stratified": lambda: randomised(within, layout.strata, studentise=False),
        "randomization_province": lambda: randomised(fit, layout.provinces, studentise=False),
        "conley_300": lambda: conley(fit, 300.0),
        "conley_500": lambda: conley(fit, 500.0),
        "conley_800": lambda: conley(fit, 800.0),
    }
    if adjustment == "none":
        tests["welch"] = lambda: welch(fit)
    rows = [
        {"row": f"{kind}|{adjustment}", "column": k, "value": float((p() <= 0.05).mean())} for k, p in tests.items()
    ]
    return pd.DataFrame(rows).assign(view_id="test_size")
