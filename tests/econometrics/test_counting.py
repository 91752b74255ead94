"""Exact counts of assignments against enumeration, and against the exact Wilcoxon distribution."""

from __future__ import annotations

import time
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.econometrics import assignments
from pipeline.econometrics.randomization import randomization_test
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, small

KEYS = {"unit": "unit", "time": "year", "statistic": "coefficient", "draws": None, "seed": 0}


def two_periods(change, treated):
    """A panel whose mean changes are ``change``."""
    n = len(change)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(n), 2), "year": np.tile([0, 1], n)})
    frame["y"] = np.where(frame["year"] == 1, np.asarray(change, dtype=float)[frame["unit"]], 0.0)
    frame["treated"] = (np.asarray(treated)[frame["unit"]] & (frame["year"] == 1)).astype(float)
    return frame


def counted_and_enumerated(monkeypatch, panel, **keywords):
    enumerated = randomization_test(panel, "y", "treated", **KEYS, **keywords)
    monkeypatch.setattr(assignments, "MOST", 5)
    counted = randomization_test(panel, "y", "treated", **KEYS, **keywords)
    assert counted.distribution is None
    assert enumerated.distribution is not None
    return counted, enumerated


def test_fourteen_of_thirty_one_provinces_is_the_exact_wilcoxon_test(evidence):
    """Ranks as changes: the coefficient is a linear function of the rank sum, whose distribution is symmetric."""
    ranks = np.random.default_rng(1).permutation(31) + 1
    hub = np.arange(31) < 14
    start = time.perf_counter()
    result = randomization_test(two_periods(ranks, hub), "y", "treated", **KEYS)
    assert time.perf_counter() - start < 5
    assert (result.draws, result.exact, result.distribution) == (comb(31, 14), True, None)
    assert result.draws == 265_182_525
    evidence(
        randomization_test,
        "scipy.stats.mannwhitneyu, method='exact'",
        "ranks 1 … 31, 14 treated, 265,182,525 assignments",
        result.p_value,
        stats.mannwhitneyu(ranks[hub], ranks[~hub], method="exact").pvalue,
        "external",
        12,
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("build", "keywords"),
    [
        ("plain", {}),
        ("ties", {}),
        ("strata", {"strata": "half"}),
        ("regions", {"strata": "half", "effects": ("unit", ("half", "year"))}),
        ("staggered", {}),
        ("no path untreated", {"effects": ("unit",)}),
        ("majority treated", {}),
        ("null", {"null": 0.4}),
    ],
)
def test_counts_equal_enumeration(monkeypatch, evidence, build, seed, keywords):
    panel = small(seed)
    who = {"majority treated": ["u0", "u2", "u3", "u5", "u7", "u8"]}.get(build, ["u0", "u3", "u5", "u7"])
    panel["treated"] = (panel["unit"].isin(who) & (panel["year"] >= 4)).astype(float)
    if build == "ties":
        panel["y"] = panel["y"].round()
    if build == "staggered":
        start = {"u0": 2, "u4": 2, "u5": 4, "u6": 4, "u8": 5}
        panel["treated"] = (panel["year"] >= panel["unit"].map(start).fillna(9)).astype(float)
    if build == "no path untreated":
        panel["treated"] = (panel["year"] >= np.where(panel["unit"].isin(who), 2, 4)).astype(float)
    counted, enumerated = counted_and_enumerated(monkeypatch, panel, **keywords)
    assert (counted.draws, counted.exact) == (enumerated.draws, True)
    assert counted.p_value == enumerated.p_value
    assert counted.statistic == enumerated.statistic
    evidence(
        randomization_test,
        "p by enumeration",
        f"simulated 9 × 6, {build}, {counted.draws} assignments, seed {seed}",
        counted.p_value,
        enumerated.p_value,
        "exact",
        12,
    )


def test_interval_of_the_count_is_that_of_the_enumeration(monkeypatch):
    panel = small(3)
    panel["treated"] = (panel["unit"].isin(["u0", "u3", "u5", "u7"]) & (panel["year"] >= 4)).astype(float)
    counted, enumerated = counted_and_enumerated(monkeypatch, panel, interval=True, level=0.9)
    np.testing.assert_allclose(counted.ci, enumerated.ci, rtol=1e-8)
    assert counted.ci[0] < counted.estimate < counted.ci[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-6, 6), st.floats(-1e3, 1e3))
def test_p_does_not_depend_on_scale_labels_or_order(seed, power, shift):
    rng = np.random.default_rng(seed)
    frame = two_periods(rng.normal(size=31), rng.permutation(31) < 14)
    other = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    other["y"] = shift + other["y"]
    other["y"] *= 10.0**power
    other["unit"] = 99 - other["unit"]
    a, b = (randomization_test(f, "y", "treated", **KEYS) for f in (frame, other))
    assert a.p_value == pytest.approx(b.p_value, abs=1e-7)  # the shift costs the changes a few of their last bits


@pytest.mark.parametrize(
    ("drop", "keywords"),
    [(0, {"by_time": ["x1"]}), (0, {"controls": ["z"]}), (3, {}), (0, {"weights": "w"}), (0, {"statistic": "t"})],
    ids=["slopes", "control", "unbalanced", "weights", "t"],
)
def test_where_the_residual_sum_of_squares_depends_on_the_assignment_it_refuses(drop, keywords):
    with pytest.raises(EstimationError, match="265,182,525 assignments are too many to enumerate"):
        randomization_test(provinces(1, drop=drop), "y", "treated", **(KEYS | keywords))


def test_groups_of_unequal_size_are_not_counted(monkeypatch):
    monkeypatch.setattr(assignments, "MOST", 5)
    with pytest.raises(EstimationError, match="15 assignments are too many"):
        randomization_test(small(1), "y", "treated", cluster="cluster", **KEYS)
