"""The imputation estimator of Borusyak, Jaravel and Spiess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.econometrics.cells import Rows, cells_of, estimate_of, weights_frame
from pipeline.econometrics.covariance import cluster_sums, crv1_factor
from pipeline.econometrics.design import Codes, Effects, Floats, interact, listed
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.twfe import estimate
from pipeline.econometrics.untreated import Booleans, Untreated, fit_untreated, restrict
from pipeline.errors import EstimationError

AVERAGES = ("cohort-period", "event-time", "all")


def imputation(
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
    pretrends: int = 0,
    average_by: str = "cohort-period",
    leave_out: bool = False,
    unimputable: str = "raise",
    level: float = 0.95,
) -> Estimate:
    """Impute untreated outcomes of treated rows from the untreated rows, and average the differences.

    Borusyak, Jaravel and Spiess (2024, Review of Economic Studies 91, 3253–3285). Fixed effects, slopes and controls
    are fitted by least squares on the rows that are not yet or never treated; an effect is the outcome less its fitted
    value. The variance is the conservative clustered one of their theorem 3 (equation 7): Σ over clusters of (Σ v·ε̃)²,
    where v are the weights of the estimator on the outcomes and ε̃ the residuals of the untreated rows and, in treated
    rows, effects less their average τ̃ over ``average_by`` groups (equation 8, as in the authors' ``did_imputation``).

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time); rows with a missing value in a used column are left out and counted in ``meta``.
    outcome : str
    unit, time : str
        Key columns; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    controls : sequence of str
        Further regressors of the untreated outcome.
    by_time : sequence of str
        Unit-constant columns that get a coefficient in every period.
    effects : sequence of str or tuple of str, optional
        Fixed effects of the untreated outcome; None is (unit, time).
    cluster : str, optional
        Clusters of the errors; None is ``unit``.
    weights : str, optional
        Positive weights, both in the fit and in the averages.
    aggregate : {"simple", "dynamic", "group", "calendar"}
        What ``table`` has a row for: the average of all treated rows; each event time; each cohort; each period.
        ``att`` is the average of all treated rows; the mean over event times; the mean over cohorts in proportion to
        their units; the mean over periods.
    horizons : sequence of int, optional
        With "dynamic": the event times ≥ 0 to report; None is all of them.
    pretrends : int
        Adds coefficients of event times –pretrends … –1 from a regression on the untreated rows alone (equation 9),
        with CRV1 and t(G – 1); the reference is everything earlier. ``wald(estimate, "pre")`` tests them jointly.
    average_by : {"cohort-period", "event-time", "all"}
        Groups of treated rows with a common τ̃: the coarser, the more conservative. Small cohorts need coarse groups.
    leave_out : bool
        Leave a cluster out of the τ̃ that its own effects are compared with (``leaveout`` of ``did_imputation``).
    unimputable : {"raise", "exclude"}
        What to do with treated rows that the untreated ones say nothing about (an always-treated unit, a period in
        which everyone is treated): refuse, or leave them out and say so in ``meta``.
    level : float
        Confidence level; the normal is the reference of every effect.

    Returns
    -------
    Estimate
        ``weights`` has the weight of each row in ``att`` (they and the outcomes multiply to it) and its effect. A row
        of ``table`` all of whose τ̃ groups are one cluster has no variance of its own: its standard error is missing
        and ``meta["no_variance"]`` names it.

    Raises
    ------
    EstimationError
        Treated rows that cannot be imputed (the message names unit and period), nobody or everybody treated, a cohort
        that changes within a unit, horizons that do not occur, fewer than two clusters, or leave-out averages of groups
        that are one cluster.
    CollinearityError
        A control or by_time column is a combination of others in the untreated rows.
    """
    if average_by not in AVERAGES:
        raise EstimationError(f"average_by {average_by!r} is not one of {', '.join(AVERAGES)}")
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
    cells = cells_of(fitted, aggregate, name=cohort, time=time, horizons=horizons)
    targets = cells.targets(fitted.weights)
    v = fitted.influence(targets)
    residuals, alone = _residuals(fitted, targets, average_by, leave_out)
    (clusters,) = fitted.design.clusters.values()
    rows = Rows(
        terms=cells.terms,
        event_time=cells.event_time,
        cohort=cells.cohort,
        estimates=targets.T @ fitted.gaps,
        influence=cluster_sums(v * residuals, clusters),
        contrast=cells.contrast,
        no_variance=alone,
        df=np.full(len(cells.terms), np.inf),
    )
    if pretrends:
        rows = _with_leads(fitted, rows, cohort, pretrends)
    meta = {
        "estimator": "imputation (Borusyak, Jaravel and Spiess)",
        "covariance": f"conservative clustered, averages by {average_by}{', leave-out' if leave_out else ''}",
        "aggregate": aggregate,
        "weights": weights or "",
    }
    return estimate_of(fitted, rows, level, weights_frame(fitted, unit, time, v @ cells.contrast), meta)


def _residuals(fitted: Untreated, targets: Floats, average_by: str, leave_out: bool) -> tuple[Floats, Booleans]:
    """Residuals ε̃ by row of the panel and of the table; and which rows of the table rest on groups of one cluster."""
    treated = fitted.treated
    (clusters,) = fitted.design.clusters.values()
    group = _groups(fitted, average_by)
    pair = interact([group, Codes(clusters.ids[treated], clusters.labels)])
    parent = np.zeros(pair.n, dtype=np.intp)
    parent[pair.ids] = group.ids
    by_parent = Codes(parent, group.labels)
    omega, effects = targets[treated], fitted.gaps[treated, None]
    sums = cluster_sums(omega, pair)  # Σ of v over the rows of a cluster in a group
    squares, members = cluster_sums(sums**2, by_parent), cluster_sums((sums > 0).astype(np.float64), by_parent)
    numerator = cluster_sums(sums[pair.ids] * omega * effects, group)
    average = np.where(squares > 0, numerator, 0.0) / np.where(squares > 0, squares, 1.0)
    residuals = np.repeat(fitted.gaps[:, None], targets.shape[1], axis=1)
    residuals[treated] = effects - average[group.ids]
    if leave_out:
        single = [group.labels[g] for g in np.flatnonzero((members == 1).any(axis=1))]
        if single:
            raise EstimationError(f"leave-out averages need two clusters in every group; one alone in {listed(single)}")
        rest = squares[group.ids] - sums[pair.ids] ** 2
        residuals[treated] *= np.where(rest > 0, squares[group.ids], 1.0) / np.where(rest > 0, rest, 1.0)
    return residuals, np.asarray((members <= 1).all(axis=0))


def _groups(fitted: Untreated, average_by: str) -> Codes:
    """Groups of treated rows that share a τ̃."""
    since, ids = np.unique(fitted.since[fitted.treated], return_inverse=True)
    if average_by == "all":
        return Codes(np.zeros(len(ids), dtype=np.intp), ["all treated rows"])
    names = [f"event time {int(s)}" for s in since]
    if average_by == "event-time":
        return Codes(ids.astype(np.intp), list(names))
    starts, cohort = np.unique(fitted.first[fitted.treated], return_inverse=True)
    joint, ids = np.unique(cohort * len(since) + ids, return_inverse=True)
    labels = [f"cohort {int(starts[j // len(since)])} at {names[j % len(since)]}" for j in joint]
    return Codes(ids.astype(np.intp), list(labels))


def _with_leads(fitted: Untreated, rows: Rows, name: str, count: int) -> Rows:
    """Put before the rows the coefficients of leads –count … –1 in a regression on the untreated rows."""
    untreated = ~fitted.treated
    leads, since = np.arange(-count, 0), fitted.since[untreated]
    absent = [int(e) for e in leads if not (since == e).any()]
    if absent:
        raise EstimationError(f"pretrends={count}, but no untreated row used lies at event time {listed(absent)}")
    design = restrict(fitted.design, untreated)
    design = replace(
        design,
        X=np.hstack([(since[:, None] == leads).astype(np.float64), design.X]),
        terms=(*(f"{name} at event time {e}" for e in leads), *design.terms),
        n_treatments=count,
    )
    regression, coefficients, cov, _ = estimate(design, "CRV1")
    (clusters,) = fitted.design.clusters.values()
    inside = Codes(clusters.ids[untreated], clusters.labels)
    scores = regression.X * regression.residuals[:, None] @ regression.inverse[:, :count]
    scores = cluster_sums(scores, inside) * np.sqrt(crv1_factor(regression, cov.n_clusters))
    alone = np.array([len(np.unique(inside.ids[since == e])) == 1 for e in leads])
    return Rows(
        terms=[name] * count + rows.terms,
        event_time=[*leads.tolist(), *rows.event_time],
        cohort=[*[None] * count, *rows.cohort],
        estimates=np.r_[coefficients[:count], rows.estimates],
        influence=np.hstack([scores, rows.influence]),
        contrast=np.r_[np.zeros(count), rows.contrast],
        no_variance=np.r_[alone, rows.no_variance],
        df=np.r_[np.full(count, cov.n_clusters - 1.0), rows.df],
    )
