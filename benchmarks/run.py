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
import diff_diff
import pyfixest as pf

from pipeline.econometrics import (
    Specification,
    callaway_santanna,
    imputation,
    local_projections,
    randomization_test,
    specification_curve,
    sun_abraham,
    synthetic_did,
    two_way_fe,
    wild_cluster_bootstrap,
)

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


def staggered(units: int = 300, periods: int = 10) -> pd.DataFrame:
    """A simulated panel with cohorts 4 and 7, and a third of the units never treated (0 for diff-diff)."""
    rng = np.random.default_rng(2)
    rows = pd.MultiIndex.from_product([range(units), range(1, periods + 1)], names=["unit", "time"]).to_frame(
        index=False
    )
    rows["first"] = np.array([0, 4, 7])[rows["unit"] % 3]
    rows["treated"] = ((rows["first"] > 0) & (rows["time"] >= rows["first"])).astype(int)
    rows["y"] = rng.normal(size=len(rows)) + rng.normal(size=units)[rows["unit"]] + rows["treated"]
    return rows.assign(cohort=rows["first"].where(rows["first"] > 0, np.inf).astype(float))


def against_diff_diff() -> None:
    """Staggered estimators and synthetic DiD, one line each."""
    data = staggered()
    keys = {"unit": "unit", "time": "time"}
    peer = {"outcome": "y", **keys, "first_treat": "first"}
    pairs = {
        "Callaway–Sant’Anna": (
            lambda: callaway_santanna(data, "y", cohort="cohort", bands=False, **keys),
            lambda: diff_diff.CallawaySantAnna().fit(data, **peer).aggregate("event_study"),
        ),
        "Sun–Abraham": (
            lambda: sun_abraham(data, "y", cohort="cohort", bands=False, **keys),
            lambda: diff_diff.SunAbraham().fit(data, **peer),
        ),
        "imputation": (
            lambda: imputation(data, "y", cohort="cohort", **keys),
            lambda: diff_diff.ImputationDiD().fit(data, **peer),
        ),
        "local projections": (
            lambda: local_projections(data, "y", cohort="cohort", bands=False, **keys),
            lambda: diff_diff.LPDiD().fit(data, outcome="y", treatment="treated", **keys),
        ),
    }
    for name, (ours, theirs) in pairs.items():
        print(f"{name}, 3,000 rows: {seconds(ours, 5) / seconds(theirs, 5):.2f} × the time of diff-diff")
    block = data[data["first"] != 4].assign(on=lambda f: ((f["first"] == 7) & (f["time"] >= 7)).astype(int))
    block = block[(block["first"] == 0) | (block["unit"] < 30)]
    ours = seconds(lambda: synthetic_did(block, "y", treatment="on", draws=100, seed=1, **keys), 3)
    post = list(range(7, 11))
    theirs = seconds(
        lambda: diff_diff.SyntheticDiD(n_bootstrap=100, seed=1, variance_method="placebo").fit(
            block.assign(on=block.groupby("unit")["on"].transform("max")), "y", "on", "unit", "time", post
        ),
        3,
    )
    print(f"synthetic DiD, 100 placebos: {ours / theirs:.2f} × the time of diff-diff")


def curve(data: pd.DataFrame, regression: float) -> None:
    """The specification curve with its permutations, against as many regressions."""
    rng = np.random.default_rng(3)
    frame = data.assign(**{f"y{j}": data["y"] + rng.normal(size=len(data)) for j in range(40)})
    declared = [Specification(name=f"y{j}", outcome=f"y{j}") for j in range(40)]
    taken = seconds(lambda: specification_curve(frame, "treated", declared, draws=499, seed=1, **SHARED), 1)
    print(f"specification curve, 40 × 499: {taken / (40 * 500 * regression):.2g} × as many regressions by pyfixest")


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
    curve(data, regression)
    against_diff_diff()
    for units in (310, 3100):
        wide = panel(units, 9, units * 25 // 31)
        ratio = seconds(lambda wide=wide: two_way_fe(wide, "y", ["treated"], **SHARED), 3) / ours
        print(f"two-way FE with {units // 31} × the rows: {ratio:.1f} × the time")


if __name__ == "__main__":
    main()
