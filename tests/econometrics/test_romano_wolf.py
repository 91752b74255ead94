"""Step-down p-values against pyfixest, a slow loop, and the familywise error rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.econometrics import wild_cluster_bootstrap
from pipeline.econometrics.randomization import randomization_test
from pipeline.econometrics.romano_wolf import romano_wolf
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, small

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}


def family(panel, outcomes, **keywords):
    return {y: randomization_test(panel, y, "treated", **KEYS, **keywords) for y in outcomes}


def correlated(seed, base=provinces, effects=(2.0, 1.0, 0.0, 0.0)):
    """Outcomes with a common error; the first ones have an effect."""
    panel, rng = base(seed), np.random.default_rng(seed)
    for k, effect in enumerate(effects):
        panel[f"y{k}"] = panel["y"] + rng.normal(size=len(panel)) + effect * panel["treated"]
    return panel, [f"y{k}" for k in range(len(effects))]


def by_hand(draws, statistics, *, exact=False):
    """The definition, hypothesis by hypothesis."""
    left, adjusted, last = list(np.argsort(-np.abs(statistics), kind="stable")), np.empty(len(statistics)), 0.0
    while left:
        first = left[0]
        largest = np.abs(draws[:, left]).max(axis=1)
        count = np.sum(largest >= abs(statistics[first]) * (1 - 1e-9))
        last = max(last, count / len(draws) if exact else (1 + count) / (1 + len(draws)))
        adjusted[first] = last
        left = left[1:]
    return adjusted


def test_equals_pyfixest(evidence):
    from pyfixest.estimation.post_estimation.multcomp import _get_rwolf_pval

    panel, outcomes = correlated(1)
    tests = family(panel, outcomes, draws=999, seed=1)
    table = romano_wolf(tests)
    expected = _get_rwolf_pval(
        np.array([t.statistic for t in tests.values()]), np.column_stack([t.distribution for t in tests.values()])
    )
    evidence(
        romano_wolf,
        "pyfixest 0.60.0 multcomp._get_rwolf_pval on the same draws",
        "simulated 31 × 9, four outcomes, 999 permutations",
        table["p_adjusted"],
        expected,
        "external",
        12,
    )
    assert table["hypothesis"].tolist() == outcomes
    assert table["p_value"].tolist() == [t.p_value for t in tests.values()]
    assert table["statistic"].tolist() == [t.statistic for t in tests.values()]


@pytest.mark.parametrize("exact", [True, False])
def test_equals_the_definition(exact, evidence):
    panel, outcomes = correlated(2, base=small, effects=(3.0, 0.0, 1.0))
    tests = family(panel, outcomes, draws=None if exact else 10, seed=5)
    draws = np.column_stack([t.distribution for t in tests.values()])
    statistics = np.array([t.statistic for t in tests.values()])
    table = romano_wolf(tests)
    evidence(
        romano_wolf,
        "loop over hypotheses",
        f"simulated 9 × 6, three outcomes, {len(draws)} assignments of clusters",
        table["p_adjusted"],
        by_hand(draws, statistics, exact=exact),
        "exact",
        12,
    )
    assert len(draws) == (15 if exact else 10)
    frame = pd.DataFrame(draws, columns=outcomes)
    again = romano_wolf(frame, dict(zip(outcomes, statistics, strict=True)), exact=exact)
    pd.testing.assert_frame_equal(again, table)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 60))
def test_properties(seed, count, number):
    rng = np.random.default_rng(seed)
    names = [f"h{k}" for k in range(count)]
    frame = pd.DataFrame(rng.normal(size=(number, count)).round(1), columns=names)
    observed = dict(zip(names, rng.normal(scale=2, size=count).round(1), strict=True))
    table = romano_wolf(frame, observed).set_index("hypothesis")
    np.testing.assert_array_equal(table["p_adjusted"], by_hand(frame.to_numpy(), np.array(list(observed.values()))))
    assert (table["p_adjusted"] >= table["p_value"]).all()
    by_size = table.loc[table["statistic"].abs().sort_values(ascending=False, kind="stable").index]
    assert by_size["p_adjusted"].is_monotonic_increasing
    turned = romano_wolf(frame[names[::-1]], observed).set_index("hypothesis")
    if len({abs(v) for v in observed.values()}) == count:  # equal statistics step down in the order given
        pd.testing.assert_frame_equal(turned.loc[names], table)
    if count > 1:
        same = romano_wolf(pd.DataFrame(dict.fromkeys(names, frame["h0"])), dict.fromkeys(names, observed["h0"]))
        np.testing.assert_array_equal(same["p_adjusted"], same["p_value"])


def test_familywise_error_rate(evidence):
    """Two of four hypotheses are true: one of these is rejected at 10 % in at most a tenth of the panels."""
    wrong, found = [], []
    for seed in range(80):
        panel, outcomes = correlated(seed, base=small, effects=(4.0, 4.0, 0.0, 0.0))
        who = np.random.default_rng(seed).choice(sorted(panel["unit"].unique()), 4, replace=False)
        real = (panel["unit"].isin(who) & (panel["year"] >= 4)).astype(float)
        for y in ("y0", "y1"):
            panel[y] += 4.0 * (real - panel["treated"])
        panel["treated"] = real
        tests = {
            y: randomization_test(panel, y, "treated", unit="unit", time="year", draws=None, seed=0) for y in outcomes
        }
        p = romano_wolf(tests)["p_adjusted"].to_numpy()
        wrong.append((p[2:] <= 0.1).any())
        found.append((p[:2] <= 0.1).mean())
    rate = float(np.mean(wrong))
    assert rate < 0.1 + 3 * np.sqrt(0.09 / 80)
    assert np.mean(found) > 0.5
    evidence(
        romano_wolf,
        "familywise error rate at 10 %, 80 panels",
        "simulated 9 × 6, four outcomes, two of them without effect",
        1 - rate,
        0.9,
        "simulation",
        0,
    )


def test_missing_statistics_count_as_extreme():
    frame = pd.DataFrame({"a": [np.nan, 0.1, 0.2], "b": [0.1, 0.1, 0.1]})
    table = romano_wolf(frame, {"a": 3.0, "b": 2.0})
    assert table["p_value"].tolist() == [0.5, 0.25]
    assert table["p_adjusted"].tolist() == [0.5, 0.5]


def test_bootstrap_draws_are_a_family_too():
    panel, outcomes = correlated(3)
    tests = {y: wild_cluster_bootstrap(panel, y, "treated", **KEYS, draws=199, seed=1) for y in outcomes}
    table = romano_wolf(tests)
    draws = np.column_stack([t.distribution for t in tests.values()])
    np.testing.assert_array_equal(table["p_adjusted"], by_hand(draws, table["statistic"].to_numpy()))


def test_draws_that_are_not_the_same_are_refused():
    panel, _ = correlated(4, base=small, effects=(0.0, 0.0))
    a = family(panel, ["y0"], draws=10, seed=1)["y0"]
    for other in (
        family(panel, ["y1"], draws=10, seed=2)["y1"],
        family(panel, ["y1"], draws=12, seed=1)["y1"],
        family(panel, ["y1"], draws=None, seed=1)["y1"],
        family(panel[panel["cluster"] != "b"], ["y1"], draws=10, seed=1)["y1"],
        randomization_test(panel, "y1", "treated", unit="unit", time="year", draws=10, seed=1),
    ):
        with pytest.raises(EstimationError, match="must share their draws"):
            romano_wolf({"a": a, "b": other})


@pytest.mark.parametrize(
    ("tests", "observed", "message"),
    [
        ({}, None, "at least one hypothesis"),
        (pd.DataFrame({"a": [1.0]}), None, "an observed statistic for each"),
        (pd.DataFrame({"a": [1.0]}), {"b": 1.0}, "an observed statistic for each"),
        (pd.DataFrame({"a": [1.0]}), {"a": np.nan}, "finite observed statistics"),
        (pd.DataFrame({"a": np.empty(0)}), {"a": 1.0}, "one draw"),
    ],
)
def test_refusals(tests, observed, message):
    with pytest.raises(EstimationError, match=message):
        romano_wolf(tests, observed)


def test_a_counted_test_has_no_draws_to_share():
    panel = provinces(5)
    run = {"unit": "unit", "time": "year", "statistic": "coefficient", "draws": None, "seed": 0}
    counted = randomization_test(panel, "y", "treated", **run)
    with pytest.raises(EstimationError, match="no draws are kept of y"):
        romano_wolf({"y": counted})
    with pytest.raises(EstimationError, match="observed statistics come with a frame"):
        romano_wolf({"y": counted}, {"y": 1.0})
