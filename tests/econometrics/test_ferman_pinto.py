"""Few treated groups of unequal size: against a loop, every resample, two-way fixed effects, and in size."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.ferman_pinto import ferman_pinto
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import provinces, small

KEYS = {"unit": "unit", "time": "year"}


def groups(seed=0, n=40, treated=1, small_treated=True, shock=0.2, periods=4):
    """Groups of 20 to 400 members whose means have variance (1 + shock)·20/M; the treated have ten, or 400."""
    rng = np.random.default_rng(seed)
    m = rng.integers(20, 400, size=n).astype(float)
    m[:treated] = 10.0 if small_treated else 400.0
    y = rng.normal(size=(n, periods)) * np.sqrt(20 / m)[:, None] + rng.normal(size=(n, periods)) * np.sqrt(shock / 20)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(n), periods), "year": np.tile(np.arange(periods), n)})
    frame["y"], frame["m"] = y.ravel(), np.repeat(m, periods)
    frame["treated"] = ((frame["unit"] < treated) & (frame["year"] >= periods // 2)).astype(float)
    return frame


def variances(panel, size):
    """Change, restricted residual, q and fitted variance of each group, from the published description."""
    after = panel["year"] >= 2
    change = panel[after].groupby("unit")["y"].mean() - panel[~after].groupby("unit")["y"].mean()
    residual = (change - change.mean()).to_numpy()
    q = sum(
        (1 / panel.loc[part, size]).groupby(panel.loc[part, "unit"]).sum() / panel.loc[part, "year"].nunique() ** 2
        for part in (after, ~after)
    ).to_numpy()
    b, a = np.polyfit(q, residual**2, 1)
    return change.to_numpy(), residual, q, a + b * q


def test_equals_a_loop_over_resamples(evidence):
    panel = groups(3, treated=2)
    result = ferman_pinto(panel, "y", "treated", **KEYS, size="m", draws=200, seed=7)
    change, residual, _, v = variances(panel, "m")
    assert (v > 0).all()
    picks = np.random.default_rng(7).integers(40, size=(200, 40))
    draws = []
    for pick in picks:
        w = residual[pick] / np.sqrt(v[pick]) * np.sqrt(v)
        draws.append(w[:2].mean() - w[2:].mean())
    estimate = change[:2].mean() - change[2:].mean()
    evidence(
        ferman_pinto,
        "loop over the steps of Ferman and Pinto (2019), appendix A.4",
        "simulated 40 groups × 4, two treated, 200 draws",
        [result.estimate, *result.distribution],
        [estimate, *draws],
        "identity",
        10,
    )
    assert result.p_value == (1 + np.sum(np.abs(draws) >= abs(estimate) * (1 - 1e-9))) / 201
    assert result.meta["variance"] == "A + B q"


def test_p_is_that_of_every_resample(evidence):
    """Five groups of one size: 5⁵ = 3,125 equally likely resamples."""
    panel = groups(6, n=5)
    result = ferman_pinto(panel, "y", "treated", **KEYS, draws=40_000, seed=1)
    change, residual, _, _ = variances(panel.assign(m=1.0 + panel["unit"]), "m")
    every = np.array([residual[list(pick)] for pick in product(range(5), repeat=5)])
    exact = np.mean(np.abs(every[:, 0] - every[:, 1:].mean(axis=1)) >= abs(change[0] - change[1:].mean()) * (1 - 1e-9))
    assert abs(result.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 40_000)
    evidence(
        ferman_pinto,
        "share of all 3,125 resamples",
        "simulated 5 groups × 4, one treated, 40,000 draws",
        result.p_value,
        exact,
        "simulation",
        1,
    )
    assert result.meta["variance"] == "constant"


@pytest.mark.parametrize("keywords", [{}, {"by_time": ["x1", "x2"]}, {"cluster": "cluster", "by_time": ["x1"]}])
def test_estimate_is_two_way_fixed_effects(keywords, evidence):
    panel = provinces(1)
    result = ferman_pinto(panel, "y", "treated", **KEYS, draws=20, seed=0, **keywords)
    by_time = keywords.get("by_time", ())
    evidence(
        ferman_pinto,
        "two_way_fe on a balanced panel",
        f"simulated 31 × 9, {keywords}",
        result.estimate,
        two_way_fe(panel, "y", "treated", **KEYS, by_time=by_time).att,
        "identity",
        10,
    )


@pytest.mark.parametrize(("small_treated", "homoskedastic"), [(True, "over"), (False, "under")])
def test_size_when_the_treated_group_is_small_or_large(small_treated, homoskedastic, evidence):
    """A small treated group varies more: without its size the test rejects too often, and with a large one never."""
    p = {"m": [], None: []}
    for seed in range(250):
        panel = groups(seed, small_treated=small_treated)
        for size in p:
            p[size].append(ferman_pinto(panel, "y", "treated", **KEYS, size=size, draws=199, seed=seed).p_value)
    rate = float(np.mean(np.array(p["m"]) <= 0.05))
    assert 0.01 <= rate <= 0.05 + 3 * np.sqrt(0.0475 / 250)
    evidence(
        ferman_pinto,
        "acceptance rate at 5 %, 250 panels",
        f"simulated 40 groups × 4, one treated of size {10 if small_treated else 400}",
        1 - rate,
        0.95,
        "simulation",
        1,
    )
    other = np.mean(np.array(p[None]) <= 0.05)
    assert other > 0.3 if homoskedastic == "over" else other < 0.01


def test_negative_variances_leave_the_negative_term_out():
    rng = np.random.default_rng(2)
    panel = groups(2, n=12)
    m = np.repeat(np.linspace(1, 40, 12), 4)
    for name, spread in (("constant, since B < 0", m**2), ("proportional to q, since A < 0", 1 / m**2)):
        frame = panel.assign(m=m, y=rng.choice([-1.0, 1.0], size=48) * spread)
        result = ferman_pinto(frame, "y", "treated", **KEYS, size="m", draws=50, seed=3)
        assert result.meta["variance"] == name
        _, residual, q, v = variances(frame, "m")
        assert (v <= 0).any()
        v = np.ones(12) if "constant" in name else q
        picks = np.random.default_rng(3).integers(12, size=(50, 12))
        w = residual[picks] / np.sqrt(v[picks]) * np.sqrt(v)
        np.testing.assert_allclose(result.distribution, w[:, 0] - w[:, 1:].mean(axis=1), rtol=1e-9)


def test_clusters_are_resampled_as_a_whole():
    """Three units of one cluster with one shock: their mean is one draw, and q falls with the number of units."""
    panel = small(4).assign(m=lambda f: 3.0 + f.groupby("unit").ngroup())
    result = ferman_pinto(panel, "y", "treated", **KEYS, cluster="cluster", size="m", draws=100, seed=5)
    after = panel["year"] >= 4
    change = panel[after].groupby("unit")["y"].mean() - panel[~after].groupby("unit")["y"].mean()
    cluster = panel.groupby("unit")["cluster"].first()
    hub = cluster.isin(["a", "d"])
    q = panel.groupby("unit")["m"].first().rdiv(1) * (1 / 2 + 1 / 4)
    residual = (change - change.mean()).groupby(cluster).mean().to_numpy()
    number = cluster.value_counts().sort_index().to_numpy()
    q_cluster = (q.groupby(cluster).sum() / number**2).to_numpy()
    b, a = np.polyfit(q_cluster, residual**2, 1)
    v = a + b * q_cluster
    assert (v > 0).all()
    weights = np.where(hub, 1 / hub.sum(), -1 / (~hub).sum())
    total = pd.Series(weights, cluster.index).groupby(cluster).sum().to_numpy()
    picks = np.random.default_rng(5).integers(6, size=(100, 6))
    expected = (residual[picks] / np.sqrt(v[picks])) @ (total * np.sqrt(v))
    np.testing.assert_allclose(result.distribution, expected, rtol=1e-9)
    assert result.estimate == pytest.approx(change[hub].mean() - change[~hub].mean(), rel=1e-12)


def test_interval_and_null_equal_slow_evaluation():
    panel = groups(8, treated=3)
    run = {**KEYS, "size": "m", "draws": 300, "seed": 2}
    result = ferman_pinto(panel, "y", "treated", **run, interval=True, level=0.9)

    def slow(tau):
        return ferman_pinto(panel.assign(y=panel["y"] - tau * panel["treated"]), "y", "treated", **run).p_value

    scale = result.ci[1] - result.ci[0]
    assert result.ci[0] < result.estimate < result.ci[1]
    for end, outward in ((result.ci[0], -1), (result.ci[1], 1)):
        assert slow(end + outward * 1e-6 * scale) <= 0.1 < slow(end - outward * 1e-6 * scale)
    assert ferman_pinto(panel, "y", "treated", **run, null=0.2).p_value == slow(0.2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(-100, 100), st.floats(-3, 3))
def test_scale_order_and_unit_of_size_do_not_matter(seed, power, shift, size_power):
    panel = groups(seed, n=15, treated=2)
    other = panel.sample(frac=1, random_state=seed)
    other = other.assign(y=other["y"] * 10.0**power + shift, m=other["m"] * 10.0**size_power)
    before = other.copy()
    run = {**KEYS, "size": "m", "draws": 99, "seed": 1}
    a, b = (ferman_pinto(f, "y", "treated", **run) for f in (panel, other))
    pd.testing.assert_frame_equal(other, before)
    assert a.p_value == b.p_value
    assert b.estimate == pytest.approx(a.estimate * 10.0**power, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"draws": 0}, "draws must be positive"),
        ({"m": 0.0}, {}, "size 'm' must be known and positive"),
        ({"y": lambda f: f["y"].where((f["unit"] != 3) | (f["year"] < 2))}, {}, "none after: 3"),
        ({"treated": lambda f: f["treated"] * f["year"]}, {}, "differs by a constant"),
        ({"treated": lambda f: f["treated"] * (1 + f["unit"])}, {}, "one treated path"),
        ({"group": lambda f: f["year"]}, {"cluster": "group"}, "cluster changes within 0"),
        ({"group": lambda f: f["unit"] % 3}, {"cluster": "group"}, "3 groups are too few"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        ferman_pinto(
            groups(1, treated=3).assign(**change), "y", "treated", **KEYS, **{"size": "m", "seed": 0, **keywords}
        )


def test_collinear_columns_are_named():
    panel = provinces(2)
    with pytest.raises(CollinearityError, match="x1, twice"):
        ferman_pinto(panel.assign(twice=2 * panel["x1"]), "y", "treated", **KEYS, by_time=["x1", "twice"], seed=0)
    with pytest.raises(CollinearityError, match=r"'treated' is a combination of by_time \(hub\)"):
        ferman_pinto(panel, "y", "treated", **KEYS, by_time=["hub"], seed=0)
