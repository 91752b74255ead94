"""Descriptive views: moments, balance, trends, the hub map. Rows of the ``values`` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.estimate.samples import keep, years_of

if TYPE_CHECKING:
    from pipeline.specs import Model, Variable


def _long(frame: pd.DataFrame, view: str) -> pd.DataFrame:
    """Turn a rows × columns frame into (view_id, row, column, value), missing cells left out."""
    long = frame.rename_axis(index="row").reset_index().melt("row", var_name="column").dropna(subset=["value"])
    return long.assign(view_id=view)


def _long_text(frame: pd.DataFrame, view: str) -> pd.DataFrame:
    return _long(frame, view).rename(columns={"value": "text"})


def descriptives(rows: pd.DataFrame, variables: Sequence[str], years: Sequence[int]) -> pd.DataFrame:
    """Return n, mean, sd (n – 1), min and max of each variable over province-years of the sample."""
    data = rows.loc[rows["year"].isin(years), list(variables)]
    moments = pd.DataFrame(
        {"n": data.count(), "mean": data.mean(), "sd": data.std(ddof=1), "min": data.min(), "max": data.max()}
    ).astype(float)
    return _long(moments, "descriptives")


def balance(
    rows: pd.DataFrame,
    variables: Sequence[str],
    years: Sequence[int],
    *,
    own_years: dict[str, Sequence[int]],
) -> pd.DataFrame:
    """Compare hub and control provinces before the programme.

    Each province counts once, with its mean over the pre-period years; SDs are over provinces (n – 1). The
    normalised difference is (x̄₁ – x̄₀)/√((s₁² + s₀²)/2) (Imbens and Rubin 2015, ch. 14).

    Parameters
    ----------
    rows : DataFrame
        Columns province_code, year, hubs and the variables.
    variables, years : sequence
        What is compared, over which years.
    own_years : dict
        Years of the variables that are averaged over others: the fixed covariates.
    """
    out = {}
    for name in variables:
        window = rows[rows["year"].isin(own_years.get(name, years))]
        means = window.groupby("province_code").agg(x=(name, "mean"), hubs=("hubs", "first"))
        hub, control = means.loc[means["hubs"] == 1, "x"], means.loc[means["hubs"] == 0, "x"]
        gap = hub.mean() - control.mean()
        out[name] = {
            "mean_hub": hub.mean(),
            "sd_hub": hub.std(ddof=1),
            "mean_control": control.mean(),
            "sd_control": control.std(ddof=1),
            "difference": gap,
            "normalised_difference": gap / np.sqrt((hub.var(ddof=1) + control.var(ddof=1)) / 2),
            "n_hub": float(hub.count()),
            "n_control": float(control.count()),
        }
    return _long(pd.DataFrame(out).T, "balance")


def trends(rows: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return unweighted means and quartiles over provinces by year and group (hub, control, demand, supply)."""
    data = rows.dropna(subset=[outcome])
    groups = {
        "hub": data["hubs"] == 1,
        "control": data["hubs"] == 0,
        "demand": data["role"] == "demand",
        "supply": data["role"] == "supply",
    }
    parts = []
    for name, chosen in groups.items():
        by_year = data[chosen].groupby("year")[outcome]
        part = pd.DataFrame({"value": by_year.mean(), "low": by_year.quantile(0.25), "high": by_year.quantile(0.75)})
        parts.append(part.reset_index().assign(row=name))
    out = pd.concat(parts).assign(view_id=f"trends_{outcome}")
    return out.assign(x=out["year"].astype(float), column=out["year"].astype(str)).drop(columns="year")


