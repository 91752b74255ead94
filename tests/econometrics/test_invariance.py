"""What must not change a result: names, order, units of measurement, constants; and the caller's frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import econometrics
from pipeline.econometrics import (
    Specification,
    anderson_rubin,
    bacon_decomposition,
    callaway_santanna,
    conley_covariance,
    doubly_robust_did,
    driscoll_kraay,
    event_study,
    extended_twfe,
    ferman_pinto,
    imputation,
    local_projections,
    long_difference,
    permute_exposures,
    randomization_test,
    spatial_durbin,
    specification_curve,
    stacked,
    sun_abraham,
    synthetic_control,
    synthetic_did,
    triple_difference,
    triple_event_study,
    twfe_weights,
    two_stage,
    two_stage_least_squares,
    two_way_fe,
    wild_cluster_bootstrap,
)
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, small
from tests.econometrics.staggered_panels import simulated

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}
SEEDS = st.integers(0, 2**32 - 1)


def crv(panel, kind="CRV3"):
    result = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], by_time=["x1"], covariance=kind)
    return np.array([result.att, result.std_error])


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_order_of_rows_changes_nothing_at_all(seed):
    panel = provinces(1, drop=5)
    order = np.random.default_rng(seed).permutation(len(panel))
    np.testing.assert_array_equal(crv(panel.iloc[order]), crv(panel))


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_names_of_units_and_clusters_do_not_matter(seed):
    panel, rng = provinces(2, drop=5), np.random.default_rng(seed)
    renamed = panel.copy()
    for column in ("unit", "cluster"):
        labels = panel[column].unique()
        renamed[column] = panel[column].map(dict(zip(labels, rng.permutation(1000)[: len(labels)], strict=True)))
    np.testing.assert_allclose(crv(renamed), crv(panel), rtol=1e-10)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-6, 0.5, 3.0, 1e8]))
def test_scale_and_shifts_of_the_outcome(seed, scale):
    panel, rng = provinces(3, drop=5), np.random.default_rng(seed)
    unit = panel["unit"].map(dict(zip(panel["unit"].unique(), rng.normal(0, 10, 31), strict=True)))
    year = panel["year"].map(dict(zip(panel["year"].unique(), rng.normal(0, 10, 9), strict=True)))
    moved = panel.assign(y=(panel["y"] + unit + year + panel["x1"] * year) * scale)
    np.testing.assert_allclose(crv(moved), crv(panel) * scale, rtol=1e-9)


@settings(max_examples=5, deadline=None)
@given(scale=st.sampled_from([1e-7, 1e-3, 1e6]), shift=st.sampled_from([-100.0, 0.0, 1e4]))
def test_units_of_the_covariates(scale, shift):
    panel = provinces(4, drop=5)
    moved = panel.assign(x1=panel["x1"] * scale + shift * scale, z=panel["z"] * scale)
    np.testing.assert_allclose(crv(moved), crv(panel), rtol=1e-8)


def test_constant_weights_are_no_weights():
    panel = provinces(5, drop=5).assign(same=7.0)
    for kind in ("CRV1", "CRV3", "CR2", "HC1", "iid"):
        plain = two_way_fe(panel, "y", "treated", **KEYS, covariance=kind)
        weighted = two_way_fe(panel, "y", "treated", **KEYS, covariance=kind, weights="same")
        assert (weighted.att, weighted.std_error) == pytest.approx((plain.att, plain.std_error), rel=1e-10)


def test_shifted_periods_change_nothing():
    panel = provinces(6)
    later = panel.assign(year=panel["year"] + 100, cohort=panel["cohort"] + 100)
    a, b = (event_study(p, "y", **KEYS, cohort="cohort", reference=-2) for p in (panel, later))
    pd.testing.assert_frame_equal(a.table, b.table)


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_inference_by_resampling_does_not_hang_on_row_order(seed):
    panel = small(7, drop=3)
    mixed = panel.iloc[np.random.default_rng(seed).permutation(len(panel))]
    for method in (wild_cluster_bootstrap, randomization_test):
        a, b = (method(p, "y", "treated", **KEYS, controls=["z"], draws=50, seed=3) for p in (panel, mixed))
        assert (a.p_value, a.statistic) == (b.p_value, b.statistic)


def test_randomisation_does_not_hang_on_the_scale_of_the_outcome():
    panel = small(8, drop=3)
    run = {"controls": ["z"], "draws": None, "seed": 0, "interval": True}
    a = randomization_test(panel, "y", "treated", **KEYS, **run)
    b = randomization_test(panel.assign(y=panel["y"] * 1000 + 5), "y", "treated", **KEYS, **run)
    assert a.p_value == b.p_value
    np.testing.assert_allclose(np.array(b.ci), np.array(a.ci) * 1000, rtol=1e-6)


def test_the_callers_frame_is_not_touched():
    panel = provinces(9, drop=3)
    panel.loc[4, "y"] = np.nan
    before = panel.copy(deep=True)
    two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], by_time=["x1"], weights="w")
    event_study(panel, "y", **KEYS, cohort="cohort", reference=-2)
    wild_cluster_bootstrap(panel, "y", "treated", **KEYS, draws=9, seed=0)
    randomization_test(panel, "y", "treated", **KEYS, draws=9, seed=0)
    pd.testing.assert_frame_equal(panel, before)


# Every estimator and every test on one staggered panel. A case returns numbers in units of the outcome.
PANEL = {"unit": "unit", "time": "year"}


def staggered(cohorts=((4, 5), (6, 4), (None, 9))):
    """Staggered units over seven periods, with a place, a dose, an instrument and a common start in period 5."""
    panel, rng = simulated(0, sizes=cohorts, periods=7), np.random.default_rng(100)
    ever = panel["cohort"].notna().astype(float)
    instrument = panel["treated"] + rng.normal(size=len(panel))
    place = {u: rng.uniform(30, 40, 2) for u in sorted(panel["unit"].unique())}
    return panel.assign(
        ever=ever,
        post=(panel["year"] >= 5).astype(float),
        once=ever * (panel["year"] >= 5),
        instrument=instrument,
        dose=panel["treated"] + 0.5 * instrument + rng.normal(size=len(panel)),
        latitude=panel["unit"].map({u: p[0] for u, p in place.items()}),
        longitude=panel["unit"].map({u: p[1] for u, p in place.items()}),
        x=panel["unit"].map({u: rng.uniform() for u in sorted(panel["unit"].unique())}),
    )


def numbers(result):
    """Headline and table: estimates and standard errors, zero where there is none."""
    table = result.table
    parts = ([result.att, result.std_error], table["estimate"], table["std_error"])
    return np.nan_to_num(np.concatenate([np.asarray(p, dtype=float) for p in parts]))


def by_cohort(method, **options):
    return lambda panel, **more: numbers(method(panel, "y", **PANEL, cohort="cohort", **options, **more))


def by_treatment(method, treatment="treated", **options):
    return lambda panel, **more: numbers(method(panel, "y", treatment, **PANEL, **options, **more))


def estimate_of(method, treatment, **options):
    run = {"draws": 19, "seed": 1, **options}
    return lambda panel, **more: np.array([method(panel, "y", treatment, **PANEL, **run, **more).estimate])


def durbin(panel):
    """Neighbours: the three nearest, either way. The spatial parameter has no unit, so it is left out."""
    places = panel.groupby("unit")[["latitude", "longitude"]].first()
    gaps = np.linalg.norm(places.to_numpy()[:, None] - places.to_numpy()[None], axis=2)
    near = (gaps <= np.sort(gaps, axis=1)[:, [3]]) & (gaps > 0)
    matrix = pd.DataFrame((near | near.T).astype(float), places.index, places.index)
    result = spatial_durbin(panel, "y", ["treated", "z"], **PANEL, weights_matrix=matrix)
    return result.table.loc[result.table["term"] != "rho", ["estimate", "std_error"]].to_numpy(float).ravel()


def controls_and_one(panel):
    """The never treated and the southernmost unit of the first cohort."""
    first = panel[panel["cohort"] == panel["cohort"].min()]
    chosen = first.loc[first["latitude"].idxmin(), "unit"]
    return panel[panel["cohort"].isna() | (panel["unit"] == chosen)], chosen


def control(panel):
    rows, chosen = controls_and_one(panel)
    start = int(rows["cohort"].min())
    return np.array([synthetic_control(rows, "y", **PANEL, treated_unit=chosen, treatment_start=start).att])


def block(method, inference="jackknife"):
    def run(panel):
        result = synthetic_did(
            panel, "y", **PANEL, treatment="once", method=method, inference=inference, solver="exact"
        )
        return np.array([result.att, result.std_error])

    return run


def in_industries(panel):
    """Three industries with exposures and their own slopes."""
    parts = [
        panel.assign(
            industry=f"i{j}", exposure=e, y=panel["y"] * (1 + j / 3), cell=panel["unit"].astype(str) + f" i{j}"
        )
        for j, e in enumerate((-1.0, 0.2, 0.8))
    ]
    return pd.concat(parts, ignore_index=True)


def triple(panel):
    keys = {"unit": "unit", "industry": "industry", "time": "year"}
    long = in_industries(panel)
    both = [
        triple_difference(long, "y", "treated", "exposure", **keys),
        triple_event_study(long, "y", "exposure", **keys, cohort="cohort", bands=False),
    ]
    return np.concatenate([numbers(result) for result in both])


def permuted(panel):
    long = in_industries(panel)
    effects = ("cell", ("industry", "year"), ("unit", "year"))
    options = {"unit": "cell", "time": "year", "exposure_by": "industry", "effects": effects, "seed": 1, "draws": None}
    return np.array([permute_exposures(long, "y", "treated", "exposure", **options).estimate])


def curve(panel):
    chosen = [Specification("a", "y"), Specification("b", "y", by_time=("x",)), Specification("c", "y", ("z",))]
    result = specification_curve(panel, "once", chosen, **PANEL, draws=9, seed=1)
    return result.table[["estimate", "std_error"]].to_numpy(float).ravel()


def bacon(panel):
    parts = bacon_decomposition(panel, "y", **PANEL, cohort="cohort")
    return np.array([(parts["weight"] * parts["estimate"]).sum()])


STAGGERED = {
    "callaway_santanna": by_cohort(callaway_santanna, bands=False),
    "callaway_santanna, covariates": by_cohort(
        callaway_santanna, covariates=["x"], control_group="not_yet_treated", aggregate="simple", bands=False
    ),
    "sun_abraham": by_cohort(sun_abraham, bands=False),
    "imputation": by_cohort(imputation, aggregate="dynamic"),
    "two_stage": by_cohort(two_stage, aggregate="dynamic"),
    "stacked": by_cohort(stacked, bands=False),
    "local_projections": by_cohort(local_projections, bands=False),
    "extended_twfe": by_cohort(extended_twfe, bands=False),
}
CASES = STAGGERED | {
    "event_study": by_cohort(event_study, bands=False),
    "two_way_fe": by_treatment(two_way_fe, controls=["z"], by_time=["x"], covariance="CR2"),
    "conley_covariance": by_treatment(
        conley_covariance, latitude="latitude", longitude="longitude", cutoff=400.0, lags=1
    ),
    "driscoll_kraay": by_treatment(driscoll_kraay),
    "two_stage_least_squares": lambda panel, **more: numbers(
        two_stage_least_squares(panel, "y", "dose", "instrument", **PANEL, **more)
    ),
    "anderson_rubin": lambda panel, **more: np.array(
        anderson_rubin(panel, "y", "dose", "instrument", **PANEL, **more).ci
    ),
    "long_difference": by_treatment(long_difference, "once", pre=[1, 2, 3, 4], post=[5, 6, 7]),
    "doubly_robust_did": lambda panel, **more: numbers(
        doubly_robust_did(panel, "y", **PANEL, treated="ever", post="post", covariates=["x"], **more)
    ),
    "spatial_durbin": durbin,
    "synthetic_control": control,
    "synthetic_did": block("sdid"),
    "synthetic_did, did": block("did"),
    "triple": triple,
    "permute_exposures": permuted,
    "specification_curve": curve,
    "bacon_decomposition": bacon,
    "twfe_weights": lambda panel: twfe_weights(panel, "y", **PANEL, cohort="cohort")["weight"].sort_values().to_numpy(),
    "wild_cluster_bootstrap": estimate_of(wild_cluster_bootstrap, "treated", cluster="cluster"),
    "randomization_test": estimate_of(randomization_test, "once"),
    "ferman_pinto": estimate_of(ferman_pinto, "once"),
}
NO_UNIT = {"twfe_weights"}  # weights: they do not scale with the outcome
FIXED_LEVELS = {"synthetic_control"}  # fits levels: a constant added to a unit is a finding
PENALISED = {"synthetic_did"}  # its penalty is the size of changes over time: constants by unit alone leave it


def renamed(panel, rng):
    units = sorted(panel["unit"].unique())
    return panel.assign(unit=panel["unit"].map(dict(zip(units, rng.permutation(999)[: len(units)], strict=True))))


def moved(panel, rng, *, unit=True, year=True):
    steps = {
        name: panel[name].map({label: rng.normal(0, 10) for label in sorted(panel[name].unique())})
        for name, wanted in (("unit", unit), ("year", year))
        if wanted
    }
    return panel.assign(y=panel["y"] + sum(steps.values()))


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=2, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([1e-3, 40.0, 1e5]))
def test_names_order_constants_and_units_of_the_outcome(name, seed, scale):
    run, panel, rng = CASES[name], staggered(), np.random.default_rng(seed)
    before = panel.copy(deep=True)
    expected = run(panel)
    pd.testing.assert_frame_equal(panel, before)
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0
    close = {"rtol": 1e-7, "atol": 1e-8 * np.abs(expected).max()}
    np.testing.assert_allclose(run(panel.iloc[rng.permutation(len(panel))]), expected, **close)
    np.testing.assert_allclose(run(renamed(panel, rng)), expected, **close)
    scaled = run(panel.assign(y=panel["y"] * scale))
    np.testing.assert_allclose(scaled / (1 if name in NO_UNIT else scale), expected, **close)
    shifted = moved(panel, rng, unit=name not in FIXED_LEVELS, year=name not in PENALISED)
    np.testing.assert_allclose(run(shifted), expected, **close)


@pytest.mark.parametrize("name", STAGGERED)
@settings(max_examples=2, deadline=None)
@given(seed=SEEDS)
def test_an_always_treated_unit_changes_nothing_or_is_refused_by_name(name, seed):
    panel, rng = staggered(), np.random.default_rng(seed)
    one = panel[panel["unit"] == panel["unit"].min()]
    always = one.assign(unit="always", cohort=0.0, treated=1.0, y=rng.normal(0, 5, len(one)))
    more = pd.concat([always, panel], ignore_index=True)
    try:
        got = STAGGERED[name](more)
    except EstimationError as error:
        assert "always" in str(error)
    else:
        np.testing.assert_allclose(got, STAGGERED[name](panel), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["callaway_santanna", "sun_abraham", "stacked", "local_projections", "extended_twfe"])
def test_an_always_treated_unit_left_out_is_named(name):
    panel = staggered()
    always = panel[panel["unit"] == panel["unit"].min()].assign(unit="always", cohort=0.0)
    result = getattr(econometrics, name)(
        pd.concat([panel, always], ignore_index=True), "y", **PANEL, cohort="cohort", bands=False
    )
    assert any("always" in text for text in result.meta.values())


WEIGHTED = (
    "callaway_santanna", "sun_abraham", "imputation", "two_stage", "extended_twfe", "event_study", "two_way_fe",
    "conley_covariance", "driscoll_kraay", "two_stage_least_squares", "long_difference", "wild_cluster_bootstrap",
)  # fmt: skip


def doubled(panel):
    """One never-treated unit twice; and the same as a weight."""
    twin = panel[panel["unit"] == panel.loc[panel["cohort"].isna(), "unit"].min()]
    weighted = panel.assign(times=np.where(panel["unit"] == twin["unit"].iloc[0], 2.0, 1.0))
    return pd.concat([panel, twin.assign(unit="twin")], ignore_index=True), weighted


def estimates_alone(values):
    """Headline and the estimates of :func:`numbers`, without standard errors."""
    return values[:1] if len(values) < 4 else np.concatenate([values[:1], values[2 : 2 + (len(values) - 2) // 2]])


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_duplicated_never_treated_unit_is_a_weight_of_two(name):
    twice, weighted = doubled(staggered())
    got, expected = CASES[name](twice), CASES[name](weighted, weights="times")
    np.testing.assert_allclose(estimates_alone(got), estimates_alone(expected), rtol=1e-8)


@pytest.mark.parametrize("name", ["stacked", "local_projections", "synthetic_did, did", "bacon_decomposition"])
def test_a_duplicated_never_treated_unit_without_weights(name):
    # one cohort: the same as the event study, or as two-way fixed effects, with a weight of two
    twice, weighted = doubled(staggered(((5, 9), (None, 9))))
    got = CASES[name](twice)
    if name in STAGGERED:
        expected = CASES["event_study"](weighted, weights="times")
        got, expected = estimates_alone(got)[1:], estimates_alone(expected)[1:]
    else:
        expected = [two_way_fe(weighted, "y", "treated", **PANEL, weights="times").att]
    np.testing.assert_allclose(got[: len(expected)], expected, rtol=1e-8)


def test_a_duplicated_control_changes_no_synthetic_control():
    # outside the hull of the controls, so that one synthetic control alone is closest
    panel, ever = staggered(), staggered()["ever"] == 1
    far = panel.assign(y=panel["y"] + 10 * ever)
    assert control(far) != pytest.approx(control(panel), rel=1e-3)
    np.testing.assert_allclose(control(doubled(far)[0]), control(far), rtol=1e-6)


def test_exports():
    names = econometrics.__all__
    assert names == sorted(set(names))
    assert all(callable(getattr(econometrics, name)) for name in names)
    covered = {name.partition(",")[0] for name in CASES} | {"triple_difference", "triple_event_study"}
    takes_a_panel = {n for n in names if "panel" in getattr(getattr(econometrics, n), "__annotations__", {})}
    assert takes_a_panel - covered == {"distance_rings", "effective_f"}  # neither uses the outcome
