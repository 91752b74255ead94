"""Stage ``site``: the list of results and the page to look around in."""

from __future__ import annotations

from typing import get_args

import pandas as pd

from pipeline import specs, stage, store
from pipeline.report.grid import Language
from pipeline.report.pages import page
from pipeline.report.resolve import Tidy, Words
from pipeline.report.site.contents import contents, figures, tables
from pipeline.report.site.headline import headline


def _keys(path: str) -> pd.DataFrame:
    return pd.read_csv(store.ROOT / path, dtype=str)


def main() -> None:
    """Write ``results/README.md`` and ``results/index.html`` from what the tables and figures hold."""
    keys = {}
    for name, stanza in specs.tables().items():
        cells = _keys(f"results/tables/{name}_{stanza['name']}.cells.csv")
        body = ~cells["row"].str.startswith("note")
        keys[name] = cells.loc[body & (cells["file"] != "values"), "key"]
    for name, stanza in specs.figures().items():
        rows = _keys(f"results/figures/{name}_{stanza['name']}.csv")
        keys[name] = rows["spec_id"].dropna() if "spec_id" in rows else pd.Series([], dtype=str)
    drawn = {"tables": tables(specs.tables(), keys), "figures": figures(specs.figures(), keys)}
    site, hashes = specs.site(), store.load_hashes()
    tidy = Tidy({name: store.load(name) for name in store.PARTS})
    said = {k: headline(site["headline"], tidy, Words(k, specs.phrases())) for k in get_args(Language)}
    text = page(
        "index.html",
        site=site,
        headline=said,
        facts=list(zip(said["en"]["facts"], said["zh"]["facts"], strict=True)),
        hashes=hashes,
        **drawn,
    )
    store.write_text("results/README.md", contents([*drawn["tables"], *drawn["figures"]], site, hashes))
    store.write_text("results/index.html", text)
    print("The list of results: results/README.md, results/index.html")


if __name__ == "__main__":
    stage.run(main)
