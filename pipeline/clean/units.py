"""Provinces, their hubs and clusters of assignment, and the links between them."""

from __future__ import annotations

import pandas as pd

from pipeline.clean.formats import codes, records


def units(
    provinces: pd.DataFrame,
    hubs: pd.DataFrame,
    clusters: pd.DataFrame,
    prefectures: pd.DataFrame,
    programmes: pd.DataFrame,
) -> pd.DataFrame:
    """Describe each province by its place in the layout.

    Parameters
    ----------
    provinces, hubs, clusters, prefectures, programmes : DataFrame
        The raw registries.

    Returns
    -------
    DataFrame
        One row a province: ``province_code, name_zh, name_en, region, hub, cluster, role, host, longitude, latitude,
        bigdata_zone, ai_zone``.
        ``hub`` and ``role`` are empty for controls; ``cluster`` is the hub, or the province itself for a control: the
        cluster of assignment and of standard errors. ``host``: a data-centre cluster lies in the province. Last two:
        the year of the province's first big-data zone and AI pilot zone, missing without one.
    """
    hub_of = {code: hub["hub_id"] for hub in records(hubs) for code in codes(hub["province_codes"])}
    role_of = dict(zip(hubs["hub_id"], hubs["role"], strict=True))
    province_of = dict(zip(prefectures["prefecture_code"], prefectures["province_code"], strict=True))
    hosts = {province_of[code] for text in clusters["host_codes"] for code in codes(text)}
    hub = provinces["province_code"].map(hub_of).fillna("")
    place = programmes["unit_code"]
    year = pd.to_numeric(programmes["year"].where(programmes["year"] != ""))
    first = programmes.assign(province_code=place.map(province_of).fillna(place), year=year.astype("Int64"))
    year_of = first.groupby(["programme", "province_code"])["year"].min()
    return pd.DataFrame(
        {
            "province_code": provinces["province_code"],
            "name_zh": provinces["name_zh"],
            "name_en": provinces["name_en"],
            "region": provinces["region"],
            "hub": hub,
            "cluster": hub.where(hub != "", provinces["province_code"]),
            "role": hub.map(role_of).fillna(""),
            "host": provinces["province_code"].isin(hosts),
            "longitude": provinces["longitude"],
            "latitude": provinces["latitude"],
            "bigdata_zone": provinces["province_code"].map(year_of["bigdata_zone"]).astype("Int64"),
            "ai_zone": provinces["province_code"].map(year_of["ai_pilot_zone"]).astype("Int64"),
        }
    )


def links(adjacency: pd.DataFrame, hubs: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """List land borders and the services that hubs are to render one another.

    A service link runs from the hub of a cluster to each other hub that the ``function_zh`` of the cluster names.

    Returns
    -------
    DataFrame
        ``kind, source, target``: ``adjacency`` between province codes, source < target; ``service`` between hub ids.
    """
    pairs = [sorted(p) for p in zip(adjacency["province_code"], adjacency["neighbour_code"], strict=True)]
    rows = [("adjacency", a, b) for a, b in sorted(map(tuple, pairs))]
    called = {hub["hub_id"]: hub["hub_zh"].removesuffix("枢纽") for hub in records(hubs)}
    services = {
        ("service", cluster["hub_id"], hub)
        for cluster in records(clusters)
        for hub, name in called.items()
        if hub != cluster["hub_id"] and name in cluster["function_zh"]
    }
    return pd.DataFrame([*rows, *sorted(services)], columns=["kind", "source", "target"])
