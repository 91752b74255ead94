"""Made-up rows of the inference tables and figures: every number is drawn from a fixed seed and means nothing."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

HEADLINES = ("did.chain_ln.none", "did.chain_ln.x", "did.chain_ln.region")
EVENTS = ("event.chain_ln.none", "event.chain_ln.x", "event.chain_ln.region")
BOUNDS = {"relative_magnitude": (0, 0.25, 0.5, 0.75, 1, 1.5, 2), "smoothness": (0, 0.01, 0.02, 0.05, 0.1)}
NOISES = ("independent", "hub_shock", "hub_variance", "spatial")
SIZES = ("crv3", "crv1", "cr2", "wild_webb", "randomization_hub", "randomization_hub_coefficient")
SIZES += ("randomization_contiguous", "randomization_stratified", "randomization_province")
SIZES += ("conley_300", "conley_500", "conley_800", "welch")
CHOICES = (
    ("entropy", "equal"),
    ("all", "ht_revenue", "tech_bought", "ht_firms", "np_revenue", "np_spending", "inv_grants", "ind_stock"),
    ("ln", "mean_ln"),
    ("none", "x", "region", "x_region", "lagged", "gdp", "tertiary", "population"),
    ("all", "without_tibet", "without_2020", "from_2018", "without_forerunners"),
)
Row = dict[str, Any]


def _test(spec: str, term: str, method: str, **given: object) -> Row:
    return {"spec_id": spec, "term": term, "method": method, "reason": None} | given


def honest(rng: np.random.Generator) -> list[Row]:
    """HonestDiD of every event study and target, by bound."""
    rows = []
    for spec, target, (kind, bounds) in product(EVENTS, ("average", "2022", "2023"), BOUNDS.items()):
        estimate = rng.normal(0, 0.05)
        for bound in bounds:
            half = rng.uniform(0.1, 0.15) * (1 + bound / bounds[-1])
            ends = {"estimate": estimate, "ci_low": estimate - half, "ci_high": estimate + half}
            rows.append(_test(spec, target, f"honest_{kind}_{bound:g}", statistic=float(bound), **ends))
        rows.append(_test(spec, target, f"breakdown_{kind}", statistic=rng.uniform(0, 1)))
    return rows


def _pretrend_power(rng: np.random.Generator) -> dict[str, Row]:
    names = ("size", "slope", "trend_2022", "trend_2023", "passed_2022", "passed_2023", "likelihood_ratio")
    kinds = product(EVENTS, ("individual", "joint"), ("0.5", "0.8"))
    return {"|".join(kind): {name: rng.uniform(0.01, 0.2) for name in names} for kind in kinds}


def _sizes(rng: np.random.Generator) -> dict[str, Row]:
    sizes = {f"{n}|{a}": {s: rng.uniform(0.02, 0.12) for s in SIZES} for n, a in product(NOISES, ("none", "x"))}
    return sizes | {"design": {"replications": 10000.0, "draws": 399.0}}


def tables(seed: int = 11) -> tuple[pd.DataFrame, dict[str, dict[str, Row]]]:
    """Rows of ``tests`` that no model declares, and numbers of ``values`` by view, row and column."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(honest(rng))
    return frame, {"test_size": _sizes(rng), "pretrend_power": _pretrend_power(rng)}


def figures(hashes: dict[str, str], seed: int = 13) -> dict[str, pd.DataFrame]:
    """Rows of F7, F9, F10 and F14."""
    rng = np.random.default_rng(seed)
    tests, values, estimates = honest(rng), [], []
    for number, spec in enumerate(HEADLINES):
        ends = {"ci_low": -0.2 + 0.01 * number, "ci_high": 0.15, "p_value": 0.5 - 0.1 * number}
        tests.append(_test(spec, "hub_post", "randomization_hub", draws=1081575, exact=True, **ends))
        lows = np.round(np.linspace(-6, 5.9, 120), 1)
        weights = np.exp(-((lows + 0.05) ** 2) / 2)
        view = {"view_id": "randomization_distribution", "row": spec}
        for low, share in zip(lows, weights / weights.sum(), strict=True):
            values.append(view | {"column": f"{low:+.1f}", "x": low + 0.05, "value": share})
        values.append(view | {"column": "observed", "value": -0.7 + 0.9 * number})
        for effect in np.round(np.arange(0, 0.505, 0.01), 2):
            power = 1 - 0.95 * np.exp(-((effect * (9 - number)) ** 2))
            values.append(
                {"view_id": "power_curve", "row": spec, "column": f"{effect:.2f}", "x": effect, "value": power}
            )
        row = {"spec_id": spec, "term": "hub_post", "event_time": pd.NA, "cohort": pd.NA, "covariance": "CRV3"}
        row |= {"df": 24.0, "mde": 0.15 + 0.02 * number, "power_05": 0.1, "power_10": 0.2, "sample": "chain"}
        estimates.append(row | hashes)
    for name, value in {"median": 0.02, "average_z": 0.2, "share_significant": 0.1, "share_same_sign": 0.6}.items():
        given = {"statistic": value, "p_value": 0.7, "draws": 499, "exact": False}
        tests.append(_test("specification_curve", "hub_post", name, **given))
    names = ["|".join(parts) for parts in product(*CHOICES)]
    effects = np.sort(rng.normal(0, 0.05, len(names)))
    for place, name in enumerate(rng.permutation(names)):
        half, effect = rng.uniform(0.1, 0.2), effects[place]
        row = {"view_id": "specification_curve", "row": str(name), "column": "estimate", "x": place + 1.0}
        values.append(row | {"value": effect, "low": effect - half, "high": effect + half})
    return {"estimates": pd.DataFrame(estimates), "tests": pd.DataFrame(tests), "values": pd.DataFrame(values)}
