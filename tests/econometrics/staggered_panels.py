"""Staggered panels: published ones, a simulated one, and references that loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from causaldata import castle as castle_data

DATA = Path(__file__).with_name("data")
STATSPAI = "recorded in github.com/brycewang-stanford/StatsPAI, tests/reference_parity"
DIFF_DIFF = "recorded in github.com/igerber/diff-diff, benchmarks/data"
KEYS = {"unit": "unit", "time": "year", "cohort": "cohort"}
STATES = {"unit": "sid", "time": "year", "cohort": "cohort"}
COUNTIES = {"unit": "countyreal", "time": "year", "cohort": "cohort"}


def castle():
    """50 states, 2000–2010 (Cheng and Hoekstra 2013); the law is effective a year before the first with post = 1."""
    data = castle_data.load_pandas().data
    first = data[data["post"] == 1].groupby("sid")["year"].min() - 1
    panel = data[["sid", "year", "l_homicide", "popwt"]].astype(float)
    return panel.assign(cohort=panel["sid"].map(first))


def minimum_wage():
    """500 counties, 2003–2007 (mpdta of the R package did)."""
    panel = pd.read_csv(DATA / "mpdta.csv")
    return panel.assign(cohort=panel["first.treat"].replace(0, np.nan))


def medicaid():
    """Share without health insurance in 51 states, 2008–2021 (Wing, Freedman and Hollingsworth 2024)."""
    wide = pd.read_csv(DATA / "medicaid_uninsured.csv")
    long = wide.melt(["state", "adopt_year"], var_name="year", value_name="uninsured")
    return long.astype({"year": int}).sort_values(["state", "year"], ignore_index=True)


def simulated(seed=0, sizes=((5, 9), (8, 7), (None, 14)), periods=10, drop=0):
    """Units in cohorts of these sizes; effects grow and differ by cohort; a time-varying z and a constant x."""
    rng = np.random.default_rng(seed)
    cohort = np.concatenate([np.full(n, np.nan if g is None else g) for g, n in sizes])
    n, year = len(cohort), np.arange(1, periods + 1)
    since = year - cohort[:, None]
    effect = np.where(since >= 0, 0.5 + 0.1 * since + 0.05 * cohort[:, None], 0.0)
    x = rng.normal(size=n)
    z = rng.normal(size=(n, periods))
    noise = rng.normal(size=(n, periods)).cumsum(axis=1) / 2
    y = rng.normal(size=(n, 1)) + 0.2 * year + x[:, None] * year / 10 + 0.5 * z + effect + noise
    panel = pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:02d}" for i in rng.permutation(n)], periods),
            "year": np.tile(year, n),
            "cohort": np.repeat(cohort, periods),
            "cluster": np.repeat(rng.integers(0, 2 * n // 3, n), periods),
            "y": y.ravel(),
            "x": np.repeat(x, periods),
            "z": z.ravel(),
            "w": rng.uniform(0.5, 2.0, n * periods),
        }
    )
    panel["treated"] = (panel["year"] >= panel["cohort"]).astype(float)
    return panel.drop(index=rng.choice(len(panel), drop, replace=False)).reset_index(drop=True)


def shuffled(panel, seed=1):
    """Rows in another order and units under other names."""
    rng = np.random.default_rng(seed)
    names = panel["unit"].unique()
    new = dict(zip(names, rng.permutation(10_000)[: len(names)], strict=True))
    return panel.assign(unit=panel["unit"].map(new)).iloc[rng.permutation(len(panel))]


def shifted(panel, years=100, seed=2):
    """Later periods, and a constant added to every unit and every period."""
    rng = np.random.default_rng(seed)
    unit = panel["unit"].map({u: rng.normal(0, 10) for u in panel["unit"].unique()})
    year = panel["year"].map({t: rng.normal(0, 10) for t in panel["year"].unique()})
    return panel.assign(year=panel["year"] + years, cohort=panel["cohort"] + years, y=panel["y"] + unit + year)


def rows(result, columns=("estimate", "std_error"), *, times=None):
    """Numbers of the table without the reference, or at some event times."""
    table = result.table
    table = table[table["std_error"].notna()] if times is None else table.set_index("event_time").loc[list(times)]
    return table[list(columns)].to_numpy(float)
