"""Permutation of exposures against refits of every assignment."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.exposures import permute_exposures
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, small

TRIPLE = ("id", ("industry", "year"), ("unit", "year"))
RUN = {"unit": "id", "time": "year", "effects": TRIPLE, "exposure_by": "industry", "seed": 0}


def triple(seed=0, drop=0, industries=4, base=small):
    """Units × industries × periods, with an exposure by industry, unit characteristics x, v and their products."""
    rng = np.random.default_rng(seed)
    e = rng.normal(size=industries)
    parts = [base(seed).assign(industry=f"i{i}", e=e[i]) for i in range(industries)]
    frame = pd.concat(parts, ignore_index=True)
    x = "x" if base is small else "x1"
    frame["y"] = 0.3 * frame["y"] + rng.normal(size=len(frame)) + frame[x] * frame["e"] * frame["year"] / 9
    frame["id"] = frame["unit"] + frame["industry"]
    frame["v"] = frame["unit"].map({u: rng.normal() for u in sorted(frame["unit"].unique())})
    frame["w"], frame["z"] = rng.uniform(0.5, 2, size=len(frame)), rng.normal(size=len(frame))
    frame["xe"], frame["ve"], frame["d"] = frame[x] * frame["e"], frame["v"] * frame["e"], frame["treated"] * frame["e"]
    return frame.drop(index=rng.choice(len(frame), drop, replace=False)).reset_index(drop=True)


def refits(panel, statistic, exposed, **keywords):
    """Coefficient or t of an explicit regression for every order of the exposures."""
    names = sorted(panel["industry"].unique())
    values = panel.groupby("industry")["e"].first().loc[names].to_numpy()
    out = []
    for order in sorted(permutations(np.argsort(np.argsort(values)))):
        e = panel["industry"].map(dict(zip(names, np.sort(values)[list(order)], strict=True)))
        drawn = panel.assign(d=panel["treated"] * e, **{f"{c}_e": panel[c] * e for c in exposed})
        by_time = [*keywords.get("by_time", ()), *(f"{c}_e" for c in exposed)]
        fe = two_way_fe(drawn, "y", "d", unit="id", time="year", effects=TRIPLE, **(keywords | {"by_time": by_time}))
        out.append(fe.att / fe.std_error if statistic == "t" else fe.att)
    return np.array(out)


@pytest.mark.parametrize(
    ("drop", "exposed", "keywords"),
    [
        (0, (), {"cluster": "cluster"}),
        (0, ("x", "v"), {"cluster": "cluster"}),
        (5, ("x",), {"cluster": "cluster", "controls": ["z"], "by_time": ["ve"]}),
        (3, ("x",), {"weights": "w"}),
    ],
    ids=["plain", "two-columns", "unbalanced-control-held", "weights-by-unit"],
)
@pytest.mark.parametrize("statistic", ["t", "coefficient"])
def test_equals_refits_of_every_order(statistic, drop, exposed, keywords, evidence):
    panel = triple(1, drop=drop)
    result = permute_exposures(
        panel, "y", "treated", "e", **RUN, exposed_by_time=exposed, statistic=statistic, draws=None, **keywords
    )
    expected = refits(panel, statistic, exposed, **keywords)
    assert (result.draws, result.exact) == (24, True)
    evidence(
        permute_exposures,
        f"{statistic} of an explicit refit of every order",
        f"simulated 9 × 4 × 6, exposed {exposed}, {keywords}, {drop} rows missing",
        result.distribution,
        expected,
        "identity",
        8,
    )
    assert result.p_value == np.mean(np.abs(expected) >= abs(result.statistic) * (1 - 1e-9))
    by_time = [*keywords.get("by_time", ()), *(f"{c}e" for c in exposed)]
    fe = two_way_fe(panel, "y", "d", unit="id", time="year", effects=TRIPLE, **(keywords | {"by_time": by_time}))
    assert result.estimate == pytest.approx(fe.att, rel=1e-8)
    assert result.statistic == pytest.approx(fe.att / fe.std_error if statistic == "t" else fe.att, rel=1e-8)


def test_nine_industries_are_enumerated(evidence):
    panel = triple(2, industries=9, base=provinces)
    run = RUN | {"cluster": "cluster"}
    exact = permute_exposures(
        panel, "y", "treated", "e", **run, exposed_by_time=["x1"], statistic="coefficient", draws=None
    )
    assert (exact.draws, exact.exact) == (factorial(9), True) == (362_880, True)
    drawn = permute_exposures(
        panel, "y", "treated", "e", **run, exposed_by_time=["x1"], statistic="coefficient", draws=20_000
    )
    assert (drawn.draws, drawn.exact) == (20_000, False)
    assert abs(drawn.p_value - exact.p_value) < 4 * np.sqrt(exact.p_value * (1 - exact.p_value) / 20_000)
    evidence(
        permute_exposures,
        "p of 20,000 random orders",
        "simulated 31 × 9 × 9, all 9! orders with X × exposure × year",
        exact.p_value,
        drawn.p_value,
        "simulation",
        1,
    )


def test_interval_and_null_equal_slow_evaluation():
    panel = triple(3, drop=4)
    run = RUN | {"cluster": "cluster", "draws": None, "exposed_by_time": ["x"]}
    result = permute_exposures(panel, "y", "treated", "e", **run, interval=True, level=0.8)

    def slow(tau):
        return permute_exposures(panel.assign(y=panel["y"] - tau * panel["d"]), "y", "treated", "e", **run).p_value

    scale = result.ci[1] - result.ci[0]
    for end, outward in ((result.ci[0], -1), (result.ci[1], 1)):
        assert slow(end + outward * 1e-6 * scale) <= 0.2 < slow(end - outward * 1e-6 * scale)
    shifted = permute_exposures(panel, "y", "treated", "e", **run, null=0.3)
    assert shifted.p_value == slow(0.3)


def test_equal_exposures_are_not_told_apart():
    panel = triple(4)
    panel["e"] = panel["industry"].map({"i0": 1.0, "i1": 1.0, "i2": 0.0, "i3": -0.5})
    result = permute_exposures(panel, "y", "treated", "e", **RUN, draws=None)
    assert result.draws == 12


def test_an_order_that_the_effects_absorb_counts_as_extreme():
    """One industry is seen in two units of one path only: where it alone is exposed, nothing is left to estimate."""
    panel = triple(5)
    panel = panel[(panel["industry"] != "i0") | panel["unit"].isin(["u2", "u3"])]
    panel["e"] = (panel["industry"] == "i1").astype(float)
    result = permute_exposures(panel, "y", "treated", "e", **RUN, statistic="coefficient", draws=None)
    assert result.meta["not_estimable"] == "1"
    assert np.isnan(result.distribution).sum() == 1
    size = np.abs(result.distribution[~np.isnan(result.distribution)])
    assert result.p_value == (1 + np.sum(size >= abs(result.statistic) * (1 - 1e-9))) / 4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(-4, 4), st.floats(-5, 5))
def test_scale_order_and_exposure_units_do_not_matter(seed, power, shift):
    panel = triple(6)
    other = panel.sample(frac=1, random_state=seed)
    other = other.assign(y=other["y"] * 10.0**power + shift, e=other["e"] * 3.0)
    run = RUN | {"draws": 30, "exposed_by_time": ["x"], "cluster": "cluster"}
    before = other.copy()
    a, b = (permute_exposures(f, "y", "treated", "e", **run) for f in (panel, other))
    assert a.p_value == b.p_value
    np.testing.assert_allclose(a.distribution, b.distribution, rtol=1e-6)
    pd.testing.assert_frame_equal(other, before)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"statistic": "welch"}, "not one of coefficient, t"),
        ({"e": lambda f: f["e"] + f["year"]}, {}, "'e' must be constant within industry; it changes in i0"),
        ({"e": 1.0}, {}, "every industry has the same 'e': nothing to permute"),
        ({}, {"draws": 0}, "draws must be positive"),
        (
            {"industry": lambda f: f["industry"].where(f["industry"] != "i3")},
            {"effects": None},
            "'industry' is missing",
        ),
        ({}, {"exposed_by_time": ["z"]}, "must be constant within units"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        permute_exposures(triple(7).assign(**change), "y", "treated", "e", **{**RUN, "draws": 10, **keywords})


def test_too_many_orders_are_refused():
    panel = triple(8, industries=12)
    with pytest.raises(EstimationError, match="479,001,600 assignments are too many"):
        permute_exposures(panel, "y", "treated", "e", **RUN, draws=None)
