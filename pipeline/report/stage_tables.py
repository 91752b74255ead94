"""Stage ``tables``: build every table of ``specs/tables.yaml`` in both languages, then write it in every format."""

from __future__ import annotations

from types import ModuleType
from typing import get_args

from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.report import csv_, html, latex, markdown, word
from pipeline.report.build import build
from pipeline.report.grid import Grid, Language
from pipeline.report.resolve import Tidy, Words
from pipeline.report.trace import trace

FOLDER = "results/tables"
BACKENDS: tuple[ModuleType, ...] = (markdown, html, csv_, latex, word)
LANGUAGES: tuple[Language, ...] = get_args(Language)


def main() -> None:
    """Build all grids before anything is drawn, draw all before anything is written; drop files no stanza names."""
    tidy = Tidy({name: store.load(name) for name in store.PARTS})
    stanzas, labels, phrases, stars = specs.tables(), specs.labels(), specs.phrases(), bool(specs.params()["stars"])
    grids: dict[str, dict[Language, Grid]] = {
        table_id: {
            language: build(table_id, stanza, tidy, Words(language, phrases), labels=labels, stars=stars)
            for language in LANGUAGES
        }
        for table_id, stanza in stanzas.items()
    }
    files: dict[str, bytes] = {}
    for table_id, built in tqdm(grids.items(), desc="tables", unit="table"):
        stem = f"{table_id}_{stanzas[table_id]['name']}"
        files[f"{stem}.cells.csv"] = trace(built).to_csv(index=False, lineterminator="\n").encode()
        for language, grid in built.items():
            files |= {f"{stem}.{language}.{backend.SUFFIX}": backend.render(grid) for backend in BACKENDS}
    for name, content in files.items():
        store.write_bytes(f"{FOLDER}/{name}", content)
    store.keep_only(FOLDER, set(files))
    print(f"{len(grids)} tables, {len(files)} files: {FOLDER}/")


if __name__ == "__main__":
    stage.run(main)
