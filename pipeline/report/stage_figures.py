"""Draw every figure of ``specs/figures.yaml`` from the tidy files into ``results/figures/``."""

from __future__ import annotations

import pandas as pd
from tqdm import tqdm

from pipeline import specs, store
from pipeline.report.figures.build import build, stem
from pipeline.stage import run

FOLDER = "results/figures"


def main() -> None:
    """Draw all figures, then write them with their data; drop files that no stanza names."""
    tidy = {name: store.load(name) for name in store.PARTS}
    params, stanzas = specs.params(), specs.figures()
    files: dict[str, bytes] = {}
    data: dict[str, pd.DataFrame] = {}
    for figure_id, stanza in tqdm(stanzas.items(), desc="figures", unit="figure"):
        drawn, rows = build(figure_id, stanza, tidy, params)
        files |= drawn
        data[f"{stem(figure_id, stanza)}.csv"] = rows
    for name, content in files.items():
        store.write_bytes(f"{FOLDER}/{name}", content)
    for name, frame in data.items():
        store.write_csv(f"{FOLDER}/{name}", frame)
    store.keep_only(FOLDER, {*files, *data})


if __name__ == "__main__":
    run(main)
