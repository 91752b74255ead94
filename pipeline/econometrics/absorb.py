"""Residuals on fixed effects and further columns, exact to working precision.

The largest effect is removed by group means, everything else by an orthonormal basis (Frisch–Waugh–Lovell); nothing is
iterated to a tolerance. With weights, all residuals are in the scaled space √w·x, where least squares is unweighted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.econometrics.design import Codes, Floats, Ints

DEPENDENT = 1e-9  # a column is a combination of others if its residual norm falls below this share of its spread


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows in group order, so that group sums are contiguous."""

    codes: Ints
    order: Ints
    starts: Ints
    mass: Floats  # sum of weights
    weights: Floats | None

    @classmethod
    def of(cls, effect: Codes, weights: Floats | None) -> Groups:
        """Prepare one effect."""
        order = np.argsort(effect.ids, kind="stable")
        starts = np.searchsorted(effect.ids[order], np.arange(effect.n))
        mass = np.bincount(effect.ids, weights=weights, minlength=effect.n).astype(np.float64)
        return cls(effect.ids, order, starts, mass, weights)

    def centred(self, columns: Floats) -> Floats:
        """Deviations from the group means.

        The first value of each group is subtracted before a mean is taken (that difference is exact where values share
        their leading digits), and the mean of the deviations is removed a second time.
        """
        deviations = columns - columns[self.order[self.starts]][self.codes]
        for _ in range(2):
            weighted = deviations if self.weights is None else deviations * self.weights[:, None]
            means = np.add.reduceat(weighted[self.order], self.starts, axis=0) / self.mass[:, None]
            deviations = deviations - means[self.codes]
        return deviations


@dataclass(frozen=True, eq=False)
class Projector:
    """The residual-maker of a set of fixed effects and columns.

    Attributes
    ----------
    groups : Groups or None
        The effect removed by group means.
    basis : ndarray, (n, r)
        Orthonormal columns for all the rest, orthogonal to ``groups``.
    root : ndarray, (n,), or None
        Square roots of the weights.
    rank : int
        Dimension of the space removed.
    """

    groups: Groups | None
    basis: Floats
    root: Floats | None
    rank: int

    @classmethod
    def on(cls, effects: Sequence[Codes], n: int, weights: Floats | None, *, by_means: bool = True) -> Projector:
        """Residual-maker of fixed effects; without any, of the constant.

        Parameters
        ----------
        effects : sequence of Codes, in any order
        n : int
            Number of rows.
        weights : ndarray, (n,), or None
        by_means : bool
            Remove the largest effect by group means; otherwise every dummy enters the basis.
        """
        effects = sorted(effects, key=lambda e: -e.n) or [Codes(np.zeros(n, dtype=np.intp), [0])]
        root = None if weights is None else np.sqrt(weights)
        empty = np.empty((n, 0))
        if by_means:
            start = cls(Groups.of(effects[0], weights), empty, root, effects[0].n)
            effects = effects[1:]
        else:
            start = cls(None, empty, root, 0)
        for effect in effects:
            start = start.with_effect(effect)
        return start

    def residual(self, columns: Floats) -> Floats:
        """Residuals of one column (n,) or several (n, c), scaled by √w where there are weights."""
        flat = columns.reshape(len(columns), -1)
        out = flat if self.groups is None else self.groups.centred(flat)
        if self.root is not None:
            out = out * self.root[:, None]
        for _ in range(2):  # the second pass removes what rounding left in the first
            out = out - self.basis @ (self.basis.T @ out)
        return out.reshape(columns.shape)

    def with_effect(self, effect: Codes) -> Projector:
        """Add a fixed effect."""
        dummies = np.zeros((len(effect.ids), effect.n))
        dummies[np.arange(len(effect.ids)), effect.ids] = 1.0
        return self.with_columns(dummies)[0]

    def with_columns(self, columns: Floats) -> tuple[Projector, list[int]]:
        """Add columns in their order; also return the positions of those that were independent of all before them."""
        residuals = self.residual(columns)
        spread = self._spread(columns)
        added = np.empty((len(columns), columns.shape[1]))
        kept: list[int] = []
        for j in range(columns.shape[1]):
            vector, basis = residuals[:, j], added[:, : len(kept)]
            for _ in range(2):
                vector = vector - basis @ (basis.T @ vector)
            norm = float(np.linalg.norm(vector))
            if norm > DEPENDENT * spread[j]:
                added[:, len(kept)] = vector / norm
                kept.append(j)
        basis = np.hstack([self.basis, added[:, : len(kept)]])
        return replace(self, basis=basis, rank=self.rank + len(kept)), kept

    def _spread(self, columns: Floats) -> Floats:
        """Norm of the columns about their mean, but not below what rounding leaves of a large constant."""
        scaled = columns if self.root is None else columns * self.root[:, None]
        norm = np.linalg.norm(scaled, axis=0)
        centre = columns.mean(axis=0) if self.groups is not None else 0.0
        about = (columns - centre) if self.root is None else (columns - centre) * self.root[:, None]
        # 1e-14·norm / DEPENDENT: a residual of the size of rounding error counts as zero
        return np.asarray(np.maximum(np.linalg.norm(about, axis=0), norm * (1e-14 / DEPENDENT)) + np.finfo(float).tiny)
