"""Made-up rows of the triple difference, the auxiliary shocks, balancing and synthetic controls.

Every number is drawn from a fixed seed and means nothing.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

HUBS = ("JJJ", "YRD", "GBA", "CY", "NM", "GZ", "GS", "NX")
CONTROLS = ("140000", "210000", "220000", "230000", "350000", "360000", "370000", "410000", "420000", "430000")
CONTROLS += ("450000", "460000", "530000", "540000", "610000", "630000", "650000")
TREATED = ("110000", "120000", "130000", "150000", "310000", "320000", "330000", "340000", "440000", "500000")
TREATED += ("510000", "520000", "620000", "640000")
INDUSTRIES = ("agriculture", "industry", "construction", "wholesale_retail", "transport", "hotels_catering")
INDUSTRIES += ("finance", "real_estate", "other_services")
EXPOSURES = tuple(f"{kind}_{name}" for name in ("it", "it_electronics") for kind in ("complete", "direct"))
ESTIMATORS = {
    "twfe": "CRV3, t(30)",
    "callaway_santanna_never": "influence function, 31 clusters, normal",
    "callaway_santanna_not_yet": "influence function, 31 clusters, normal",
    "sun_abraham": "CRV1, t(30)",
    "imputation": "conservative clustered, averages by cohort-period",
    "two_stage": "GMM, clustered",
    "extended_twfe": "CRV1, t(30)",
    "stacked": "CRV1, t(30)",
    "local_projections": "CRV1, t(G – 1), factors of each regression",
}
SHOCKS = {"ai_zone": ("2019", "2020", "2021", "never"), "bigdata_zone": ("2016", "never")}
COVARIATES = ("x_gdp_per_capita", "x_population", "x_tertiary_share", "it_employment_share", "chain_ln")
YEARS = (2013, 2014, 2015, 2016, 2018, 2019, 2020, 2022, 2023)
HASHES = {"data_sha256": "0123456789abcdef" * 4, "plan_sha256": "fedcba9876543210" * 4}
Row = dict[str, Any]


def _row(rng: np.random.Generator, spec: str, term: str, event_time: int | None = None, **given: object) -> Row:
    estimate, error = float(rng.normal(0, 0.03)), float(rng.uniform(0.01, 0.05))
    model, outcome, adjustment = spec.split(".")
    row: Row = {"spec_id": spec, "term": term, "event_time": event_time, "cohort": None, "estimator": model}
    row |= {"outcome": outcome, "estimate": estimate, "std_error": error, "df": 24.0, "p_value": rng.uniform(0.05, 0.9)}
    row |= {"ci_low": estimate - 2.06 * error, "ci_high": estimate + 2.06 * error, "mde": 2.92 * error, "mde_sd": 0.1}
    row |= {"ci90_low": estimate - 1.71 * error, "ci90_high": estimate + 1.71 * error, "power_05": 0.4, "power_10": 0.9}
    row |= {"n_obs": 2232, "n_units": 31, "n_treated": 14, "n_clusters": 25, "n_treated_clusters": 8}
    row |= {"fixed_effects": "province×industry + industry×year + province×year", "covariance": "CRV3"}
    row |= {"controls": "X×exposure×year" if adjustment == "x" else "", "sample": "2016–2020, 2022–2024"}
    return row | {"outcome_mean": 7.4, "outcome_sd": 0.9} | HASHES | given


def triple(rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """The triple difference: estimates, and tests of the headline exposure and of the event study."""
    estimates, tests = [], []
    models = [*EXPOSURES, *(f"{e}_narrow" for e in EXPOSURES), *(f"without_{i}" for i in INDUSTRIES)]
    names = [f"triple_{m}.ln_value_added" for m in models] + ["triple_employment.ln_employment"]
    estimates += [_row(rng, f"{n}.{a}", "hub_post × exposure") for n, a in product(names, ("none", "x"))]
    drawn = {"crv1": None, "wild_webb": 9999, "randomization_hub": 1081575, "permutation_exposure": 362880}
    for adjustment in ("none", "x"):
        event, headline = (f"triple_{m}.ln_value_added.{adjustment}" for m in ("event", "complete_it"))
        gone = dict.fromkeys(("std_error", "p_value", "ci_low", "ci_high"), np.nan) | {"estimate": 0.0}
        estimates += [_row(rng, event, "hub × exposure", t, **(gone if t == -2 else {})) for t in range(-6, 3)]
        gradient = {"fixed_effects": "province + year", "controls": "X×year" if adjustment == "x" else ""}
        estimates += [_row(rng, f"industry_gradient.ln_value_added.{adjustment}", i, **gradient) for i in INDUSTRIES]
        for method, draws in drawn.items():
            test = {"spec_id": headline, "term": "hub_post × exposure", "method": method, "draws": draws}
            tests.append(test | {"p_value": rng.uniform(0.05, 0.9), "exact": draws is not None and draws > 9999})
        pre = {"spec_id": event, "term": "pre", "method": "joint", "statistic": 1.2, "df1": 4.0, "df2": 24.0}
        tests.append(pre | {"p_value": rng.uniform(0.05, 0.9), "draws": None, "exact": False})
    return estimates, tests


def shocks(rng: np.random.Generator) -> list[Row]:
    """Every estimator of both auxiliary programmes."""
    given = {"n_clusters": 31, "n_treated_clusters": 16, "sample": "2013–2016, 2018–2021", "df": 30.0}
    given |= {"fixed_effects": "province + year"}
    return [
        _row(rng, f"{shock}_{name}.{outcome}.none", shock, **given, covariance=covariance)
        for shock, (name, covariance), outcome in product(SHOCKS, ESTIMATORS.items(), ("chain_ln", "ln_it_employment"))
    ]


def _exposures(rng: np.random.Generator) -> dict[str, dict[str, dict[str, float]]]:
    columns = (*EXPOSURES, *(f"{e}_z" for e in EXPOSURES))
    return {
        "exposures": {i: {c: float(rng.normal(0, 1)) for c in columns} for i in INDUSTRIES},
        "exposures_employment": {"it_services": {"exposure": 1.0}, "manufacturing": {"exposure": 0.1}}
        | {"rest": {"exposure": 0.0}},
    }


def _shock_views(rng: np.random.Generator) -> dict[str, dict[str, dict[str, float]]]:
    out: dict[str, dict[str, dict[str, float]]] = {}
    for shock, cohorts in SHOCKS.items():
        out[f"{shock}_cohorts"] = {year: {"provinces": float(n)} for n, year in enumerate(cohorts, 4)}
        pairs = ("treated v untreated", "earlier v later", "later v earlier")[: 3 if shock == "ai_zone" else 1]
        parts = {pair: {"weight": rng.uniform(), "estimate": rng.normal(0, 0.1)} for pair in pairs}
        parts["weights"] = {"cells": 33.0, "negative": 0.0, "negative_sum": 0.0}
        out[f"{shock}_decomposition"] = parts
    return out


def _balancing(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Texts and numbers of the views on balancing; the sets with the chain index are infeasible."""
    texts: dict[str, Any] = {"balancing": {}}
    numbers: dict[str, Any] = {"balancing": {}}
    sets = [names for size in range(1, 6) for names in combinations(COVARIATES, size)]
    for order, names in enumerate(sets, 1):
        row, feasible = "+".join(names), "chain_ln" not in names and len(names) < 3
        texts["balancing"][row] = {"set": ", ".join(names)}
        numbers["balancing"][row] = {"order": float(order), "feasible": float(feasible), "gap": rng.uniform(0.1, 0.9)}
        if feasible:
            numbers["balancing"][row] |= {"effective_controls": rng.uniform(2, 16), "largest_weight": rng.uniform()}
        else:
            texts["balancing"][row] |= {"outside": "chain_ln" if "chain_ln" in names else "together"}
    ranges = ("mean_hub", "mean_control", "gap", "low", "high")
    numbers["balancing_covariates"] = {
        name: {"order": float(at)} | {column: rng.normal() for column in ranges} for at, name in enumerate(COVARIATES)
    }
    regions = ("hub_provinces", "control_provinces", "hubs", "effective_hubs")
    numbers["region_support"] = {
        name: dict.fromkeys(regions, 3.0) | {"weight": 0.25} for name in ("east", "central", "west", "northeast")
    }
    clusters = product(("balanced", "sdid"), (*HUBS, *CONTROLS))
    left = {f"{spec}.chain_ln.none|{cluster}": {"estimate": rng.normal(0, 0.02)} for spec, cluster in clusters}
    del left["balanced.chain_ln.none|350000"]
    numbers["weights_without"] = left
    texts["weights_without"] = {"balanced.chain_ln.none|350000": {"outcome": "no solution"}}
    numbers["control_weights"] = {"balanced.chain_ln.none": {code: rng.uniform(0, 0.2) for code in CONTROLS}}
    return texts, numbers


