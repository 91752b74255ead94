"""Identities and second engines on the real panel: the printed numbers, computed another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline import specs
from pipeline.econometrics import two_way_fe, wild_cluster_bootstrap
from pipeline.estimate import battery, describe, designs, run, samples

OUTCOMES = ("chain_ln", "chain", "chain_rank", "chain_share")


@pytest.fixture
def frame_of(real_rows, settings, specification):
    def frame(spec_id):
        model = specification(spec_id)
        return model, run.sample_of(model, real_rows, specs.models().treatments, settings)

    return frame


def case(model, frame, settings, *methods):
    return battery.Case(replace(model, tests=methods), frame, settings, seed=1, borders=pd.DataFrame())


def long_differences(frame, outcome):
    """Mean of the post years less the mean of all pre years, by province, with X and hub status."""
    y = frame.pivot(index="province_code", columns="year", values=outcome)
    post = y.columns >= 2022
    change = y.loc[:, post].mean(axis=1) - y.loc[:, ~post].mean(axis=1)
    units = frame.groupby("province_code").first().loc[change.index]
    return change, units


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_twfe_is_the_difference_of_mean_changes(frame_of, settings, outcome):
    model, frame = frame_of(f"did.{outcome}.none")
    change, units = long_differences(frame, outcome)
    gap = change[units["hubs"] == 1].mean() - change[units["hubs"] == 0].mean()
    assert designs.fit(model, frame, settings, "CRV3").att == pytest.approx(gap, abs=1e-10 * max(1, abs(gap)))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_with_x_it_is_the_ols_of_long_differences(frame_of, settings, outcome):
    model, frame = frame_of(f"did.{outcome}.x")
    change, units = long_differences(frame, outcome)
    regressors = sm.add_constant(units[["hubs", *model.adjustment.by_time]].astype(float))
    ols = sm.OLS(change, regressors).fit()
    got = designs.fit(model, frame, settings, "CRV3").att
    assert got == pytest.approx(ols.params["hubs"], abs=1e-10 * max(1, abs(got)))


def test_with_regions_it_is_the_ols_of_long_differences_on_region_dummies(frame_of, settings):
    model, frame = frame_of("did.chain_ln.region")
    change, units = long_differences(frame, "chain_ln")
    regressors = pd.get_dummies(units["region"], dtype=float).assign(hubs=units["hubs"])
    slope = sm.OLS(change, regressors).fit().params["hubs"]
    assert designs.fit(model, frame, settings, "CRV3").att == pytest.approx(slope)


@pytest.mark.parametrize("adjustment", ["none", "x", "region"])
def test_crv3_is_the_spread_of_25_refits(frame_of, settings, adjustment):
    model, frame = frame_of(f"did.chain_ln.{adjustment}")
    full = designs.fit(model, frame, settings, "CRV3")
    shared = designs.common(model)
    refits = [
        two_way_fe(frame[frame["cluster"] != left], "chain_ln", "hub_post", **shared).att
        for left in frame["cluster"].unique()
    ]
    assert len(refits) == 25
    spread = np.sqrt(24 / 25 * np.sum((np.array(refits) - full.att) ** 2))
    assert full.std_error == pytest.approx(spread, rel=1e-8)
    assert full.df == 24


@pytest.mark.parametrize("adjustment", ["none", "x", "region"])
def test_pyfixest_agrees_in_coefficient_and_crv1(frame_of, settings, adjustment):
    import pyfixest as pf

    model, frame = frame_of(f"did.chain_ln.{adjustment}")
    terms = [f"i(year, {name}, ref=2013)" for name in model.adjustment.by_time]
    effects = "province_code + region_year" if adjustment == "region" else "province_code + year"
    data = frame.assign(region_year=frame["region"] + frame["year"].astype(str))
    other = pf.feols(
        f"chain_ln ~ {' + '.join(['hub_post', *terms])} | {effects}",
        data,
        vcov={"CRV1": "cluster"},
        ssc=pf.ssc(k_fixef="none", k_adj=False, G_adj=False),
    )
    ours = designs.fit(model, frame, settings, "CRV1")
    assert ours.att == pytest.approx(other.coef()["hub_post"], abs=1e-8)
    periods = 9 if adjustment != "region" else 9 * 4
    k = 1 + periods + len(model.adjustment.by_time) * 8
    factor = 25 / 24 * (279 - 1) / (279 - k)
    assert ours.std_error == pytest.approx(other.se()["hub_post"] * np.sqrt(factor), rel=1e-8)


def test_the_wild_bootstrap_of_the_panel_is_that_of_the_long_differences(frame_of):
    model, frame = frame_of("did.chain_ln.x")
    change, units = long_differences(frame, "chain_ln")
    names = list(model.adjustment.by_time)
    two = pd.concat(
        [units.assign(y=0.0, year=0, post=0.0), units.assign(y=change, year=1, post=units["hubs"])]
    ).reset_index()
    settings = {"draws": 999, "seed": 3, "cluster": "cluster"}
    panel = wild_cluster_bootstrap(
        frame, "chain_ln", "hub_post", unit="province_code", time="year", by_time=names, **settings
    )
    short = wild_cluster_bootstrap(two, "y", "post", unit="province_code", time="year", by_time=names, **settings)
    assert panel.p_value == short.p_value
    # The t of the two designs differ by the small-sample factor alone, draw by draw.
    ratio = panel.distribution / short.distribution
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-7)


def test_the_randomisation_enumerates_all_assignments_of_hub_status(frame_of, settings):
    model, frame = frame_of("did.chain_ln.x")
    rows = battery.resampling_tests(case(model, frame, settings, "randomization_hub"))
    exact = next(r for r in rows if r["method"] == "randomization_hub")
    assert exact["draws"] == 1_081_575
    assert exact["exact"]
    assert exact["ci_low"] < exact["estimate"] < exact["ci_high"]


def test_sampled_assignments_are_explicit_regressions(frame_of, settings):
    """The share of a random sample of assignments, each regressed by statsmodels, is the enumerated p up to noise."""
    model, frame = frame_of("did.chain_ln.none")
    change, units = long_differences(frame, "chain_ln")
    clusters = units["cluster"].to_numpy()
    names = np.unique(clusters)

    def t_of(hubs):
        fitted = sm.OLS(change.to_numpy(), sm.add_constant(hubs)).fit(
            cov_type="cluster", cov_kwds={"groups": pd.factorize(clusters)[0]}
        )
        return abs(fitted.tvalues[1])

    observed = t_of(units["hubs"].to_numpy())
    rng = np.random.default_rng(5)
    draws = [t_of(np.isin(clusters, rng.choice(names, 8, replace=False)).astype(float)) for _ in range(800)]
    share = np.mean(np.array(draws) >= observed)
    rows = battery.resampling_tests(case(model, frame, settings, "randomization_hub"))
    exact = next(r["p_value"] for r in rows if r["method"] == "randomization_hub")
    assert abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / 800)


def test_roles_differ_by_the_tested_difference(frame_of, settings):
    model, frame = frame_of("roles.chain_ln.x")
    both = designs.fit(model, frame, settings, "CRV3")
    gap = battery.equality(model, frame, settings)
    assert gap.estimate == pytest.approx(both.table["estimate"][0] - both.table["estimate"][1], abs=1e-12)
    weights = np.array([1.0, -1.0])
    assert (gap.estimate / gap.statistic) ** 2 == pytest.approx(weights @ both.vcov @ weights, rel=1e-8)


def test_the_roles_are_permuted_in_70_ways(frame_of, settings):
    model, frame = frame_of("roles.chain_ln.none")
    (row,) = battery.resampling_tests(case(model, frame, settings, "permutation_role"))
    assert (row["method"], row["draws"], row["exact"]) == ("permutation_role", 70, True)
    assert row["p_value"] * 70 == pytest.approx(round(row["p_value"] * 70))


def test_without_x_the_event_study_by_role_is_two_event_studies(frame_of, settings):
    model, frame = frame_of("roles_event.chain_ln.none")
    joint = run.estimates(model, frame, settings)[0].set_index(["term", "event_time"])["estimate"]
    for role, other in (("demand", "supply"), ("supply", "demand")):
        alone = frame[frame["role"] != other]
        means = alone.groupby(["hubs", "year"])["chain_ln"].mean().unstack()
        gap = means.loc[1.0] - means.loc[0.0]
        for year, value in (gap - gap[2020]).items():
            assert joint[role, year - 2022] == pytest.approx(value, abs=1e-10)


def test_outcomes_use_the_years_in_which_29_provinces_have_them(real_rows):
    sample = specs.models().samples["available"]
    years = samples.years_of(real_rows, "ln_electricity", sample, 2021)
    assert years == (2015, 2016, 2017, 2018, 2019, 2020, 2022, 2023, 2024)


def test_years_are_told_as_spans():
    assert run.spans([2013, 2014, 2015, 2016, 2018, 2019, 2020, 2022, 2023]) == "2013–2016, 2018–2020, 2022, 2023"
    assert run.spans([2015]) == "2015"


def test_left_out_rows_are_named(real_rows, settings, specification):
    model = specification("dimensions.chain_transformation_ln.x")
    frame = run.sample_of(model, real_rows, specs.models().treatments, settings)
    view = samples.left_out(model.spec_id, real_rows, frame, model.outcome).set_index("column")
    assert view.loc["names_en", "text"] == "Tibet 2014"
    assert view.loc["rows", "value"] == 1


@pytest.mark.parametrize("adjustment", ["none", "x"])
@pytest.mark.parametrize("condition", ["surplus", "ports", "it", "industry"])
def test_bottlenecks_are_the_ols_of_long_differences_on_interactions(
    frame_of, real_rows, settings, condition, adjustment
):
    model, frame = frame_of(f"bottleneck_{condition}.chain_ln.{adjustment}")
    change, units = long_differences(frame, "chain_ln")
    moderator = specs.models().treatments[f"{condition}_post"].moderator
    years = real_rows[real_rows["year"].isin([2017, 2018, 2019])]
    level = years.groupby("province_code")[moderator].mean()
    units["M"] = ((level - level.mean()) / level.std(ddof=1)).loc[units.index]
    units["hubs×M"] = units["hubs"] * units["M"]
    names = ["hubs×M", "hubs", "M", *model.adjustment.by_time]
    ols = sm.OLS(change, sm.add_constant(units[names].astype(float))).fit()
    estimates = run.estimates(model, frame, settings)[0].set_index("term")["estimate"]
    assert estimates[f"{condition}_post"] == pytest.approx(ols.params["hubs×M"], abs=1e-9)
    assert estimates["hub_post"] == pytest.approx(ols.params["hubs"], abs=1e-9)


@pytest.mark.parametrize("adjustment", ["none", "x"])
def test_the_long_difference_is_an_ols_of_31_changes(frame_of, settings, adjustment):
    model, frame = frame_of(f"covid_difference.chain_ln.{adjustment}")
    y = frame.pivot(index="province_code", columns="year", values="chain_ln")
    change = y[2023] - y[[2018, 2019]].mean(axis=1)
    units = frame.groupby("province_code").first().loc[change.index]
    regressors = sm.add_constant(units[["hubs", *model.adjustment.by_time]].astype(float))
    ols = sm.OLS(change, regressors).fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(units["cluster"])[0]})
    crv1 = designs.fit(model, frame, settings, "CRV1")
    assert crv1.att == pytest.approx(ols.params["hubs"], abs=1e-10)
    assert crv1.std_error == pytest.approx(ols.bse["hubs"], rel=1e-8)
    assert (crv1.n_obs, crv1.n_clusters) == (31, 25)


@pytest.mark.parametrize("adjustment", ["none", "x"])
@pytest.mark.parametrize("outcome", ["chain_ln", "chain"])
def test_spillovers_are_the_ols_of_17_changes_on_the_share_of_hub_neighbours(
    frame_of, settings, borders, outcome, adjustment
):
    model, frame = frame_of(f"spillover.{outcome}.{adjustment}")
    change, units = long_differences(frame, outcome)
    assert len(change) == 17 and units["hubs"].sum() == 0
    hubs = set(frame_of("did.chain_ln.none")[1].query("hubs == 1")["province_code"])
    both = pd.concat([borders, borders.rename(columns={"source": "target", "target": "source"})]).drop_duplicates()
    share = both.assign(hub=both["target"].isin(hubs)).groupby("source")["hub"].mean()
    units["share"] = share.loc[units.index]
    regressors = sm.add_constant(units[["share", *model.adjustment.by_time]].astype(float))
    ols = sm.OLS(change, regressors).fit()
    main = designs.fit(model, frame, settings, "CRV3")
    assert main.att == pytest.approx(ols.params["share"], abs=1e-9 * max(1, abs(main.att)))
    assert (main.n_clusters, main.df) == (17, 16)
    refits = [
        sm.OLS(change.drop(left), regressors.drop(left)).fit().params["share"] for left in change.index
    ]  # each province is a cluster of its own
    spread = np.sqrt(16 / 17 * np.sum((np.array(refits) - main.att) ** 2))
    assert main.std_error == pytest.approx(spread, rel=1e-7)


def test_no_hub_cell_is_lost_in_the_reference_year_or_after(real_rows, settings):
    equations = [m for m in specs.models().specifications if m.data == "corrected"]
    dates = {"event_year": 2022, "reference_year": 2020, "announcement_year": 2021}
    view = describe.lost_hub_cells(real_rows, equations, specs.labels(), dates)
    found = view.set_index(["row", "column"])
    assert found.loc[("cells", "lost"), "value"] == 0
    assert found.loc[("cells", "equations"), "value"] == len(equations)
    for model in equations[::29]:  # the same, from the rows that are used
        frame = run.sample_of(model, real_rows, specs.models().treatments, settings)
        after = frame[(frame["year"] == 2020) | (frame["year"] >= 2022)]
        hubs = after[after["hubs"] == 1].groupby("province_code")["year"].nunique()
        assert (hubs == after["year"].nunique()).all(), model.spec_id
