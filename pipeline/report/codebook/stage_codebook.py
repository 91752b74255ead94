"""Stage ``codebook``: the panel as CSV and for Stata, the codebook, and the schema of every published CSV file."""

from __future__ import annotations

import json

import pandas as pd

from pipeline import specs, stage, store
from pipeline.report.codebook import entries
from pipeline.report.codebook.entries import Entry
from pipeline.report.codebook.package import Resource, package
from pipeline.report.codebook.stata import dta, label
from pipeline.report.codebook.table import codebook
from pipeline.report.codebook.view import sections
from pipeline.report.pages import page

KEY = ["province_code", "year"]
DATA, COMMA = "results/data", {"en": ", ", "zh": "，"}


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _stata(frame: pd.DataFrame, described: list[Entry], language: str) -> bytes:
    """Return a file's bytes with its labels and title in one language."""
    unit = {"en": "unit", "zh": "unit_zh"}[language]
    labels = {e.id: label(getattr(e, language), getattr(e, unit), COMMA[language]) for e in described}
    return dta(frame, labels, specs.codebook()["files"][described[0].file][language])


def _resources(described: dict[str, list[Entry]]) -> list[Resource]:
    words = specs.codebook()
    licences = words["licences"]
    publications = dict.fromkeys(e.publication for e in described["panel"] if e.check in ("A", "B"))
    registries = "Policy documents and press reports listed in data/raw/policy/SOURCES.yaml"
    out = []
    for name in ("panel", "units"):
        refers = {"province_code": "units"} if name == "panel" else None
        sources = list(publications) if name == "panel" else [registries]
        title, key = words["files"][name], store.TABLES[name].key
        path = f"data/{name}.csv"
        out.append(Resource(name, path, title, described[name], key, licences["figures"], sources, refers=refers))
    for name, key in store.PARTS.items():
        optional = tuple(k for k in store.OPTIONAL if k in key)
        path, sources = f"estimates/{name}.csv", ["Computed from the panel and the registries"]
        licence = licences["estimates"]
        out.append(Resource(name, path, words["files"][name], described[name], key, licence, sources, optional))
    return out


def main() -> None:
    """Render everything, then write it."""
    words, dictionary = specs.codebook(), specs.dictionary()
    composites = entries.composites(specs.indices(), words, dictionary)
    keys = entries.columns("panel", {"province_code": "str", "year": "int64"}, words["columns"]["panel"])
    frame = store.load("panel").merge(store.load("indices"), on=KEY, how="left", validate="1:1")
    units = store.load("units")
    described = {"panel": entries.chosen(frame, keys | entries.variables(dictionary) | composites)}
    kinds = {"units": {str(k): str(v) for k, v in units.dtypes.items()}, **store.COLUMNS}
    described |= {k: list(entries.columns(k, kind, words["columns"][k]).values()) for k, kind in kinds.items()}
    frame = entries.typed(frame, described["panel"])
    table = codebook([entry for found in described.values() for entry in found], frame, words["readings"])
    text = page("codebook.html", words=words, sections=sections(table, words, set(composites)))
    schema = package(_resources(described), words["headings"]["package"], store.load_hashes())
    files = {
        "results/codebook/codebook.csv": _csv(table),
        "results/codebook/codebook.html": text.encode(),
        "results/datapackage.json": (json.dumps(schema, ensure_ascii=False, indent=1) + "\n").encode(),
    }
    for name, data in {"panel": frame, "units": units}.items():
        files[f"{DATA}/{name}.csv"] = _csv(data)
        for language in COMMA:
            files[f"{DATA}/{name}.{language}.dta"] = _stata(data, described[name], language)
    for path, content in files.items():
        store.write_bytes(path, content)
    print(f"{len(table)} columns described, {len(files)} files: results/codebook/, {DATA}/, results/datapackage.json")


if __name__ == "__main__":
    stage.run(main)
