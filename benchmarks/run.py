"""Speed against peers, as ratios measured in one run: ``python3 run.py python benchmarks/run.py``.

It needs the development set, which ``python3 run.py pytest`` installs.
Peers are what a researcher would otherwise write: pyfixest for the regression, a loop of regressions for the
resampling tests. Times are medians; the ratios, not the seconds, are the result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import pyfixest as pf

from pipeline.econometrics import randomization_test, two_way_fe, wild_cluster_bootstrap

SHARED = {"unit": "unit", "time": "time", "cluster": "cluster"}


def panel(units: int = 31, periods: int = 9, clusters: int = 25) -> pd.DataFrame:
    """A simulated panel of the study's shape: eight treated clusters, two post periods."""
    rng = np.random.default_rng(1)
    rows = pd.MultiIndex.from_product([range(units), range(periods)], names=["unit", "time"]).to_frame(index=False)
    rows["cluster"] = np.minimum(rows["unit"], clusters - 1)
    rows["treated"] = ((rows["cluster"] < 8) & (rows["time"] >= periods - 2)).astype(float)
    rows["y"] = rng.normal(size=len(rows)) + rng.normal(size=units)[rows["unit"]]
    return rows


def seconds(work: Callable[[], object], times: int) -> float:
    """Median time of some runs, after one that is not counted."""
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)


def main() -> None:
    """Measure and print one line a comparison."""
    data = panel()

    def by_pyfixest(frame: pd.DataFrame) -> float:
        fitted = pf.feols("y ~ treated | unit + time", frame, vcov={"CRV1": "cluster"})
        return float(fitted.tstat()["treated"])

    regression = seconds(lambda: by_pyfixest(data), 7)
    ours = seconds(lambda: two_way_fe(data, "y", ["treated"], **SHARED), 7)
    print(f"two-way FE, CRV1, 279 rows: {ours / regression:.2f} × the time of pyfixest")
    crv3 = seconds(lambda: two_way_fe(data, "y", ["treated"], covariance="CRV3", **SHARED), 7)
    print(f"the same with CRV3 (25 refits): {crv3 / (25 * regression):.3f} × 25 regressions by pyfixest")
    wild = seconds(lambda: wild_cluster_bootstrap(data, "y", "treated", draws=9999, seed=1, **SHARED), 5)
    print(f"wild cluster bootstrap, 9,999 draws: {wild / (9999 * regression):.2g} × as many regressions by pyfixest")
    exact = seconds(lambda: randomization_test(data, "y", "treated", draws=None, seed=1, **SHARED), 1)
    print(f"randomisation, 1,081,575 assignments: {exact / (1_081_575 * regression):.2g} × as many regressions")
    for units in (310, 3100):
        wide = panel(units, 9, units * 25 // 31)
        ratio = seconds(lambda wide=wide: two_way_fe(wide, "y", ["treated"], **SHARED), 3) / ours
        print(f"two-way FE with {units // 31} × the rows: {ratio:.1f} × the time")


if __name__ == "__main__":
    main()
