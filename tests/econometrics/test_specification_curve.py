"""Specification curve: each row against its own regression, the joint tests against explicit refits."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.randomization import randomization_test
from pipeline.econometrics.romano_wolf import romano_wolf
from pipeline.econometrics.specification_curve import JOINT, Specification, specification_curve
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import provinces, small

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}


def tiny(seed=0):
    """Nine units in six clusters with a second outcome, a sample without cluster b and one without the first year."""
    panel, rng = small(seed), np.random.default_rng(seed)
    panel["y2"] = 2 * panel["y"] + rng.normal(size=len(panel))
    panel.loc[panel.index[7], "y2"] = np.nan
    panel["without_b"], panel["late"] = panel["cluster"] != "b", panel["year"] > 0
    return panel.assign(w=rng.uniform(0.5, 2, size=len(panel)))


SPECS = (
    Specification("plain", "y"),
    Specification("x", "y", by_time=("x",)),
    Specification("half", "y", effects=("unit", ("half", "year"))),
    Specification("z", "y", controls=("z",), sample="late"),
    Specification("second", "y2", by_time=("x",), scale=2.0),
    Specification("without b", "y", sample="without_b"),
    Specification("weighted", "y", weights="w"),
    Specification("fall", "minus", scale=-1.0),
)


def refit(panel, s, **keywords):
    sample = panel if s.sample is None else panel[panel[s.sample]]
    own = {"controls": s.controls, "by_time": s.by_time, "effects": s.effects, "weights": s.weights}
    return two_way_fe(sample, s.outcome, "treated", **KEYS, **own, **keywords)


def test_rows_are_regressions_and_draws_are_refits(evidence):
    panel = tiny(1).assign(minus=lambda f: -f["y"])
    before = panel.copy()
    curve = specification_curve(panel, "treated", SPECS, **KEYS, covariance="CRV3", draws=None, seed=0)
    pd.testing.assert_frame_equal(panel, before)
    fits = [refit(panel, s, covariance="CRV3") for s in SPECS]
    evidence(
        specification_curve,
        "two_way_fe, CRV3, one by one",
        "simulated 9 × 6, eight specifications",
        curve.table[["estimate", "std_error", "df", "ci_low", "ci_high", "p_value"]],
        [[f.att, f.std_error, f.df, *f.ci, f.p_value] for f in fits],
        "identity",
        9,
    )
    assert curve.table["name"].tolist() == [s.name for s in SPECS]
    assert curve.table["n_obs"].tolist() == [f.n_obs for f in fits]
    assert curve.table["n_clusters"].tolist() == [f.n_clusters for f in fits] == [6, 6, 6, 6, 6, 5, 6, 6]
    b, t = np.empty((15, len(SPECS))), np.empty((15, len(SPECS)))
    for k, who in enumerate(combinations("abcdef", 2)):
        drawn = panel.assign(treated=(panel["cluster"].isin(who) & (panel["year"] >= 4)).astype(float))
        for j, s in enumerate(SPECS):
            fe = refit(drawn, s)
            b[k, j], t[k, j] = fe.att / s.scale, np.sign(s.scale) * fe.att / fe.std_error
    order = np.lexsort(b.T[:1])
    mine = np.lexsort(curve.estimates.T[:1])
    evidence(
        specification_curve,
        "explicit refit of every assignment and specification",
        "simulated 9 × 6, 15 assignments × eight specifications",
        np.column_stack([curve.estimates[mine], curve.statistics[mine]]),
        np.column_stack([b[order], t[order]]),
        "identity",
        8,
    )
    observed = curve.table["estimate"].to_numpy() / [s.scale for s in SPECS]
    assert curve.tests["median"].statistic == pytest.approx(abs(np.median(observed)), rel=1e-12)
    assert (curve.tests["median"].draws, curve.tests["median"].exact) == (15, True)


def test_joint_statistics_by_their_definitions(evidence):
    panel = tiny(2).assign(minus=lambda f: -f["y"])
    curve = specification_curve(panel, "treated", SPECS, **KEYS, draws=None, seed=0, alpha=0.3)
    df = curve.table["n_clusters"].to_numpy() - 1
    b, t = curve.estimates, curve.statistics
    signs = np.sign([s.scale for s in SPECS])
    crv1 = signs * np.array([f.att / f.std_error for f in (refit(panel, s) for s in SPECS)])
    one = curve.table["estimate"].to_numpy() / [s.scale for s in SPECS]
    p = 2 * stats.t.sf(np.abs(t), df)
    z = np.sign(t) * stats.norm.isf(p / 2)
    expected = {
        "median": np.abs(np.median(b, axis=1)),
        "share_significant": np.maximum(((p < 0.3) & (t > 0)).mean(axis=1), ((p < 0.3) & (t < 0)).mean(axis=1)),
        "share_same_sign": np.maximum((t > 0).mean(axis=1), (t < 0).mean(axis=1)),
        "average_z": np.abs(z.mean(axis=1)),
    }
    here = np.abs(np.median(one)), np.mean(np.sign(crv1) == np.sign(crv1[0]))
    assert tuple(curve.tests) == JOINT
    for name, values in expected.items():
        test = curve.tests[name]
        np.testing.assert_allclose(test.distribution, values, rtol=1e-9)
        assert test.p_value == np.mean(values >= test.statistic * (1 - 1e-9))
    assert curve.tests["median"].statistic == pytest.approx(here[0], rel=1e-9)
    assert curve.tests["share_same_sign"].statistic == max(here[1], 1 - here[1])
    z_observed = np.sign(crv1) * stats.norm.isf(stats.t.sf(np.abs(crv1), df))
    evidence(
        specification_curve,
        "average z by scipy.stats (Simonsohn, Simmons and Nelson 2020)",
        "simulated 9 × 6, eight specifications",
        curve.tests["average_z"].statistic,
        abs(z_observed.mean()),
        "identity",
        8,
    )


def test_one_specification_is_the_randomisation_test(evidence):
    panel = provinces(3, drop=4)
    run = {"draws": 499, "seed": 5}
    curve = specification_curve(panel, "treated", [Specification("only", "y", by_time=("x1",))], **KEYS, **run)
    test = randomization_test(panel, "y", "treated", **KEYS, by_time=["x1"], **run)
    evidence(
        specification_curve,
        "randomization_test with the same draws",
        "simulated 31 × 9, unbalanced, 499 permutations",
        [curve.table.loc[0, "p_randomization"], *curve.statistics[:, 0]],
        [test.p_value, *test.distribution],
        "identity",
        9,
    )
    assert curve.tests["average_z"].p_value == test.p_value  # z is monotone in t
    assert curve.tests["median"].meta["assignments"] == test.meta["assignments"]
    coefficient = randomization_test(panel, "y", "treated", **KEYS, by_time=["x1"], statistic="coefficient", **run)
    assert curve.tests["median"].p_value == coefficient.p_value


def test_columns_of_the_curve_are_a_family():
    panel = provinces(4)
    specs = [Specification(k, "y", by_time=v) for k, v in (("none", ()), ("one", ("x1",)), ("two", ("x1", "x2")))]
    curve = specification_curve(panel, "treated", specs, **KEYS, draws=199, seed=1)
    names = [s.name for s in specs]
    table = romano_wolf(
        pd.DataFrame(curve.statistics, columns=names), dict(zip(names, curve.table["t_crv1"], strict=True))
    )
    assert table["p_value"].tolist() == curve.table["p_randomization"].tolist()
    assert (table["p_adjusted"] >= table["p_value"]).all()


@pytest.mark.parametrize("name", JOINT)
def test_joint_p_is_valid_under_the_null(joint_p, name, evidence):
    p = joint_p[name]
    rate = float(np.mean(p <= 0.2))
    assert rate <= 0.2 + 3 * np.sqrt(0.16 / len(p))
    evidence(
        specification_curve,
        f"acceptance rate at 20 % of {name}, {len(p)} panels",
        "simulated 9 × 6, three specifications, 15 assignments",
        1 - rate,
        0.8,
        "simulation",
        0,
    )


@pytest.fixture(scope="module")
def joint_p():
    specs = (Specification("a", "y"), Specification("b", "y", by_time=("x",)), Specification("c", "y2"))
    p = {name: [] for name in JOINT}
    for seed in range(120):
        who = np.random.default_rng(seed).choice(list("abcdef"), 2, replace=False)
        panel = tiny(seed)
        panel["treated"] = (panel["cluster"].isin(who) & (panel["year"] >= 4)).astype(float)
        curve = specification_curve(panel, "treated", specs, **KEYS, covariance="CRV1", draws=None, seed=0, alpha=0.3)
        for name, test in curve.tests.items():
            p[name].append(test.p_value)
    return {name: np.array(values) for name, values in p.items()}


def test_an_effect_is_found():
    panel = provinces(5, effect=2.0)
    specs = [
        Specification(f"{x}{s}", "y", by_time=x, sample=s)
        for x, s in product(((), ("x1",), ("x1", "x2")), (None, "late"))
    ]
    curve = specification_curve(panel.assign(late=panel["year"] > 2014), "treated", specs, **KEYS, draws=199, seed=1)
    assert curve.tests["median"].p_value == curve.tests["average_z"].p_value == 1 / 200
    assert curve.tests["share_significant"].statistic == 1.0


def test_strata_and_units():
    panel = tiny(6)
    curve = specification_curve(panel, "treated", SPECS[:2], **KEYS, strata="half", draws=None, seed=0)
    assert curve.tests["median"].draws == 9
    by_unit = panel.assign(treated=(panel["unit"].isin(["u0", "u4"]) & (panel["year"] >= 4)).astype(float))
    alone = specification_curve(by_unit, "treated", SPECS[:2], unit="unit", time="year", draws=None, seed=0)
    assert alone.tests["median"].draws == 36
    assert alone.table["n_clusters"].tolist() == [9, 9]


def test_assignments_without_an_estimate_are_left_out_of_their_statistics():
    panel = tiny(7).assign(treated=lambda f: (f["cluster"].isin(["a", "c", "d"]) & (f["year"] >= 4)).astype(float))
    specs = (Specification("plain", "y"), Specification("half", "y", effects=("unit", ("half", "year"))))
    curve = specification_curve(panel, "treated", specs, **KEYS, draws=None, seed=0)
    gone = np.isnan(curve.statistics[:, 1])
    assert gone.sum() == 2  # all of one half treated
    np.testing.assert_allclose(curve.tests["median"].distribution[gone], np.abs(curve.estimates[gone, 0]))
    only = specification_curve(panel, "treated", specs[1:], **KEYS, draws=None, seed=0)
    assert np.isinf(only.tests["median"].distribution).sum() == 2
    assert only.table.loc[0, "p_randomization"] == curve.table.loc[1, "p_randomization"]


@pytest.mark.parametrize(
    ("specs", "keywords", "message"),
    [
        ([], {}, "no specification"),
        ([SPECS[0], SPECS[0]], {}, "plain is named twice"),
        ([Specification("a", "y", scale=0.0)], {}, "scale of a specification"),
        ([Specification("a", "nothing")], {}, "no column 'nothing'"),
        ([Specification("a", "y", sample="year")], {}, "specification 'a': sample 'year' must be a boolean"),
        ([Specification("a", "y", sample="early")], {}, "specification 'a': treatment 'treated' is a combination"),
        (SPECS[:1], {"covariance": "HC1"}, "not one of CRV1, CRV3, CR2"),
        (SPECS[:1], {"draws": 0}, "draws must be positive"),
    ],
)
def test_refusals(specs, keywords, message):
    panel = tiny(8).assign(early=lambda f: f["year"] < 4)
    with pytest.raises(EstimationError, match=message):
        specification_curve(panel, "treated", specs, **{**KEYS, "draws": 9, "seed": 0, **keywords})


def test_a_collinear_specification_keeps_its_error_class():
    panel = tiny(9).assign(twice=lambda f: 2 * f["x"])
    with pytest.raises(CollinearityError, match="specification 'both': by_time column 'twice'"):
        specification_curve(
            panel, "treated", [Specification("both", "y", by_time=("x", "twice"))], **KEYS, draws=9, seed=0
        )
