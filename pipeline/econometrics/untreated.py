"""The model of untreated outcomes: fitted where nobody is treated, subtracted everywhere.

Fixed effects, by_time × period and controls are estimated on the untreated rows alone; what each row lies above its
fitted value is the raw material of the imputation and of the two-stage estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.absorb import Groups, Projector
from pipeline.econometrics.cohorts import event_time, first_treated
from pipeline.econometrics.design import Codes, Design, Effects, Floats, build, listed
from pipeline.errors import CollinearityError, EstimationError

Booleans = NDArray[np.bool_]
UNSUPPORTED = 1e-7  # a row lies outside the span of the untreated rows if it misses it by this share of the spread


@dataclass(frozen=True, eq=False)
class Untreated:
    """Rows with their distance from the fitted untreated outcome.

    Attributes
    ----------
    design : Design
        The rows used: all untreated rows, and the treated rows that can be imputed.
    first, since : ndarray, (n,)
        First treated period and periods since then; infinite for never treated.
    treated : ndarray of bool, (n,)
    gaps : ndarray, (n,)
        Outcome minus fitted untreated outcome: an effect in treated rows, a residual in the others.
    group, mass : ndarray, (n,), (groups,)
        Level of the fixed effect that is removed by means, and the weight of its untreated rows.
    deviations : ndarray, (n, q)
        Independent columns of the rest, less the means of the untreated rows of the group.
    basis, triangle : ndarray, (untreated rows, q), (q, q)
        √w·deviations of the untreated rows = basis @ triangle, basis orthonormal.
    left_out : dict of str
        Text for ``meta``: treated rows that could not be imputed.
    """

    design: Design
    first: Floats
    since: Floats
    treated: Booleans
    gaps: Floats
    group: NDArray[np.intp]
    mass: Floats
    deviations: Floats
    basis: Floats
    triangle: Floats
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> Floats:
        """Weights of the rows; ones where there are none."""
        return np.ones(self.design.n) if self.design.weights is None else self.design.weights

    def influence(self, targets: Floats) -> Floats:
        """Weights v on the outcomes with Σ v·y = Σ target·gap, columns (n, r)."""
        out, control, w = targets.copy(), ~self.treated, self.weights
        totals = np.zeros((len(self.mass), targets.shape[1]))
        np.add.at(totals, self.group, targets)
        shares = (totals / self.mass[:, None])[self.group[control]]
        slopes = self.basis @ np.linalg.solve(self.triangle.T, self.deviations.T @ targets)
        out[control] -= w[control, None] * shares + np.sqrt(w[control, None]) * slopes
        return out


def fit_untreated(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    controls: Sequence[str],
    by_time: Sequence[str],
    effects: Effects,
    cluster: str | None,
    weights: str | None,
    unimputable: str,
) -> Untreated:
    """Check the panel and fit the untreated rows; keywords as in :func:`imputation`."""
    if unimputable not in ("raise", "exclude"):
        raise EstimationError(f"unimputable {unimputable!r} is not one of raise, exclude")
    design = build(
        panel,
        outcome,
        [],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    if len(design.clusters) != 1:
        raise EstimationError(f"one column of clusters, not {tuple(design.clusters)}")
    name, clusters = next(iter(design.clusters.items()))
    if clusters.n < 2:
        raise EstimationError(f"cluster {name!r} has {clusters.n} group: the variance needs at least 2")
    first = first_treated(panel, design, cohort)
    since = event_time(design, first)
    treated = np.isfinite(since) & (since >= 0)
    if not treated.any():
        raise EstimationError("no row used is treated: every cohort starts after the last period")
    if treated.all():
        raise EstimationError("every row used is treated: there is nothing to impute from")
    fitted, outside = _fit(design, first, since, treated)
    if not outside.any():
        return fitted
    message = _outside_message(design, outside)
    if unimputable == "raise":
        raise EstimationError(f"{message}; unimputable='exclude' leaves these rows out")
    if (outside | ~treated).all():
        raise EstimationError(f"{message}: no treated row is left")
    keep = ~outside
    fitted, _ = _fit(restrict(design, keep), first[keep], since[keep], treated[keep])
    units = [str(design.unit.labels[u]) for u in np.unique(design.unit.ids[outside])]
    text = {"rows_not_imputed": str(int(outside.sum())), "units_with_rows_not_imputed": ", ".join(units)}
    return replace(fitted, left_out=text)


def restrict(design: Design, keep: Booleans) -> Design:
    """Return the design of some rows, labels without rows dropped."""

    def part(codes: Codes) -> Codes:
        present, ids = np.unique(codes.ids[keep], return_inverse=True)
        return Codes(ids.astype(np.intp), [codes.labels[p] for p in present])

    return replace(
        design,
        y=design.y[keep],
        X=design.X[keep],
        by_time={name: column[keep] for name, column in design.by_time.items()},
        effects={name: part(codes) for name, codes in design.effects.items()},
        clusters={name: part(codes) for name, codes in design.clusters.items()},
        weights=None if design.weights is None else design.weights[keep],
        unit=part(design.unit),
        time=part(design.time),
        rows=design.rows[keep],
    )


def _fit(design: Design, first: Floats, since: Floats, treated: Booleans) -> tuple[Untreated, Booleans]:
    """Fit the untreated rows; also say which treated rows lie outside their span."""
    control = ~treated
    constant = Codes(np.zeros(design.n, dtype=np.intp), [0])
    absorbed, *others = sorted(design.effects.values(), key=lambda e: -e.n) or [constant]
    columns, names = _columns(design, others)
    present, ids = np.unique(absorbed.ids[control], return_inverse=True)
    codes = Codes(ids.astype(np.intp), list(present))
    position = np.full(absorbed.n, -1, dtype=np.intp)
    position[present] = np.arange(len(present))
    group = position[absorbed.ids]
    weights = None if design.weights is None else design.weights[control]
    groups = Groups.of(codes, weights)
    moved = _about_means(np.column_stack([columns, design.y]), control, group, groups)
    projector, kept = Projector.on([codes], int(control.sum()), weights).with_columns(columns[control])
    _check_kept(design, names, kept)
    root = 1.0 if weights is None else np.sqrt(weights)[:, None]
    coordinates = projector.basis.T @ (root * moved[control])
    triangle = coordinates[:, kept]
    solved = np.linalg.solve(triangle, coordinates)
    rest = moved - moved[:, kept] @ solved  # zero where a column is what the untreated rows say, the gap in the last
    spread = np.abs(columns - columns.mean(axis=0)).max(axis=0, initial=0.0)
    outside = treated & ((group < 0) | (np.abs(rest[:, :-1]) > UNSUPPORTED * spread + 1e-300).any(axis=1))
    fitted = Untreated(
        design=design,
        first=first,
        since=since,
        treated=treated,
        gaps=rest[:, -1],
        group=group,
        mass=groups.mass,
        deviations=moved[:, kept],
        basis=projector.basis,
        triangle=triangle,
    )
    return fitted, outside


def _columns(design: Design, effects: Sequence[Codes]) -> tuple[Floats, list[str]]:
    """Dummies, by_time × period and controls of every row, with the name a column is known by ("" for dummies)."""
    periods = np.eye(design.time.n)[design.time.ids]
    blocks = [np.eye(e.n)[e.ids] for e in effects] + [x[:, None] * periods for x in design.by_time.values()]
    names = [""] * sum(e.n for e in effects) + [name for name in design.by_time for _ in range(design.time.n)]
    return np.hstack([*blocks, design.X]), [*names, *design.terms]


def _about_means(columns: Floats, control: Booleans, group: NDArray[np.intp], groups: Groups) -> Floats:
    """Deviations from the group means of the untreated rows, the first of which is subtracted before a mean is taken.

    Rows of a group without untreated rows get those of another group; they cannot be imputed and are never used.
    """
    out = columns - columns[control][groups.order[groups.starts]][group]
    for _ in range(2):
        inside = out[control] if groups.weights is None else out[control] * groups.weights[:, None]
        out = out - (np.add.reduceat(inside[groups.order], groups.starts, axis=0) / groups.mass[:, None])[group]
    return np.asarray(out)


def _check_kept(design: Design, names: Sequence[str], kept: Sequence[int]) -> None:
    found = {names[j] for j in kept}
    lost = [name for name in (*design.by_time, *design.terms) if name not in found]
    if lost:
        raise CollinearityError(
            f"in the untreated rows {', '.join(map(repr, lost))} is a combination of the fixed effects "
            f"({', '.join(design.effects) or 'a constant'}) and the columns before it: drop one"
        )


def _outside_message(design: Design, outside: Booleans) -> str:
    periods: dict[object, list[object]] = {}
    for r in np.flatnonzero(outside):
        periods.setdefault(design.unit.labels[design.unit.ids[r]], []).append(design.time.labels[design.time.ids[r]])
    units = [f"{u} in {t[0]}" + (f"–{t[-1]} ({len(t)} rows)" if len(t) > 1 else "") for u, t in periods.items()]
    return f"{int(outside.sum())} treated rows cannot be imputed from the untreated rows: {listed(units)}"
