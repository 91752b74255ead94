"""Statistics of many assignments at once, and as functions of the hypothesised effect.

Under the hypothesis of a constant effect τ the outcome is y – τD. For assignment a the estimate is then linear in τ and
its variance quadratic: t² = (b – τ·slope)² / (v₀ – 2τ·v₁ + τ²·v₂). These five numbers are all that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.econometrics.assignments import Labels, Paths
from pipeline.econometrics.design import Codes, Design, Floats, Ints
from pipeline.econometrics.fit import Fit, partial_out_controls
from pipeline.errors import EstimationError

TIE = (1 - 1e-9) ** 2  # on squares: an assignment counts if |t*| ≥ |t|·(1 – 1e-9)
BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Moments:
    """Per assignment: b, slope, v₀, v₁, v₂, each (A,); NaN in b where the assignment has no estimate."""

    b: Floats
    slope: Floats
    v0: Floats
    v1: Floats
    v2: Floats

    @classmethod
    def joined(cls, parts: list[Moments]) -> Moments:
        """Concatenate chunks."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("b", "slope", "v0", "v1", "v2")))

    @property
    def spread(self) -> float:
        """Standard deviation of the estimates."""
        return float(np.nanstd(self.b))

    @property
    def missing(self) -> int:
        """How many assignments have no estimate."""
        return int(np.isnan(self.b).sum())

    def statistics(self, null: float) -> Floats:
        """Signed t (or coefficient) under ``null``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = self.v0 - 2 * null * self.v1 + null * null * self.v2
            return np.asarray((self.b - null * self.slope) / np.sqrt(variance))

    def extreme(self, observed: Moments, null: float) -> int:
        """How many assignments have |t*| ≥ |t|, ties counted; one without an estimate counts (conservative)."""
        top = float((observed.b[0] - null * observed.slope[0]) ** 2)
        bottom = float(observed.v0[0] - 2 * null * observed.v1[0] + null * null * observed.v2[0])
        count = 0
        for start in range(0, len(self.b), BLOCK):
            part = slice(start, start + BLOCK)
            left = self.slope[part] * -null
            left += self.b[part]
            left *= left
            left *= bottom
            right = self.v2[part] * null
            right -= 2 * self.v1[part]
            right *= null
            right += self.v0[part]
            right *= top * TIE
            count += len(left) - int(np.count_nonzero(left < right))
        return count


@dataclass(frozen=True, eq=False)
class RegressionKernel:
    """Coefficient of the treatment and its cluster-robust variance.

    Attributes
    ----------
    roots : ndarray, (r, m)
        Stacked R_g with ‖R_g a‖² = d_g'd_g for the residualised treatment d of assignment a.
    starts : ndarray, (G,)
        First row of each R_g.
    with_y, with_d : ndarray, (G, m)
        d_g'y_g and d_g'd⁰_g, linear in a; d⁰ the residualised observed treatment.
    factor : float
        Small-sample factor of the variance.
    studentise : bool
        Otherwise the statistic is the coefficient itself.
    floor : float
        A treatment whose residual sum of squares is below this has no estimate.
    """

    roots: Floats
    starts: np.ndarray
    with_y: Floats
    with_d: Floats
    factor: float
    studentise: bool
    floor: float

    @classmethod
    def of(
        cls,
        columns: Floats,
        y: Floats,
        d: Floats,
        clusters: Codes,
        factor: float,
        floor: float,
        *,
        studentise: bool = True,
    ) -> RegressionKernel:
        """Compress residualised columns (n, m) by cluster."""
        limit = 1e-12 * float(np.linalg.norm(columns, axis=0).max())
        roots, starts, at = [], [], 0
        with_y, with_d = (np.empty((clusters.n, columns.shape[1])) for _ in range(2))
        for g in range(clusters.n):
            rows = clusters.ids == g
            _, s, vt = np.linalg.svd(columns[rows], full_matrices=False)
            root = (s[:, None] * vt)[: max(1, int((s > limit).sum()))]
            roots.append(root)
            starts.append(at)
            at += len(root)
            with_y[g], with_d[g] = y[rows] @ columns[rows], d[rows] @ columns[rows]
        return cls(np.vstack(roots), np.array(starts), with_y, with_d, factor, studentise, floor)

    def moments(self, a: Floats, sets: Sequence[Ints] = ()) -> Moments:
        """Moments of assignments (m, A).

        Parameters
        ----------
        a : ndarray, (m, A)
        sets : sequence of ndarray of int, (k, A)
            Clusters that form one cluster in that assignment; all others stand alone.
        """
        squares = self.roots @ a
        np.multiply(squares, squares, out=squares)
        own = np.add.reduceat(squares, self.starts, axis=0) if len(self.starts) < len(squares) else squares
        with np.errstate(divide="ignore", invalid="ignore"):
            total = own.sum(axis=0)
            total[total <= self.floor] = np.nan
            p, q = self.with_y @ a, self.with_d @ a
            b, slope = p.sum(axis=0) / total, q.sum(axis=0) / total
            if not self.studentise:
                zero = np.zeros_like(b)
                return Moments(b, slope, zero + 1, zero, zero)
            p -= own * b
            q -= own * slope
            for members in sets:
                _join(p, members)
                _join(q, members)
            scale = self.factor / (total * total)
            v0, v1, v2 = (np.einsum("ga,ga->a", x, z) for x, z in ((p, p), (p, q), (q, q)))
        return Moments(b, slope, v0 * scale, v1 * scale, v2 * scale)


@dataclass(frozen=True, eq=False)
class WelchKernel:
    """Difference in means of one number per group with Welch's variance.

    Attributes
    ----------
    y, d : ndarray, (G,)
        Change in outcome and in observed treatment.
    """

    y: Floats
    d: Floats

    def moments(self, a: Floats) -> Moments:
        """Moments of assignments (G, A) of ones and zeros."""
        parts = [np.zeros(a.shape[1]) for _ in range(5)]
        y, d = self.y - self.y.mean(), self.d - self.d.mean()
        for sign, members in ((1, a), (-1, 1 - a)):
            n = members.sum(axis=0)
            n[n < 2] = np.nan  # no variance in a group of one
            mean_y, mean_d = y @ members / n, d @ members / n
            parts[0] += sign * mean_y
            parts[1] += sign * mean_d
            for i, (x, mx, z, mz) in enumerate(
                ((y, mean_y, y, mean_y), (y, mean_y, d, mean_d), (d, mean_d, d, mean_d))
            ):
                parts[2 + i] += ((x * z) @ members / n - mx * mz) / (n - 1)
        return Moments(*parts)


def _join(scores: Floats, members: Ints) -> None:
    """Put the sum of the members' scores (G, A) at the first member, zero at the others."""
    total = np.take_along_axis(scores, members, axis=0).sum(axis=0)
    np.put_along_axis(scores, members, 0.0, axis=0)
    np.put_along_axis(scores, members[:1], total[None, :], axis=0)