def _synthetic(rng: np.random.Generator) -> dict[str, Any]:
    columns = ("estimate", "pre_rmspe", "post_rmspe", "ratio", "p_value")
    return {
        "synthetic_control": {
            hub: {c: rng.uniform(0.1, 0.9) for c in columns} | {"rank": 3.0, "placebos": 17.0} for hub in HUBS
        },
        "synthetic_donors": {hub: {code: rng.uniform(0, 0.2) for code in CONTROLS} for hub in HUBS},
        "sdid_weights": {
            "unit": {code: rng.uniform(0, 0.2) for code in CONTROLS},
            "time": {str(year): rng.uniform(0, 0.4) for year in YEARS[:7]},
        },
    }


def tables(seed: int = 17) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Rows of ``estimates`` and ``tests``; texts and numbers of ``values`` by view, row and column."""
    rng = np.random.default_rng(seed)
    estimates, tests = triple(rng)
    frame = pd.DataFrame([*estimates, *shocks(rng)]).astype({"event_time": "Int64", "cohort": "Int64"})
    texts, numbers = _balancing(rng)
    numbers |= _exposures(rng) | _shock_views(rng) | _synthetic(rng)
    groups = {code: {"group": "control"} for code in CONTROLS}
    return (
        frame,
        pd.DataFrame(tests).astype({"draws": "Int64", "exact": "boolean"}),
        texts | {"hub_map": groups},
        numbers,
    )


def figures(hashes: dict[str, str], seed: int = 19) -> dict[str, pd.DataFrame]:
    """Rows of F8, F11 and F15, but for the names and groups of the provinces."""
    rng = np.random.default_rng(seed)
    estimates, tests = triple(rng)
    codes = (*HUBS, *CONTROLS, *TREATED)
    names = ("did", "sdid", *(f"leave_out_{code}" for code in codes))
    estimates += [_row(rng, f"{n}.chain_ln.{a}", "hub_post") for n, a in product(names, ("none", "x"))]
    views: list[Row] = [
        {"view_id": "registry_hubs", "row": hub, "column": "role", "text": "demand" if at < 4 else "supply"}
        for at, hub in enumerate(HUBS)
    ]
    numbers = _exposures(rng) | _synthetic(rng)
    for view in ("exposures", "synthetic_control"):
        for row, cells in numbers[view].items():
            views += [{"view_id": view, "row": row, "column": k, "value": v} for k, v in cells.items()]
    paths = {"sdid_path": ("treated", "synthetic", "counterfactual"), "synthetic_gaps": (*HUBS, *CONTROLS)}
    paths["synthetic_path"] = tuple(f"{hub}|{kind}" for hub in HUBS for kind in ("actual", "synthetic"))
    for view, rows in paths.items():
        for row, year in product(rows, YEARS):
            place = {"view_id": view, "row": row, "column": str(year), "x": float(year)}
            views.append(place | {"value": 0.1 * (year - 2013) + rng.normal(0, 0.1)})
    frame = pd.DataFrame(estimates).assign(**hashes)
    return {"estimates": frame, "tests": pd.DataFrame(tests), "values": pd.DataFrame(views)}
