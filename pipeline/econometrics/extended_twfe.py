"""Extended two-way fixed effects of Wooldridge: one effect for each cohort and period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.econometrics.absorb import Projector
from pipeline.econometrics.design import Design, Floats, build, encode
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import (
    Cells,
    Staggered,
    averages,
    check_reference,
    make_cells,
    staggered,
    summarise,
)
from pipeline.econometrics.twfe import estimate
from pipeline.errors import EstimationError

GROUPS = ("not_yet_treated", "never_treated")


def extended_twfe(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    covariates: Sequence[str] = (),
    control_group: str = "not_yet_treated",
    intercepts: str = "unit",
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    aggregate: str = "dynamic",
    level: float = 0.95,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """Two-way fixed effects saturated in cohort × period (Wooldridge 2021, equations 6.33 and 7.2).

    Parameters
    ----------
    panel, outcome, unit, time, weights, cluster, covariance, level
        As in :func:`two_way_fe`; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    covariates : sequence of str
        Each enters with a slope by period and by cohort, and demeaned by cohort with a slope in every cell. Constant
        within units, as the theory has them; others are taken as they are.
    control_group : {"not_yet_treated", "never_treated"}
        With "never_treated" the periods before treatment have cells too, all but the last one before it.
    intercepts : {"unit", "cohort"}
        Unit effects (Stata's ``jwdid``) or cohort effects (R's ``etwfe``): the same effects on a balanced panel with
        covariates constant within units; the count of parameters in the standard error differs.
    aggregate : {"dynamic", "simple", "group", "calendar", "cells"}
        Rows of ``table``: by event time; over all treated rows; by cohort; by period; or every cell. Cells weigh by
        their treated rows, with the covariates at the values of those rows.
    bands : bool
        Whether to compute simultaneous bands over the event times.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        ``att`` is the mean effect over the treated rows ("simple"), whatever ``aggregate`` is; variances are those of
        the coefficients, shares and covariate means counting as known. Units treated in every period are left out;
        cohorts treated after the last period are controls; without an untreated unit the last cohort is the control and
        the periods from its treatment on are left out. ``meta`` names all of these. An effect that rests on the treated
        of one cluster has no standard error.

    Raises
    ------
    EstimationError
        Unknown option, no control, or as in :func:`two_way_fe`.
    CollinearityError
        A cell, or a covariate's slope in a cell, is not identified; the message names it.
    """
    if control_group not in GROUPS:
        raise EstimationError(f"control_group {control_group!r} is not one of {', '.join(GROUPS)}")
    if intercepts not in ("unit", "cohort"):
        raise EstimationError(f"intercepts {intercepts!r} is not one of unit, cohort")
    design = build(
        panel, outcome, [], unit=unit, time=time, controls=covariates, weights=weights,
        cluster=unit if cluster is None else cluster,
    )  # fmt: skip
    sample = staggered(panel, design, cohort)
    treated, since = np.isfinite(sample.first), sample.period - sample.first
    if control_group == "never_treated":
        check_reference(sample, -1)
        cells = make_cells(sample, treated & (since != -1))
    else:
        cells = make_cells(sample, treated & (since >= 0))
    if intercepts == "cohort":
        effects = {cohort: encode(pd.Series(sample.first)), time: sample.design.time}
        sample = replace(sample, design=replace(sample.design, effects=effects))
    columns = _columns(sample, cells, cohort, time)
    fitted, coefficients, cov, meta = estimate(columns.design, covariance)
    reference = -1 if control_group == "never_treated" else None
    rows = averages(cells, aggregate, (cohort, time), columns.effect, reference=reference)
    headline = averages(cells, "simple", (cohort, time), columns.effect)[0]
    meta = {"estimator": "ETWFE", "control_group": control_group, "aggregate": aggregate} | meta | sample.notes
    meta |= {"controls": "", "covariates": ", ".join(covariates), "slopes_left_out": columns.left_out}
    meta |= {"weights": weights or ""}
    meta |= {"reference": "-1"} if reference is not None else {}
    return summarise(
        fitted, coefficients, cov, rows, headline,
        level=level, treated=treated, meta=meta, bands=bands and aggregate == "dynamic", seed=seed,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Columns:
    design: Design  # cells, slopes in cells, then slopes by cohort and period
    effect: Floats  # (C, K): mean effect of each cell as a combination of coefficients
    left_out: str  # slopes in cells that are identically zero


def _columns(sample: Staggered, cells: Cells, cohort: str, time: str) -> _Columns:
    design, dummies = sample.design, cells.dummies
    names = [f"{cohort} {g:g} at event time {e}" for g, e in zip(cells.cohort, cells.event_time, strict=True)]
    blocks, terms, left_out = [dummies], list(names), []
    slopes: list[tuple[int, float]] = []
    mass = np.ones(design.n) if design.weights is None else design.weights
    for name, x in zip(design.terms, design.X.T, strict=True):
        centred = _demeaned(x, sample.first, mass)
        for c, cell in enumerate(names):
            column = dummies[:, c] * centred
            if np.abs(column).max() <= 1e-12 * max(np.abs(x).max(), 1e-300):
                left_out.append(f"{name} in {cell}")
                continue
            slopes.append((c, float(np.average(column, weights=mass * dummies[:, c]))))
            blocks.append(column[:, None])
            terms.append(f"{name} in {cell}")
    nuisance, labels = _nuisance(sample, cohort, time)
    kept = Projector.on(list(design.effects.values()), design.n, design.weights).with_columns(nuisance)[1]
    blocks.append(nuisance[:, kept])
    terms += [labels[j] for j in kept]
    effect = np.eye(len(names), len(terms))
    for j, (c, mean) in enumerate(slopes):
        effect[c, len(names) + j] = mean
    shown = len(names) + len(slopes)
    design = replace(design, X=np.hstack(blocks), terms=tuple(terms), n_treatments=shown)
    return _Columns(design, effect, ", ".join(left_out))


def _nuisance(sample: Staggered, cohort: str, time: str) -> tuple[Floats, list[str]]:
    """Slopes of each covariate: overall, by cohort and by period; those that the effects imply are dropped later."""
    columns, labels = [np.empty((sample.design.n, 0))], []
    cohorts = np.unique(sample.first[np.isfinite(sample.first)])
    for name, x in zip(sample.design.terms, sample.design.X.T, strict=True):
        columns.append(x[:, None])
        columns.append(x[:, None] * (sample.first[:, None] == cohorts))
        columns.append(x[:, None] * (sample.period[:, None] == np.unique(sample.period)[1:]))
        labels += [name, *(f"{name} in {cohort} {g:g}" for g in cohorts)]
        labels += [f"{name} in {time} {t:g}" for t in np.unique(sample.period)[1:]]
    return np.hstack(columns), labels


def _demeaned(x: Floats, groups: Floats, mass: Floats) -> Floats:
    ids = np.unique(groups, return_inverse=True)[1].ravel()
    return x - (np.bincount(ids, weights=x * mass) / np.bincount(ids, weights=mass))[ids]
