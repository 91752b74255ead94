"""Many specifications of one question, and their joint test by reassigning the treatment in all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from pipeline.econometrics.assignments import (
    Labels,
    Paths,
    Permutations,
    observed_paths,
    planned_permutations,
    strata_positions,
)
from pipeline.econometrics.covariance import CLUSTERED, covariance_of, crv1_factor
from pipeline.econometrics.design import Codes, Effects, Floats, build, check_columns, encode, listed
from pipeline.econometrics.fit import fit
from pipeline.econometrics.results import TestResult, t_interval
from pipeline.econometrics.studentised import Moments, regression_kernel
from pipeline.errors import EstimationError

TIE = 1 - 1e-9  # an assignment counts if its statistic ≥ the observed one·TIE
CELLS = 50_000_000  # statistics kept at most: assignments × specifications
JOINT = ("median", "share_significant", "share_same_sign", "average_z")


@dataclass(frozen=True)
class Specification:
    """One way of asking the question.

    Attributes
    ----------
    name : str
    outcome : str
    controls, by_time, effects, weights
        As in :func:`two_way_fe`.
    sample : str or None
        Boolean column with the rows to use; None is every row.
    scale : float
        The estimate is divided by this in the joint test of the median, so that outcomes in different units can share
        it; negative where a fall is the improvement.
    """

    name: str
    outcome: str
    controls: tuple[str, ...] = ()
    by_time: tuple[str, ...] = ()
    effects: Effects = None
    weights: str | None = None
    sample: str | None = None
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class SpecificationCurve:
    """Estimates of all specifications and their joint tests.

    Attributes
    ----------
    table : DataFrame
        One row a specification, in the order given.
    tests : dict of str to TestResult
        By the names in ``JOINT``.
    estimates, statistics : ndarray, (A, S)
        Coefficients over their ``scale`` and CRV1 t, times its sign, of every assignment and specification.
    """

    table: pd.DataFrame
    tests: dict[str, TestResult]
    estimates: Floats
    statistics: Floats


def specification_curve(
    panel: pd.DataFrame,
    treatment: str,
    specifications: Sequence[Specification],
    *,
    unit: str,
    time: str,
    cluster: str | None = None,
    covariance: str = "CRV3",
    strata: str | None = None,
    draws: int | None = 999,
    seed: int,
    alpha: float = 0.05,
    level: float = 0.95,
) -> SpecificationCurve:
    """Specification curve with joint permutation inference (Simonsohn, Simmons and Nelson 2020, NHB 4, 1208–1214).

    The treatment is permuted over clusters as in :func:`randomization_test`, the same permutations in every
    specification, so that the dependence between specifications is that of the data. Each specification is residualised
    once; per-cluster Gram matrices of one column a cluster then give all its regressions.

    Parameters
    ----------
    panel, treatment, unit, time
        As in :func:`two_way_fe`; one treatment.
    specifications : sequence of Specification
        With distinct names.
    cluster : str, optional
        Groups that are permuted as a whole, and the clusters of the errors; None is ``unit``. A group that a sample
        leaves out takes part in the permutation all the same.
    covariance : {"CRV1", "CRV3", "CR2"}
        Of ``std_error`` and ``p_value`` in the table.
    strata : str, optional
        Column constant within clusters; permutations stay within its values.
    draws : int or None
        Random permutations; where all distinct ones are no more than that, they are enumerated. None enumerates.
    seed : int
    alpha : float
        Of "share_significant".
    level : float
        Of the intervals.

    Returns
    -------
    SpecificationCurve
        Columns of ``table``: ``name, outcome, estimate, std_error, df, ci_low, ci_high, p_value, std_error_crv1,
        t_crv1, p_randomization`` (of the CRV1 t), ``n_obs, n_units, n_clusters``. The joint statistics, with sign
        turned by ``scale``: |median estimate/scale|; the share of specifications significant at ``alpha`` by CRV1 and
        t(G – 1) in the direction that has more of them; the share of estimates with the more frequent sign; |mean z|,
        z the normal quantile of the CRV1 p with the sign of the estimate (Stouffer). Each p is the share of assignments
        whose statistic is at least the observed one, ties counted: exact if enumerated, else (1 + count)/(1 + draws).
        A specification that an assignment leaves without an estimate is not in that assignment's statistics.

    Raises
    ------
    EstimationError
        No specification, repeated names, a scale of zero, too many assignments, and as in :func:`two_way_fe`, with the
        specification's name.
    """
    _check(specifications, covariance)
    cluster = cluster or unit
    used = [unit, time, treatment, cluster, *([strata] if strata else []), *_columns(specifications)]
    check_columns(panel, used)
    whole = panel[list(dict.fromkeys(used))].dropna(subset=[unit, time, treatment, cluster])
    groups, times = encode(whole[cluster]), encode(whole[time])
    paths = observed_paths(whole, treatment, cluster, time, groups, times)
    permutations = Permutations(paths.labels, strata_positions(whole, cluster, np.arange(len(whole)), groups, strata))
    plan = planned_permutations(permutations, groups.labels, draws, seed)
    if plan.chunks is None or plan.total * len(specifications) > CELLS:
        raise EstimationError(f"{plan.total:,} assignments of {len(specifications)} specifications: give fewer draws")
    labels = np.concatenate([chunk for chunk, _ in plan.chunks], axis=1)
    every = np.column_stack([paths.labels, labels])
    rows, estimates, statistics = [], [], []
    common = _Common(treatment, unit, time, cluster, covariance, level, groups, times, paths)
    for s in specifications:
        try:
            row, moments = common.evaluate(whole, s, every)
        except EstimationError as error:
            raise type(error)(f"specification {s.name!r}: {error}") from error
        rows.append(row)
        sign = np.sign(s.scale)
        estimates.append(moments.b / s.scale)
        statistics.append(sign * moments.statistics(0.0))
    b, t = np.column_stack(estimates), np.column_stack(statistics)
    table = pd.DataFrame(rows)
    table["p_randomization"] = [_p(np.abs(column[1:]), abs(column[0]), exact=plan.exact) for column in t.T]
    df = table["n_clusters"].to_numpy() - 1.0
    joint = _joint(b, t, df, alpha)
    note = {"assignments": plan.recipe, "specifications": str(len(specifications)), "alpha": repr(alpha)}
    tests = {
        name: TestResult(
            statistic=float(values[0]),
            p_value=_p(values[1:], float(values[0]), exact=plan.exact),
            draws=plan.total,
            exact=plan.exact,
            distribution=values[1:],
            meta={"test": f"specification curve, {name}", **note},
        )
        for name, values in joint.items()
    }
    return SpecificationCurve(table, tests, b[1:], t[1:])


@dataclass(frozen=True, eq=False)
class _Common:
    """What all specifications share."""

    treatment: str
    unit: str
    time: str
    cluster: str
    covariance: str
    level: float
    groups: Codes
    times: Codes
    paths: Paths

    def evaluate(self, panel: pd.DataFrame, s: Specification, labels: Labels) -> tuple[dict[str, object], Moments]:
        """Row of the table, and moments of the assignments (G, A)."""
        sample = panel if s.sample is None else panel[_mask(panel, s.sample)]
        design = build(
            sample,
            s.outcome,
            [self.treatment],
            unit=self.unit,
            time=self.time,
            controls=s.controls,
            by_time=s.by_time,
            effects=s.effects,
            weights=s.weights,
            cluster=self.cluster,
        )
        fitted = fit(design, nested_first=self.covariance in ("CRV3", "CR2"))
        cov, crv1 = covariance_of(fitted, self.covariance), covariance_of(fitted, "CRV1")
        first = np.eye(len(fitted.coefficients))[0]
        estimate, se, df = float(fitted.coefficients[0]), float(np.sqrt(cov.matrix[0, 0])), cov.df(first)
        low, high, p = t_interval(estimate, se, df, self.level)
        se1 = float(np.sqrt(crv1.matrix[0, 0]))
        clusters = design.clusters[self.cluster]
        row = {
            "name": s.name,
            "outcome": s.outcome,
            "estimate": estimate,
            "std_error": se,
            "df": df,
            "ci_low": float(low),
            "ci_high": float(high),
            "p_value": float(p),
            "std_error_crv1": se1,
            "t_crv1": estimate / se1,
            "n_obs": design.n,
            "n_units": design.unit.n,
            "n_clusters": clusters.n,
        }
        ids = pd.Index(self.groups.labels).get_indexer(pd.Index(clusters.labels))[clusters.ids]
        own = pd.Index(self.times.labels).get_indexer(pd.Index(design.time.labels))
        kernel, vectors = regression_kernel(
            fitted,
            Codes(ids, self.groups.labels),
            Paths(self.paths.table[:, own], self.paths.labels),
            clusters=clusters,
            factor=crv1_factor(fitted, clusters.n),
        )
        return row, kernel.moments(vectors(labels))


def _check(specifications: Sequence[Specification], covariance: str) -> None:
    names = [s.name for s in specifications]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if not names or repeated:
        raise EstimationError(f"specification {listed(repeated)} is named twice" if names else "no specification")
    if covariance not in CLUSTERED:
        raise EstimationError(f"covariance {covariance!r} is not one of {', '.join(CLUSTERED)}")
    if any(s.scale == 0 or not np.isfinite(s.scale) for s in specifications):
        raise EstimationError("the scale of a specification must be finite and not zero")


def _columns(specifications: Sequence[Specification]) -> list[str]:
    """Columns that the specifications name."""
    names: list[str] = []
    for s in specifications:
        effects = [c for e in s.effects or () for c in ([e] if isinstance(e, str) else e)]
        names += [s.outcome, *s.controls, *s.by_time, *effects, *(n for n in (s.weights, s.sample) if n)]
    return names


def _mask(panel: pd.DataFrame, sample: str) -> NDArray[np.bool_]:
    check_columns(panel, [sample])
    if not pd.api.types.is_bool_dtype(panel[sample]):
        raise EstimationError(f"sample {sample!r} must be a boolean column, not {panel[sample].dtype}")
    return panel[sample].to_numpy(dtype=np.bool_)


def _joint(b: Floats, t: Floats, df: Floats, alpha: float) -> dict[str, Floats]:
    """Joint statistics by assignment, (A,) each; infinite where no specification has an estimate."""
    known = np.isfinite(t)
    number = known.sum(axis=1)
    none = number == 0
    number[none] = 1
    b, t = np.where(known, b, np.nan), np.where(known, t, 0.0)
    b[none] = np.inf
    significant = np.abs(t) > stdtrit(df, 1 - alpha / 2)
    z = -np.sign(t) * ndtri(stdtr(df, -np.abs(t)))

    def larger_share(part: NDArray[np.bool_]) -> Floats:
        return np.asarray(np.maximum((part & (t > 0)).sum(axis=1), (part & (t < 0)).sum(axis=1)) / number)

    values = (
        np.abs(np.nanmedian(b, axis=1)),
        larger_share(significant),
        larger_share(known),
        np.abs(z.sum(axis=1)) / number,
    )
    return {name: np.where(none, np.inf, v) for name, v in zip(JOINT, values, strict=True)}


def _p(values: Floats, observed: float, *, exact: bool) -> float:
    """Share of assignments whose statistic is at least the observed one; a missing one counts."""
    count, total = int(np.count_nonzero(~(values < observed * TIE))), len(values)
    return count / total if exact else (1 + count) / (1 + total)
