"""The tidy rows that a figure draws, as its stanza selects them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.errors import ReportError

# Counts and years, blank where they do not apply.
INTEGERS = ("event_time", "cohort", "n_obs", "n_units", "n_treated", "n_clusters", "n_treated_clusters", "draws")


def select(key: str, stanza: Mapping[str, Any], tidy: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the rows of every entry of ``reads``: a table, and for its columns the values wanted.

    Parameters
    ----------
    key : str
        The figure, for messages.
    stanza : mapping
        Its entry in ``specs/figures.yaml``.
    tidy : mapping of DataFrame
        ``estimates``, ``tests`` and ``values``.

    Raises
    ------
    ReportError
        Some combination of the values wanted has no row; every such combination is named.
    """
    found, lacking = {}, []
    for name, wanted in stanza["reads"].items():
        frame = tidy[wanted["table"]]
        columns = {column: values for column, values in wanted.items() if column != "table"}
        keep = pd.Series(True, index=frame.index)
        for column, values in columns.items():
            keep &= frame[column].isin(values)
        found[name] = frame[keep].reset_index(drop=True)
        present = set(found[name][list(columns)].itertuples(index=False, name=None))
        for combination in itertools.product(*columns.values()):
            if combination not in present:
                cell = ", ".join(f"{c} = {v}" for c, v in zip(columns, combination, strict=True))
                lacking.append(f"{wanted['table']} ({cell})")
    if lacking:
        raise ReportError(
            f"{key}: results/estimates holds no row for {'; '.join(lacking)}. "
            "Rebuild the estimates with `dvc repro`, or correct the figure's stanza in specs/figures.yaml."
        )
    return found


def data(stanza: Mapping[str, Any], rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the selected rows as one frame: first the name of their table, then the columns that hold anything."""
    parts = [rows[name].assign(table=wanted["table"]) for name, wanted in stanza["reads"].items()]
    columns = list(dict.fromkeys(c for part in parts for c in part.columns if part[c].notna().any()))
    filled = [part[[c for c in columns if c in part.columns and part[c].notna().any()]] for part in parts]
    joined = pd.concat(filled, ignore_index=True)[["table", *(c for c in columns if c != "table")]]
    return joined.astype({column: "Int64" for column in INTEGERS if column in joined})


def texts(key: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of one view of ``values``, one row an entry, one column a field; absent texts are empty."""
    views = frame["view_id"].unique()
    if len(views) != 1:
        raise ReportError(f"{key}: texts of {len(views)} views were asked for at once: {', '.join(map(str, views))}.")
    return frame.pivot(index="row", columns="column", values="text").fillna("")  # noqa: PD010 - refuses a repeated key