def hub_map(units: pd.DataFrame, links: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """Return what the tile map shows: each province's group, hub and clusters, and the links between hubs.

    Parameters
    ----------
    units, links : DataFrame
        The tables of these names.
    clusters : DataFrame
        Rows of the ``values`` view ``registry_clusters``.
    """
    hosts = clusters[clusters["column"] == "host_codes"].set_index("row")["text"].str.split(";").explode()
    hosted = (hosts.str[:2] + "0000").rename_axis("cluster").reset_index(name="province_code").drop_duplicates()
    provinces = units.set_index("province_code")
    provinces["group"] = provinces["role"].where(provinces["role"] != "", "control")
    provinces["clusters"] = hosted.groupby("province_code")["cluster"].agg(";".join)
    shown = provinces[["group", "hub", "name_zh", "name_en", "clusters"]].fillna("")
    service = links[links["kind"] == "service"]
    pairs = service.assign(row=service["source"] + "|" + service["target"]).set_index("row")[["source", "target"]]
    return pd.concat([_long_text(shown, "hub_map"), _long_text(pairs, "hub_links")])


def policy_overlap(units: pd.DataFrame) -> pd.DataFrame:
    """Count hub and control provinces with and without each concurrent programme, and name them.

    Parameters
    ----------
    units : DataFrame
        The table of this name.
    """
    hub = units["hub"] != ""
    out: list[dict[str, object]] = []
    for programme in ("bigdata_zone", "ai_zone"):
        member, row = units[programme].notna(), f"has_{programme}"
        cells = {"hub_with": hub & member, "hub_without": hub & ~member}
        cells |= {"control_with": ~hub & member, "control_without": ~hub & ~member}
        out += [{"row": row, "column": name, "value": float(cell.sum())} for name, cell in cells.items()]
        for lang, comma in (("zh", "、"), ("en", ", ")):
            names = units[f"name_{lang}"]
            out.append({"row": row, "column": f"hubs_{lang}", "text": comma.join(names[hub & member])})
            out.append({"row": row, "column": f"controls_{lang}", "text": comma.join(names[~hub & member])})
    return pd.DataFrame(out).assign(view_id="policy_overlap")


def ranks(rows: pd.DataFrame, index: str, years: Sequence[int]) -> pd.DataFrame:
    """Return score (``value``) and rank (``x``; 1 = lowest) of every province by year, view ``ranks_<index>``."""
    data = rows.loc[rows["year"].isin(years), ["province_code", "year", index, f"{index}_rank"]].dropna()
    out = data.rename(columns={"province_code": "row", index: "value", f"{index}_rank": "x"})
    return out.assign(column=out["year"].astype(str), view_id=f"ranks_{index}").drop(columns="year")


def variables(dictionary: Mapping[str, Variable]) -> pd.DataFrame:
    """Return view ``variables``: what each series is called, measured in and published by, with its breaks."""
    rows: list[dict[str, object]] = []
    for order, (name, entry) in enumerate(dictionary.items(), 1):
        texts = {
            "zh": entry.zh,
            "en": entry.en,
            "unit": entry.unit,
            "unit_zh": entry.unit_zh,
            "family": entry.family,
            "publication": entry.publication,
            "vintage": entry.vintage,
            "check": entry.check,
            "formula": entry.formula or entry.method or "",
            "years": f"{entry.first_year}–{entry.last_year}",
            "breaks_zh": "；".join(f"{b['year']}：{b['zh']}" for b in entry.breaks),
            "breaks_en": "; ".join(f"{b['year']}: {b['en']}" for b in entry.breaks),
        }
        rows += [{"row": name, "column": k, "text": v} for k, v in texts.items()]
        rows.append({"row": name, "column": "order", "value": float(order)})
    return pd.DataFrame(rows).assign(view_id="variables")


NO_DEVIATION = {"what_zh": "未申报任何偏离。", "what_en": "None declared."}
NO_CELL_LOST = {"what_zh": "未缺任何枢纽省份年份。", "what_en": "No hub province-year is missing."}
NOT_PUBLISHED = {
    "why_zh": "被解释变量未公布或已置为缺失（表A5）。",
    "why_en": "The outcome is not published, or set missing (Table A5).",
    "effect_zh": "只剔除该省份年份。",
    "effect_en": "That row alone is left out.",
}


def deviations(declared: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of the view ``deviations`` of kind ``declared``: what was done otherwise than planned, and why.

    Parameters
    ----------
    declared : sequence of mapping
        Entries of ``deviations.yaml``: id, date, and what, why and effect as zh and en pairs. Without any the view says
        so in the row ``none``.
    """
    entries = {
        entry["id"]: {"date": str(entry["date"])}
        | {f"{k}_{lang}": entry[k][lang] for k in ("what", "why", "effect") for lang in ("zh", "en")}
        for entry in declared
    }
    return _told(entries or {"none": NO_DEVIATION}, "declared")


def lost_hub_cells(
    rows: pd.DataFrame, equations: Sequence[Model], labels: Mapping[str, Mapping[str, str]], dates: Mapping[str, int]
) -> pd.DataFrame:
    """Return rows of the view ``deviations`` of kind ``cells``: hub cells that an equation lacks where it may not.

    A cell is a hub province in the reference year or a post year of a sample; one that the sample leaves out by name is
    not lost. Row ``cells`` counts the equations looked at (column ``equations``) and the cells lost (``lost``).

    Parameters
    ----------
    rows : DataFrame
        Output of :func:`pipeline.estimate.samples.merge`.
    equations : sequence of Model
        On the corrected figures, which are those of ``rows``.
    labels : mapping
        Names of outcomes, zh and en.
    dates : mapping
        event_year, reference_year and announcement_year.
    """
    entries: dict[str, dict[str, str]] = {}
    for model in equations:
        years = years_of(rows, model.outcome, model.sample, dates["announcement_year"])
        there = keep(rows[rows["year"].isin(years)], model.sample, model.without)
        bound = (there["year"] == dates["reference_year"]) | (there["year"] >= dates["event_year"])
        lost = there[bound & there["hubs"].eq(1) & there[model.outcome].isna()]
        name = labels.get(model.outcome, dict.fromkeys(("zh", "en"), model.outcome))
        for cell in lost.to_dict("records"):
            what = {f"what_{lang}": f"{cell[f'name_{lang}']} {cell['year']}" for lang in ("zh", "en")}
            what = {"what_zh": f"{what['what_zh']}：{name['zh']}", "what_en": f"{what['what_en']}: {name['en']}"}
            entries[f"{model.outcome}|{cell['province_code']}|{cell['year']}"] = what | NOT_PUBLISHED
    counts = {"equations": float(len(equations)), "lost": float(len(entries))}
    numbers = pd.DataFrame([{"row": "cells", "column": k, "value": v} for k, v in counts.items()])
    return pd.concat([_told(entries or {"no_cell": NO_CELL_LOST}, "cells"), numbers.assign(view_id="deviations")])


def _told(entries: Mapping[str, Mapping[str, str]], kind: str) -> pd.DataFrame:
    """Return texts by row, with their kind and order; a text that an entry lacks is a dash."""
    texts = ("date", *(f"{k}_{lang}" for k in ("what", "why", "effect") for lang in ("zh", "en")))
    rows: list[dict[str, object]] = []
    for order, (row, given) in enumerate(entries.items(), 1):
        told = {"kind": kind} | {name: given.get(name, "–") for name in texts}
        rows += [{"row": row, "column": k, "text": v} for k, v in told.items()]
        rows.append({"row": row, "column": "order", "value": float(order)})
    return pd.DataFrame(rows).assign(view_id="deviations")
