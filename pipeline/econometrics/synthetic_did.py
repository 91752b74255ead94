"""Synthetic difference in differences, with synthetic control and plain DiD as special cases."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Design, Floats, Ints, build, is_nested, listed
from pipeline.econometrics.results import Estimate, t_interval
from pipeline.econometrics.simplex import (
    Weights,
    effect_table,
    frank_wolfe,
    gap_text,
    outcomes_by_period,
    root_mean_square,
    simplex_least_squares,
    weight_table,
)
from pipeline.errors import EstimationError

SUBSETS = 5_000  # control subsets up to which every one is a placebo
DRAWS = 1_000  # placebos drawn where there are more
RIDGE = 1e-6  # of the time weights and of "sc", in units of the noise: it only makes the solution unique
NAMES = {"sdid": "synthetic DiD", "sc": "synthetic control", "did": "difference in differences"}
SOLVERS = {"frank_wolfe": "Frank–Wolfe as in R synthdid", "exact": "exact"}


@dataclass(frozen=True, eq=False)
class _Block:
    """Outcomes by unit and period; the treated units all start in period ``start``."""

    Y: Floats
    treated: Ints
    controls: Ints
    start: int

    def curve(self, unit_weights: Floats, time_weights: Floats) -> Floats:
        """Gaps between the treated and the weighted controls, by period, less their weighted mean before treatment."""
        gaps = self.Y[self.treated].mean(axis=0) - unit_weights @ self.Y[self.controls]
        return np.asarray(gaps - time_weights @ gaps[: self.start])

    def part(self, treated: Ints, controls: Ints) -> _Block:
        """Return the same outcomes for fewer units, or with other units taken for treated."""
        return _Block(self.Y, treated, controls, self.start)


@dataclass(frozen=True)
class _Rule:
    """How weights are found; the penalties are those of the full sample in every placebo and leave-one-out."""

    method: str
    solver: str
    noise: float
    unit_penalty: float

    def fit(self, block: _Block) -> tuple[Weights, Weights]:
        """Unit and time weights of a block."""
        before = block.Y[:, : block.start]
        controls = before[block.controls]
        n, t = controls.shape
        if self.method == "did":
            return Weights(np.full(n, 1 / n), 0.0), Weights(np.full(t, 1 / t), 0.0)
        target = before[block.treated].mean(axis=0)
        if self.method == "sc":
            return self._solve(controls.T, target, t * self.unit_penalty**2), Weights(np.zeros(t), 0.0)
        units = self._solve(*_centred(controls.T, target), t * self.unit_penalty**2)
        after = block.Y[block.controls, block.start :].mean(axis=1)
        return units, self._solve(*_centred(controls, after), n * (RIDGE * self.noise) ** 2)

    def _solve(self, A: Floats, b: Floats, ridge: float) -> Weights:
        if self.solver == "exact":
            return simplex_least_squares(A, b, ridge)
        return frank_wolfe(A, b, ridge, self.noise)


@dataclass(frozen=True, eq=False)
class _Spread:
    """Standard error, and what it was found from."""

    std_error: float
    note: dict[str, str]
    placebos: pd.DataFrame | None = None
    n_clusters: int = 0
    n_treated_clusters: int = 0


def synthetic_did(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    treatment: str,
    method: str = "sdid",
    inference: str = "placebo",
    cluster: str | None = None,
    seed: int | None = None,
    draws: int | None = None,
    level: float = 0.95,
    solver: str = "frank_wolfe",
    recompute: bool = False,
) -> Estimate:
    """Estimate the effect on a block of treated units by reweighting controls and pre-treatment periods.

    The unit weights ω minimise, with an intercept, the squared distance of the weighted controls from the mean of the
    treated over the T₀ periods before treatment, plus ζ²T₀‖ω‖², ζ = (N₁T₁)^¼·σ̂, σ̂ the standard deviation of the
    controls' first differences; the time weights λ the distance of the weighted earlier periods from the mean later
    one over the controls. The effect is the mean later gap between treated and weighted controls less the λ-weighted
    earlier one. Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), Algorithms 1, 3 and 4.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), every unit in every period.
    outcome : str
    unit, time : str
        Key columns; the order of periods is that of the sorted labels.
    treatment : str
        1 in treated cells, else 0; all treated units start in one period and stay treated.
    method : {"sdid", "sc", "did"}
        "sc": no intercept, no time weights, no penalty to speak of; "did": equal weights.
    inference : {"placebo", "jackknife"}
        Placebo: the standard deviation (about the mean, divisor r) of r estimates in which controls stand for the
        treated: every subset of that size if there are no more than ``draws``, else random ones. Jackknife:
        (G – 1)/G Σ(τ₍g₎ – τ̄)² over units, or clusters, left out.
    cluster : str, optional
        What the jackknife leaves out at a time; None is the unit.
    seed : int, optional
        Of random placebos; None is 0.
    draws : int, optional
        Random placebos; None draws 1,000 where there are more than 5,000 subsets, and enumerates otherwise.
    level : float
        Confidence level; intervals are normal, as in the paper.
    solver : {"frank_wolfe", "exact"}
        The algorithm of R's synthdid, whose stopping rule is part of the published numbers, or the exact minimum of
        the same problem. They differ where Frank–Wolfe stops early: Proposition 99 is –15.6038 by the first and
        –15.6054 by the second. ``meta["duality_gap"]`` says how far from the minimum the weights are.
    recompute : bool
        Whether the jackknife finds new weights for each sample (with the penalties of the full one), or keeps λ and
        renormalises ω over the controls that are left (Algorithm 3).

    Returns
    -------
    Estimate
        ``table``: the effect, then one row a period by event time with the gap less its λ-weighted mean, without a
        standard error; ``weights``: kind ("unit", "time"), label, weight; ``placebos``: units, estimate and pre_rmse,
        the root mean square of those rows before treatment.

    Raises
    ------
    EstimationError
        Units that lack a period, several start dates, a treatment that is not 0/1 or ends, no control, fewer than two
        earlier periods (one for "did"), no more controls than treated units for placebos.
    """
    _check_choice(method, tuple(NAMES), "method")
    _check_choice(inference, ("placebo", "jackknife"), "inference")
    _check_choice(solver, tuple(SOLVERS), "solver")
    if cluster is not None and inference == "placebo":
        raise EstimationError("cluster is what the jackknife leaves out; placebos permute units")
    design = build(panel, outcome, [treatment], unit=unit, time=time, cluster=cluster or unit)
    block = _block(design, treatment, 1 if method == "did" else 2)
    rule = _rule(block, method, solver)
    units, times = rule.fit(block)
    curve = block.curve(units.shares, times.shares)
    att = float(curve[block.start :].mean())
    if inference == "placebo":
        spread = _placebos(block, rule, design.unit.labels, att, draws, seed or 0)
    else:
        spread = _leave_one_out(block, rule, design, units.shares, times.shares, recompute)
    periods = design.time.labels
    table, vcov = effect_table(treatment, periods, block.start, att, curve, spread.std_error, level)
    low, high, p = t_interval(att, spread.std_error, np.inf, level)
    return Estimate(
        att=att,
        std_error=spread.std_error,
        df=np.inf,
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=table,
        vcov=vcov,
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=len(block.treated),
        n_clusters=spread.n_clusters,
        n_treated_clusters=spread.n_treated_clusters,
        weights=weight_table(
            unit=([design.unit.labels[u] for u in block.controls], units.shares),
            time=(periods[: block.start], times.shares),
        ),
        placebos=spread.placebos,
        meta={
            "estimator": NAMES[method],
            "solver": "equal weights" if method == "did" else SOLVERS[solver],
            "duality_gap": gap_text(max(units.gap, times.gap)),
            "noise": f"{rule.noise:.8g}",
            "unit_penalty": f"{rule.unit_penalty:.8g}",
            "pre_rmse": f"{root_mean_square(curve[: block.start]):.8g}",
            "treated_units": ", ".join(str(design.unit.labels[u]) for u in block.treated),
            "first_treated": str(periods[block.start]),
            **spread.note,
            **design.left_out,
        },
    )


def _check_choice(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise EstimationError(f"{name} {value!r} is not one of {', '.join(known)}")


def _block(design: Design, treatment: str, fewest: int) -> _Block:
    """Check the treatment block and take it apart."""
    Y = outcomes_by_period(design, "synthetic DiD")
    D = design.X[:, 0].reshape(Y.shape)
    labels, periods = design.unit.labels, design.time.labels
    if not np.isin(D, (0.0, 1.0)).all():
        raise EstimationError(f"treatment {treatment!r} must be 0 or 1")
    treated = np.flatnonzero(D.any(axis=1))
    controls = np.flatnonzero(~D.any(axis=1))
    if not len(treated) or not len(controls):
        raise EstimationError(f"{treatment!r} leaves no {'treated' if not len(treated) else 'control'} unit")
    starts = D[treated].argmax(axis=1)
    ended = treated[(np.diff(D[treated], axis=1) < 0).any(axis=1)]
    if len(ended):
        raise EstimationError(f"{treatment!r} ends in {listed([labels[u] for u in ended])}; it must last")
    if len(np.unique(starts)) > 1:
        dates = [f"{periods[s]}: {listed([labels[u] for u in treated[starts == s]])}" for s in np.unique(starts)]
        raise EstimationError(f"all treated units must start in one period; {treatment!r} has {'; '.join(dates)}")
    if starts[0] < fewest:
        raise EstimationError(f"at least {fewest} periods before treatment are needed, {int(starts[0])} found")
    return _Block(Y, treated.astype(np.intp), controls.astype(np.intp), int(starts[0]))


def _rule(block: _Block, method: str, solver: str) -> _Rule:
    changes = np.diff(block.Y[block.controls, : block.start], axis=1)
    noise = float(np.std(changes, ddof=1)) if changes.size > 1 else 0.0  # of one change there is none
    cells = len(block.treated) * (block.Y.shape[1] - block.start)
    return _Rule(method, solver, noise, noise * (RIDGE if method == "sc" else cells**0.25))


def _centred(A: Floats, b: Floats) -> tuple[Floats, Floats]:
    return A - A.mean(axis=0), b - b.mean()


def _placebos(block: _Block, rule: _Rule, labels: list[object], att: float, draws: int | None, seed: int) -> _Spread:
    """Estimates with controls in the place of the treated units, which are left out."""
    size, pool = len(block.treated), block.controls
    if len(pool) <= size:
        raise EstimationError(f"placebos need more controls than treated units; there are {len(pool)} and {size}")
    total = comb(len(pool), size)
    exact = total <= (SUBSETS if draws is None else draws)
    rng = np.random.default_rng(seed)
    random = (np.sort(rng.choice(pool, size, replace=False)) for _ in range(draws or DRAWS))
    rows = []
    for chosen in combinations(pool, size) if exact else random:
        placebo = block.part(np.array(chosen), np.setdiff1d(pool, chosen))
        curve = placebo.curve(*(w.shares for w in rule.fit(placebo)))
        names = ", ".join(str(labels[u]) for u in chosen)
        rows.append((names, float(curve[block.start :].mean()), root_mean_square(curve[: block.start])))
    frame = pd.DataFrame(rows, columns=["units", "estimate", "pre_rmse"])
    how = f"all {total}" if exact else f"{len(rows)} drawn of {total}, seed {seed}"
    as_large = int((frame["estimate"].abs() >= abs(att) * (1 - 1e-9)).sum())
    note = {
        "inference": f"placebo: {how} subsets of {size} controls",
        "placebo_p_value": f"{(1 + as_large) / (1 + len(rows)):.6f}",
    }
    return _Spread(float(np.std(frame["estimate"])), note, frame)


def _leave_one_out(
    block: _Block, rule: _Rule, design: Design, unit_weights: Floats, time_weights: Floats, recompute: bool
) -> _Spread:
    """Estimates without each cluster; no standard error, and the reason, where one of them cannot be had."""
    name, codes = next(iter(design.clusters.items()))
    if not is_nested(design.unit, codes):
        raise EstimationError(f"cluster {name!r} must be constant within units")
    group = codes.ids[:: design.time.n]
    note = {"inference": f"jackknife over {codes.n} of {name}, {'new' if recompute else 'renormalised'} weights"}
    taus = np.full(codes.n, np.nan)
    for g in range(codes.n):
        stays = group[block.controls] != g
        rest = block.part(block.treated[group[block.treated] != g], block.controls[stays])
        if not len(rest.treated) or not len(rest.controls):
            note["no_variance"] = f"{codes.labels[g]} holds every {'control' if len(rest.treated) else 'treated'} unit"
        elif recompute:
            taus[g] = rest.curve(*(w.shares for w in rule.fit(rest)))[rest.start :].mean()
        elif unit_weights[stays].sum() > 0:
            kept = unit_weights[stays] / unit_weights[stays].sum()
            taus[g] = rest.curve(kept, time_weights)[rest.start :].mean()
        else:
            note["no_variance"] = f"{codes.labels[g]} holds all the weight of the controls"
    se = float(np.sqrt((codes.n - 1) * np.var(taus)))
    return _Spread(se, note, None, codes.n, len(np.unique(group[block.treated])))
