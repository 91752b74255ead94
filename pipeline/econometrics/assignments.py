"""Assignments of treatment paths: which exist, every one of them, or a random sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import comb, prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.design import Codes, Floats, Ints, check_columns, encode, listed, to_float
from pipeline.errors import EstimationError

Labels = NDArray[np.uint8]
CHUNK = 4096
MOST = 20_000_000  # assignments beyond this are not enumerated


@dataclass(frozen=True, eq=False)
class Plan:
    """Which assignments a test evaluates.

    Attributes
    ----------
    chunks : iterable of (ndarray of uint8, sequence of ndarray of int), or None
        Labels (G, c), and the members (k, c) of groups that are one cluster there; None if they are too many to list.
    total : int
    exact : bool
        They are all there are, the observed one included.
    recipe : str
        Equal for plans that give the same assignments in the same order.
    sets : sequence of ndarray of int, (k, 1)
        The members of the clusters as observed.
    permutations : Permutations or None
        Behind the chunks, if they are that.
    notes : dict of str
        Text for ``meta``.
    """

    chunks: Iterable[tuple[Labels, Sequence[Ints]]] | None
    total: int
    exact: bool
    recipe: str
    sets: Sequence[Ints] = ()
    permutations: Permutations | None = None
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Paths:
    """Distinct treatment paths and who follows which.

    Attributes
    ----------
    table : ndarray, (C, T)
        Path 0 is the most frequent.
    labels : ndarray of uint8, (G,)
        Path of each group as observed.
    """

    table: Floats
    labels: Labels


def observed_paths(panel: pd.DataFrame, treatment: str, group: str, time: str, groups: Codes, times: Codes) -> Paths:
    """Treatment path of every group over the periods used.

    A period in which a group has no row is filled from the one path that agrees with it elsewhere.

    Raises
    ------
    EstimationError
        Units of one group differ, a gap that no path or more than one path can fill, or a single path.
    """
    rows = pd.DataFrame({"group": panel[group], "time": panel[time], "value": to_float(panel, treatment)}).dropna()
    rows = rows[rows["group"].isin(groups.labels) & rows["time"].isin(times.labels)]
    spread = rows.groupby(["group", "time"])["value"].agg(["min", "max"])
    mixed = spread.index[spread["min"] != spread["max"]].get_level_values(0).unique()
    if len(mixed):
        raise EstimationError(
            f"{treatment!r} differs between units of {group} {listed(list(mixed))}: it was not assigned by {group}"
        )
    table = np.full((groups.n, times.n), np.nan)
    row = pd.Index(groups.labels).get_indexer(spread.index.get_level_values(0))
    column = pd.Index(times.labels).get_indexer(spread.index.get_level_values(1))
    table[row, column] = spread["min"]
    known = np.unique(table[~np.isnan(table).any(axis=1)], axis=0)
    labels = np.empty(len(table), dtype=np.uint8)
    for g, path in enumerate(table):
        fits = np.flatnonzero(((known == path) | np.isnan(path)).all(axis=1))
        if len(fits) != 1:
            raise EstimationError(f"the treatment path of {groups.labels[g]} has gaps that {len(fits)} other paths fit")
        labels[g] = fits[0]
    counts = np.bincount(labels, minlength=len(known))
    if len(known) > 255:
        raise EstimationError(f"{len(known)} distinct paths of {treatment!r}; at most 255 can be permuted")
    if len(known) < 2:
        raise EstimationError(f"every group has the same path of {treatment!r}: nothing to permute")
    order = np.argsort(-counts, kind="stable")
    return Paths(known[order], np.argsort(order).astype(np.uint8)[labels])


def arrangements(counts: Sequence[int]) -> Labels:
    """Every distinct order of ``counts[c]`` copies of each label c, lexicographically; (n, total)."""
    n, zero = sum(counts), tuple(0 for _ in counts)
    layer: dict[tuple[int, ...], Labels] = {zero: np.empty((0, 1), dtype=np.uint8)}
    for _ in range(n):
        longer: dict[tuple[int, ...], list[tuple[int, Labels]]] = {}
        for state, table in layer.items():
            for label in range(len(counts)):
                grown = tuple(s + (c == label) for c, s in enumerate(state))
                if all(s <= most for s, most in zip(grown, counts, strict=True)):
                    head = np.full((1, table.shape[1]), label, dtype=np.uint8)
                    longer.setdefault(grown, []).append((label, np.vstack([head, table])))
        layer = {
            state: np.hstack([table for _, table in sorted(parts, key=lambda part: part[0])])
            for state, parts in longer.items()
        }
    return layer[tuple(counts)]


@dataclass(frozen=True, eq=False)
class Permutations:
    """Permutations of the observed labels within strata.

    Attributes
    ----------
    labels : ndarray of uint8, (G,)
    strata : list of ndarray of int
        Positions of the groups of each stratum.
    """

    labels: Labels
    strata: list[Ints]

    @property
    def total(self) -> int:
        """How many distinct assignments there are."""
        return prod(_multinomial(np.bincount(self.labels[s])) for s in self.strata)

    def every(self) -> Iterator[Labels]:
        """All assignments in chunks (G, c)."""
        tables = []
        for positions in self.strata:
            present, inverse = np.unique(self.labels[positions], return_inverse=True)
            tables.append(present[arrangements(np.bincount(inverse).tolist())])
        shape = tuple(t.shape[1] for t in tables)
        for start in range(0, self.total, CHUNK):
            index = np.unravel_index(np.arange(start, min(start + CHUNK, self.total)), shape)
            chunk = np.empty((len(self.labels), len(index[0])), dtype=np.uint8)
            for positions, table, columns in zip(self.strata, tables, index, strict=True):
                chunk[positions] = table[:, columns]
            yield chunk

    def sample(self, draws: int, seed: int) -> Iterator[Labels]:
        """Independent uniform assignments in chunks (G, c)."""
        rng = np.random.default_rng(seed)
        for start in range(0, draws, CHUNK):
            chunk = np.repeat(self.labels[:, None], min(CHUNK, draws - start), axis=1)
            for positions in self.strata:
                chunk[positions] = rng.permuted(chunk[positions], axis=0)
            yield chunk


def _multinomial(counts: NDArray[np.intp]) -> int:
    total, left = 1, int(counts.sum())
    for c in counts.tolist():
        total *= comb(left, c)
        left -= c
    return total


def given(assignment: pd.DataFrame, groups: Codes) -> Labels:
    """Admissible assignments of a frame draws × groups, 1 for the treated path, as (G, draws).

    Raises
    ------
    EstimationError
        Columns that are not the groups, or values other than 0 and 1.
    """
    absent = [g for g in groups.labels if g not in assignment.columns]
    if absent or assignment.shape[1] != groups.n:
        raise EstimationError(
            f"assignment needs one column for each of the {groups.n} groups; absent: {listed(absent)}"
        )
    values = assignment[groups.labels].to_numpy().T
    if not np.isin(values, (0, 1)).all():
        raise EstimationError("assignment holds values other than 0 and 1")
    return values.astype(np.uint8)


def planned_permutations(permutations: Permutations, names: list[object], draws: int | None, seed: int) -> Plan:
    """Every permutation where they are no more than ``draws``, or a random sample of them.

    Parameters
    ----------
    permutations : Permutations
    names : list
        Of the groups.
    draws : int or None
    seed : int
    """
    if draws is not None and draws < 1:
        raise EstimationError(f"draws must be positive or None, not {draws}")
    total, positions = permutations.total, [s.tolist() for s in permutations.strata]
    sampled = draws is not None and total > draws
    number = int(draws or 0) if sampled else total
    recipe = fingerprint(names, permutations.labels.tolist(), positions, number, seed if sampled else "all")
    if number > MOST and not sampled:
        return Plan(None, total, True, recipe, permutations=permutations)
    chunks = permutations.sample(number, seed) if sampled else permutations.every()
    return Plan(((labels, ()) for labels in chunks), number, not sampled, recipe, permutations=permutations)


def planned_from_frame(assignment: pd.DataFrame, paths: Paths, groups: Codes) -> Plan:
    """The assignments of a frame; they are the whole set if the observed one is among them."""
    if len(paths.table) != 2:
        raise EstimationError(f"an assignment frame needs one treated path, the panel has {len(paths.table) - 1}")
    table = given(assignment, groups)
    treated = int(np.argmax(np.abs(paths.table).sum(axis=1)))  # path 0 is the frequent one, not the untreated one
    labels = table if treated == 1 else 1 - table
    total = labels.shape[1]
    chunks = ((labels[:, start : start + CHUNK], ()) for start in range(0, total, CHUNK))
    exact = bool((labels == paths.labels[:, None]).all(axis=0).any())
    return Plan(chunks, total, exact, fingerprint(groups.labels, paths.labels.tolist(), labels.tobytes()))


def fingerprint(*parts: object) -> str:
    """Sixteen hexadecimal digits that stand for the parts."""
    return sha256(repr(parts).encode()).hexdigest()[:16]


def strata_positions(panel: pd.DataFrame, by: str, rows: Ints, groups: Codes, strata: str | None) -> list[Ints]:
    """Positions of the groups of each stratum in the rows used; without strata all are one."""
    if strata is None:
        return [np.arange(groups.n)]
    check_columns(panel, [strata])
    codes = encode(panel[strata].iloc[rows])
    pairs = np.unique(np.column_stack([groups.ids, codes.ids]), axis=0)
    repeated = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if len(repeated) or (codes.ids < 0).any():
        names = listed([groups.labels[g] for g in repeated]) or "some groups"
        raise EstimationError(f"strata {strata!r} must be known and constant within {by}; not so in {names}")
    return [np.flatnonzero(pairs[:, 1] == s) for s in range(codes.n)]
