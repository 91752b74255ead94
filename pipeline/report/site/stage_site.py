"""Stage ``site``: the list of results."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.report.site.contents import contents


def main() -> None:
    """Write ``results/README.md`` from what the tables and figures hold."""
    tables, figures = specs.tables(), specs.figures()
    keys = {}
    for name, stanza in tables.items():
        cells = pd.read_csv(store.ROOT / f"results/tables/{name}_{stanza['name']}.cells.csv", dtype=str)
        body = ~cells["row"].str.startswith("note")
        keys[name] = cells.loc[body & (cells["file"] != "values"), "key"]
    for name, stanza in figures.items():
        rows = pd.read_csv(store.ROOT / f"results/figures/{name}_{stanza['name']}.csv", dtype=str)
        keys[name] = rows["spec_id"].dropna() if "spec_id" in rows else pd.Series([], dtype=str)
    store.write_text("results/README.md", contents(tables, figures, keys, store.load_hashes()))
    print("The list of results: results/README.md")


if __name__ == "__main__":
    stage.run(main)
