"""Inference with few treated groups whose variance depends on their size (Ferman and Pinto 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.econometrics.assignments import observed_paths
from pipeline.econometrics.design import Design, Floats, Ints, build, check_columns, listed, to_float
from pipeline.econometrics.inversion import invert
from pipeline.econometrics.results import TestResult
from pipeline.errors import CollinearityError, EstimationError

TIE = 1 - 1e-9  # a draw counts if |b*| ≥ |b|·TIE
BATCH = 16_384


def ferman_pinto(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str,
    *,
    unit: str,
    time: str,
    cluster: str | None = None,
    size: str | None = None,
    by_time: Sequence[str] = (),
    draws: int = 9999,
    seed: int,
    null: float = 0.0,
    interval: bool = False,
    level: float = 0.95,
) -> TestResult:
    """Residual bootstrap of the difference in differences, rescaled by an estimated variance (REStat 101, 452–467).

    With W_j the change of group j, its mean after less its mean before, and h_j the weights of the regression of W on
    treatment (and ``by_time``), the estimate is Σ h_j W_j. The steps, q as in appendix A.4 of the paper:

    1. residuals Ŵ_j of W – null·treatment on a constant (and ``by_time``): the null is imposed;
    2. v_j = Â + B̂ q_j from the regression of Ŵ_j² on a constant and q_j, where q_j is what the sampling of the group's
       members contributes, Σ_t 1/M_jt over the squared number of periods, before plus after: 1/M_j up to a factor
       where the size M_j is constant. If some v_j ≤ 0 the negative one of Â and B̂ is left out: v_j = 1 or v_j = q_j.
       Without ``size`` v_j = 1, the test of Conley and Taber (2011, REStat 93, 113–125);
    3. Ŵ_j/√v_j are drawn with replacement, those of treated groups too; a draw's estimate is Σ h_j √v_j ε*_j.

    With a ``cluster`` the independent groups are clusters of units: Ŵ and q are means over units (q over their number
    once more), and the cluster's share in a draw has variance Â(Σh)² + B̂ Σh²q over its units. The paper has no
    ``by_time``; with K such columns the Ŵ are scaled up by √((N – 1)/(N – 1 – K)).

    Parameters
    ----------
    panel, outcome, unit, time
        As in :func:`two_way_fe`; every unit has a row before and one after. On a balanced panel the estimate is that
        of two-way fixed effects with ``by_time``, else that of the mean changes.
    treatment : str
        One path for the treated, constant before and after the change, and one for the others.
    cluster : str, optional
        Groups of units that share a shock; None is ``unit``.
    size : str, optional
        Positive column: how many observations, or people, are behind the row.
    by_time : sequence of str
        Columns constant within units, with a coefficient in every period.
    draws : int
    seed : int
    null, interval, level
        As in :func:`randomization_test`.

    Returns
    -------
    TestResult
        ``p_value`` = (1 + number of |b*| ≥ |b – null|)/(1 + draws), ``statistic`` b – null, ``distribution`` the b*.
        ``meta`` has Â, B̂ and the rule that gave v.

    Raises
    ------
    EstimationError
        A unit without a row before or after, a treatment with other paths, a size that is not positive, fewer than
        three groups beyond the regressors.
    CollinearityError
        Treatment or ``by_time`` are a combination of the others.
    """
    if draws < 1:
        raise EstimationError(f"draws must be positive, not {draws}")
    design = build(panel, outcome, [treatment], unit=unit, time=time, by_time=by_time, cluster=cluster or unit)
    changes = _changes(panel, treatment, unit, time, size, design)
    rng = np.random.default_rng(seed)
    picks = rng.integers(changes.n_groups, size=(draws, changes.n_groups))
    estimate = float(changes.h @ changes.w)

    def simulated(tau: float) -> Floats:
        errors, scale, _ = changes.model(tau)
        return np.concatenate([errors[picks[i : i + BATCH]] @ scale for i in range(0, draws, BATCH)])

    def p_value(tau: float) -> float:
        return float(1 + np.sum(np.abs(simulated(tau)) >= abs(estimate - tau) * TIE)) / (1 + draws)

    distribution = simulated(null)
    return TestResult(
        statistic=estimate - null,
        p_value=p_value(null),
        estimate=estimate,
        ci=invert(p_value, estimate, float(distribution.std()), 1 - level) if interval else None,
        draws=draws,
        distribution=distribution,
        meta={
            "test": f"Ferman–Pinto, {changes.n_groups} groups of {cluster or unit}",
            "null": repr(float(null)),
            "level": repr(level),
            "size": size or "",
            **changes.model(null)[2],
            **design.left_out,
        },
    )


@dataclass(frozen=True, eq=False)
class _Changes:
    """Mean changes by unit.

    Attributes
    ----------
    w, d : ndarray, (U,)
        Change of outcome and of treatment.
    h : ndarray, (U,)
        Weights of the estimate: h'w.
    restricted : ndarray, (U, 1 + K)
        Constant and ``by_time``.
    q : ndarray, (U,), or None
        Sampling variance of the change per unit of variance of one member.
    groups : ndarray of int, (U,)
    """

    w: Floats
    d: Floats
    h: Floats
    restricted: Floats
    q: Floats | None
    groups: Ints

    @property
    def n_groups(self) -> int:
        """Number of independent groups."""
        return int(self.groups.max()) + 1

    def model(self, null: float) -> tuple[Floats, Floats, dict[str, str]]:
        """Standardised residuals and scales of the groups, (G,) each, and text on the variance."""
        g, k = self.n_groups, self.restricted.shape[1] - 1
        free = (g - 1) / (g - 1 - k)
        imposed = self.w - null * self.d
        residual = imposed - self.restricted @ np.linalg.lstsq(self.restricted, imposed, rcond=None)[0]
        n = np.bincount(self.groups)
        mean = np.bincount(self.groups, weights=residual) / n * np.sqrt(free)
        h = np.bincount(self.groups, weights=self.h).astype(np.float64)
        if self.q is None:
            return mean, h, {"variance": "constant"}
        q = np.bincount(self.groups, weights=self.q) / n**2
        own = np.bincount(self.groups, weights=self.h**2 * self.q)
        a, b = np.linalg.lstsq(np.column_stack([np.ones(g), q]), mean**2, rcond=None)[0].tolist()
        rule = "A + B q"
        text = {"A": f"{a:.8g}", "B": f"{b:.8g}"}
        if ((a + b * q) <= 0).any():
            a, b, rule = (1.0, 0.0, "constant, since B < 0") if b < 0 else (0.0, 1.0, "proportional to q, since A < 0")
        scale = np.where(h < 0, -1.0, 1.0) * np.sqrt(a * h**2 + b * own)
        return np.asarray(mean / np.sqrt(a + b * q)), scale, {"variance": rule, **text}


def _changes(panel: pd.DataFrame, treatment: str, unit: str, time: str, size: str | None, design: Design) -> _Changes:
    """Mean changes, weights and sizes of the units; refuses what has no before and after."""
    paths = observed_paths(panel, treatment, unit, time, design.unit, design.time)
    steps = np.unique(paths.table[1] - paths.table[0])
    if len(paths.table) != 2 or len(steps) != 2 or 0 not in steps:
        raise EstimationError(f"{treatment!r} needs one treated path, which differs by a constant from some period on")
    ids, after = design.unit.ids, (paths.table[1] != paths.table[0])[design.time.ids]
    number = np.array([np.bincount(ids, weights=part, minlength=design.unit.n) for part in (after, ~after)])
    lone = np.flatnonzero((number == 0).any(axis=0))
    if len(lone):
        raise EstimationError(f"no row before or none after: {listed([design.unit.labels[u] for u in lone])}")

    def change(column: Floats, power: int = 1, sign: float = -1.0) -> Floats:
        """Sums after and before over number^power, added with this sign."""
        sums = np.array([np.bincount(ids, weights=column * part) for part in (after, ~after)]) / number**power
        return np.asarray(sums[0] + sign * sums[1])

    first = np.unique(ids, return_index=True)[1]
    restricted = np.column_stack([np.ones(design.unit.n), *(c[first] for c in design.by_time.values())])
    d = change(design.X[:, 0])
    h, groups = _weights(d, restricted, treatment, design)
    q = None if size is None else change(1 / _sizes(panel, size, design), power=2, sign=1.0)
    return _Changes(change(design.y), d, h, restricted, q, groups)


def _weights(d: Floats, restricted: Floats, treatment: str, design: Design) -> tuple[Floats, Ints]:
    """Weights of the regression of changes on treatment, and the group of each unit."""
    if np.linalg.matrix_rank(restricted) < restricted.shape[1]:
        raise CollinearityError(f"by_time ({', '.join(design.by_time)}): a column is a combination of the others")
    rest = d - restricted @ np.linalg.lstsq(restricted, d, rcond=None)[0]
    if rest @ rest <= 1e-18 * (d @ d):
        raise CollinearityError(f"treatment {treatment!r} is a combination of by_time ({', '.join(design.by_time)})")
    clusters = next(iter(design.clusters.values()))
    pairs = np.unique(np.column_stack([design.unit.ids, clusters.ids]), axis=0)
    if len(pairs) > design.unit.n:
        moving = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
        raise EstimationError(f"the cluster changes within {listed([design.unit.labels[u] for u in moving])}")
    if clusters.n < restricted.shape[1] + 3:
        raise EstimationError(f"{clusters.n} groups are too few for {restricted.shape[1]} regressors and a variance")
    return rest / (rest @ rest), pairs[:, 1]


def _sizes(panel: pd.DataFrame, size: str, design: Design) -> Floats:
    check_columns(panel, [size])
    values = to_float(panel, size)[design.rows]
    if not (values > 0).all():
        raise EstimationError(f"size {size!r} must be known and positive in every row used")
    return values
