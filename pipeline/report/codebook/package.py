"""``datapackage.json``: the schema of every published CSV file, as a Frictionless Tabular Data Package (version 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from pipeline.report.codebook.entries import Entry

CODE = r"[1-9]\d{5}"  # GB/T 2260
KEPT = ("unit", "unit_zh", "family", "nature", "publication", "vintage", "formula", "check")


@dataclass(frozen=True)
class Resource:
    """A CSV file.

    Attributes
    ----------
    name, path : str
        ``path`` is relative to the folder of ``datapackage.json``.
    entries : list of Entry
        Its columns, in their order.
    key : tuple of str
        Columns that identify a row.
    optional : tuple of str
        Columns of the key that are blank where they do not apply: such a key is unique, but no primary key.
    refers : mapping of str to str
        Column to the resource whose column of the same name it refers to.
    licence : mapping
        ``name`` and ``title``.
    sources : list of str
        Where its figures come from.
    """

    name: str
    path: str
    title: Mapping[str, str]
    entries: list[Entry]
    key: tuple[str, ...]
    licence: Mapping[str, str]
    sources: list[str]
    optional: tuple[str, ...] = ()
    refers: Mapping[str, str] | None = None


def _range(entry: Entry) -> dict[str, float]:
    """Return the bounds as constraints; those of whole numbers are whole numbers."""
    if entry.bounds is None:
        return {}
    low, high = entry.bounds
    return (
        {"minimum": ceil(low), "maximum": floor(high)} if entry.type == "integer" else {"minimum": low, "maximum": high}
    )


def _field(entry: Entry, *, required: bool, unique: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"name": entry.id, "type": entry.type, "title": entry.en, "title_zh": entry.zh}
    breaks = [f"{b['year']}: {b['en']}" for b in entry.breaks]
    description = "; ".join(text for text in (entry.caution, *breaks) if text)
    out |= {"description": description} if description else {}
    out |= {name: getattr(entry, name) for name in KEPT if getattr(entry, name)}
    out |= {"derived_from": list(entry.derived_from)} if entry.derived_from else {}
    limits: dict[str, Any] = {"required": True} if required else {}
    limits |= {"unique": True} if unique else {}
    limits |= _range(entry)
    limits |= {"pattern": CODE} if entry.id == "province_code" else {}
    return out | ({"constraints": limits} if limits else {})


def _resource(given: Resource) -> dict[str, Any]:
    fields = [
        _field(
            entry, required=entry.id in given.key and entry.id not in given.optional, unique=(entry.id,) == given.key
        )
        for entry in given.entries
    ]
    schema: dict[str, Any] = {"fields": fields, "missingValues": [""]}
    schema |= {"uniqueKeys": [list(given.key)]} if given.optional else {"primaryKey": list(given.key)}
    if given.refers:
        schema["foreignKeys"] = [
            {"fields": [name], "reference": {"resource": other, "fields": [name]}}
            for name, other in given.refers.items()
        ]
    return {
        "name": given.name,
        "path": given.path,
        "profile": "tabular-data-resource",
        "title": given.title["en"],
        "title_zh": given.title["zh"],
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "licenses": [dict(given.licence)],
        "sources": [{"title": text} for text in given.sources],
        "schema": schema,
    }


def package(resources: list[Resource], title: Mapping[str, str], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the package.

    Parameters
    ----------
    resources : list of Resource
        The files.
    title : mapping
        zh and en.
    hashes : mapping
        ``data_sha256`` and ``plan_sha256``: what the files were built from.
    """
    return {
        "profile": "tabular-data-package",
        "name": "compute-hubs",
        "title": title["en"],
        "title_zh": title["zh"],
        "data_sha256": hashes["data_sha256"],
        "plan_sha256": hashes["plan_sha256"],
        "resources": [_resource(given) for given in resources],
    }
