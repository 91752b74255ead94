"""The weights that two-way fixed effects attach to the effects of single cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import event_time, first_treated
from pipeline.econometrics.design import Effects, Floats, build
from pipeline.econometrics.fit import fit, partial_out_controls
from pipeline.errors import EstimationError

ALIKE = 1e-9  # a standard deviation of the weights relative to their mean below which they are all alike
ZERO = 1e-7  # a residual below this share of the largest is zero: the cell has no weight


def twfe_weights(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    treatment: str | None = None,
    cohort: str | None = None,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
) -> pd.DataFrame:
    """Weights w of the TWFE coefficient as Σ w·effect over the treated cells, under common trends.

    De Chaisemartin and D'Haultfœuille (2020, American Economic Review 110, 2964–2996), theorem 1 and corollary 1: a
    cell's weight is in proportion to treatment × residual of the treatment on effects and controls. A negative weight
    means that a larger effect there lowers the coefficient.

    Parameters
    ----------
    panel, outcome, unit, time, controls, by_time, effects, weights
        As in :func:`two_way_fe`.
    treatment : str
        Treatment, not negative; or
    cohort : str
        Column with the first treated period; infinite or missing for never treated. One of the two.

    Returns
    -------
    DataFrame
        A row for each cell with treatment: ``unit`` and ``time`` under their own names, and ``weight``; they sum to
        one. ``attrs`` has ``coefficient``, the numbers ``positive`` and ``negative`` of weights and their sums
        ``sum_positive`` and ``sum_negative``, ``sigma_zero``: the smallest standard deviation of effects between cells
        at which the average effect may be zero (infinite if all weights are alike), and ``sigma_opposite``: the
        smallest at which all effects may have the other sign (infinite if no weight is negative).

    Raises
    ------
    EstimationError
        Neither or both of treatment and cohort, a negative treatment, or as in :func:`two_way_fe`.
    CollinearityError
        The treatment or a control is a combination of others.
    """
    if (treatment is None) == (cohort is None):
        raise EstimationError("name either a treatment or a cohort column")
    design = build(
        panel,
        outcome,
        [] if treatment is None else [treatment],
        unit=unit,
        time=time,
        controls=controls,
        by_time=by_time,
        effects=effects,
        weights=weights,
    )
    if cohort is not None:
        since = event_time(design, first_treated(panel, design, cohort))
        on = (np.isfinite(since) & (since >= 0)).astype(np.float64)
        terms = (f"period ≥ {cohort}", *design.terms)
        design = replace(design, X=np.column_stack([on, design.X]), terms=terms, n_treatments=1)
    dose = design.X[:, 0]
    if (dose < 0).any():
        raise EstimationError(f"treatment {treatment!r} is negative in {int((dose < 0).sum())} rows")
    fitted = fit(design)
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    residuals = partial_out_controls(fitted).residual(dose) / root
    residuals[np.abs(residuals) <= ZERO * np.abs(residuals).max()] = 0.0
    cells = np.flatnonzero(dose)
    mass = (root**2 * dose)[cells] / (root**2 * dose)[cells].sum()
    ratio = residuals[cells] / float(mass @ residuals[cells])
    table = pd.DataFrame(
        {
            unit: np.array(design.unit.labels)[design.unit.ids[cells]],
            time: np.array(design.time.labels)[design.time.ids[cells]],
            "weight": mass * ratio,
        }
    )
    table.attrs.update(_summary(table["weight"].to_numpy(), mass, ratio, float(fitted.coefficients[0])))
    return table


def _summary(weight: Floats, mass: Floats, ratio: Floats, coefficient: float) -> dict[str, float]:
    spread = float(np.sqrt(mass @ (ratio - 1) ** 2))
    return {
        "coefficient": coefficient,
        "positive": int((weight > 0).sum()),
        "negative": int((weight < 0).sum()),
        "sum_positive": float(weight[weight > 0].sum()),
        "sum_negative": float(weight[weight < 0].sum()),
        "sigma_zero": abs(coefficient) / spread if spread > ALIKE else float("inf"),
        "sigma_opposite": _sigma_opposite(mass, ratio, coefficient),
    }


def _sigma_opposite(mass: Floats, ratio: Floats, coefficient: float) -> float:
    """Corollary 1 (ii): the effects that are moved are those of the cells with the lowest ratios."""
    if not (ratio < 0).any():
        return float("inf")
    order = np.argsort(ratio, kind="stable")
    m, w = mass[order], ratio[order]
    share, first, second = np.cumsum(m), np.cumsum(m * w), np.cumsum(m * w**2)
    below = np.flatnonzero(w[:-1] * (1 - share[:-1]) < -first[:-1])
    last = below[-1]
    return abs(coefficient) / float(np.sqrt(second[last] + first[last] ** 2 / (1 - share[last])))
