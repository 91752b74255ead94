"""Assignments that respect a map: treated clusters are redrawn as connected sets of units.

Sets of the observed sizes are drawn uniformly from all connected sets of that size and the whole draw is repeated until
they are disjoint, so every admissible constellation is equally likely; treated units that form a cluster of their own
are then drawn from the units left over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.econometrics.assignments import CHUNK, Labels, Paths, Plan, fingerprint
from pipeline.econometrics.design import Codes, Ints, listed
from pipeline.errors import EstimationError

Matrix = NDArray[np.bool_]
MOST_TRIES = 1_000_000  # constellations tried before the first disjoint one must have been found


def planned_constellations(
    graph: pd.DataFrame, paths: Paths, units: Codes, clusters: Codes, draws: int | None, seed: int
) -> Plan:
    """Random constellations of the observed sizes on a graph.

    Parameters
    ----------
    graph : DataFrame
        As in :func:`adjacency`.
    paths : Paths
        By unit.
    units, clusters : Codes
        By row.
    draws : int or None
    seed : int

    Raises
    ------
    EstimationError
        No number of draws, no untreated path, and as in :func:`adjacency` and :class:`ConnectedAssignments`.
    """
    if draws is None or draws < 1:
        raise EstimationError("constellations on a graph are drawn, not enumerated: give a positive number of draws")
    zero = np.flatnonzero(~paths.table.any(axis=1))
    if len(zero) != 1:
        raise EstimationError("draws on a graph need units that are never treated")
    matrix, notes = adjacency(graph, units.labels)
    first = np.unique(units.ids, return_index=True)[1]
    drawn = ConnectedAssignments.of(matrix, paths.labels, int(zero[0]), clusters.ids[first], clusters.labels)
    recipe = fingerprint(units.labels, paths.labels.tolist(), matrix.tobytes(), drawn.paths, draws, seed)
    notes |= {"connected_sets": ", ".join(f"{len(c)} of {c.shape[1]}" for c in drawn.candidates)}
    return Plan(drawn.sample(draws, seed), draws, False, recipe, sets=drawn.observed, notes=notes)


def connected_assignments(
    graph: pd.DataFrame, clusters: pd.Series, treated: pd.Series, *, draws: int, seed: int
) -> pd.DataFrame:
    """Draw treated units as :func:`randomization_test` does on a graph.

    Parameters
    ----------
    graph : DataFrame
        As in :func:`adjacency`.
    clusters, treated : Series by unit
        Cluster, and 1 where the unit is treated.
    draws, seed : int

    Returns
    -------
    DataFrame of int, draws × units
        0 where untreated, else the number of the connected set or single unit, 1, 2, …: a cluster of the draw.

    Raises
    ------
    EstimationError
        A treated cluster that is not connected.
    """
    units = list(treated.index)
    matrix, _ = adjacency(graph, units)
    codes, names = pd.factorize(clusters.loc[units], sort=True)
    labels = treated.to_numpy(dtype=np.uint8)
    admissible = ConnectedAssignments.of(matrix, labels, 0, codes.astype(np.intp), list(names))
    parts = []
    for chunk, sets in admissible.sample(draws, seed):
        numbers = np.zeros(chunk.shape, dtype=np.intp)
        for number, members in enumerate(sets, 1):
            np.put_along_axis(numbers, members, number, axis=0)
        alone = (chunk > 0) & (numbers == 0)
        numbers[alone] = (len(sets) + np.cumsum(alone, axis=0))[alone]
        parts.append(numbers)
    return pd.DataFrame(np.hstack(parts).T, columns=units)


def adjacency(graph: pd.DataFrame, units: list[object]) -> tuple[Matrix, dict[str, str]]:
    """Read a graph as a symmetric boolean matrix over ``units``.

    Parameters
    ----------
    graph : DataFrame
        Edges in columns ``source`` and ``target``, each once or twice; or a square table of 0/1 or booleans whose index
        and columns are the units.
    units : list
        Units of the sample. Edges of other units are left out and named in the text returned; a unit without an edge
        is isolated: it can be treated alone, but not in a set.

    Returns
    -------
    ndarray of bool, (U, U)
    dict of str
        Text for ``meta``: isolated units, and units of the graph that are not in the sample.

    Raises
    ------
    EstimationError
        The graph is neither, a square one is not symmetric, or no edge joins two units of the sample.
    """
    edges = _edges(graph)
    codes = pd.Index(units).get_indexer(pd.Index(edges.ravel())).reshape(-1, 2)
    inside = codes[(codes >= 0).all(axis=1)]
    matrix = np.zeros((len(units), len(units)), dtype=np.bool_)
    matrix[inside[:, 0], inside[:, 1]] = matrix[inside[:, 1], inside[:, 0]] = True
    np.fill_diagonal(matrix, False)
    if not matrix.any():
        raise EstimationError("the graph joins no two units of the sample: are its labels those of the unit column?")
    isolated = [units[u] for u in np.flatnonzero(~matrix.any(axis=1))]
    absent = sorted({str(e) for e in edges.ravel()[codes.ravel() < 0]})
    return matrix, {
        "isolated_units": ", ".join(map(str, isolated)),
        "graph_units_not_in_sample": ", ".join(absent),
    }


def _edges(graph: pd.DataFrame) -> NDArray[np.object_]:
    if {"source", "target"} <= set(graph.columns):
        return graph[["source", "target"]].to_numpy(dtype=object)
    if graph.shape[0] != graph.shape[1] or set(graph.index) != set(graph.columns):
        raise EstimationError(
            "graph must hold edges in columns 'source' and 'target', or be a square table indexed by unit both ways"
        )
    values = graph.loc[:, list(graph.index)].to_numpy()
    if not np.isin(values, (0, 1)).all() or not np.array_equal(values, values.T):
        raise EstimationError("a square graph must be symmetric and hold 0 and 1 only")
    labels = graph.index.to_numpy(dtype=object)
    return np.column_stack([labels[side] for side in np.nonzero(values)])


def connected_sets(matrix: Matrix, size: int) -> Ints:
    """All connected sets of ``size`` vertices, (number, size), each in ascending order, sorted.

    Every connected set of k + 1 vertices is one of k vertices and a neighbour of it.
    """
    neighbours = [set(np.flatnonzero(row).tolist()) for row in matrix]
    found = {frozenset([v]) for v in range(len(matrix))}
    for _ in range(size - 1):
        found = {s | {w} for s in found for v in s for w in neighbours[v] - s}
    return np.array(sorted(sorted(s) for s in found), dtype=np.intp).reshape(-1, size)


@dataclass(frozen=True, eq=False)
class ConnectedAssignments:
    """Constellations of connected treated sets and single treated units.

    Attributes
    ----------
    n_units : int
    untreated : int
        Label of the units that are in no set and not drawn alone.
    candidates : list of ndarray of int, (S, k)
        For each treated cluster of k > 1 units: all connected sets of that size.
    paths : list of int
        Label of each of them.
    singles : ndarray of uint8, (m,)
        Labels of the treated units that form a cluster of their own.
    observed : list of ndarray of int, (k, 1)
        The sets as observed, in the same order.
    """

    n_units: int
    untreated: int
    candidates: list[Ints]
    paths: list[int]
    singles: Labels
    observed: list[Ints]

    @classmethod
    def of(
        cls, matrix: Matrix, labels: Labels, untreated: int, clusters: Ints, names: list[object]
    ) -> ConnectedAssignments:
        """Sizes and paths of the observed treated clusters.

        Parameters
        ----------
        matrix : ndarray of bool, (U, U)
        labels : ndarray of uint8, (U,)
            Path of each unit; ``untreated`` is the path of those never treated.
        untreated : int
        clusters : ndarray of int, (U,)
        names : list
            Of the clusters.

        Raises
        ------
        EstimationError
            An observed treated cluster is not connected, so that it could never be drawn.
        """
        treated = np.unique(clusters[labels != untreated])
        members = [np.flatnonzero(clusters == c) for c in treated]
        order = sorted(range(len(members)), key=lambda j: (-len(members[j]), int(labels[members[j][0]]), j))
        sets = [members[j] for j in order if len(members[j]) > 1]
        every = {k: connected_sets(matrix, k) for k in {len(s) for s in sets}}
        broken = [
            names[clusters[s[0]]] for s in sets if not (every[len(s)] == s).all(axis=1).any()
        ]  # members ascend, as the rows of connected_sets do
        if broken:
            raise EstimationError(f"treated cluster {listed(broken)} is not connected on the graph")
        alone = [members[j][0] for j in order if len(members[j]) == 1]
        return cls(
            n_units=len(labels),
            untreated=untreated,
            candidates=[every[len(s)] for s in sets],
            paths=[int(labels[s[0]]) for s in sets],
            singles=labels[np.array(alone, dtype=np.intp)],
            observed=[s[:, None] for s in sets],
        )

    def sample(self, draws: int, seed: int) -> Iterator[tuple[Labels, list[Ints]]]:
        """Independent uniform constellations in chunks: labels (U, c), and the members of each set, (k, c)."""
        rng = np.random.default_rng(seed)
        for start in range(0, draws, CHUNK):
            count = min(CHUNK, draws - start)
            sets = self._disjoint(count, rng)
            labels = np.full((self.n_units, count), self.untreated, dtype=np.uint8)
            keys = rng.random((self.n_units, count))
            for members, path in zip(sets, self.paths, strict=True):
                np.put_along_axis(labels, members, path, axis=0)
                np.put_along_axis(keys, members, np.inf, axis=0)
            alone = np.argsort(keys, axis=0)[: len(self.singles)]
            np.put_along_axis(labels, alone, self.singles[:, None], axis=0)
            yield labels, sets

    def _disjoint(self, count: int, rng: np.random.Generator) -> list[Ints]:
        """Members of each set, (k, count): all sets drawn at once, kept where no unit is drawn twice."""
        kept: list[list[Ints]] = []
        have = tried = 0
        while have < count:
            picks = [c[rng.integers(len(c), size=CHUNK)] for c in self.candidates]
            if not picks:
                return []
            members = np.sort(np.concatenate(picks, axis=1), axis=1)
            apart = (np.diff(members, axis=1) > 0).all(axis=1)
            kept.append([p[apart] for p in picks])
            have, tried = have + int(apart.sum()), tried + CHUNK
            if have == 0 and tried >= MOST_TRIES:
                raise EstimationError(f"no disjoint connected sets found among {tried:,} draws: the map is too small")
        return [np.concatenate(parts)[:count].T for parts in zip(*kept, strict=True)]
