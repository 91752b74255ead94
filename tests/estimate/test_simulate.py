"""The batched tests of the size simulation are the public ones, replication by replication; and their size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from pipeline.econometrics import (
    conley_covariance,
    connected_assignments,
    distances,
    randomization_test,
    two_way_fe,
    wild_cluster_bootstrap,
)
from pipeline.estimate import simulate

HUBS = (3, 4, 1, 2, 1, 1, 1, 1)
N, CONTROLS, DRAWS = 31, 17, 99
NAMES = [f"{unit:02d}" for unit in range(N)]
CLUSTERS = np.repeat(np.arange(len(HUBS) + CONTROLS), [*HUBS, *[1] * CONTROLS])
LINE = pd.DataFrame({"source": NAMES[:-1], "target": NAMES[1:]})


@pytest.fixture(scope="module")
def layout():
    """Thirty-one provinces along a line, hubs first; four regions."""
    rng = np.random.default_rng(1)
    hub = (len(HUBS) > CLUSTERS).astype(float)
    latitude, longitude = np.linspace(20, 50, N), np.linspace(85, 130, N) + rng.normal(size=N)
    region = np.arange(N) % 4
    status = np.repeat([1.0, 0.0], [len(HUBS), CONTROLS])
    within = np.empty((DRAWS, N))
    for code in range(4):
        own = region == code
        within[:, own] = rng.permuted(np.tile(hub[own], (DRAWS, 1)), axis=1)
    clusters, treated = (pd.Series(values, index=NAMES) for values in (CLUSTERS, hub))
    return simulate.Layout(
        hub=hub,
        cluster=CLUSTERS,
        region=region,
        x=rng.normal(size=(N, 3)),
        distance=distances(latitude, longitude, NAMES).to_numpy(),
        hubs=rng.permuted(np.tile(status, (DRAWS, 1)), axis=1)[:, CLUSTERS],
        provinces=rng.permuted(np.tile(hub, (DRAWS, 1)), axis=1),
        strata=within,
        contiguous=connected_assignments(LINE, clusters, treated, draws=DRAWS, seed=5).to_numpy(),
    ), pd.DataFrame({"latitude": latitude, "longitude": longitude})


def cases(layout, adjustment, replications=3):
    """Noise with a little effect, the batched regression, and each replication as a cross-section."""
    places, layout = layout[1], layout[0]
    changes = simulate.noise(layout, "hub_shock", replications, np.random.default_rng(2)) + 0.4 * layout.hub[:, None]
    names = ["x0", "x1", "x2"] if adjustment == "x" else []
    z = np.column_stack([np.ones(N), *([layout.x] if names else [])])
    units = places.assign(
        unit=NAMES, cluster=CLUSTERS, region=layout.region, hub=layout.hub, **dict(zip(names, layout.x.T, strict=False))
    )
    frames = [units.assign(year=1, y=change, post=layout.hub) for change in changes.T]
    return simulate.Regression.of(layout, z, changes), frames, names


def before_and_after(frame):
    """The cross-section of changes as a panel of two years."""
    return pd.concat([frame.assign(year=0, y=0.0, post=0.0), frame], ignore_index=True)


@pytest.mark.parametrize("adjustment", ["none", "x"])
@pytest.mark.parametrize(("kind", "batched"), [("CRV1", simulate.crv1), ("CRV3", simulate.crv3), ("CR2", simulate.cr2)])
def test_cluster_variances(layout, adjustment, kind, batched):
    regression, frames, names = cases(layout, adjustment)
    shared = {"unit": "unit", "time": "year", "effects": (), "controls": names, "cluster": "cluster"}
    for p, frame in zip(batched(regression), frames, strict=True):
        assert p == pytest.approx(two_way_fe(frame, "y", "post", covariance=kind, **shared).p_value, abs=1e-10)


@pytest.mark.parametrize("cutoff", [300.0, 800.0])
def test_conley(layout, cutoff):
    regression, frames, names = cases(layout, "x")
    shared = {"unit": "unit", "time": "year", "effects": (), "controls": names}
    for p, frame in zip(simulate.conley(regression, cutoff), frames, strict=True):
        own = conley_covariance(
            frame, "y", "post", latitude="latitude", longitude="longitude", cutoff=cutoff, lags="all", **shared
        )
        assert p == pytest.approx(own.p_value, abs=1e-10)


def test_welch(layout):
    regression, frames, _ = cases(layout, "none")
    for p, frame in zip(simulate.welch(regression), frames, strict=True):
        means = frame.groupby("cluster")[["y", "hub"]].mean()
        treated, controls = means.loc[means["hub"] == 1, "y"], means.loc[means["hub"] == 0, "y"]
        assert p == pytest.approx(ttest_ind(treated, controls, equal_var=False).pvalue, abs=1e-12)


@pytest.mark.parametrize("adjustment", ["none", "x"])
@pytest.mark.parametrize("statistic", ["t", "coefficient"])
def test_randomisation_over_hubs(layout, adjustment, statistic):
    regression, frames, names = cases(layout, adjustment)
    drawn = pd.DataFrame(layout[0].hubs[:, np.unique(CLUSTERS, return_index=True)[1]].astype(int))
    shared = {"unit": "unit", "time": "year", "cluster": "cluster", "by_time": names, "statistic": statistic, "seed": 0}
    batched = simulate.randomised(regression, layout[0].hubs, studentise=statistic == "t")
    for p, frame in zip(batched, frames, strict=True):
        own = randomization_test(before_and_after(frame), "y", "post", assignment=drawn, **shared)
        assert p == own.p_value


def test_randomisation_over_provinces_and_within_regions(layout):
    changes, frames, names = cases(layout, "x")
    regions = (layout[0].region[:, None] == np.arange(4)).astype(float)
    raw = np.column_stack([frame["y"] for frame in frames])
    within = simulate.Regression.of(layout[0], np.hstack([regions, layout[0].x]), raw)
    shared = {"unit": "unit", "time": "year", "by_time": names, "statistic": "coefficient", "seed": 0}
    for effects, regression, drawn in (
        (("unit", "year"), changes, layout[0].provinces),
        (("unit", ("region", "year")), within, layout[0].strata),
    ):
        batched = simulate.randomised(regression, drawn, studentise=False)
        given = pd.DataFrame(drawn.astype(int), columns=NAMES)
        for p, frame in zip(batched, frames, strict=True):
            panel = before_and_after(frame)
            assert p == randomization_test(panel, "y", "post", assignment=given, effects=effects, **shared).p_value


def test_randomisation_over_connected_sets(layout):
    regression, frames, names = cases(layout, "x")
    shared = {"unit": "unit", "time": "year", "cluster": "cluster", "by_time": names, "statistic": "t"}
    for p, frame in zip(simulate.connected(regression, layout[0].contiguous), frames, strict=True):
        own = randomization_test(before_and_after(frame), "y", "post", graph=LINE, draws=DRAWS, seed=5, **shared)
        assert p == own.p_value


def test_the_wild_bootstrap_draws_from_the_same_distribution(layout):
    regression, frames, names = cases(layout, "x", replications=2)
    draws = 1_999
    shared = {"unit": "unit", "time": "year", "cluster": "cluster", "by_time": names, "draws": draws, "seed": 3}
    batched = simulate.wild(regression, draws, np.random.default_rng(4))
    for p, frame in zip(batched, frames, strict=True):
        own = wild_cluster_bootstrap(before_and_after(frame), "y", "post", distribution="webb", **shared).p_value
        assert abs(p - own) < 4 * np.sqrt(2 * own * (1 - own) / draws)


def test_the_noises_are_what_they_are_called(layout):
    layout = layout[0]
    drawn = {kind: simulate.noise(layout, kind, 20_000, np.random.default_rng(6)) for kind in simulate.NOISES}
    correlation = {kind: np.corrcoef(y) for kind, y in drawn.items()}
    together = (CLUSTERS[:, None] == CLUSTERS) & ~np.eye(N, dtype=bool)
    np.testing.assert_allclose(drawn["hub_shock"].std(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(correlation["hub_shock"][together], 0.5, atol=0.03)
    np.testing.assert_allclose(drawn["hub_variance"].std(axis=1), 1 + 2 * layout.hub, rtol=0.03)
    np.testing.assert_allclose(correlation["spatial"], np.exp(-layout.distance / 400), atol=0.04)
    assert np.abs(correlation["independent"] - np.eye(N)).max() < 0.04


def test_size(layout):
    """The jackknife holds its size where clusters are independent; single provinces do not where hubs share a shock."""
    shared = {"replications": 2_000, "draws": 9, "seed": 7}
    sizes = {
        kind: simulate.sizes(layout[0], kind, adjustment, **shared).set_index("column")["value"]
        for kind, adjustment in (("independent", "none"), ("hub_shock", "x"))
    }
    assert set(sizes["independent"].index) - set(sizes["hub_shock"].index) == {"welch"}
    for found in sizes.values():
        assert 0.035 < found["crv3"] < 0.065
        assert found["crv3"] < found["crv1"]
    assert sizes["hub_shock"]["randomization_province"] > 0.08
    assert abs(sizes["independent"]["randomization_province"] - 0.05) < 0.02
