"""Made-up tidy files in the shape of the real ones: every number is drawn from a fixed seed and means nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

OUTCOMES = ("chain_ln", "chain", "chain_rank", "chain_share")
ADJUSTMENTS = ("none", "x", "region")
EVENT_TIMES = (-9, -8, -7, -6, -4, -3, -2, -1, 0, 1)
SCALE = {"chain_ln": 0.1, "chain": 2.0, "chain_rank": 1.0, "chain_share": 0.1}
EFFECTS = {"none": "province + year", "x": "province + year", "region": "province + region×year"}


def _estimate(rng: np.random.Generator, scale: float) -> dict[str, float]:
    error = scale * float(rng.uniform(0.3, 0.9))
    estimate = scale * float(rng.normal(0.1, 0.5))
    return {
        "estimate": estimate,
        "std_error": error,
        "df": 24.0,
        "ci_low": estimate - 2.06 * error,
        "ci_high": estimate + 2.06 * error,
        "p_value": float(rng.uniform(0.05, 0.95)),
        "ci90_low": estimate - 1.71 * error,
        "ci90_high": estimate + 1.71 * error,
        "std_error_crv1": error * 0.9,
        "mde": 2.92 * error,
        "mde_sd": 2.92 * error / (5 * scale),
        "power_05": 0.12,
        "power_10": 0.31,
    }


def _test(spec: str, term: str, method: str, **given: object) -> dict[str, object]:
    return {"spec_id": spec, "term": term, "method": method, "reason": None} | given


def estimates_and_tests(seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    estimates, tests = [], []
    for outcome in OUTCOMES:
        for adjustment in ADJUSTMENTS:
            name, scale = f"{outcome}.{adjustment}", SCALE[outcome]
            constants = {
                "outcome": outcome,
                "n_obs": 279,
                "n_units": 31,
                "n_treated": 14,
                "n_clusters": 25,
                "n_treated_clusters": 8,
                "fixed_effects": EFFECTS[adjustment],
                "controls": "X×year" if adjustment == "x" else "",
                "covariance": "CRV3",
                "sample": "chain",
                "outcome_mean": 30 * scale,
                "outcome_sd": 5 * scale,
                "data_sha256": "0123456789abcdef" * 4,
                "plan_sha256": "fedcba9876543210" * 4,
            }
            terms = [("did", "hub_post", None), ("did_by_year", "hub_2022", None), ("did_by_year", "hub_2023", None)]
            terms += [("event", "hub", time) for time in EVENT_TIMES]
            for model, term, time in terms:
                key = {"spec_id": f"{model}.{name}", "term": term, "event_time": time, "cohort": None}
                row = _estimate(rng, scale)
                if time == -2:
                    row = dict.fromkeys(row, np.nan) | {"estimate": 0.0}
                if outcome != "chain_ln":
                    row |= {"power_05": np.nan, "power_10": np.nan}
                estimates.append(key | row | constants)
            p = [float(v) for v in rng.uniform(0.01, 0.99, 5)]
            did, event = f"did.{name}", f"event.{name}"
            interval = {"ci_low": -1.2345 * scale, "ci_high": 2.3456 * scale}
            tests += [
                _test(did, "hub_post", "crv1", p_value=p[0], df1=24.0, **interval),
                _test(did, "hub_post", "wild_webb", p_value=p[1], draws=9999, exact=False),
                _test(did, "hub_post", "randomization_hub", p_value=p[2], draws=1081575, exact=True, **interval),
                _test(event, "pre", "joint", p_value=p[3], statistic=1.5, df1=6.0, df2=24.0),
                _test(event, "pre", "slope", p_value=p[4], statistic=0.5, df1=24.0, **interval),
            ]
    frame = pd.DataFrame(estimates)
    frame = frame.astype({"event_time": "Int64", "cohort": "Int64"})
    return frame, pd.DataFrame(tests).astype({"draws": "Int64", "exact": "boolean"})


def values(
    texts: dict[str, dict[str, dict[str, str]]], numbers: dict[str, dict[str, dict[str, float]]]
) -> pd.DataFrame:
    """One row a (view, row, column) of nested mappings."""
    rows = [
        {"view_id": view, "row": row, "column": column, "x": np.nan, "value": value, "text": text}
        for tables, is_text in ((texts, True), (numbers, False))
        for view, lines in tables.items()
        for row, cells in lines.items()
        for column, cell in cells.items()
        for value, text in [(np.nan, cell) if is_text else (cell, None)]
    ]
    columns = ["view_id", "row", "column", "x", "value", "low", "high", "text"]
    return pd.DataFrame(rows, columns=columns).sort_values(["view_id", "row", "column"], ignore_index=True)


HUBS = ("JJJ", "YRD", "GBA", "CY", "NM", "GZ", "GS", "NX")
CLUSTERS = ("ZJK", "YRDGI", "WH", "SG", "TF", "CQ", "HLGE", "GA", "QY", "ZW")
PUBLISHED = {
    "racks_in_use|end 2023": 8.1,
    "data_centre_electricity|2023": 150.0,
    "national_supercomputing_centres|August 2023": 14.0,
    "intelligent_computing_centres|June 2024": 250.0,
    "intelligent_share_of_compute|2023 white paper": 25.0,
}
VARIABLES = ("chain_ln", "chain", "ht_revenue", "tech_bought", "ht_firms", "np_revenue", "np_spending", "inv_grants")
VARIABLES += ("ind_stock", "compute_intensity", "compute_scale", "x_gdp_per_capita", "x_tertiary_share", "x_population")


def _texts(columns: tuple[str, ...], row: str) -> dict[str, str]:
    pairs = {f"{name}_{lang}": f"{name} {row} {lang}" for name in columns for lang in ("zh", "en")}
    return pairs | {"status": "unverified", "status_zh": "未核实"}


def registry_and_moments() -> pd.DataFrame:
    """The views of tables 1 and 2."""
    hub = {row: _texts(("hub", "provinces", "clusters"), row) for row in HUBS}
    for number, row in enumerate(HUBS):
        hub[row] |= {"role": "demand" if number < 4 else "supply"}
        hub[row] |= {"named_in_plan": "2021-05-24", "reply_month": "2022-02"}
    event = {
        f"{n:02d}": _texts(("title", "fact"), f"{n}") | {"date": f"2021-0{n}", "doc_no": "〔2021〕1号"}
        for n in range(1, 8)
    }
    published = {row: _texts(("name", "edition", "unit", "source", "note"), row) for row in PUBLISHED}
    texts = {
        "registry_hubs": hub,
        "registry_clusters": {row: _texts(("cluster", "host", "startup_area"), row) for row in CLUSTERS},
        "timeline": event,
        "published_numbers": published,
    }
    rng = np.random.default_rng(3)
    moments = ("mean", "sd", "min", "max")
    balance = ("mean_hub", "sd_hub", "mean_control", "sd_control", "difference", "normalised_difference")
    numbers = {
        "registry_clusters": {row: {"pue_max": 1.25, "rack_use_min": 0.65} for row in CLUSTERS},
        "published_numbers": {row: {"value": value} for row, value in PUBLISHED.items()},
        "descriptives": {v: {"n": 1279.0} | {m: float(rng.normal(0, 900)) for m in moments} for v in VARIABLES},
        "balance": {v: {b: float(rng.normal(0, 3)) for b in balance} for v in VARIABLES},
    }
    return values(texts, numbers)


def tidy(seed: int = 7) -> dict[str, pd.DataFrame]:
    """All three files."""
    estimates, tests = estimates_and_tests(seed)
    return {"estimates": estimates, "tests": tests, "values": registry_and_moments()}
