"""Every estimator and test that ``models.yaml`` may name can be run, and says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline import spec_checks, specs
from pipeline.errors import EstimationError
from pipeline.estimate import battery, designs, run


@pytest.fixture(scope="module")
def prepared(real_rows, settings, specification):
    """Return a function that gives a specification and its rows."""

    def of(spec_id):
        model = specification(spec_id)
        return model, run.sample_of(model, real_rows, specs.models().treatments, settings)

    return of


def case(model, frame, settings, borders, *methods, draws=99):
    return battery.Case(replace(model, tests=methods), frame, replace(settings, wild_draws=draws), 1, borders)


def test_the_names_that_are_allowed_are_those_that_can_be_run():
    assert set(spec_checks.TESTS) == {*battery.RESAMPLED, *battery.CHEAP}
    assert set(battery.RESAMPLED) & set(battery.CHEAP) == set()
    assert set(spec_checks.ESTIMATORS) == set(designs.ESTIMATORS)
    assert set(designs.COVARIANCES) < set(designs.ESTIMATORS)


def test_every_allowed_name_is_used():
    used = specs.models().specifications
    assert {name for m in used for name in m.tests} == set(spec_checks.TESTS)
    assert {m.estimator for m in used} == set(spec_checks.ESTIMATORS)


@pytest.mark.parametrize(
    "spec_id",
    [
        *("did.chain_ln.x", "event.chain_ln.x", "roles_event.chain_ln.none", "covid_difference.chain_ln.x"),
        *("balanced.chain_ln.none", "doubly_robust.chain_ln.none", "sdid.chain_ln.none"),
    ],
)
def test_every_estimator_gives_tidy_rows(prepared, settings, spec_id):
    model, frame = prepared(spec_id)
    table, main, crv1 = run.estimates(model, frame, settings)
    assert set(table["spec_id"]) == {spec_id}
    assert set(table["term"]) == set(model.treatments)
    assert (crv1 is None) == (model.estimator in designs.COVARIANCES)
    assert set(table["covariance"]) == {designs.COVARIANCES.get(model.estimator, "CRV3")}
    assert set(table["n_clusters"]) == {main.n_clusters} == {25}
    estimated = table[table["std_error"].notna()]
    assert (estimated["ci_low"] < estimated["ci90_low"]).all() and (estimated["ci90_high"] < estimated["ci_high"]).all()
    assert estimated[["mde", "power_05", "power_10", "p_value"]].notna().all(axis=None)
    assert len(table) - len(estimated) == (model.estimator.startswith("event_study")) * len(model.treatments)


@pytest.mark.parametrize("method", [m for m in battery.RESAMPLED if m not in ("permutation_role", "welch")])
def test_every_resampling_test_runs_on_the_headline(prepared, settings, borders, method):
    model, frame = prepared("did.chain_ln.x")
    (row,) = battery.resampling_tests(case(model, frame, settings, borders, method))
    assert (row["spec_id"], row["term"], row["method"], row["reason"]) == ("did.chain_ln.x", "hub_post", method, None)
    assert 0 < row["p_value"] <= 1
    drawn = {"wild_webb": 99, "wild_rademacher": 99, "randomization_province": 99, "randomization_contiguous": 99}
    drawn |= {"randomization_hub": 1_081_575, "randomization_hub_coefficient": 1_081_575}
    drawn |= {"randomization_stratified": 665_280, "ferman_pinto": 99}
    assert row["draws"] == drawn.get(method)
    if row["draws"] is not None:
        assert row["exact"] == (row["draws"] > 99)


def test_without_x_single_provinces_are_counted_exactly(prepared, settings, borders):
    model, frame = prepared("did.chain_ln.none")
    rows = battery.resampling_tests(case(model, frame, settings, borders, "randomization_province", "welch"))
    province, welch = rows
    assert (province["draws"], province["exact"]) == (265_182_525, True)  # C(31, 14)
    assert (welch["draws"], welch["exact"]) == (1_081_575, True)


def test_tests_come_in_the_order_they_are_named(prepared, settings, borders):
    model, frame = prepared("did.chain_ln.x")
    named = ("conley_800", "wild_webb", "crv1", "driscoll_kraay")
    rows = battery.resampling_tests(case(model, frame, settings, borders, *named))
    assert [row["method"] for row in rows] == ["conley_800", "wild_webb", "driscoll_kraay"]


def test_cheap_tests_come_for_every_treatment(prepared, settings):
    model, frame = prepared("roles.chain_ln.x")
    table, tests, _ = battery.evaluate(model, frame.assign(name_zh="", name_en=""), frame, settings)
    found = [(row["method"], row["term"]) for row in tests]
    terms = ("demand_post", "supply_post")
    both = "demand_post - supply_post"
    assert found == [*(("crv1", term) for term in terms), *(("cr2", term) for term in terms), ("equality", both)]
    cr2 = [row for row in tests if row["method"] == "cr2"]
    assert all(3 < row["df1"] < 6 for row in cr2)  # four treated clusters
    errors = table.set_index("term")["std_error_crv1"]
    for row in tests[:2]:
        assert row["estimate"] / row["statistic"] == pytest.approx(errors[row["term"]])


def test_a_test_that_cannot_be_had_has_a_row_with_its_reason(prepared, settings, borders, monkeypatch):
    def refuse(case):
        raise EstimationError("no such thing")

    monkeypatch.setitem(battery.RESAMPLED, "welch", refuse)
    model, frame = prepared("did.chain_ln.none")
    (row,) = battery.resampling_tests(case(model, frame, settings, borders, "welch"))
    assert row["reason"] == "no such thing"
    assert np.isnan(row["p_value"])


def test_weights_of_the_controls_are_shares(prepared, settings):
    model, frame = prepared("doubly_robust.chain_ln.none")
    view = battery.control_weights(model.spec_id, designs.fit(model, frame, settings, "CRV3")).set_index("column")[
        "value"
    ]
    shares = view.drop("effective_controls")
    assert set(shares.index) == set(frame.loc[frame["hubs"] == 0, "province_code"])
    assert shares.sum() == pytest.approx(1)
    assert view["effective_controls"] == pytest.approx(1 / (shares**2).sum())
    balanced = prepared("balanced.chain_ln.none")
    own = battery.control_weights("b", designs.fit(*balanced, settings, "CRV3")).set_index("column")["value"]
    np.testing.assert_allclose(
        own.loc[view.index], view, rtol=1e-4, atol=1e-6
    )  # the tilting weights are the entropy weights
