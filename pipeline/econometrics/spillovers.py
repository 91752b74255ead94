"""Geography of treatment: distances, exposure of neighbours, distance rings; frames to be regressed on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.econometrics.design import Floats, check_columns, check_keys, listed, to_float
from pipeline.errors import EstimationError

EARTH_RADIUS = 6371.0  # km, mean radius
MEASURES = ("any", "nearest", "count")


def distances(latitude: ArrayLike, longitude: ArrayLike, labels: Sequence[object] | pd.Index) -> pd.DataFrame:
    """Great-circle distances in km, by the haversine formula on a sphere of radius 6371 km.

    Parameters
    ----------
    latitude, longitude : array-like, (n,)
        Degrees; latitude in [-90, 90], longitude in [-180, 360].
    labels : sequence, (n,)
        Distinct names of the points.

    Returns
    -------
    DataFrame, (n, n)
        Symmetric, zero diagonal, labelled on both axes.

    Raises
    ------
    EstimationError
        Lengths differ, labels repeat, or a coordinate is missing or outside its range; names the points.
    """
    names = pd.Index(labels)
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    if lat.shape != (len(names),) or lon.shape != lat.shape:
        raise EstimationError(f"{len(names)} labels, but coordinates of shapes {lat.shape} and {lon.shape}")
    if not names.is_unique:
        raise EstimationError(f"repeated labels: {listed(list(names[names.duplicated()]))}")
    outside = ~((np.abs(lat) <= 90) & (lon >= -180) & (lon <= 360))  # true for missing values too
    if outside.any():
        raise EstimationError(
            "latitude must lie in [-90, 90] and longitude in [-180, 360] degrees: " + listed(list(names[outside]))
        )
    return pd.DataFrame(haversine(lat, lon), index=names, columns=names)


def haversine(latitude: Floats, longitude: Floats) -> Floats:
    """Distances in km between points in degrees, (n, n)."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def neighbour_exposure(
    links: pd.DataFrame,
    treated: Iterable[object],
    units: Sequence[object] | pd.Index,
    *,
    source: str = "source",
    target: str = "target",
) -> pd.Series:
    """Share of each unit's neighbours that are treated.

    Parameters
    ----------
    links : DataFrame
        One row a pair of neighbours; a pair counts once, whichever way round and however often it is listed.
    treated : iterable
        Labels of the treated units.
    units : sequence
        Every unit, treated or not; also the order of the result.
    source, target : str
        Columns of ``links``.

    Returns
    -------
    Series, by unit
        In [0, 1]; missing for a unit without neighbours, whose share is not defined.

    Raises
    ------
    EstimationError
        A link or a treated label that is no unit, a unit linked to itself, repeated units.
    """
    check_columns(links, [source, target])
    names = pd.Index(units)
    if not names.is_unique:
        raise EstimationError(f"repeated units: {listed(list(names[names.duplicated()]))}")
    hubs = pd.Index(list(treated))
    for what, labels in (
        ("links name", pd.Index(pd.unique(links[[source, target]].to_numpy().ravel()))),
        ("treated names", hubs),
    ):
        unknown = labels.difference(names)
        if len(unknown):
            raise EstimationError(f"{what} labels that are not among the units: {listed(list(unknown))}")
    own = links.loc[links[source] == links[target], source]
    if len(own):
        raise EstimationError(f"units linked to themselves: {listed(list(own))}")
    adjacent = np.zeros((len(names), len(names)))
    rows, columns = (names.get_indexer(pd.Index(links[name])) for name in (source, target))
    adjacent[rows, columns] = adjacent[columns, rows] = 1.0
    count = adjacent.sum(axis=1)
    share = adjacent @ names.isin(hubs) / np.where(count > 0, count, np.nan)
    return pd.Series(share, index=names, name="exposure")


def distance_rings(
    panel: pd.DataFrame,
    first_treated: pd.Series,
    *,
    unit: str,
    time: str,
    distances: pd.DataFrame,
    edges: Sequence[float],
    measure: str = "any",
) -> pd.DataFrame:
    """Treated places within rings around each unit, by row of the panel.

    Ring k holds distances in (edges[k], edges[k+1]]; the first also holds its lower edge. Units beyond the last edge
    are the comparison. A unit is no source of spillovers to itself: its own treatment is a separate regressor.

    Parameters
    ----------
    panel : DataFrame
        One row a (unit, time).
    first_treated : Series
        First treated period by treated place; infinite or missing for never. Places need not be units.
    unit, time : str
        Key columns; ``time`` is numeric.
    distances : DataFrame
        km, units × places.
    edges : sequence of float
        Increasing, at least two.
    measure : {"any", "nearest", "count"}
        Whether any place in the ring is treated; whether the nearest treated place lies in the ring, so that a row is
        in one ring at most; how many treated places the ring holds.

    Returns
    -------
    DataFrame
        Index of ``panel``; columns ``ring_<from>_<to>``.

    Raises
    ------
    EstimationError
        A unit or place without distances, or repeated; a negative or missing distance; edges that do not increase.
    """
    check_columns(panel, [unit, time])
    check_keys(panel, unit, time)
    steps = np.asarray(edges, dtype=np.float64)
    if len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise EstimationError(f"edges must increase and be at least two: {list(edges)}")
    if measure not in MEASURES:
        raise EstimationError(f"measure {measure!r} is not one of {', '.join(MEASURES)}")
    start = pd.to_numeric(first_treated).astype("float64").dropna()
    units = pd.Index(panel[unit].unique())
    km = _between(distances, units, start.index)
    position = units.get_indexer(pd.Index(panel[unit]))
    treated = to_float(panel, time)[:, None] >= start.to_numpy()  # rows × places
    ring = np.searchsorted(steps, km, side="left") - 1
    ring[km == steps[0]] = 0
    ring[(ring < 0) | (ring >= len(steps) - 1)] = -1
    if measure == "nearest":
        away = np.where(treated, km[position], np.inf)
        treated = treated & (away == away.min(axis=1, keepdims=True, initial=np.inf)) & np.isfinite(away)
    columns = {}
    for k, (low, high) in enumerate(pairwise(steps)):
        count = (treated & (ring[position] == k)).sum(axis=1).astype(np.float64)
        columns[f"ring_{low:g}_{high:g}"] = count if measure == "count" else np.minimum(count, 1.0)
    return pd.DataFrame(columns, index=panel.index)


def _between(distances: pd.DataFrame, units: pd.Index, places: pd.Index) -> Floats:
    """Distances units × places, infinite from a unit to itself."""
    for what, labels, axis in (("units", units, distances.index), ("places", places, distances.columns)):
        absent = labels.difference(axis)
        if len(absent):
            raise EstimationError(f"no distances for the {what} {listed(list(absent))}")
        if not (labels.is_unique and axis.is_unique):
            raise EstimationError(f"repeated {what} in the distances or among the treated places")
    km = distances.loc[units, places].to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~(km >= 0).all(axis=1))
    if len(wrong):
        raise EstimationError(f"negative or missing distances of {listed(list(units[wrong]))}")
    return np.asarray(np.where(units.to_numpy()[:, None] == places.to_numpy(), np.inf, km))
