"""From one stanza and the tidy rows to the files of one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pipeline.errors import ReportError
from pipeline.report.figures import (
    by_role,
    event_study,
    honest_did,
    hub_map,
    index_ranks,
    industry_gradient,
    leave_one_out,
    power_curve,
    randomization,
    raw_trends,
    rows,
    sheet,
    specification_curve,
    synthetic_paths,
)

DRAW: dict[str, Callable[[sheet.Sheet], Figure]] = {
    "by_role": by_role.draw,
    "event_study": event_study.draw,
    "honest_did": honest_did.draw,
    "hub_map": hub_map.draw,
    "index_ranks": index_ranks.draw,
    "industry_gradient": industry_gradient.draw,
    "leave_one_out": leave_one_out.draw,
    "power_curve": power_curve.draw,
    "randomization": randomization.draw,
    "raw_trends": raw_trends.draw,
    "specification_curve": specification_curve.draw,
    "synthetic_paths": synthetic_paths.draw,
}


def stem(figure_id: str, stanza: Mapping[str, Any]) -> str:
    """Return id and short name, with which every file name of the figure begins."""
    return f"{figure_id}_{stanza['name']}"


def build(
    figure_id: str,
    stanza: Mapping[str, Any],
    tidy: Mapping[str, pd.DataFrame],
    params: Mapping[str, Any],
    *,
    simulated: bool = False,
) -> tuple[dict[str, bytes], pd.DataFrame]:
    """Draw one figure in every language and format.

    Parameters
    ----------
    figure_id : str
        ``F1`` … ``F18``.
    stanza : mapping
        Its entry in ``specs/figures.yaml``.
    tidy : mapping of DataFrame
        ``estimates``, ``tests`` and ``values``.
    params : mapping
        ``params.yaml``.
    simulated : bool
        Draw a watermark; rows whose ``sample`` says so carry it in any case.

    Returns
    -------
    files : dict of bytes
        By file name, ``F5_event_study.en.pdf``.
    data : DataFrame
        The rows drawn.

    Raises
    ------
    ReportError
        No such module, label, row or glyph; the message names figure and key.
    """
    key = stem(figure_id, stanza)
    if stanza["module"] not in DRAW:
        raise ReportError(f"{key}: no module {stanza['module']!r}. Known: {', '.join(DRAW)}.")
    selected = rows.select(key, stanza, tidy)
    hashes = _hashes(key, tidy["estimates"])
    simulated = simulated or any(_says_simulated(frame) for frame in selected.values())
    files = {}
    with sheet.house_style():
        for language in sheet.LANGUAGES:
            page = sheet.Sheet(key, stanza, selected, params, language, hashes, simulated)
            for kind, content in sheet.encode(DRAW[stanza["module"]](page), page).items():
                files[f"{key}.{language}.{kind}"] = content
    return files, rows.data(stanza, selected)


def _hashes(key: str, estimates: pd.DataFrame) -> dict[str, str]:
    names = ["data_sha256", "plan_sha256"]
    pairs = estimates[names].drop_duplicates()
    if len(pairs) != 1:
        raise ReportError(
            f"{key}: results/estimates/estimates.parquet holds {len(pairs)} pairs of data and plan hash, not one. "
            "Rebuild the estimates with `dvc repro`."
        )
    return {name: str(pairs[name].iloc[0]) for name in names}


def _says_simulated(frame: pd.DataFrame) -> bool:
    return "sample" in frame and bool(frame["sample"].astype("string").str.contains("simulated", case=False).any())
