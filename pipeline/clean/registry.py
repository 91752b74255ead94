"""The policy registry as tidy rows: what the table of hubs, clusters, dates and published numbers prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from pipeline.clean.formats import codes, records

COLUMNS = ["view_id", "row", "column", "x", "value", "low", "high", "text"]
HUB_TEXT = ("hub_zh", "hub_en", "role", "role_zh", "role_en", "named_in_plan", "reply_month", "status", "status_zh")
CLUSTER_TEXT = (
    "hub_id",
    "cluster_zh",
    "cluster_en",
    "host_codes",
    "startup_area_zh",
    "startup_area_en",
    "function_zh",
    "function_en",
    "status",
    "status_zh",
    "note",
)
TIMELINE_TEXT = ("date", "doc_no", "title_zh", "title_en", "fact_zh", "fact_en", "status", "status_zh")
PUBLISHED_TEXT = {
    "name_zh": "name_zh",
    "name_en": "name_en",
    "edition_zh": "edition_zh",
    "edition_en": "edition",
    "unit_zh": "unit_zh",
    "unit_en": "unit",
    "source_zh": "source_zh",
    "source_en": "source",
    "note_zh": "note_zh",
    "note_en": "note",
    "status": "status",
    "status_zh": "status_zh",
}

Cell = tuple[str, str, float | None, str | None]  # row, column, value, text


def views(
    hubs: pd.DataFrame,
    clusters: pd.DataFrame,
    provinces: pd.DataFrame,
    timeline: pd.DataFrame,
    published: pd.DataFrame,
) -> pd.DataFrame:
    """Collect the registry views.

    Parameters
    ----------
    hubs, clusters, provinces, timeline, published : DataFrame
        The raw registries.

    Returns
    -------
    DataFrame
        Columns of the tidy ``values`` file, key (view_id, row, column). ``order`` gives the place of a hub or cluster
        in its registry; a number that is printed stands in ``value``.
    """
    cells = {
        "registry_hubs": _hubs(hubs, clusters, provinces),
        "registry_clusters": _clusters(clusters),
        "timeline": _timeline(timeline),
        "published_numbers": _published(published),
    }
    rows = [
        (view, row, column, value, text or None) for view, part in cells.items() for row, column, value, text in part
    ]
    frame = pd.DataFrame(rows, columns=["view_id", "row", "column", "value", "text"])
    frame["value"] = frame["value"].astype(float)
    return frame.assign(x=float("nan"), low=float("nan"), high=float("nan"), text=frame["text"].astype("str"))[COLUMNS]


def _join(parts: Iterable[str], language: str) -> str:
    return ("、" if language == "zh" else ", ").join(parts)


def _hubs(hubs: pd.DataFrame, clusters: pd.DataFrame, provinces: pd.DataFrame) -> Iterator[Cell]:
    names = provinces.set_index("province_code")
    for order, hub in enumerate(records(hubs), 1):
        key, own = hub["hub_id"], clusters[clusters["hub_id"] == hub["hub_id"]]
        yield key, "order", float(order), None
        for column in HUB_TEXT:
            yield key, column, None, hub[column]
        for language in ("zh", "en"):
            members = names.loc[codes(hub["province_codes"]), f"name_{language}"]
            hosts = [host for text in own[f"host_{language}"] for host in _parts(text)]
            yield key, f"provinces_{language}", None, _join(members, language)
            yield key, f"clusters_{language}", None, _join(own[f"cluster_{language}"], language)
            yield key, f"hosts_{language}", None, _join(hosts, language)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";")]


def _clusters(clusters: pd.DataFrame) -> Iterator[Cell]:
    for order, cluster in enumerate(records(clusters), 1):
        key = cluster["cluster_id"]
        yield key, "order", float(order), None
        for column in CLUSTER_TEXT:
            yield key, column, None, cluster[column]
        for language in ("zh", "en"):
            yield key, f"host_{language}", None, _join(_parts(cluster[f"host_{language}"]), language)
        for column in ("pue_max", "rack_use_min"):
            yield key, column, cluster[column], None


def _timeline(timeline: pd.DataFrame) -> Iterator[Cell]:
    for number, event in enumerate(records(timeline.sort_values("date", kind="stable")), 1):
        for column in TIMELINE_TEXT:
            yield f"{number:02d}", column, None, event[column]


def _published(published: pd.DataFrame) -> Iterator[Cell]:
    for number in records(published):
        key = f"{number['number_id']}|{number['edition']}"
        yield key, "value", number["value"], None
        for column, source in PUBLISHED_TEXT.items():
            yield key, column, None, number[source]
