"""Extended TWFE: R and Stata output, another engine, a slow reference, identities, invariances, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.extended_twfe import extended_twfe
from pipeline.econometrics.sun_abraham import sun_abraham
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import slow_crv1
from tests.econometrics.staggered_panels import (
    COUNTIES,
    DIFF_DIFF,
    KEYS,
    STATES,
    STATSPAI,
    castle,
    minimum_wage,
    rows,
    shifted,
    shuffled,
    simulated,
)

ETWFE = "R etwfe, github.com/grantmcdermott/etwfe, inst/tinytest"
JWDID = f"Stata 19 jwdid 2.21, {DIFF_DIFF}/etwfe_cs_stata_golden.json"
CELLS = [-0.0193723636759116, -0.0783190990620529, -0.136078114440309, -0.104707471576594, 0.00251386194191313]
CELLS += [-0.0391927355917248, -0.0431060328087001]


def test_minimum_wage_without_covariates(evidence):
    errors = [0.0223952764912568, 0.030506236091693, 0.0354768817979489, 0.0338947465597152, 0.0199448451562706]
    errors += [0.0240232361043774, 0.0184422693090335]
    result = extended_twfe(minimum_wage(), "lemp", **COUNTIES, aggregate="cells", intercepts="cohort")
    expected = np.column_stack([CELLS, errors])
    source = f"{ETWFE}/test_etwfe.R, m1_known"
    evidence(extended_twfe, source, "mpdta, 500 counties", rows(result), expected, "external", 8)
    assert result.meta["effects"] == "cohort, year"


def test_minimum_wage_with_county_effects(evidence):
    errors = [0.022381770443295975, 0.030487838520761604, 0.035455486551175253, 0.033874305460323405]
    errors += [0.019932816904001841, 0.024008748273466048, 0.018431147223806212]
    result = extended_twfe(minimum_wage(), "lemp", **COUNTIES, aggregate="cells")
    got = rows(result)
    evidence(extended_twfe, JWDID, "mpdta, 500 counties", got, np.column_stack([CELLS, errors]), "external", 8)


def test_minimum_wage_without_never_treated(evidence):
    panel = minimum_wage().dropna(subset="cohort")
    result = extended_twfe(panel, "lemp", **COUNTIES, aggregate="cells")
    expected = [
        [-0.035399014515583818, 0.023546467824157553],
        [-0.092587202900096421, 0.032812547504897691],
        [-0.13020984713392353, 0.038510767102853845],
        [0.018480380807537715, 0.023079607844173931],
    ]
    evidence(extended_twfe, f"{JWDID}, all treated", "mpdta, 191 counties", rows(result), expected, "external", 8)
    assert "last cohort (2007)" in result.meta["control"]
    assert (result.n_obs, result.n_units, result.n_treated) == (764, 191, 60)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("simple", [[-0.0506270331228907, 0.0124972546529842]]),
        (
            "calendar",
            [
                [-0.0212480022225509, 0.0217240109737018],
                [-0.0818499992698648, 0.0273693827216135],
                [-0.0442655912990223, 0.0173733625406716],
                [-0.0524323095862384, 0.015015825012757],
            ],
        ),
        (
            "group",
            [
                [-0.0876269608795944, 0.0230474099815232],
                [-0.0212783329358987, 0.0185912208081438],
                [-0.0459545277368072, 0.0179714452432232],
            ],
        ),
        (
            "dynamic",
            [
                [-0.0332122037837542, 0.0133659635774059],
                [-0.0573456479257483, 0.0171496442892364],
                [-0.137870386660852, 0.0307883597041053],
                [-0.10953945536511, 0.0323152785480507],
            ],
        ),
    ],
)
def test_minimum_wage_with_population(aggregate, expected, evidence):
    options = {"covariates": ["lpop"], "intercepts": "cohort", "aggregate": aggregate}
    result = extended_twfe(minimum_wage(), "lemp", **COUNTIES, **options)
    source = f"{ETWFE}/test_emfx.R, {aggregate} (its errors by numerical derivatives)"
    evidence(extended_twfe, source, "mpdta, lpop", rows(result), expected, "external", 6)
    assert result.att == pytest.approx(-0.0506270331228907, abs=1e-10)
    units = extended_twfe(minimum_wage(), "lemp", **COUNTIES, covariates=["lpop"], aggregate=aggregate)
    np.testing.assert_allclose(units.table["estimate"], result.table["estimate"], rtol=1e-8)


def test_minimum_wage_against_never_treated(evidence):
    options = {"covariates": ["lpop"], "intercepts": "cohort", "control_group": "never_treated"}
    result = extended_twfe(minimum_wage(), "lemp", **COUNTIES, **options)
    expected = [
        [0.0234649547538384, 0.0145314904277398],
        [-0.0211467366918433, 0.0113935648352396],
        [-0.0533558653415615, 0.0157744281621729],
        [-0.141080104628566, 0.0322891808795742],
        [-0.107544274673025, 0.0329231688783015],
    ]
    source = f"{ETWFE}/test_emfx.R, event_never_window_known"
    got = rows(result, times=(-2, 0, 1, 2, 3))
    evidence(extended_twfe, source, "mpdta, lpop", got, expected, "external", 6)
    assert result.table["event_time"].tolist() == list(range(-4, 4))
    assert result.table.loc[3, "estimate"] == 0


@pytest.mark.parametrize(
    ("aggregate", "kept", "expected"),
    [
        ("simple", [0], [[0.07980154759144198, 0.06325465453485675]]),
        (
            "dynamic",
            range(5),
            [
                [0.07107059938052673, 0.05817008934603207],
                [0.09288445662780975, 0.06228860629578795],
                [0.07677301151498739, 0.07854022174188098],
                [0.1001851777606919, 0.08245215988054272],
                [0.05024689394284776, 0.07660341032497005],
            ],
        ),
        (
            "group",
            range(1, 4),
            [
                [0.06240829424256011, 0.0852656764438381],
                [0.1124968023245294, 0.07887452402000315],
                [0.1427790259749306, 0.0527017518464557],
            ],
        ),
        (
            "calendar",
            range(1, 6),
            [
                [0.05310120082263525, 0.07451798119726656],
                [0.1248031451697542, 0.07696381292640983],
                [0.002679328730253117, 0.0830553852491728],
                [0.1489649948039145, 0.07519316543069196],
                [0.07361407977107359, 0.06470396530974043],
            ],
        ),
    ],
)
def test_castle_doctrine(aggregate, kept, expected, evidence):
    result = extended_twfe(castle(), "l_homicide", **STATES, aggregate=aggregate)
    got = result.table.loc[list(kept), ["estimate", "std_error"]]
    source = f"Stata 18 jwdid v2.2, estat {aggregate}, {STATSPAI}"
    # Florida and Montana are cohorts by themselves: what rests on one of them alone has no standard error
    evidence(extended_twfe, source, "castle, 50 states", got, expected, "external", 6)
    missing = result.table["std_error"].isna()
    assert missing.sum() == len(result.table) - len(got)


def test_agrees_with_diff_diff(evidence):
    from diff_diff import WooldridgeDiD

    panel = simulated(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = WooldridgeDiD(cluster="unit").fit(
            panel.assign(first=panel["cohort"].fillna(0)), outcome="y", unit="unit", time="year", cohort="first"
        )
    result = extended_twfe(panel, "y", **KEYS, aggregate="cells")
    cells = other.group_time_effects
    expected = [[cells[key]["att"], cells[key]["se"]] for key in sorted(cells)]
    evidence(extended_twfe, "diff-diff 3.13 WooldridgeDiD", "simulated 30 × 10", rows(result), expected, "external", 7)


@pytest.mark.parametrize("weights", [None, "w"])
def test_equals_a_regression_on_dummies(weights, evidence):
    panel = simulated(2, drop=8)
    mass = panel["w"] if weights else pd.Series(1.0, panel.index)
    groups = panel["cohort"].fillna(-1)
    centre = (panel["z"] * mass).groupby(groups).sum() / mass.groupby(groups).sum()
    panel["centred"] = panel["z"] - groups.map(centre)
    cells = sorted({(g, t) for g, t, d in zip(panel["cohort"], panel["year"], panel["treated"], strict=True) if d})
    names, slopes, share, mean = [], [], [], []
    for g, t in cells:
        inside = ((panel["cohort"] == g) & (panel["year"] == t)).astype(float)
        names.append(f"c{g:g}t{t}")
        slopes.append(f"s{g:g}t{t}")
        panel[names[-1]], panel[slopes[-1]] = inside, inside * panel["centred"]
        share.append((inside * mass).sum())
        mean.append(np.average(panel["centred"], weights=inside * mass))
    nuisance = ["z"]
    for g in (5, 8):
        panel[f"z in {g}"] = panel["z"] * (panel["cohort"] == g)
        nuisance.append(f"z in {g}")
    for t in range(2, 11):
        panel[f"z at {t}"] = panel["z"] * (panel["year"] == t)
        nuisance.append(f"z at {t}")
    columns = [*names, *slopes, *nuisance]
    b, v = slow_crv1(panel, columns, (("unit",), ("year",)), weights=weights)
    share = np.array(share) / np.sum(share)
    contrast = np.concatenate([share, share * mean, np.zeros(len(nuisance))])
    result = extended_twfe(panel, "y", **KEYS, covariates=["z"], weights=weights, cluster="cluster")
    got, expected = [result.att, result.std_error], [contrast @ b, np.sqrt(contrast @ v @ contrast)]
    source = "regression on dummies, covariates at the treated rows, CRV1 by a loop"
    evidence(extended_twfe, source, f"simulated, unbalanced, weights {weights}", got, expected, "identity", 8)


def test_one_cohort_is_two_way_fixed_effects(evidence):
    panel = simulated(3, sizes=((6, 12), (None, 15)))
    result = extended_twfe(panel, "y", **KEYS, cluster="cluster")
    expected = two_way_fe(panel, "y", "treated", unit="unit", time="year", cluster="cluster")
    evidence(extended_twfe, "two_way_fe", "simulated, one cohort, balanced", result.att, expected.att, "identity", 10)
    jackknife = extended_twfe(panel, "y", **KEYS, cluster="cluster", covariance="CRV3")
    assert jackknife.std_error == pytest.approx(
        two_way_fe(panel, "y", "treated", unit="unit", time="year", cluster="cluster", covariance="CRV3").std_error,
        rel=1e-9,
    )


def test_against_never_treated_it_is_sun_abraham():
    panel = simulated(4, drop=9)
    options = {"cluster": "cluster", "aggregate": "cells", "bands": False}
    result = extended_twfe(panel, "y", **KEYS, **options, control_group="never_treated")
    expected = sun_abraham(panel, "y", **KEYS, **options)
    pd.testing.assert_frame_equal(result.table, expected.table)
    np.testing.assert_allclose(result.vcov, expected.vcov, rtol=1e-10)


def test_cohort_of_one_unit_needs_no_slope():
    panel = simulated(5, sizes=((5, 1), (7, 12), (None, 12)))
    result = extended_twfe(panel, "y", **KEYS, covariates=["x"], aggregate="group")
    assert result.meta["slopes_left_out"].startswith("x in cohort 5 at event time 0")
    assert result.table["std_error"].isna().tolist() == [True, False]
    assert "cohort 5" in result.meta["no_variance"]


@pytest.mark.parametrize(("seed", "scale"), [(1, 1e-6), (2, 3.0), (3, 1e7)])
def test_names_order_shifts_and_scale_do_not_matter(seed, scale):
    panel = simulated(6, drop=7)
    options = {"covariates": ["x"], "cluster": "cluster", "bands": False}
    base = rows(extended_twfe(panel, "y", **KEYS, **options))
    np.testing.assert_allclose(rows(extended_twfe(shuffled(panel, seed), "y", **KEYS, **options)), base, rtol=1e-9)
    moved = shifted(panel, seed=seed)
    moved["y"], moved["x"] = moved["y"] * scale, moved["x"] * 10 - 3
    np.testing.assert_allclose(rows(extended_twfe(moved, "y", **KEYS, **options)), base * scale, rtol=1e-7)


def test_always_treated_units_change_nothing_and_the_frame_is_not_touched():
    panel = simulated(7)
    always = panel[panel["unit"] == panel["unit"].iloc[-1]].assign(unit="early", cohort=1.0)
    both = pd.concat([panel, always], ignore_index=True)
    before = both.copy(deep=True)
    other = extended_twfe(both, "y", **KEYS, covariates=["x"])
    pd.testing.assert_frame_equal(other.table, extended_twfe(panel, "y", **KEYS, covariates=["x"]).table)
    assert other.meta["always_treated_left_out"] == "early"
    pd.testing.assert_frame_equal(both, before)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"control_group": "clean"}, "control_group 'clean' is not one of not_yet_treated, never_treated"),
        ({"intercepts": "none"}, "intercepts 'none' is not one of unit, cohort"),
        ({"aggregate": "mean"}, "aggregate 'mean' is not one of"),
        ({"covariates": ["missing"]}, "no column 'missing'"),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(EstimationError, match=message):
        extended_twfe(simulated(8), "y", **KEYS, **keywords)


def test_collinear_slopes_are_named():
    panel = simulated(9)
    with pytest.raises(CollinearityError, match=r"'twice in cohort 5 at event time 0' .*columns before it"):
        extended_twfe(panel.assign(twice=panel["x"] * 2 + 1), "y", **KEYS, covariates=["x", "twice"])
