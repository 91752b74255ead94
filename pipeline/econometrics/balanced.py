"""A balanced panel as one row a unit: outcomes by period, and what is constant within units."""

from __future__ import annotations

import numpy as np

from pipeline.econometrics.design import Codes, Design, Floats, Ints, listed
from pipeline.errors import EstimationError


def check_balanced(design: Design, estimator: str) -> None:
    """Raise unless every unit has a row in every period, naming the units that lack one."""
    counts = np.bincount(design.unit.ids, minlength=design.unit.n)
    short = np.flatnonzero(counts < design.time.n)
    if not len(short):
        return
    names = []
    for u in short:
        there = design.time.ids[design.unit.ids == u]
        absent = [design.time.labels[t] for t in range(design.time.n) if t not in there]
        names.append(f"{design.unit.labels[u]} (lacks {listed(absent)})")
    raise EstimationError(
        f"{estimator} needs every unit in every period, with no missing value; incomplete: {listed(names)}. "
        "Leave those units or those periods out of the panel"
    )


def first_rows(design: Design) -> Ints:
    """Positions of each unit's first row, (units,)."""
    return np.unique(design.unit.ids, return_index=True)[1].astype(np.intp)


def unit_values(design: Design, column: Floats, what: str) -> Floats:
    """Return a column that is constant within units, one value a unit; an error names the units in which it moves."""
    values = column[first_rows(design)]
    moving = np.unique(design.unit.ids[column != values[design.unit.ids]])
    if len(moving):
        raise EstimationError(
            f"{what} must be constant within units; it changes in {listed([design.unit.labels[u] for u in moving])}"
        )
    return values


def unit_clusters(design: Design) -> Codes:
    """Clusters of the units; an error if there are several dimensions, one cluster only, or clusters cut units."""
    if len(design.clusters) != 1:
        raise EstimationError(f"one cluster dimension, not {tuple(design.clusters)}: it has to hold whole units")
    name, codes = next(iter(design.clusters.items()))
    ids = unit_values(design, codes.ids.astype(np.float64), f"cluster {name!r}").astype(np.intp)
    if codes.n < 2:
        raise EstimationError(f"cluster {name!r} has {codes.n} group: a standard error needs at least 2")
    return Codes(ids, codes.labels)


def restrict(codes: Codes, rows: Ints) -> Codes:
    """Codes of some of the units, renumbered."""
    present, ids = np.unique(codes.ids[rows], return_inverse=True)
    return Codes(ids.astype(np.intp), [codes.labels[i] for i in present])
