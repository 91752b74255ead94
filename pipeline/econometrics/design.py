"""From a caller's frame to checked arrays: the sample, its codes, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import EstimationError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Effects = Sequence[str | Sequence[str]] | None
SHOWN = 5  # labels named in a message before "and n more"


@dataclass(frozen=True, eq=False)
class Codes:
    """A column of labels as integers 0 … n – 1, in the sorted order of the labels."""

    ids: Ints
    labels: list[object]

    @property
    def n(self) -> int:
        """Number of distinct labels."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Design:
    """Arrays of one regression, rows sorted by unit and time.

    Attributes
    ----------
    y : ndarray, (n,)
    X : ndarray, (n, K)
        Treatments, then controls.
    terms : tuple of str
        Names of the columns of ``X``; the first ``n_treatments`` are treatments.
    by_time : dict of str to ndarray, (n,)
        Unit-constant columns that have a coefficient in every period.
    effects, clusters : dict of str to Codes
        By printed name, ``a×b`` for an interaction.
    rows : ndarray, (n,)
        Positions of the rows in the caller's frame.
    left_out : dict of str
        Text for ``meta``: how many rows were left out, and of which units.
    """

    y: Floats
    X: Floats
    terms: tuple[str, ...]
    n_treatments: int
    by_time: dict[str, Floats]
    effects: dict[str, Codes]
    clusters: dict[str, Codes]
    weights: Floats | None
    unit: Codes
    time: Codes
    rows: Ints
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of rows used."""
        return len(self.y)


def build(
    panel: pd.DataFrame,
    outcome: str,
    treatments: Sequence[str],
    *,
    unit: str,
    time: str,
    controls: Sequence[str] = (),
    by_time: Sequence[str] = (),
    effects: Effects = None,
    weights: str | None = None,
    cluster: str | Sequence[str] | None = None,
) -> Design:
    """Check a panel and take from it the arrays of one regression; the frame itself is not touched.

    Rows with a missing value in a used column are left out and counted; every other fault is an error.

    Raises
    ------
    EstimationError
        A column is absent, repeated or not numeric; an infinite value; a repeated (unit, time); a ``by_time`` column
        that changes within a unit; no rows; weights that are not positive.
    """
    groups = [(unit,), (time,)] if effects is None else [_as_tuple(e) for e in effects]
    clusters = _as_tuple(cluster) if cluster is not None else ()
    terms = (*treatments, *controls)
    numeric = list(dict.fromkeys((outcome, *terms, *by_time, *((weights,) if weights else ()))))
    used = list(dict.fromkeys((unit, time, *numeric, *(c for g in groups for c in g), *clusters)))
    check_columns(panel, used)
    check_keys(panel, unit, time)
    values = {name: to_float(panel, name) for name in numeric}
    complete = np.asarray(~panel[used].isna().to_numpy().any(axis=1))
    order = np.lexsort((encode(panel[time]).ids, encode(panel[unit]).ids))
    rows = order[complete[order]].astype(np.intp)
    if not len(rows):
        raise EstimationError(f"no row is complete in {', '.join(used)}")
    sample = panel.iloc[rows]
    w = values[weights][rows] if weights else None
    if w is not None and not (w > 0).all():
        raise EstimationError(f"weights {weights!r} must be positive in every row used")
    codes = {name: encode(sample[name]) for name in (unit, time, *clusters)}
    columns = {name: values[name][rows] for name in by_time}
    for name, column in columns.items():
        _check_constant(name, column, codes[unit])
    return Design(
        y=values[outcome][rows],
        X=np.column_stack([values[name][rows] for name in terms]) if terms else np.empty((len(rows), 0)),
        terms=terms,
        n_treatments=len(treatments),
        by_time=columns,
        effects={"×".join(g): interact([encode(sample[c]) for c in g]) for g in groups},
        clusters={name: codes[name] for name in clusters},
        weights=w,
        unit=codes[unit],
        time=codes[time],
        rows=rows,
        left_out=_left_out(panel, unit, complete),
    )


def encode(column: pd.Series) -> Codes:
    """Integer codes of a column by sorted label; missing is –1."""
    codes, labels = pd.factorize(column, sort=True)
    return Codes(codes.astype(np.intp), list(labels))


def interact(parts: Sequence[Codes]) -> Codes:
    """One code for each combination of labels that occurs."""
    if len(parts) == 1:
        return parts[0]
    joint = np.zeros(len(parts[0].ids), dtype=np.intp)
    for part in parts:
        joint = joint * part.n + part.ids
    present, codes = np.unique(joint, return_inverse=True)
    return Codes(codes.astype(np.intp), list(present))


def is_nested(inner: Codes, outer: Codes) -> bool:
    """Whether every group of ``inner`` lies in one group of ``outer``."""
    return len(np.unique(inner.ids * outer.n + outer.ids)) == inner.n


def check_columns(panel: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise unless every name is exactly one column."""
    absent = [n for n in names if n not in panel.columns]
    if absent:
        raise EstimationError(f"the panel has no column {', '.join(map(repr, absent))}")
    repeated = [n for n in names if isinstance(panel[n], pd.DataFrame)]
    if repeated:
        raise EstimationError(f"the panel has more than one column {', '.join(map(repr, repeated))}")


def check_keys(panel: pd.DataFrame, unit: str, time: str) -> None:
    """Raise where a (unit, time) stands more than once."""
    repeated = panel.loc[panel.duplicated([unit, time], keep="first"), [unit, time]]
    if len(repeated):
        pairs = [f"({u}, {t})" for u, t in repeated.itertuples(index=False)]
        raise EstimationError(f"({unit}, {time}) must be unique; repeated: {listed(pairs)}")


def to_float(panel: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats, missing as NaN; refuses text and infinite values."""
    if not pd.api.types.is_numeric_dtype(panel[name]):
        raise EstimationError(f"column {name!r} is not numeric (type {panel[name].dtype})")
    values = panel[name].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise EstimationError(f"column {name!r} has {int(np.isinf(values).sum())} infinite values")
    return values


def listed(names: Sequence[object]) -> str:
    """Join the first labels and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _check_constant(name: str, column: Floats, unit: Codes) -> None:
    first = column[np.unique(unit.ids, return_index=True)[1]]
    moving = np.unique(unit.ids[column != first[unit.ids]])
    if len(moving):
        units = listed([unit.labels[u] for u in moving])
        raise EstimationError(f"by_time column {name!r} must be constant within units; it changes in {units}")


def _left_out(panel: pd.DataFrame, unit: str, complete: NDArray[np.bool_]) -> dict[str, str]:
    if complete.all():
        return {"rows_left_out": "0"}
    units = sorted(panel.loc[~complete, unit].dropna().astype(str).unique())
    return {"rows_left_out": str(int((~complete).sum())), "units_with_rows_left_out": ", ".join(units)}
