"""Distances, exposure of neighbours and rings: by hand, on known places, invariances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.spillovers import distance_rings, distances, neighbour_exposure
from pipeline.errors import EstimationError

QUARTER = np.pi / 2 * 6371.0


def test_distances_along_great_circles(evidence):
    """Pole, equator and antipodes are multiples of a quarter of the circumference."""
    km = distances([90, 0, 0, 0, -90], [0, 0, 90, 180, 17], list("pabcq"))
    expected = QUARTER * np.array([[0, 1, 1, 1, 2], [1, 0, 1, 2, 1], [1, 1, 0, 1, 1], [1, 2, 1, 0, 1], [2, 1, 1, 1, 0]])
    evidence(distances, "quarters of a great circle, radius 6371 km", "poles and equator", km, expected, "exact", 12)
    assert list(km.index) == list(km.columns) == list("pabcq")


def test_distances_equal_the_angle_between_vectors(evidence):
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(-80, 80, 40), rng.uniform(-180, 180, 40)
    a, o = np.radians(lat), np.radians(lon)
    v = np.column_stack([np.cos(a) * np.cos(o), np.cos(a) * np.sin(o), np.sin(a)])
    cross = np.linalg.norm(np.cross(v[:, None], v[None]), axis=2)
    expected = 6371.0 * np.arctan2(cross, v @ v.T)
    km = distances(lat, lon, range(40)).to_numpy()
    evidence(distances, "angle between unit vectors by arctan2", "40 random points", km, expected, "identity", 11)
    np.testing.assert_allclose(distances(lat, lon % 360, range(40)), km, atol=1e-9)


@pytest.mark.parametrize(
    ("lat", "lon", "labels", "message"),
    [
        ([91, 0], [0, 0], "ab", "degrees: a"),
        ([0, np.nan], [0, 0], "ab", "degrees: b"),
        ([0, 0], [0, 361], "ab", "degrees: b"),
        ([0, 0], [0, 0], "aa", "repeated labels: a"),
        ([0], [0, 0], "ab", "2 labels"),
    ],
)
def test_distances_refuse(lat, lon, labels, message):
    with pytest.raises(EstimationError, match=message):
        distances(lat, lon, list(labels))


LINKS = pd.DataFrame({"source": list("aabbcd"), "target": list("bcdeab")})  # c–a and d–b come twice


def test_exposure_by_hand(evidence):
    """Neighbours: a: b c; b: a d e; c: a; d: b; e: b; f: none."""
    share = neighbour_exposure(LINKS, ["b", "e"], list("abcdef"))
    expected = [1 / 2, 1 / 3, 0, 1, 1]
    evidence(neighbour_exposure, "counted by hand", "six units, two treated", share[:-1], expected, "exact", 12)
    assert np.isnan(share["f"])
    assert share.index.tolist() == list("abcdef")


def test_exposure_does_not_depend_on_direction_repetition_or_order():
    base = neighbour_exposure(LINKS, {"b", "e"}, list("abcdef"))
    turned = LINKS.rename(columns={"source": "target", "target": "source"}).sample(frac=1, random_state=2)
    again = neighbour_exposure(pd.concat([turned, LINKS]), ("e", "b"), list("fedcba"))
    pd.testing.assert_series_equal(again.sort_index(), base)
    assert neighbour_exposure(LINKS, [], list("abcdef")).sum() == 0
    assert (neighbour_exposure(LINKS, list("abcdef"), list("abcdef"))[:-1] == 1).all()


@pytest.mark.parametrize(
    ("links", "treated", "units", "message"),
    [
        (LINKS, ["b"], "abcd", "links name labels that are not among the units: e"),
        (LINKS, ["z"], "abcdef", "treated names labels that are not among the units: z"),
        (LINKS.assign(target=list("acdeab")), ["b"], "abcdef", "linked to themselves: a"),
        (LINKS, ["b"], "aabcdef", "repeated units: a"),
        (LINKS.drop(columns="target"), ["b"], "abcdef", "no column 'target'"),
    ],
)
def test_exposure_refuses(links, treated, units, message):
    with pytest.raises(EstimationError, match=message):
        neighbour_exposure(links, treated, list(units))


PANEL = pd.DataFrame({"city": np.repeat(list("abcd"), 3), "year": [2020, 2021, 2022] * 4})
KM = pd.DataFrame(  # cities × places; h is no city
    [[0, 100, 40], [100, 0, 250], [150, 50, 300.5], [999, 999, 999]],
    index=list("abcd"),
    columns=list("abh"),
    dtype=float,
)
FIRST = pd.Series({"a": 2021, "b": np.inf, "h": 2022})
RINGS = {"unit": "city", "time": "year", "distances": KM, "edges": (0, 100, 300)}


def test_rings_by_hand(evidence):
    """Only a (from 2021) and h (from 2022) are treated; a is no source to itself."""
    rings = distance_rings(PANEL, FIRST, **RINGS)
    expected = pd.DataFrame(
        {
            "ring_0_100": [0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0],  # a–h 40 km; b–a 100 km, the edge is inside
            "ring_100_300": [0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0],  # b–h 250 km; c–a 150 km; c–h 300.5 km is outside
        },
        dtype=float,
    )
    evidence(distance_rings, "counted by hand", "four cities, three places", rings, expected, "exact", 12)
    assert list(rings.columns) == list(expected.columns)


def test_nearest_and_count():
    nearest = distance_rings(PANEL, FIRST, **RINGS, measure="nearest").to_numpy()
    assert nearest[5].tolist() == [1, 0]  # b in 2022: a at 100 km is nearer than h at 250 km
    assert nearest.sum(axis=1).max() == 1
    km = KM.assign(b=KM["a"], h=KM["a"])
    count = distance_rings(PANEL, FIRST.replace(np.inf, 2020), **{**RINGS, "distances": km}, measure="count")
    assert count.loc[8].tolist() == [0, 3]
    assert count.loc[6].tolist() == [0, 1]


def test_rings_keep_the_index_and_feed_a_regression():
    rng = np.random.default_rng(3)
    cities = [f"c{i:02d}" for i in range(30)]
    km = distances(rng.uniform(20, 30, 30), rng.uniform(100, 110, 30), cities)
    panel = pd.DataFrame({"city": np.repeat(cities, 6), "year": np.tile(range(6), 30)}).sample(frac=1, random_state=4)
    first = pd.Series({"c00": 3, "c01": 4})
    rings = distance_rings(panel, first, unit="city", time="year", distances=km, edges=[0, 300, 600])
    pd.testing.assert_index_equal(rings.index, panel.index)
    joined = panel.join(rings)
    joined["y"] = 2 * joined["ring_0_300"] - joined["ring_300_600"] + joined["year"] ** 2
    fit = two_way_fe(joined, "y", list(rings.columns), unit="city", time="year")
    np.testing.assert_allclose(fit.table["estimate"], [2, -1], atol=1e-9)
    relabelled = distance_rings(
        panel.assign(city="x" + panel["city"]),
        first.rename(lambda c: "x" + c),
        unit="city",
        time="year",
        distances=km.rename(index=lambda c: "x" + c, columns=lambda c: "x" + c),
        edges=[0, 300, 600],
    )
    pd.testing.assert_frame_equal(relabelled, rings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": (0,)}, "edges must increase"),
        ({"edges": (0, 100, 100)}, "edges must increase"),
        ({"measure": "sum"}, "measure 'sum' is not one of any, nearest, count"),
        ({"distances": KM.drop(index="c")}, "no distances for the units c"),
        ({"distances": KM.drop(columns="h")}, "no distances for the places h"),
        ({"distances": KM.replace(150, np.nan)}, "negative or missing distances of c"),
        ({"distances": pd.concat([KM, KM.loc[["a"]]])}, "repeated units"),
    ],
)
def test_rings_refuse(change, message):
    with pytest.raises(EstimationError, match=message):
        distance_rings(PANEL, FIRST, **{**RINGS, **change})
    with pytest.raises(EstimationError, match="must be unique"):
        distance_rings(pd.concat([PANEL, PANEL]), FIRST, **RINGS)
