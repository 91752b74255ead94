"""The two-stage estimator of Gardner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.cells import Rows, cells_of, estimate_of, weights_frame
from pipeline.econometrics.covariance import cluster_sums
from pipeline.econometrics.design import Effects
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.untreated import fit_untreated


def two_stage(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    cluster: str | None = None,
    weights: str | None = None,
    aggregate: str = "simple",
    horizons: Sequence[int] | None = None,
    reference: int | None = -1,
    unimputable: str = "raise",
    level: float = 0.95,
) -> Estimate:
    """Regress outcomes, less what fixed effects and controls fitted to the untreated rows say, on treatment.

    Gardner (2022, arXiv:2207.05943); Butts and Gardner (2022, The R Journal 14, 162–173). The first stage is fitted on
    the rows that are not yet or never treated; the second regresses the gaps of all rows on one dummy for each row of
    ``table``, without a constant. The covariance is that of the two stages as one GMM problem, clustered, without a
    small-sample factor (section 3.3 of Gardner; the default of the R package did2s).

    Parameters
    ----------
    panel, outcome, unit, time, cohort, controls, by_time, effects, cluster, weights, unimputable, level
        As in :func:`imputation`.
    aggregate : {"simple", "dynamic", "group", "calendar"}
        The dummies of the second stage: any treatment; event times, those below 0 included; cohorts; periods. ``att``
        is the one coefficient; the mean over event times ≥ 0; the mean over cohorts in proportion to their units; the
        mean over periods.
    horizons : sequence of int, optional
        With "dynamic": the event times ≥ 0 to report; None is all of them.
    reference : int, optional
        With "dynamic": the event time below 0 that gets no dummy; None leaves none out. No estimate depends on it; with
        unit effects the coefficients below 0, weighted by their rows, sum to zero, so that one of them is redundant.

    Returns
    -------
    Estimate
        ``weights`` has the weight of each row in ``att`` (they and the outcomes multiply to it) and its effect. A
        coefficient that rests on one cluster has no variance of its own: its standard error is missing and
        ``meta["no_variance"]`` names it.

    Raises
    ------
    EstimationError, CollinearityError
        As in :func:`imputation`.
    """
    fitted = fit_untreated(
        panel,
        outcome,
        unit=unit,
        time=time,
        cohort=cohort,
        controls=controls,
        by_time=by_time,
        effects=effects,
        cluster=cluster,
        weights=weights,
        unimputable=unimputable,
    )
    before = fitted.since[fitted.since < 0]
    leads = [e for e in sorted({int(e) for e in before}) if e != reference] if aggregate == "dynamic" else []
    cells = cells_of(fitted, aggregate, name=cohort, time=time, horizons=horizons, leads=leads)
    targets = cells.targets(fitted.weights)
    v = fitted.influence(targets)
    coefficients = targets.T @ fitted.gaps
    (clusters,) = fitted.design.clusters.values()
    rows = Rows(
        terms=cells.terms,
        event_time=cells.event_time,
        cohort=cells.cohort,
        estimates=coefficients,
        influence=cluster_sums(v * fitted.gaps[:, None] - targets * coefficients, clusters),
        contrast=cells.contrast,
        no_variance=np.array([len(np.unique(clusters.ids[column])) == 1 for column in cells.members.T]),
        df=np.full(len(cells.terms), np.inf),
    )
    meta = {
        "estimator": "two-stage (Gardner)",
        "covariance": "GMM, clustered",
        "aggregate": aggregate,
        "weights": weights or "",
    }
    if aggregate == "dynamic" and reference is not None:
        meta["reference"] = str(reference)
    return estimate_of(fitted, rows, level, weights_frame(fitted, unit, time, v @ cells.contrast), meta)
