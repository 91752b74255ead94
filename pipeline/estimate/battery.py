"""The tests that a stanza of ``models.yaml`` can name, as rows of the ``tests`` file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import (
    Estimate,
    TestResult,
    conley_covariance,
    driscoll_kraay,
    ferman_pinto,
    randomization_test,
    two_way_fe,
    wald,
    wild_cluster_bootstrap,
)
from pipeline.errors import EstimationError
from pipeline.estimate.designs import CLUSTER, UNIT, Settings, common
from pipeline.estimate.run import estimates
from pipeline.estimate.samples import left_out

if TYPE_CHECKING:
    from pipeline.specs import Model

CHEAP = ("crv1", "cr2", "equality", "joint", "slope")
COEFFICIENT = ("estimate", "std_error", "df", "p_value", "ci_low", "ci_high")


def tidy_test(spec_id: str, term: str, method: str, result: TestResult) -> dict[str, object]:
    """Return one row of the ``tests`` file."""
    df1, df2 = result.df if isinstance(result.df, tuple) else (result.df, None)
    df1 = df1 if df1 is not None and np.isfinite(df1) else None  # missing: normal
    low, high = result.ci or (None, None)
    return {
        "spec_id": spec_id,
        "term": term,
        "method": method,
        "estimate": result.estimate,
        "statistic": result.statistic,
        "df1": df1,
        "df2": df2,
        "p_value": result.p_value,
        "ci_low": low,
        "ci_high": high,
        "draws": result.draws,
        "exact": result.exact,
        "reason": result.meta.get("reason"),
    }


def coefficient_test(estimate: Estimate, row: int = 0) -> TestResult:
    """Return the t test of one coefficient as a ``TestResult``."""
    value = {name: float(estimate.table[name].iloc[row]) for name in COEFFICIENT}
    return TestResult(
        statistic=value["estimate"] / value["std_error"],
        p_value=value["p_value"],
        df=value["df"],
        estimate=value["estimate"],
        ci=(value["ci_low"], value["ci_high"]),
    )


def not_computed(error: EstimationError) -> TestResult:
    """Return the row of a test that cannot be had: the reason, no number."""
    return TestResult(statistic=float("nan"), p_value=float("nan"), meta={"reason": str(error)})


def pre_trend_slope(model: Model, frame: pd.DataFrame, settings: Settings) -> Estimate:
    """Estimate Hub × (year – reference year) on the pre years alone, with the effects and X of the specification."""
    pre = frame[frame["year"] <= settings.reference_year]
    pre = pre.assign(hub_trend=pre["hubs"] * (pre["year"] - settings.reference_year))
    return two_way_fe(pre, model.outcome, "hub_trend", covariance="CRV3", level=settings.level, **common(model))


def equality(model: Model, frame: pd.DataFrame, settings: Settings) -> TestResult:
    """Test that two treatments have one effect: the coefficient of the first beside their sum is the difference."""
    first, second = model.treatments
    joint = frame.assign(both=frame[first] + frame[second])
    shared = common(model) | {"controls": ("both",), "covariance": "CRV3", "level": settings.level}
    return coefficient_test(two_way_fe(joint, model.outcome, first, **shared))


def difference(model: Model) -> str:
    """Return the term of a contrast between the two treatments: ``demand_post - supply_post``."""
    return " - ".join(model.treatments)


def cheap_tests(
    model: Model, frame: pd.DataFrame, main: Estimate, crv1: Estimate | None, settings: Settings
) -> list[dict[str, object]]:
    """Return the tests that come with the estimates: other variances, equality, the pre-trends of an event study."""
    found: list[tuple[str, str, TestResult]] = []
    if "crv1" in model.tests and crv1 is not None:
        found += [(term, "crv1", coefficient_test(crv1, k)) for k, term in enumerate(model.treatments)]
    if "cr2" in model.tests:
        shared = common(model) | {"covariance": "CR2", "level": settings.level}
        cr2 = two_way_fe(frame, model.outcome, list(model.treatments), **shared)
        found += [(term, "cr2", coefficient_test(cr2, k)) for k, term in enumerate(model.treatments)]
    if "equality" in model.tests:
        found.append((difference(model), "equality", equality(model, frame, settings)))
    if "joint" in model.tests:
        found.append(("pre", "joint", wald(main, "pre")))
    if "slope" in model.tests:
        found.append(("pre", "slope", coefficient_test(pre_trend_slope(model, frame, settings))))
    return [tidy_test(model.spec_id, *row) for row in found]


def evaluate(
    model: Model, rows: pd.DataFrame, frame: pd.DataFrame, settings: Settings
) -> tuple[pd.DataFrame, list[dict[str, object]], pd.DataFrame]:
    """Return a specification's tidy estimates, its cheap tests, and views: the province-years it lacks, weights."""
    table, crv3, crv1 = estimates(model, frame, settings)
    views = [left_out(model.spec_id, rows, frame, model.outcome)]
    if model.estimator in ("balanced", "doubly_robust"):
        views.append(control_weights(model.spec_id, crv3))
    return table, cheap_tests(model, frame, crv3, crv1, settings), pd.concat(views)


def control_weights(spec_id: str, estimate: Estimate) -> pd.DataFrame:
    """Return the weights of the control provinces, shares that sum to one, and Kish's effective number of them."""
    if estimate.weights is None:
        raise ValueError(f"{spec_id}: the estimate has no weights")
    shares = estimate.weights.set_index("unit")["weight"]
    shares = shares / shares.sum()
    rows = [{"row": spec_id, "column": str(unit), "value": float(share)} for unit, share in shares.items()]
    effective = {"row": spec_id, "column": "effective_controls", "value": float(1 / (shares**2).sum())}
    return pd.DataFrame([*rows, effective]).assign(view_id="control_weights")


