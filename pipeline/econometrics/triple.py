"""Triple difference: treatment × exposure over units, industries and periods, with all two-way effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.econometrics.cohorts import event_time, first_treated
from pipeline.econometrics.design import Design, Floats, Ints, build, check_columns, encode, listed, to_float
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.saturated import Average, Bools, coefficient_rows, summarise
from pipeline.econometrics.twfe import assemble, coefficient_table, estimate
from pipeline.errors import EstimationError


def triple_difference(
    panel: pd.DataFrame,
    outcome: str,
    treatment: str | Sequence[str],
    exposure: str,
    *,
    unit: str,
    industry: str,
    time: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    level: float = 0.95,
) -> Estimate:
    """Least squares on treatment × exposure with unit × industry, industry × time and unit × time effects.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, industry, time).
    outcome : str
    treatment : str or sequence of str
        Columns that vary by unit and time; the first one's product with ``exposure`` is the headline.
    exposure : str
        Numeric column, constant in time within a (unit, industry).
    unit, industry, time : str
        Key columns.
    controls : sequence of str
        Further regressors, shown after the products.
    by_time : sequence of str
        Unit-constant columns; their products with ``exposure`` get a coefficient in every period.
    weights, cluster, covariance, level
        As in :func:`two_way_fe`; clusters are ``unit`` when None.

    Returns
    -------
    Estimate
        ``table`` has a row for each treatment, named "treatment × exposure", then the controls. ``n_units`` and
        ``n_treated`` count units, not unit × industry pairs.

    Raises
    ------
    EstimationError
        See :func:`pipeline.econometrics.design.build`, the key being (unit × industry, time); an exposure that changes
        in time.
    CollinearityError
        A product is a combination of the effects and of the columns before it.
    """
    treatments = [treatment] if isinstance(treatment, str) else list(treatment)
    frame, products, slopes = _products(panel, treatments, by_time, exposure)
    design, _, units = _design(
        frame, outcome, products, (unit, industry, time), exposure,
        controls=controls, by_time=slopes, weights=weights, cluster=cluster,
    )  # fmt: skip
    fitted, coefficients, cov, meta = estimate(design, covariance)
    table = coefficient_table(design.terms, coefficients, cov, level)
    treated = np.asarray(design.X[:, : design.n_treatments].any(axis=1))
    meta = {"estimator": "triple difference", "exposure": exposure, "weights": weights or ""} | meta
    result = assemble(fitted, table, cov, np.eye(len(coefficients))[0], level, treated, meta)
    return _by_unit(result, units, treated)


def triple_event_study(
    panel: pd.DataFrame,
    outcome: str,
    exposure: str,
    *,
    unit: str,
    industry: str,
    time: str,
    cohort: str,
    reference: int = -1,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
    covariance: str = "CRV1",
    exclude: Sequence[int] = (),
    level: float = 0.95,
    term: str | None = None,
    bands: bool = True,
    seed: int = 0,
) -> Estimate:
    """Event study of the triple difference: exposure × a dummy for every event time but the reference.

    Parameters
    ----------
    panel, outcome, exposure, unit, industry, time, controls, by_time, weights, cluster, covariance, level
        As in :func:`triple_difference`; ``time`` is numeric.
    cohort : str
        Column with the first treated period of the unit; infinite or missing for never treated.
    reference : int
        Event time whose effect is set to zero; it stands in ``table`` with estimate 0 and no standard error.
    exclude : sequence of int
        Event times that are estimated but belong to no test, to no band and not to ``att``.
    term : str, optional
        Name in ``table``; None is "cohort × exposure".
    bands : bool
        Whether to compute the simultaneous bands.
    seed : int
        Of the draws behind them.

    Returns
    -------
    Estimate
        As :func:`event_study`: ``att`` is the mean of the coefficients at event times ≥ 0 that are not excluded.

    Raises
    ------
    EstimationError, CollinearityError
        As in :func:`triple_difference` and :func:`event_study`.
    """
    frame, _, slopes = _products(panel, [], by_time, exposure)
    name = term or f"{cohort}×{exposure}"
    design, exposed, units = _design(
        frame, outcome, [], (unit, industry, time), exposure,
        controls=controls, by_time=slopes, weights=weights, cluster=cluster,
    )  # fmt: skip
    since = event_time(design, first_treated(frame, design, cohort))
    times = sorted({int(e) for e in since[np.isfinite(since)]})
    if reference not in times:
        raise EstimationError(f"no row used lies at the reference event time {reference}; there are {times}")
    free = [e for e in times if e != reference]
    after = [e for e in free if e >= 0 and e not in exclude]
    if not after:
        raise EstimationError("no event time ≥ 0 is left to average: all are excluded or absent")
    dummies = (since[:, None] == np.array(free)) * exposed[:, None]
    terms = (*(f"{name} at event time {e}" for e in free), *design.terms)
    design = replace(design, X=np.hstack([dummies, design.X]), terms=terms, n_treatments=len(free))
    fitted, coefficients, cov, meta = estimate(design, covariance)
    place, empty = dict(zip(free, np.eye(len(coefficients)), strict=False)), np.zeros(len(coefficients))
    rows = [Average(name, place.get(e, empty), since == e, e) for e in times]
    headline = Average(name, np.mean([place[e] for e in after], axis=0), np.isin(since, after))
    meta = {"estimator": "triple event study", "reference": str(reference), "exposure": exposure} | meta
    meta |= {"weights": weights or "", "excluded": ", ".join(str(e) for e in free if e in exclude)}
    treated = np.isfinite(since)
    result = summarise(
        fitted, coefficients, cov, [*rows, *coefficient_rows(design, len(free))], headline,
        level=level, treated=treated, meta=meta, bands=bands, exclude=exclude, seed=seed,
    )  # fmt: skip
    return _by_unit(result, units, treated)


def _products(
    panel: pd.DataFrame, treatments: Sequence[str], by_time: Sequence[str], exposure: str
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """A frame with the products with the exposure, and their names."""
    check_columns(panel, [*treatments, *by_time, exposure])
    exposed = to_float(panel, exposure)
    products = {f"{name}×{exposure}": to_float(panel, name) * exposed for name in (*treatments, *by_time)}
    names = list(products)
    return panel.assign(**products), names[: len(treatments)], names[len(treatments) :]


def _design(
    frame: pd.DataFrame,
    outcome: str,
    products: Sequence[str],
    keys: tuple[str, str, str],
    exposure: str,
    *,
    controls: Sequence[str],
    by_time: Sequence[str],
    weights: str | None,
    cluster: str | Sequence[str] | None,
) -> tuple[Design, Floats, Ints]:
    """Design with the pair (unit, industry) as its unit; exposure and code of the unit by row."""
    unit, industry, time = keys
    check_columns(frame, list(keys))
    pair, both = f"{unit}×{industry}", frame[[unit, industry]].notna().all(axis=1)
    labels = (frame[unit].astype(str) + " × " + frame[industry].astype(str)).where(both)
    design = build(
        frame.assign(**{pair: labels}),
        outcome,
        products,
        unit=pair,
        time=time,
        controls=[*controls, exposure],
        by_time=by_time,
        effects=((unit, industry), (industry, time), (unit, time)),
        weights=weights,
        cluster=unit if cluster is None else cluster,
    )
    exposed = design.X[:, -1]
    first = exposed[np.unique(design.unit.ids, return_index=True)[1]]
    moving = np.unique(design.unit.ids[exposed != first[design.unit.ids]])
    if len(moving):
        pairs = listed([design.unit.labels[u] for u in moving])
        raise EstimationError(f"exposure {exposure!r} must be constant in time; it changes in {pairs}")
    design = replace(design, X=design.X[:, :-1], terms=design.terms[:-1])
    return design, exposed, encode(frame[unit].iloc[design.rows]).ids


def _by_unit(result: Estimate, units: Ints, treated: Bools) -> Estimate:
    return replace(result, n_units=len(np.unique(units)), n_treated=len(np.unique(units[treated])))
