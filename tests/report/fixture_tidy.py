"""Made-up tidy files in the shape of the real ones: every number is drawn from a fixed seed and means nothing.

Estimates and tests are those that ``specs/models.yaml`` declares; the views are written out here.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from pipeline import specs
from tests.report import fixture_designs, fixture_inference

OUTCOMES = ("chain_ln", "chain", "chain_rank", "chain_share")
ADJUSTMENTS = ("none", "x", "region")
EVENT_TIMES = (-9, -8, -7, -6, -4, -3, -2, -1, 0, 1)
SCALE = {"chain": 2.0, "chain_rank": 1.0, "chain_share": 0.1, "compute_intensity": 2.0, "compute_scale": 2.0}
DIMENSIONS = tuple(f"chain_{name}_ln" for name in ("upgrading", "extension", "transformation", "competitiveness"))


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


TREND_TESTS = ("joint", "slope")
CONTRASTS = ("equality", "permutation_role")
DRAWN = {"randomization_hub": 1081575, "permutation_role": 70}


def _tested(model: specs.Model, method: str) -> tuple[str, ...]:
    """Terms that a test is about: the two variances have one of every treatment."""
    if method in TREND_TESTS:
        return ("pre",)
    if method in CONTRASTS:
        return (" - ".join(model.treatments),)
    return tuple(model.treatments) if method in ("crv1", "cr2") else (model.treatments[0],)


def _terms(model: specs.Model) -> list[tuple[str, int | None]]:
    times = EVENT_TIMES if model.estimator.startswith("event_study") else (None,)
    return [(term, time) for term in model.treatments for time in times]


def _methods(model: specs.Model) -> tuple[str, ...]:
    """Tests of a specification, and the step-down p of the families it belongs to."""
    for family in specs.models().families.values():
        if model.model == family["model"] and model.adjustment.id in ("none", "x"):
            return (*model.tests, "romano_wolf", "romano_wolf_unadjusted")
    return model.tests


def _tests(rng: np.random.Generator, model: specs.Model, scale: float) -> list[dict[str, object]]:
    interval = {"ci_low": -1.2345 * scale, "ci_high": 2.3456 * scale}
    numbers = {"estimate": 0.5 * scale, "statistic": 0.5, "df1": 24.0} | interval
    rows = []
    for method in _methods(model):
        given: dict[str, Any] = {"df1": 6.0, "df2": 24.0, "statistic": 1.5} if method == "joint" else dict(numbers)
        given |= {"draws": DRAWN.get(method, 9999), "exact": method in DRAWN, "p_value": float(rng.uniform(0.01, 0.99))}
        rows += [_test(model.spec_id, term, method, **given) for term in _tested(model, method)]
    return rows


def estimates_and_tests(seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    estimates, tests = [], []
    for model in specs.models().specifications:
        scale = SCALE.get(model.outcome, 0.1)
        constants = {
            "estimator": model.estimator,
            "outcome": model.outcome,
            "n_obs": 279,
            "n_units": 31,
            "n_treated": 14,
            "n_clusters": 25,
            "n_treated_clusters": 8,
            "fixed_effects": model.adjustment.fixed_effects,
            "controls": model.adjustment.controls,
            "covariance": "CRV3",
            "sample": "2013–2016, 2018–2020, 2022, 2023",
            "outcome_mean": 30 * scale,
            "outcome_sd": 5 * scale,
            "data_sha256": "0123456789abcdef" * 4,
            "plan_sha256": "fedcba9876543210" * 4,
        }
        for term, time in _terms(model):
            row = _estimate(rng, scale)
            if time == -2:
                row = dict.fromkeys(row, np.nan) | {"estimate": 0.0}
            if not (model.outcome.startswith("ln_") or model.outcome.endswith("_ln")):
                row |= {"power_05": np.nan, "power_10": np.nan}
            key = {"spec_id": model.spec_id, "term": term, "event_time": time, "cohort": None}
            estimates.append(key | row | constants)
        tests += _tests(rng, model, scale)
    frame = pd.DataFrame(estimates).astype({"event_time": "Int64", "cohort": "Int64"})
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
ELASTICITIES = {"gdp": "Growth of GDP per point of the index"}
ELASTICITIES |= {"digital_economy": "Growth of the digital economy per point of the index"}
EDITIONS = ("2020 edition", "2021-22 edition", "2022-23 edition")
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
    elastic = {f"elasticity_{name}|{edition}": name for name, edition in product(ELASTICITIES, EDITIONS)}
    for row, name in elastic.items():
        published[row] = _texts(("edition", "unit", "source"), row) | {"name_en": ELASTICITIES[name]}
        published[row] |= {"name_zh": "弹性", "note_zh": "", "note_en": ""}
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
        "published_numbers": {
            row: {"value": value} for row, value in (PUBLISHED | dict.fromkeys(elastic, 3.5)).items()
        },
        "descriptives": {v: {"n": 1279.0} | {m: float(rng.normal(0, 900)) for m in moments} for v in VARIABLES},
        "balance": {v: {b: float(rng.normal(0, 3)) for b in balance} for v in VARIABLES},
    }
    return values(texts, numbers)


PUBLICATIONS = (
    "China Statistical Yearbook (NBS), provincial annual tables",
    "China Statistical Yearbook (NBS), information and software tables",
    "China Statistical Yearbook on Science and Technology (NBS/MOST)",
    "China Statistics Yearbook on High Technology Industry (NBS)",
    "Provincial input-output tables 2012 and 2017 (NBS)",
)
INDICATORS = {
    "chain": ("ht_revenue", "tech_bought", "ht_firms", "np_revenue", "np_spending", "inv_grants", "ind_stock"),
    "compute_intensity": ("ports", "mobile", "computers", "ecfirms", "firm_websites", "graduates"),
    "compute_scale": ("ports_total", "mobile_total", "ecommerce_total", "it_staff_total"),
}
RULES = ("all", "breaks", "decimals", "exchange", "growth", "interpolation", "parts", "repeated", "spike", "stock_dip")


def sources_and_verdicts() -> pd.DataFrame:
    """The views of the appendix tables, and the province-years left out."""
    rng = np.random.default_rng(5)
    variables = {}
    for number, (name, entry) in enumerate(specs.dictionary().items()):
        derived = entry.derived
        breaks = "2018: another count (2017 too)" if name in ("hightech_revenue", "mobile_internet_users") else ""
        variables[name] = {"zh": f"{name}的中文", "en": f"{name} in English", "years": f"20{number:02d}–2023"}
        variables[name] |= {"publication": "derived" if derived else PUBLICATIONS[number % 5], "check": "A"}
        variables[name] |= {"vintage": "revised after the 5th economic census (2023)" if number % 2 else ""}
        variables[name] |= {"formula": "log(x) * 10000" if derived else "", "breaks_en": breaks}
        variables[name] |= {"breaks_zh": breaks.replace(": ", "：")}
    left_out = {m.spec_id: dict.fromkeys(("names_zh", "names_en"), "") for m in specs.models().specifications}
    left_out["raw.ln_newproduct_revenue.x"] = {"names_zh": "西藏 2014", "names_en": "Tibet 2014"}
    verdict = {"province_zh": "上海", "province_en": "Shanghai", "year": "2016", "variable_zh": "网站数"}
    verdict |= {"variable_en": "Websites", "rules": "decimals, spike", "reason_zh": "37.2→10→41.4567。"}
    verdict |= {"reason_en": "37.2, 10, 41.4567: a placeholder."}
    texts = {
        "variables": variables,
        "left_out": left_out,
        "overlap": {
            "gdp": {"scale": "gdp; gdp_census4"},
            "va_tertiary": {"x": "va_tertiary", "declared": "advancement"},
        },
        "index_weights": {f"{i}.{c}": {"dimension": "network"} for i, some in INDICATORS.items() for c in some},
        "quality": {
            "websites|310000|2016": verdict | {"decision": "set missing"},
            "websites|110000|2016": verdict | {"decision": "kept"},
        },
    }
    weights = ("low", "high", "entropy", "weight", "weight_equal")
    numbers = {
        "variables": {name: {"order": float(-number)} for number, name in enumerate(specs.dictionary())},
        "index_weights": {row: {w: float(rng.normal(0, 9)) for w in weights} for row in texts["index_weights"]},
        "quality": {"websites|310000|2016": {"value": 10.0}, "websites|110000|2016": {"value": 1234.5678}},
        "quality_rules": {
            rule: {c: float(rng.integers(0, 99)) for c in ("flagged", "kept", "corrected", "missing")}
            | {"precision": float(rng.uniform())}
            for rule in RULES
        },
    }
    return values(texts, numbers)


def designs() -> pd.DataFrame:
    """The views about the design: programmes, weights of control provinces, deviations from the plan."""
    provinces = {
        code: {"name_zh": f"省份{code}", "name_en": f"Province {code}"}
        for code in sorted({m.without for m in specs.models().specifications if m.without.isdigit()})
    }
    named = {f"{group}_{lang}": f"{group} {lang}" for group in ("hubs", "controls") for lang in ("zh", "en")}
    programmes = ("has_bigdata_zone", "has_ai_zone")
    said = {f"{part}_{lang}": f"{part} {lang}" for part in ("what", "why", "effect") for lang in ("zh", "en")}
    texts = {
        "hub_map": provinces,
        "policy_overlap": dict.fromkeys(programmes, named),
        "deviations": {
            "first": said | {"kind": "declared", "date": "2026-01-02"},
            "no_cell": dict.fromkeys(said, "–") | {"kind": "cells", "date": "–"},
        },
    }
    cells = {f"{group}_{kind}": 7.0 for group in ("hub", "control") for kind in ("with", "without")}
    numbers = {
        "policy_overlap": dict.fromkeys(programmes, cells),
        "control_weights": {"doubly_robust.chain_ln.none": {"effective_controls": 4.321, "350000": 0.4321}},
        "deviations": {"first": {"order": 1.0}, "no_cell": {"order": 1.0}, "cells": {"equations": 408.0, "lost": 0.0}},
    }
    return values(texts, numbers)


def tidy(seed: int = 7) -> dict[str, pd.DataFrame]:
    """All three files; of a test that two fixtures make up, the first counts."""
    estimates, tests = estimates_and_tests(seed)
    inference, sizes = fixture_inference.tables()
    shocks, checks, texts, numbers = fixture_designs.tables()
    tests = pd.concat([tests, inference, checks], ignore_index=True)
    views = [registry_and_moments(), sources_and_verdicts(), designs(), values(texts, numbers), values({}, sizes)]
    return {
        "estimates": pd.concat([estimates, shocks], ignore_index=True),
        "tests": tests.drop_duplicates(["spec_id", "term", "method"], ignore_index=True),
        "values": pd.concat(views, ignore_index=True),
    }