@dataclass(frozen=True)
class Case:
    """What a resampling test is given.

    Attributes
    ----------
    model, frame, settings
        The specification, its rows, the shared settings.
    seed : int
        Of the draws.
    borders : DataFrame
        Land borders between provinces: source, target.
    """

    model: Model
    frame: pd.DataFrame
    settings: Settings
    seed: int
    borders: pd.DataFrame

    @property
    def equation(self) -> tuple[pd.DataFrame, str, str]:
        """Rows, outcome and first treatment: the leading arguments of every test."""
        return self.frame, self.model.outcome, self.model.treatments[0]

    @property
    def keywords(self) -> dict[str, Any]:
        """The keywords of the equation."""
        return common(self.model)

    def without_cluster(self) -> dict[str, Any]:
        """The keywords of the equation without its clusters."""
        return {k: v for k, v in common(self.model).items() if k != "cluster"}


def _wild(case: Case, distribution: str) -> TestResult:
    return wild_cluster_bootstrap(
        *case.equation, draws=case.settings.wild_draws, distribution=distribution, seed=case.seed, **case.keywords
    )


def _hubs(case: Case, statistic: str) -> TestResult:
    shared = case.keywords | {"draws": None, "seed": case.seed, "level": case.settings.level}
    return randomization_test(*case.equation, statistic=statistic, interval=True, **shared)


def _provinces(case: Case) -> TestResult:
    """Province-wise: every choice of as many provinces, for the coefficient; by draws where X stands in the way."""
    shared = case.without_cluster() | {"statistic": "coefficient", "seed": case.seed}
    if case.model.adjustment.by_time:
        return randomization_test(*case.equation, draws=case.settings.wild_draws, **shared)
    return randomization_test(*case.equation, draws=None, **shared)


def _stratified(case: Case) -> TestResult:
    """Hub provinces redrawn within regions; the region- and X-adjusted coefficient, the only one that is centred."""
    effects = ("province_code", ("region", "year"))
    shared = case.without_cluster() | {"effects": effects, "statistic": "coefficient", "seed": case.seed}
    return randomization_test(*case.equation, strata="region", draws=None, **shared)


def _contiguous(case: Case) -> TestResult:
    shared = case.keywords | {"statistic": "t", "draws": case.settings.wild_draws, "seed": case.seed}
    return randomization_test(*case.equation, graph=case.borders, **shared)


def _welch(case: Case) -> TestResult:
    shared: dict[str, Any] = {"unit": UNIT, "time": "year", "cluster": CLUSTER, "seed": case.seed}
    return randomization_test(*case.equation, statistic="welch", draws=None, **shared)


def _conley(case: Case, cutoff: float) -> TestResult:
    coordinates = {"latitude": "latitude", "longitude": "longitude", "cutoff": cutoff, "lags": "all"}
    shared = case.without_cluster() | coordinates | {"level": case.settings.level}
    return coefficient_test(conley_covariance(*case.equation, **shared))


def _driscoll_kraay(case: Case) -> TestResult:
    shared = case.without_cluster() | {"level": case.settings.level}
    return coefficient_test(driscoll_kraay(*case.equation, **shared))


def _ferman_pinto(case: Case) -> TestResult:
    shared = {k: v for k, v in case.keywords.items() if k != "effects"}
    shared |= {"size": "population_2020", "draws": case.settings.wild_draws, "seed": case.seed, "interval": True}
    return ferman_pinto(*case.equation, **shared)


def _role(case: Case) -> TestResult:
    """The role labels in every arrangement over the hubs; statistic |difference|."""
    treatments = list(case.model.treatments)
    joint = case.frame.assign(both=case.frame[treatments].sum(axis=1))
    shared = case.keywords | {"draws": None, "seed": case.seed, "level": case.settings.level}
    labels = randomization_test(
        joint,
        case.model.outcome,
        treatments[0],
        statistic="coefficient",
        strata="hubs",
        controls=("both",),
        **shared,
    )
    return replace(labels, statistic=float(np.abs(labels.statistic)))


RESAMPLED: dict[str, Callable[[Case], TestResult]] = {
    "wild_webb": lambda case: _wild(case, "webb"),
    "wild_rademacher": lambda case: _wild(case, "rademacher"),
    "randomization_hub": lambda case: _hubs(case, "t"),
    "randomization_hub_coefficient": lambda case: _hubs(case, "coefficient"),
    "randomization_province": _provinces,
    "randomization_stratified": _stratified,
    "randomization_contiguous": _contiguous,
    "welch": _welch,
    "conley_300": lambda case: _conley(case, 300.0),
    "conley_500": lambda case: _conley(case, 500.0),
    "conley_800": lambda case: _conley(case, 800.0),
    "driscoll_kraay": _driscoll_kraay,
    "ferman_pinto": _ferman_pinto,
    "permutation_role": _role,
}


def resampling_tests(case: Case) -> list[dict[str, object]]:
    """Return the bootstrap, randomisation and spatial tests that a specification names, in the order it names them.

    A test that cannot be computed has a row with its reason.
    """
    rows = []
    for method in case.model.tests:
        if method in RESAMPLED:
            try:
                result = RESAMPLED[method](case)
            except EstimationError as error:
                result = not_computed(error)
            term = difference(case.model) if method == "permutation_role" else case.model.treatments[0]
            rows.append(tidy_test(case.model.spec_id, term, method, result))
    return rows
