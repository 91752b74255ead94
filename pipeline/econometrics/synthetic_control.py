"""Classic synthetic control at declared predictor weights, with a placebo for every donor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Design, Floats, Ints, build, check_columns, listed, to_float
from pipeline.econometrics.results import Estimate
from pipeline.econometrics.simplex import (
    Weights,
    effect_table,
    gap_text,
    outcomes_by_period,
    root_mean_square,
    simplex_least_squares,
    weight_table,
)
from pipeline.errors import EstimationError

Predictor = str | tuple[str, object] | tuple[str, object, str]
OPERATIONS: dict[str, Callable[..., Floats]] = {"mean": np.nanmean, "median": np.nanmedian}
PERFECT = 1e-9  # a fit error below this share of the outcome's standard deviation counts as zero


@dataclass(frozen=True, eq=False)
class _Predictors:
    """Predictors by unit, (k, N), their declared weights, and whether they have units of their own."""

    labels: list[object]
    matrix: Floats
    weights: Floats
    scaled: bool


def synthetic_control(
    panel: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    treated_unit: object,
    treatment_start: object,
    predictors: Sequence[Predictor] = (),
    V: str | Sequence[float] | None = None,
    placebos: bool = True,
    level: float = 0.95,
) -> Estimate:
    """Compare a treated unit with the weighted donors that resemble it most before treatment.

    The weights W ≥ 0, ΣW = 1, minimise (X₁ – X₀W)'V(X₁ – X₀W), where V is diagonal and declared, and each predictor is
    divided by its standard deviation over the units, as in the R package Synth; Abadie, Diamond and Hainmueller (2010),
    equation 1 and p. 496. Where several W fit equally well the one with the smallest sum of squares is taken, and
    ``meta`` says so. There is no standard error: a donor's placebo is the same estimate with that donor for treated
    and the other donors for controls, and ``p_value`` is the rank of the treated unit's ratio of root mean squared gaps
    after and before treatment among all J + 1, over J + 1 (equal ratios count against it).

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time), every unit in every period; the donors are all units but the treated one.
    outcome : str
    unit, time : str
        Key columns.
    treated_unit, treatment_start
        A label of ``unit``; the first treated label of ``time``.
    predictors : sequence of str or (name, periods) or (name, periods, operation)
        A name alone is its mean over all periods before treatment; periods a label or several; operation "mean" or
        "median". Missing values are left out of it. None at all: the outcome in each period before treatment, in its
        own units.
    V : "equal" or sequence of float, optional
        Weights of the predictors, in their order; None is "equal".
    placebos : bool
        Whether to estimate them; without them ``p_value`` is missing.
    level : float

    Returns
    -------
    Estimate
        ``att`` is the mean gap from ``treatment_start`` on. ``table``: the effect, then the gap by event time;
        ``weights``: kind ("unit", "predictor"), label, weight; ``placebos``: unit, treated, estimate, pre_rmspe,
        post_rmspe, ratio, rank, by rank.

    Raises
    ------
    EstimationError
        Units that lack a period, an unknown treated unit or period, no period before or fewer than two donors, a
        predictor that is constant, has no value for a unit or uses treated periods, weights that do not fit.
    """
    design = build(panel, outcome, [], unit=unit, time=time)
    Y = outcomes_by_period(design, "synthetic control")
    treated = _position(design.unit.labels, treated_unit, unit)
    start = _position(design.time.labels, treatment_start, time)
    if start == 0 or len(Y) < 3:
        raise EstimationError(f"a synthetic control needs periods before {treatment_start} and two donors")
    rows = _predictors(panel, design, predictors, start, V) if predictors else _outcomes(design, Y, outcome, start, V)
    donors = np.delete(np.arange(len(Y)), treated)
    weights = _fit(rows, treated, donors)
    gaps = Y[treated] - weights.shares @ Y[donors]
    ranks = _ranks(Y, rows, treated, start, gaps, design.unit.labels) if placebos else None
    att = float(gaps[start:].mean())
    table, vcov = effect_table(str(treated_unit), design.time.labels, start, att, gaps, np.nan, level)
    return Estimate(
        att=att,
        std_error=np.nan,
        df=np.inf,
        ci=(np.nan, np.nan),
        p_value=np.nan if ranks is None else float(ranks.loc[ranks["treated"], "rank"].iloc[0] / len(ranks)),
        level=level,
        table=table,
        vcov=vcov,
        n_obs=design.n,
        n_units=design.unit.n,
        n_treated=1,
        n_clusters=0,
        n_treated_clusters=0,
        weights=weight_table(
            unit=([design.unit.labels[u] for u in donors], weights.shares), predictor=(rows.labels, rows.weights)
        ),
        placebos=ranks,
        meta={
            "estimator": "synthetic control",
            "duality_gap": gap_text(weights.gap),
            "unique": "yes" if weights.unique else "no: of equally good weights those with the smallest squares",
            "pre_rmspe": f"{root_mean_square(gaps[:start]):.8g}",
            "treated_units": str(treated_unit),
            "first_treated": str(treatment_start),
            "inference": "rank of the RMSPE ratio among the donors' placebos" if placebos else "none",
            **design.left_out,
        },
    )


def _position(labels: list[object], label: object, column: str) -> int:
    if label not in labels:
        raise EstimationError(f"{column!r} has no value {label!r}; it has {listed(labels)}")
    return labels.index(label)


def _outcomes(design: Design, Y: Floats, outcome: str, start: int, V: str | Sequence[float] | None) -> _Predictors:
    labels: list[object] = [f"{outcome} {t}" for t in design.time.labels[:start]]
    return _Predictors(labels, Y[:, :start].T, _declared(V, start), scaled=False)


def _predictors(
    panel: pd.DataFrame, design: Design, specs: Sequence[Predictor], start: int, V: str | Sequence[float] | None
) -> _Predictors:
    """Averages of columns over their periods, one row a predictor."""
    labels: list[object] = []
    rows = []
    for name, periods, operation in map(_parts, specs):
        check_columns(panel, [name])
        when = np.arange(start) if periods is None else _columns(design, name, periods, start)
        values = to_float(panel, name)[design.rows].reshape(design.unit.n, design.time.n)[:, when]
        empty = np.flatnonzero(np.isnan(values).all(axis=1))
        if len(empty):
            units = listed([design.unit.labels[u] for u in empty])
            raise EstimationError(f"predictor {name!r} has no value in its periods for {units}")
        rows.append(OPERATIONS[operation](values, axis=1))
        ends = [str(design.time.labels[when[i]]) for i in (0, -1)]
        labels.append(f"{name} {'–'.join(dict.fromkeys(ends))}")
    return _Predictors(labels, np.array(rows), _declared(V, len(rows)), scaled=True)


def _parts(spec: Predictor) -> tuple[str, list[object] | None, str]:
    """Name, periods and operation of a predictor."""
    if isinstance(spec, str):
        return spec, None, "mean"
    name, periods, operation = (*spec, "mean")[:3]
    if not isinstance(name, str) or operation not in OPERATIONS:
        raise EstimationError(
            f"predictor {spec!r} is not a name, (name, periods) or (name, periods, 'mean' or 'median')"
        )
    several = isinstance(periods, Iterable) and not isinstance(periods, str)
    return name, list(periods) if several else [periods], str(operation)


def _columns(design: Design, name: str, periods: list[object], start: int) -> Ints:
    """Positions of a predictor's periods, all of them before treatment."""
    known = {t: i for i, t in enumerate(design.time.labels)}
    unknown = [t for t in periods if t not in known]
    late = [t for t in periods if known.get(t, 0) >= start]
    if unknown or late or not periods:
        fault = f"no periods {listed(unknown)}" if unknown else f"treated periods {listed(late)}"
        raise EstimationError(f"predictor {name!r} asks for {fault if periods else 'no period at all'}")
    return np.array(sorted(known[t] for t in periods), dtype=np.intp)


