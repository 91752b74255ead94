"""Stage ``simulation``: the size of every test of table T15 in the design at hand, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from pipeline import specs, stage, store
from pipeline.econometrics import connected_assignments, distances
from pipeline.estimate import samples, simulate

REPLICATIONS, DRAWS = 10_000, 399


def main() -> None:
    """Simulate every noise with and without X and save the view ``test_size``."""
    rows = samples.merge(*store.load_rows("corrected"))
    links = store.load("links")
    borders = links.loc[links["kind"] == "adjacency", ["source", "target"]]
    layout = _layout(rows, borders, specs.models().adjustments["x"], specs.seed("simulation", "assignments"))
    jobs = [(kind, adjustment) for kind in simulate.NOISES for adjustment in ("none", "x")]
    shared = {"replications": REPLICATIONS, "draws": DRAWS}
    tasks = (
        delayed(simulate.sizes)(layout, *job, seed=specs.seed("simulation", "|".join(job)), **shared) for job in jobs
    )
    results = Parallel(n_jobs=-1, return_as="generator", **stage.followers())(tasks)
    sizes = pd.concat(tqdm(results, total=len(jobs), desc="simulation", unit="design"))
    counts = [{"row": "design", "column": name, "value": float(number)} for name, number in shared.items()]
    sizes = pd.concat([sizes, pd.DataFrame(counts).assign(view_id="test_size")])
    store.save(store.part("simulation", "values"), store.part_frame("values", sizes))


def _layout(rows: pd.DataFrame, borders: pd.DataFrame, x: specs.Adjustment, seed: int) -> simulate.Layout:
    units = rows.drop_duplicates("province_code").set_index("province_code").sort_index()
    rng = np.random.default_rng(seed)
    hub = units["hubs"].to_numpy()
    cluster, region = (pd.factorize(units[name], sort=True)[0] for name in ("cluster", "region"))
    status = (np.bincount(cluster, weights=hub) > 0).astype(float)
    within = np.empty((DRAWS, len(hub)))
    for code in range(region.max() + 1):
        own = region == code
        within[:, own] = rng.permuted(np.tile(hub[own], (DRAWS, 1)), axis=1)
    return simulate.Layout(
        hub=hub,
        cluster=cluster,
        region=region,
        x=samples.standardised_means(rows, x.by_time, x.by_time_years).loc[units.index].to_numpy(),
        distance=distances(units["latitude"], units["longitude"], units.index).to_numpy(),
        hubs=rng.permuted(np.tile(status, (DRAWS, 1)), axis=1)[:, cluster],
        provinces=rng.permuted(np.tile(hub, (DRAWS, 1)), axis=1),
        strata=within,
        contiguous=connected_assignments(borders, units["cluster"], units["hubs"], draws=DRAWS, seed=seed).to_numpy(),
    )


if __name__ == "__main__":
    stage.run(main)
