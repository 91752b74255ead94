"""From a panel of figures to composite indices, as ``specs/indices.yaml`` declares them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.indices.weighting import entropy, entropy_weights, normalise

if TYPE_CHECKING:
    from pipeline.specs import Index

WEIGHTS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "entropy": entropy_weights,
    "equal": lambda scaled: pd.Series(1 / scaled.shape[1], index=scaled.columns),
}


@dataclass(frozen=True)
class Composite:
    """A built index.

    Attributes
    ----------
    scores : DataFrame
        One row a (province_code, year): score × 100, its ln, rank and share of the year's mean, the dimensions and
        their ln, the indicators.
    weights : DataFrame, by indicator
        Columns weight, weight_equal, entropy, low, high (bounds, in the indicator's unit).
    """

    scores: pd.DataFrame
    weights: pd.DataFrame


def indicators(panel: pd.DataFrame, index: Index) -> pd.DataFrame:
    """Evaluate the indicators of an index on its years; keep the rows in which all of them exist.

    Parameters
    ----------
    panel : DataFrame
        Columns province_code, year and every variable the formulas name.
    index : Index
        The index.

    Returns
    -------
    DataFrame indexed by (province_code, year), one column an indicator, complete.
    """
    rows = panel[panel["year"].isin(index.years)].set_index(["province_code", "year"])
    with np.errstate(divide="ignore"):
        columns = {c.id: np.asarray(rows.eval(c.formula, engine="python"), dtype=float) for c in index.indicators}
    return pd.DataFrame(columns, index=rows.index).replace([np.inf, -np.inf], np.nan).dropna()


def compose(values: pd.DataFrame, index: Index) -> Composite:
    """Weight the indicators into the index and its dimensions.

    Bounds and weights come from the rows up to ``reference_last``; a dimension renormalises its own weights.
    The rank is ascending within a year, 1 = lowest; the share is the score over the year's unweighted mean. The ln of
    a dimension is the weighted mean of its ln indicators, since a one-indicator score can be zero; there a raw zero is
    missing. ``<index>_mean_ln`` is the same mean over all indicators.

    Parameters
    ----------
    values : DataFrame indexed by (province_code, year)
        Output of :func:`indicators`.
    index : Index
        The index.
    """
    years = values.index.get_level_values("year")
    reference = years <= index.reference_last
    scaled = normalise(values, reference=reference)
    weights = WEIGHTS[index.weights](scaled[reference])
    score = scaled @ weights * 100
    # Ranks must not hang on a last bit: they compare scores to six decimals, and equals share the mean rank.
    by_year = score.round(6).groupby(level="year")
    columns = {
        index.id: score,
        f"{index.id}_ln": np.log(score.where(score > 0)),
        f"{index.id}_rank": by_year.rank(method="average"),
        f"{index.id}_share": score / score.groupby(level="year").transform("mean"),
    }
    logs = np.log(values.where(values > 0))
    present = [c for c in index.indicators if c.id in values]
    for name in dict.fromkeys(c.dimension for c in present):
        own = [c.id for c in present if c.dimension == name]
        share = weights[own] / weights[own].sum()
        columns[f"{index.id}_{name}"] = scaled[own] @ share * 100
        if index.log_dimensions:
            columns[f"{index.id}_{name}_ln"] = logs[own].dot(share)
    if index.log_dimensions:
        columns[f"{index.id}_mean_ln"] = logs.dot(weights)
    bounds = values[reference]
    table = pd.DataFrame(
        {
            "weight": weights,
            "weight_equal": 1 / len(weights),
            "entropy": entropy(scaled[reference]),
            "low": bounds.min(),
            "high": bounds.max(),
        }
    )
    return Composite(pd.concat([pd.DataFrame(columns), values], axis=1).reset_index(), table)


def variants(values: pd.DataFrame, index: Index) -> pd.DataFrame:
    """Build the index under every weight scheme, whole and without each of its indicators, in logs.

    Parameters
    ----------
    values : DataFrame indexed by (province_code, year)
        Output of :func:`indicators`.
    index : Index
        The index.

    Returns
    -------
    DataFrame with the same rows
        Columns ``<scheme>|<indicator left out, or all>|<form>``; the form ``ln`` is ln of the score, ``mean_ln`` the
        weighted mean of the ln indicators.
    """
    columns = {}
    for scheme in WEIGHTS:
        for left in ("all", *values.columns):
            built = compose(values.drop(columns=left, errors="ignore"), replace(index, weights=scheme))
            scores = built.scores.set_index(["province_code", "year"])
            columns[f"{scheme}|{left}|ln"] = scores[f"{index.id}_ln"]
            columns[f"{scheme}|{left}|mean_ln"] = scores[f"{index.id}_mean_ln"]
    return pd.DataFrame(columns)


def weight_values(weights: pd.DataFrame, index: Index) -> pd.DataFrame:
    """Return the weights as rows of the ``values`` file, view ``index_weights``."""
    text = {c.id: c for c in index.indicators}
    rows = []
    for name, weight in weights.iterrows():
        row = f"{index.id}.{name}"
        rows += [{"row": row, "column": column, "value": number} for column, number in weight.items()]
        rows += [{"row": row, "column": k, "text": getattr(text[str(name)], k)} for k in ("dimension", "zh", "en")]
    return pd.DataFrame(rows).assign(view_id="index_weights")
