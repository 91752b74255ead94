"""Exact p-values of a coefficient without listing its assignments.

Where every assignment leaves the treatment the same residual sum of squares, the coefficient is a sum of one number a
group. The sums of half the groups are listed for either half, sorted, and paired by bisection (Horowitz and Sahni 1974,
J. ACM 21, 277–292): C(31, 14) = 265,182,525 assignments cost 2 · 2¹⁶ sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.econometrics.assignments import Paths, Permutations
from pipeline.econometrics.design import Floats, Ints
from pipeline.econometrics.studentised import Moments, RegressionKernel

TIE = 1 - 1e-9  # an assignment counts if |b*| ≥ |b|·TIE
CONSTANT = 1e-9  # largest difference between residual sums of squares that count as equal, as a share
MOST_SUMS = 2**22  # sums held for one half
State = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LinearCount:
    """All permutations of the labels, of a coefficient (base + Σ_g z[label_g, g])/rss with z = y – τ·d.

    Attributes
    ----------
    y, d : ndarray, (C, G)
        Contribution of group g on path c to the products of the residualised treatment with outcome and with the
        observed treatment.
    base_y, base_d : float
        Contribution of what all paths share.
    rss : float
        Residual sum of squares of the treatment, one for all assignments.
    permutations : Permutations
    """

    y: Floats
    d: Floats
    base_y: float
    base_d: float
    rss: float
    permutations: Permutations

    @property
    def missing(self) -> int:
        """None is without an estimate: the residual sum of squares is that of the observed one."""
        return 0

    @property
    def spread(self) -> float:
        """Standard deviation of the estimates (Hoeffding 1951, Ann. Math. Statist. 22, 558–566)."""
        variance = 0.0
        for members in self.permutations.strata:
            a = self.y[self.permutations.labels[members]][:, members]
            a = a - a.mean(axis=0) - a.mean(axis=1, keepdims=True) + a.mean()
            variance += float(np.sum(a * a)) / max(1, len(members) - 1)
        return float(np.sqrt(variance)) / self.rss

    def statistics(self, null: float) -> None:
        """Not listed."""

    def extreme(self, observed: Moments, null: float) -> int:
        """How many assignments have |b*| ≥ |b|, ties counted."""
        z, base = self.y - null * self.d, self.base_y - null * self.base_d
        limit = TIE * self.rss * abs(float(observed.b[0] - null * observed.slope[0]))
        if limit == 0:
            return self.permutations.total
        whole, left = self._half(z, first=True)
        _, right = self._half(z, first=False)
        count = 0
        for state, sums in left.items():
            other = right.get(tuple((whole - state).tolist()))
            if other is not None:
                other = np.sort(other)
                above = len(other) - np.searchsorted(other, limit - base - sums, side="left")
                below = np.searchsorted(other, -limit - base - sums, side="right")
                count += int(above.sum() + below.sum())
        return count

    def _half(self, z: Floats, *, first: bool) -> tuple[Ints, dict[State, Floats]]:
        """Sums over one half of the groups for every choice of their labels, by how often each label was used.

        A state counts the labels by (stratum, label); also returned: the state of all groups.
        """
        labels, strata, n_paths = self.permutations.labels, self.permutations.strata, len(z)
        stratum = np.concatenate([np.full(len(members), s) for s, members in enumerate(strata)])
        order = np.concatenate(strata)
        whole = np.bincount(stratum * n_paths + labels[order], minlength=len(strata) * n_paths)
        half = slice(0, len(order) // 2) if first else slice(len(order) // 2, None)
        layer: dict[State, Floats] = {(0,) * len(whole): np.zeros(1)}
        for g, s in zip(order[half].tolist(), stratum[half].tolist(), strict=True):
            longer: dict[State, list[Floats]] = {}
            for state, sums in layer.items():
                for c in range(n_paths):
                    i = s * n_paths + c
                    if state[i] < whole[i]:
                        grown = (*state[:i], state[i] + 1, *state[i + 1 :])
                        longer.setdefault(grown, []).append(sums + z[c, g])
            layer = {state: np.concatenate(parts) for state, parts in longer.items()}
        return whole, layer


def linear_count(kernel: RegressionKernel, paths: Paths, permutations: Permutations) -> LinearCount | None:
    """Prepare the count; None where the residual sum of squares depends on the assignment, or the halves are too large.

    Parameters
    ----------
    kernel : RegressionKernel
        Of one cluster: columns are a constant part if there is one, then one per (path > 0, group).
    paths : Paths
    permutations : Permutations
    """
    labels = paths.labels
    n_paths, n_groups = len(paths.table), len(labels)
    constant = kernel.roots.shape[1] - (n_paths - 1) * n_groups
    if n_paths ** (n_groups - n_groups // 2) > MOST_SUMS:
        return None
    gram = kernel.roots.T @ kernel.roots
    if not _exchangeable(gram, constant, n_paths - 1, permutations.strata):
        return None

    def contributions(row: Floats) -> Floats:
        return np.vstack([np.zeros(n_groups), row[constant:].reshape(n_paths - 1, n_groups)])

    y, d = kernel.with_y[0], kernel.with_d[0]
    vector = np.concatenate([np.ones(constant), *((labels == c).astype(np.float64) for c in range(1, n_paths))])
    return LinearCount(
        y=contributions(y),
        d=contributions(d),
        base_y=float(y[:constant].sum()),
        base_d=float(d[:constant].sum()),
        rss=float(vector @ gram @ vector),
        permutations=permutations,
    )


def _exchangeable(gram: Floats, constant: int, n_paths: int, strata: Sequence[Ints]) -> bool:
    """Whether swapping two groups of a stratum never changes a'(gram)a."""
    tolerance = CONSTANT * float(np.abs(gram).max())
    n = (len(gram) - constant) // n_paths

    def equal(values: Floats) -> bool:
        return values.size == 0 or bool(np.ptp(values) <= tolerance)

    for c in range(n_paths):
        block = slice(constant + c * n, constant + (c + 1) * n)
        if not all(equal(gram[k, block][s]) for k in range(constant) for s in strata):
            return False
        for e in range(n_paths):
            part = gram[block, constant + e * n : constant + (e + 1) * n]
            for s in strata:
                if not equal(np.diag(part)[s]):
                    return False
                for other in strata:
                    values = part[np.ix_(s, other)]
                    if not equal(values[~np.eye(len(s), dtype=bool)] if s is other else values.ravel()):
                        return False
    return True