def indicators(paths: Paths, *, constant: bool) -> Callable[[Labels], Floats]:
    """From labels (G, A) to assignment vectors: a constant if asked, then one row per (path > 0, group)."""

    def vectors(labels: Labels) -> Floats:
        parts = [np.ones((1, labels.shape[1]))] if constant else []
        parts += [(labels == c).astype(np.float64) for c in range(1, len(paths.table))]
        return np.concatenate(parts)

    return vectors


def regression_kernel(
    fitted: Fit,
    groups: Codes,
    paths: Paths,
    *,
    clusters: Codes | None,
    factor: float = 1.0,
    dose: Floats | None = None,
) -> tuple[RegressionKernel, Callable[[Labels], Floats]]:
    """Residualise outcome, observed treatment and one column per (path, group) once.

    Parameters
    ----------
    fitted : Fit
        The regression; its first treatment is the one reassigned.
    groups : Codes
        Groups that are reassigned, by row.
    paths : Paths
        Over the periods of the design.
    clusters : Codes or None
        Clusters of the variance; None leaves the coefficient unstudentised.
    factor : float
        Small-sample factor of the variance.
    dose : ndarray, (n,), optional
        What multiplies the path in each row.

    Returns
    -------
    RegressionKernel
    callable
        From labels (G, A) to the kernel's assignment vectors.
    """
    design = fitted.design
    residual = partial_out_controls(fitted).residual
    times = 1.0 if dose is None else dose
    base = paths.table[0][design.time.ids]
    member = groups.ids[:, None] == np.arange(groups.n)
    raw = np.hstack([member * ((path[design.time.ids] - base) * times)[:, None] for path in paths.table[1:]])
    columns, common = residual(raw), residual(base * times)
    constant = bool(np.linalg.norm(common) > 1e-9 * np.linalg.norm(raw))
    if constant:
        columns = np.column_stack([common, columns])
    whole = Codes(np.zeros(design.n, dtype=np.intp), [0])
    floor = 1e-16 * float(np.sum(raw * raw))
    y, d = residual(design.y), residual(design.X[:, 0])
    studentise = clusters is not None
    kernel = RegressionKernel.of(columns, y, d, clusters or whole, factor, floor, studentise=studentise)
    return kernel, indicators(paths, constant=constant)


def welch_kernel(design: Design, groups: Codes, paths: Paths) -> WelchKernel:
    """Mean change by group: periods in which the treated path differs from the other, less the rest."""
    if len(paths.table) != 2:
        raise EstimationError(f"welch compares two paths, not {len(paths.table)}")
    after = (paths.table[1] != paths.table[0])[design.time.ids]

    def change(column: Floats) -> Floats:
        units = np.unique(design.unit.ids, return_index=True)[1]
        means = [
            np.bincount(design.unit.ids, weights=column * part) / np.bincount(design.unit.ids, weights=part)
            for part in (after, ~after)
        ]
        of = groups.ids[units]
        return np.asarray(np.bincount(of, weights=means[0] - means[1]) / np.bincount(of))

    return WelchKernel(change(design.y), change(design.X[:, 0]))
