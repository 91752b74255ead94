"""Interaction-weighted event study of Sun and Abraham."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Effects, build
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import (
    averages,
    check_reference,
    coefficient_rows,
    make_cells,
    staggered,
    summarise,
)
from pipeline.econometrics.twfe import estimate


def sun_abraham(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    reference: int = -1,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    aggregate: str = "dynamic",
    level: float = 0.95,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """Event study by cohort × event time, averaged with cohort shares (Sun and Abraham 2021, J. Econometrics 225).

    One dummy for each cohort and event time but the reference, in a regression with unit and period effects (their
    equation 26); the coefficients are averaged with the shares of the cohorts among the rows at each event time
    (equation 27). The shares count as known, as in fixest's ``sunab``.

    Parameters
    ----------
    panel, outcome, unit, time, controls, by_time, effects, weights, cluster, covariance, level
        As in :func:`two_way_fe`; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    reference : int
        Event time whose effect is zero in every cohort.
    aggregate : {"dynamic", "simple", "group", "calendar", "cells"}
        Rows of ``table``: by event time; over all treated rows; by cohort or by period over the treated rows; or every
        cohort × event time.
    bands : bool
        Whether to compute simultaneous bands over the event times.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        ``att`` is the mean effect over the treated rows used (event time ≥ 0), whatever ``aggregate`` is: fixest's
        ``agg = "att"``. ``vcov`` is by row of ``table``; controls stand below the effects. Units treated in every
        period are left out; cohorts treated after the last period are controls; without an untreated unit the last
        cohort is the control and the periods from its treatment on are left out. ``meta`` names all of these. An effect
        that rests on the treated of one cluster has no standard error.

    Raises
    ------
    EstimationError
        A cohort has no row at the reference, there is no control, or as in :func:`two_way_fe`.
    CollinearityError
        An effect is a combination of the other columns; the message names it.
    """
    design = build(
        panel, outcome, [], unit=unit, time=time, controls=controls, by_time=by_time, effects=effects,
        weights=weights, cluster=unit if cluster is None else cluster,
    )  # fmt: skip
    sample = staggered(panel, design, cohort)
    check_reference(sample, reference)
    treated = np.isfinite(sample.first)
    cells = make_cells(sample, treated & (sample.period - sample.first != reference))
    names = [f"{cohort} {g:g} at event time {e}" for g, e in zip(cells.cohort, cells.event_time, strict=True)]
    design = replace(
        sample.design,
        X=np.hstack([cells.dummies, sample.design.X]),
        terms=(*names, *sample.design.terms),
        n_treatments=len(names),
    )
    fitted, coefficients, cov, meta = estimate(design, covariance)
    effect = np.eye(len(names), len(coefficients))
    rows = averages(cells, aggregate, (cohort, time), effect, reference=reference)
    headline = averages(cells, "simple", (cohort, time), effect)[0]
    meta = {"estimator": "Sun–Abraham", "weights": weights or "", "aggregate": aggregate} | meta | sample.notes
    meta |= {"reference": str(reference)}
    return summarise(
        fitted, coefficients, cov, [*rows, *coefficient_rows(design, len(names))], headline,
        level=level, treated=treated, meta=meta, bands=bands and aggregate == "dynamic", seed=seed,
    )  # fmt: skip