def _declared(V: str | Sequence[float] | None, k: int) -> Floats:
    """Predictor weights, summing to one."""
    if V is None or (isinstance(V, str) and V == "equal"):
        return np.full(k, 1 / k)
    if isinstance(V, str):
        raise EstimationError(f"V {V!r} is neither 'equal' nor weights")
    weights = np.asarray(V, dtype=np.float64)
    if weights.shape != (k,) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise EstimationError(f"V must hold {k} weights ≥ 0 that are not all zero")
    return np.asarray(weights / weights.sum())


def _fit(rows: _Predictors, treated: int, donors: Ints) -> Weights:
    """Donor weights of one treated unit."""
    X1, X0 = rows.matrix[:, treated], rows.matrix[:, donors]
    spread = np.ones(len(X1))
    if rows.scaled:
        spread = np.column_stack([X1, X0]).std(axis=1, ddof=1)
        constant = np.flatnonzero(spread <= 1e-12 * np.abs(X1))
        if len(constant):
            raise EstimationError(f"predictor {listed([rows.labels[i] for i in constant])} is the same in all units")
    root = np.sqrt(rows.weights) / spread
    return simplex_least_squares(root[:, None] * X0, root * X1)


def _ranks(Y: Floats, rows: _Predictors, treated: int, start: int, gaps: Floats, labels: list[object]) -> pd.DataFrame:
    """Placebo of every donor, among the other donors, ranked with the treated unit by the ratio of fit errors."""
    donors = np.delete(np.arange(len(Y)), treated)
    paths = {treated: gaps}
    for donor in donors.tolist():
        others = donors[donors != donor]
        paths[donor] = Y[donor] - _fit(rows, donor, others).shares @ Y[others]
    before = np.array([root_mean_square(g[:start]) for g in paths.values()])
    after = np.array([root_mean_square(g[start:]) for g in paths.values()])
    zero = PERFECT * float(Y.std())
    ratio = np.full(len(paths), np.inf)
    ratio[before > zero] = after[before > zero] / before[before > zero]
    ratio[(before <= zero) & (after <= zero)] = 0.0
    frame = pd.DataFrame(
        {
            "unit": pd.Series([labels[u] for u in paths], dtype=object),
            "treated": [u == treated for u in paths],
            "estimate": [float(g[start:].mean()) for g in paths.values()],
            "pre_rmspe": before,
            "post_rmspe": after,
            "ratio": ratio,
            "rank": [int((ratio >= r * (1 - 1e-9)).sum()) for r in ratio],
        }
    )
    return frame.sort_values("rank", kind="stable", ignore_index=True)
