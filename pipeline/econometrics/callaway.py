"""Callaway and Sant'Anna (2021): group-time effects, aggregated, with the aggregation's own sampling error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.econometrics.aggregation import AGGREGATES, Mean, Row, headline, mean_of, table_rows, variances
from pipeline.econometrics.design import Floats
from pipeline.econometrics.event import sup_t
from pipeline.econometrics.group_time import (
    BASE_PERIODS,
    CONTROL_GROUPS,
    METHODS,
    Cells,
    Sample,
    group_time_effects,
    prepare,
)
from pipeline.econometrics.influence import (
    interquartile_errors,
    multiplier_bootstrap,
    simultaneous_critical_value,
)
from pipeline.econometrics.results import Estimate, t_interval, tidy
from pipeline.errors import EstimationError


def callaway_santanna(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    covariates: Sequence[str] = (),
    method: str = "dr",
    control_group: str = "never_treated",
    base_period: str = "varying",
    anticipation: int = 0,
    aggregate: str = "dynamic",
    cluster: str | None = None,
    draws: int = 0,
    seed: int | None = None,
    weights: str | None = None,
    level: float = 0.95,
    bands: bool = True,
    multiplier: str = "rademacher",
    term: str | None = None,
) -> Estimate:
    """Effects by cohort and period, and their averages, as the R package did (att_gt, aggte) computes them.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), every unit in every period: an incomplete unit is an error, never dropped. Units
        already treated in the first period (plus anticipation) have no pre period and are not used, neither as
        treated nor as controls; ``meta["always_treated"]`` names them.
    outcome, unit, time : str
        ``time`` is numeric; gaps are allowed.
    cohort : str
        First treated period, infinite or missing for never treated. Units treated after the last period (plus
        anticipation) count as never treated and are named in ``meta``.
    covariates : sequence of str
        Parallel trends hold given these; values of the earlier of the two periods compared. A constant is added.
    method : {"dr", "regression", "ipw"}
        drdid_panel, reg_did_panel or std_ipw_did_panel; no propensity score is trimmed.
    control_group : {"never_treated", "not_yet_treated"}
        Without a never-treated unit the first is an error; with the second the last cohort is then a control only, and
        the periods from its treatment on are left out.
    base_period : {"varying", "universal"}
        Base of the periods before treatment: the period just before, or the last one before treatment (and
        anticipation) for all of them; that one is zero without a standard error.
    anticipation : int
        Periods before treatment in which effects may already occur.
    aggregate : {"simple", "group", "dynamic", "calendar", "cells"}
        Rows of ``table``: all post cells in one mean, cohorts, event times, calendar periods (term "calendar t"), or
        every ATT(g, t) with its cohort and event time.
    cluster : str, optional
        Holds whole units; None is ``unit``.
    draws : int
        0: analytic standard errors. Else that many draws of the multiplier bootstrap: standard errors from
        interquartile ranges, bands from max |t|.
    seed : int, optional
        Of the draws; None is 0.
    weights : str, optional
        Positive sampling weights, constant within units.
    level : float
    bands : bool
        Whether to compute bands that are simultaneous over the rows; without draws from the multivariate normal.
    multiplier : {"rademacher", "mammen"}
    term : str, optional
        Name in ``table``; None is the name of ``cohort``.

    Returns
    -------
    Estimate
        ``att`` averages the rows: all post cells by cohort size ("simple", "cells"), cohorts by size ("group"), event
        times ≥ 0 equally ("dynamic"), periods equally ("calendar"). Standard errors include that cohort sizes are
        estimated; normal intervals (df infinite). ``vcov`` is analytic in every case. ``weights`` has the weight of
        each cell in ``att``. A row that rests only on cohorts of one cluster (or on controls of one cluster) has no
        standard error, ``meta["no_variance"]`` names it; where such cohorts are averaged with others,
        ``meta["variance_omits"]`` names them.

    Raises
    ------
    EstimationError
        Incomplete units (named), no never-treated unit, no overlap in a cell (named), weights or clusters that change
        within units.
    CollinearityError
        A covariate is a combination of the others among the controls of a cell.
    """
    _check(method, control_group, base_period, aggregate, anticipation, draws)
    names = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    sample = prepare(
        panel,
        outcome,
        unit=unit,
        time=time,
        cohort=cohort,
        covariates=names,
        control_group=control_group,
        anticipation=anticipation,
        cluster=cluster,
        weights=weights,
    )
    cells = group_time_effects(
        sample, method=method, control_group=control_group, base_period=base_period, anticipation=anticipation
    )
    rows = table_rows(cells, aggregate, term or cohort)
    means = [mean_of(sample, cells, row) for row in rows]
    means.append(headline(sample, cells, rows, means, aggregate))
    influence = np.column_stack([mean.influence for mean in means])
    vcov, notes = variances(sample, cells, rows, means, influence)
    se, critical = np.sqrt(np.diag(vcov)), np.nan
    known = se > 0
    if draws:
        errors = multiplier_bootstrap(influence, sample.clusters, draws=draws, seed=seed or 0, multiplier=multiplier)
        se = np.where(known, interquartile_errors(errors), np.nan)
        critical = simultaneous_critical_value(errors[:, :-1], se[:-1], level) if bands else np.nan
    elif bands:
        critical = sup_t(vcov[:-1, :-1], np.inf, level, seed or 0)
    se = np.where(known, se, np.nan)
    meta = {
        "estimator": "Callaway–Sant'Anna",
        "method": method,
        "control_group": control_group,
        "base_period": base_period,
        "anticipation": str(anticipation),
        "aggregate": aggregate,
        "covariates": ", ".join(names),
        "weights": weights or "",
        "draws": f"{draws} ({multiplier}, seed {seed or 0})" if draws else "",
        "band_critical_value": f"{critical:.6f}",
        **notes,
    }
    return _assemble(sample, cells, rows, means, se, vcov, critical, level, meta)


def _check(method: str, control_group: str, base_period: str, aggregate: str, anticipation: int, draws: int) -> None:
    choices = {
        "method": (method, METHODS),
        "control_group": (control_group, CONTROL_GROUPS),
        "base_period": (base_period, BASE_PERIODS),
        "aggregate": (aggregate, AGGREGATES),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise EstimationError(f"{name} {value!r} is not one of {', '.join(allowed)}")
    for name, number in (("anticipation", anticipation), ("draws", draws)):
        if number < 0 or number != int(number):
            raise EstimationError(f"{name} must be a whole number from 0 on, not {number}")


def _assemble(
    sample: Sample,
    cells: Cells,
    rows: list[Row],
    means: list[Mean],
    se: Floats,
    vcov: Floats,
    critical: float,
    level: float,
    meta: dict[str, str],
) -> Estimate:
    table = tidy(
        [row.term for row in rows],
        [mean.estimate for mean in means[:-1]],
        se[:-1],
        np.inf,
        level,
        event_time=[row.event_time for row in rows],
        cohort=[row.cohort for row in rows],
        critical=critical,
    )
    base = [row.event_time for row in rows if cells.is_base[row.members].all()]
    if meta["aggregate"] == "dynamic" and len(base) == 1:
        meta["reference"] = str(base[0])
    att, std_error = means[-1].estimate, float(se[-1])
    low, high, p = t_interval(att, std_error, np.inf, level)
    treated = np.isin(sample.first, sample.cohorts)
    sizes = ", ".join(f"{g:g} ({int((sample.first == g).sum())})" for g in sample.cohorts)
    frame = pd.DataFrame({"cohort": cells.cohort, "period": cells.period, "weight": means[-1].weights})
    return Estimate(
        att=att,
        std_error=std_error,
        df=float("inf"),
        ci=(float(low), float(high)),
        p_value=float(p),
        level=level,
        table=table,
        vcov=vcov[:-1, :-1],
        weights=frame[frame["weight"] > 0].reset_index(drop=True),
        n_obs=sample.outcomes.size,
        n_units=len(sample.first),
        n_treated=int(treated.sum()),
        n_clusters=sample.clusters.n,
        n_treated_clusters=len(np.unique(sample.clusters.ids[treated])),
        meta={
            "covariance": f"influence function, {sample.clusters.n} clusters, normal",
            "clusters": f"{sample.cluster_name} ({sample.clusters.n})",
            "cohorts": sizes,
            **sample.notes,
            **meta,
        },
    )
