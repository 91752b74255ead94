"""The two-way fixed-effects coefficient as an average of two-group, two-period comparisons."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import first_treated, period_values
from pipeline.econometrics.design import Design, Floats, build, listed
from pipeline.errors import EstimationError

COMPARISONS = ("earlier v later", "later v earlier", "treated v untreated", "treated v always treated")


def bacon_decomposition(
    panel: pd.DataFrame, outcome: str, *, unit: str, time: str, cohort: str, detail: bool = False
) -> pd.DataFrame:
    """Decompose the TWFE coefficient of 1[period ≥ cohort] into 2 × 2 differences in differences.

    Goodman-Bacon (2021, Journal of Econometrics 225, 254–277), theorem 1: with n the units of two timing groups and D
    the share of periods in which a group is treated, the weights are in proportion to n₁n₂(D₁ – D₂)(1 – D₁) where the
    earlier group 1 is compared with the later 2 before that is treated, n₁n₂D₂(D₁ – D₂) where the later is compared
    with the earlier after that is treated, n₁n₀D₁(1 – D₁) against the never treated (D₀ = 0) and n₁n₂D₂(1 – D₂) where
    group 1 is always treated (D₁ = 1).

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), every unit in every period.
    outcome : str
    unit, time : str
        Key columns; ``time`` is numeric.
    cohort : str
        First treated period of the unit; infinite or missing for never treated. A cohort after the last period counts
        as never treated, one at or before the first as always treated; cohorts with the same first treated period in
        the panel are one group.
    detail : bool
        One row a pair of groups rather than a type of comparison.

    Returns
    -------
    DataFrame
        ``comparison`` ("earlier v later", "later v earlier", "treated v untreated", "treated v always treated", those
        that occur), ``weight`` (they sum to one) and ``estimate``, the weighted mean of the pairs; with ``detail``
        also ``treated`` and ``control``: the groups' first treated periods (infinite: never, minus infinite: always).
        Σ weight·estimate is the coefficient of :func:`two_way_fe`.

    Raises
    ------
    EstimationError
        Units that lack a period (named), no two groups that differ, or as in :func:`event_study`.
    """
    design = build(panel, outcome, [], unit=unit, time=time)
    first = first_treated(panel, design, cohort)
    _check_balanced(design)
    outcomes = design.y.reshape(design.unit.n, design.time.n)  # rows of a design are sorted by unit and time
    starts = np.searchsorted(period_values(design), first[:: design.time.n])
    pairs = _pairs(outcomes, starts)
    if not pairs:
        raise EstimationError(f"there is no comparison: all units have the same treatment path according to {cohort!r}")
    table = pd.DataFrame(pairs, columns=["comparison", "treated", "control", "weight", "estimate"])
    table["weight"] /= table["weight"].sum()
    if detail:
        labels = np.r_[-np.inf, period_values(design)[1:], np.inf]
        for column in ("treated", "control"):
            table[column] = labels[table[column].to_numpy()]
        return table[["comparison", "treated", "control", "weight", "estimate"]]
    rows = [(name, *_total(table[table["comparison"] == name])) for name in COMPARISONS]
    return pd.DataFrame([r for r in rows if r[1] > 0], columns=["comparison", "weight", "estimate"])


def _check_balanced(design: Design) -> None:
    periods = np.bincount(design.unit.ids)
    short = [
        f"{design.unit.labels[u]} ({periods[u]} of {design.time.n} periods)"
        for u in np.flatnonzero(periods < design.time.n)
    ]
    if short:
        raise EstimationError(f"the decomposition needs every unit in every period; incomplete: {listed(short)}")


def _pairs(outcomes: Floats, starts: np.ndarray) -> list[tuple[str, int, int, float, float]]:
    """Comparison, positions of the two groups' first treated periods, unscaled weight and 2 × 2 estimate."""
    n_periods = outcomes.shape[1]
    groups, sizes = np.unique(starts, return_counts=True)
    means = np.array([outcomes[starts == g].mean(axis=0) for g in groups])
    share = (n_periods - groups) / n_periods  # of periods treated
    found = []
    for i, early in enumerate(groups):
        for j, late in enumerate(groups[i + 1 :], start=i + 1):
            n, gap = float(sizes[i] * sizes[j]), means[i] - means[j]
            if early > 0:  # the earlier as treated, until the later is
                before, after = gap[:early].mean(), gap[early:late].mean()
                name = COMPARISONS[2] if late == n_periods else COMPARISONS[0]
                weight = n * (share[i] - share[j]) * (1 - share[i])
                found.append((name, int(early), int(late), weight, float(after - before)))
            if late < n_periods:  # the later as treated, from when the earlier is
                before, after = gap[early:late].mean(), gap[late:].mean()
                name = COMPARISONS[3] if early == 0 else COMPARISONS[1]
                weight = n * share[j] * (share[i] - share[j])
                found.append((name, int(late), int(early), weight, float(before - after)))
    return found


def _total(rows: pd.DataFrame) -> tuple[float, float]:
    weight, estimate = rows["weight"].to_numpy(np.float64), rows["estimate"].to_numpy(np.float64)
    total = float(weight.sum())
    return total, float(weight @ estimate) / total if total else float("nan")
