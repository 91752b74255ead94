"""Constellations on a graph: which sets exist, that they are drawn uniformly, and that each is re-estimated."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.contiguity import (
    ConnectedAssignments,
    adjacency,
    connected_assignments,
    connected_sets,
)
from pipeline.econometrics.randomization import randomization_test
from pipeline.errors import EstimationError

KEYS = {"unit": "unit", "time": "year"}
RUN = {**KEYS, "cluster": "cluster", "seed": 3}


def grid(rows, columns):
    """Edges of a chequerboard whose fields are named a00, a01, …"""
    edges = [((r, c), (r + 1, c)) for r in range(rows - 1) for c in range(columns)]
    edges += [((r, c), (r, c + 1)) for r in range(rows) for c in range(columns - 1)]
    return pd.DataFrame([[f"a{r}{c}" for r, c in edge] for edge in edges], columns=["source", "target"])


def is_connected(members, edges):
    reached, members = {next(iter(members))}, set(members)
    while True:
        more = {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
        if (more & members) <= reached:
            return reached == members
        reached |= more & members


def board(seed=0, drop=0):
    """A 3 × 4 board over six periods: a treated set of three, one of two, and two single treated fields."""
    rng = np.random.default_rng(seed)
    units = [f"a{r}{c}" for r in range(3) for c in range(4)]
    sets = {"a00": "A", "a01": "A", "a10": "A", "a23": "B", "a13": "B", "a02": "C", "a21": "D"}
    x = rng.normal(size=12)
    frame = pd.DataFrame(
        {
            "unit": np.repeat(units, 6),
            "year": np.tile(np.arange(6), 12),
            "x": np.repeat(x, 6),
            "z": rng.normal(size=72),
            "y": (rng.normal(size=(12, 6)) + np.outer(x, np.arange(6)) / 4).ravel(),
        }
    )
    frame["cluster"] = frame["unit"].map(sets).fillna(frame["unit"])
    frame["treated"] = (frame["unit"].isin(sets) & (frame["year"] >= 4)).astype(float)
    return frame.drop(index=rng.choice(72, drop, replace=False)).reset_index(drop=True)


def constellations(panel):
    """Every admissible constellation of the board: (set of three, set of two, two singles)."""
    edges = list(grid(3, 4).itertuples(index=False, name=None))
    units = sorted(panel["unit"].unique())
    triples, pairs = ([s for s in combinations(units, k) if is_connected(s, edges)] for k in (3, 2))
    for a in triples:
        for b in pairs:
            if not set(a) & set(b):
                rest = [u for u in units if u not in a + b]
                yield from ((a, b, singles) for singles in combinations(rest, 2))


def refit(panel, constellation, **keywords):
    a, b, singles = constellation
    cluster = panel["unit"].where(~panel["unit"].isin(a), "A").where(~panel["unit"].isin(b), "B")
    treated = (panel["unit"].isin(a + b + singles) & (panel["year"] >= 4)).astype(float)
    drawn = panel.assign(treated=treated, cluster=cluster)
    result = two_way_fe(drawn, "y", "treated", **KEYS, cluster="cluster", **keywords)
    return result.att, result.att / result.std_error


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (4, 7), (2, 2)])
def test_connected_sets_of_a_chequerboard_are_the_polyominoes(rows, columns, evidence):
    """Fixed polyominoes times their positions: 2, 6 and 19 shapes of two, three and four fields."""
    graph = grid(rows, columns)
    matrix, _ = adjacency(graph, sorted(set(graph["source"]) | set(graph["target"])))

    def places(height, width):
        return max(0, rows - height + 1) * max(0, columns - width + 1)

    expected = [
        places(1, 2) + places(2, 1),
        places(1, 3) + places(3, 1) + 4 * places(2, 2),
        places(1, 4) + places(4, 1) + places(2, 2) + 8 * (places(2, 3) + places(3, 2)),
    ]
    got = [len(connected_sets(matrix, k)) for k in (2, 3, 4)]
    assert got == expected
    evidence(
        randomization_test,
        "fixed dominoes, trominoes and tetrominoes counted by bounding box",
        f"connected sets of a {rows} × {columns} board",
        got,
        expected,
        "exact",
        12,
    )


def test_connected_sets_of_random_graphs_equal_a_search_of_all_subsets():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pairs = [p for p in combinations(range(9), 2) if rng.random() < 0.3]
        matrix, _ = adjacency(pd.DataFrame(pairs, columns=["source", "target"]), list(range(9)))
        for k in (1, 2, 3, 4, 5):
            expected = [s for s in combinations(range(9), k) if is_connected(s, pairs)]
            assert [tuple(s) for s in connected_sets(matrix, k).tolist()] == expected


def test_constellations_are_drawn_uniformly():
    panel = board()
    units = sorted(panel["unit"].unique())
    matrix, _ = adjacency(grid(3, 4), units)
    labels = panel.groupby("unit")["treated"].max().to_numpy().astype(np.uint8)
    clusters = panel.groupby("unit")["cluster"].first().astype("category").cat.codes.to_numpy()
    plan = ConnectedAssignments.of(matrix, labels, 0, clusters, sorted(set(panel["cluster"])))
    every = {frozenset([a, b]) | {("single", s) for s in singles} for a, b, singles in constellations(panel)}
    counts = dict.fromkeys(every, 0)
    for drawn, sets in plan.sample(60_000, 1):
        for j in range(drawn.shape[1]):
            parts = [tuple(units[u] for u in members[:, j]) for members in sets]
            singles = set(np.flatnonzero(drawn[:, j])) - {u for members in sets for u in members[:, j]}
            counts[frozenset(parts) | {("single", units[u]) for u in singles}] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3
    assert len(counts) == len(every) > 3000


@pytest.mark.parametrize("drop", [0, 4])
@pytest.mark.parametrize("statistic", ["t", "coefficient"])
def test_every_draw_is_the_refit_with_the_drawn_clusters(statistic, drop, evidence):
    panel = board(1, drop=drop)
    shared = {"by_time": ["x"], "controls": ["z"]}
    result = randomization_test(panel, "y", "treated", **RUN, statistic=statistic, draws=25, graph=grid(3, 4), **shared)
    units = sorted(panel["unit"].unique())
    matrix, _ = adjacency(grid(3, 4), units)
    labels = panel.groupby("unit")["treated"].max().to_numpy().astype(np.uint8)
    clusters = panel.groupby("unit")["cluster"].first().astype("category").cat.codes.to_numpy()
    plan = ConnectedAssignments.of(matrix, labels, 0, clusters, sorted(set(panel["cluster"])))
    ((drawn, sets),) = plan.sample(25, RUN["seed"])
    index, expected = 1 if statistic == "t" else 0, []
    for j in range(25):
        a, b = (tuple(units[u] for u in members[:, j]) for members in sets)
        singles = tuple(u for k, u in enumerate(units) if drawn[k, j] and u not in a + b)
        assert len(singles) == 2
        expected.append(refit(panel, (a, b, singles), **shared)[index])
    evidence(
        randomization_test,
        f"{statistic} of an explicit refit with the drawn sets as clusters",
        f"simulated 3 × 4 board, 25 constellations{', unbalanced' if drop else ''}",
        result.distribution,
        expected,
        "identity",
        8,
    )
    observed = refit(panel, (("a00", "a01", "a10"), ("a13", "a23"), ("a02", "a21")), **shared)[index]
    assert result.statistic == pytest.approx(observed, rel=1e-8)
    assert not result.exact
    assert result.p_value == (1 + np.sum(np.abs(result.distribution) >= abs(observed) * (1 - 1e-9))) / 26


def test_p_is_that_of_all_constellations(evidence):
    panel = board(2)
    result = randomization_test(panel, "y", "treated", **RUN, draws=20_000, statistic="coefficient", graph=grid(3, 4))
    change = panel.assign(after=panel["year"] >= 4).pivot_table(index="unit", columns="after", values="y")
    change = change[True] - change[False]
    every = np.array([change[list(a + b + s)].mean() for a, b, s in constellations(panel)])
    every = every - (change.sum() - 7 * every) / 5
    exact = np.mean(np.abs(every) >= abs(result.estimate) * (1 - 1e-9))
    assert abs(result.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    evidence(
        randomization_test,
        f"share of all {len(every):,} constellations",
        "simulated 3 × 4 board, 20,000 draws",
        result.p_value,
        exact,
        "simulation",
        1,
    )


def test_p_is_uniform_when_the_treatment_is_drawn_on_the_graph(evidence):
    """Though changes are alike in neighbouring fields."""
    every = list(constellations(board()))
    place = np.array([(r, c) for r in range(3) for c in range(4)])
    near = np.exp(-np.linalg.norm(place[:, None] - place[None], axis=2) / 2)
    root = np.linalg.cholesky(near)
    p = []
    for seed in range(250):
        rng = np.random.default_rng(seed)
        a, b, singles = every[rng.integers(len(every))]
        panel = board(seed)
        panel["y"] += 3 * np.repeat(root @ rng.normal(size=12), 6) * (panel["year"] >= 4)
        panel["treated"] = (panel["unit"].isin(a + b + singles) & (panel["year"] >= 4)).astype(float)
        panel["cluster"] = panel["unit"].where(~panel["unit"].isin(a), "A").where(~panel["unit"].isin(b), "B")
        run = {**RUN, "draws": 99, "statistic": "coefficient"}
        p.append(randomization_test(panel, "y", "treated", graph=grid(3, 4), **run).p_value)
    assert stats.kstest(p, "uniform").statistic < 1.63 / np.sqrt(250) + 0.01  # p is discrete: a hundredth more
    got = float(np.mean(np.array(p) <= 0.1))
    evidence(
        randomization_test,
        "rejection rate at 10 %, 250 panels",
        "simulated 3 × 4 board, spatially correlated, treatment drawn on the graph",
        got,
        0.1,
        "simulation",
        0,
    )
    assert abs(got - 0.1) < 3 * 0.019


def test_edges_and_square_tables_are_one_graph():
    panel, edges = board(3), grid(3, 4)
    units = sorted(panel["unit"].unique())
    square = pd.DataFrame(0, index=units[::-1], columns=units)
    for a, b in edges.itertuples(index=False):
        square.loc[a, b] = square.loc[b, a] = 1
    run = {**RUN, "draws": 200}
    a = randomization_test(panel, "y", "treated", **run, graph=edges)
    both_ways = pd.concat([edges, edges.rename(columns={"source": "target", "target": "source"}).sample(frac=1)])
    others = [square, square.astype(bool), both_ways.assign(kind="land")]
    for other in others:
        b = randomization_test(panel.sample(frac=1, random_state=1), "y", "treated", **run, graph=other)
        np.testing.assert_array_equal(a.distribution, b.distribution)
        assert a.meta["assignments"] == b.meta["assignments"]
    assert a.meta["connected_sets"] == "34 of 3, 17 of 2"


def test_isolated_units_are_drawn_alone_only():
    panel, edges = board(4), grid(3, 4)
    edges = edges[(edges["source"] != "a03") & (edges["target"] != "a03")]
    extra = pd.concat([edges, pd.DataFrame({"source": ["b99"], "target": ["a00"]})])
    result = randomization_test(panel, "y", "treated", **RUN, draws=50, graph=extra)
    assert result.meta["isolated_units"] == "a03"
    assert result.meta["graph_units_not_in_sample"] == "b99"


def test_the_drawn_table_is_what_the_test_evaluates(evidence):
    panel = board(9)
    by_unit = panel.groupby("unit")[["cluster", "treated"]].max()
    numbers = connected_assignments(grid(3, 4), by_unit["cluster"], by_unit["treated"], draws=200, seed=RUN["seed"])
    table = (numbers > 0).astype(int)
    sizes = [row[row > 0].value_counts().sort_index().tolist() for _, row in numbers.iterrows()]
    assert {tuple(s) for s in sizes} == {(3, 2, 1, 1)}
    assert table.columns.tolist() == by_unit.index.tolist()
    assert (table.sum(axis=1) == 7).all()
    run = {**RUN, "statistic": "coefficient"}
    on_graph = randomization_test(panel, "y", "treated", **run, draws=200, graph=grid(3, 4))
    given = randomization_test(panel, "y", "treated", **(run | {"cluster": None}), assignment=table)
    evidence(
        connected_assignments,
        "randomization_test on the graph, draw by draw",
        "simulated 3 × 4 board, 200 constellations",
        given.distribution,
        on_graph.distribution,
        "identity",
        10,
    )
    edges = list(grid(3, 4).itertuples(index=False, name=None))
    for _, row in table.head(20).iterrows():
        members = set(row.index[row == 1])
        assert any(
            is_connected(a, edges) and any(is_connected(b, edges) for b in combinations(sorted(members - set(a)), 2))
            for a in combinations(sorted(members), 3)
        )


def test_interval_holds_the_estimate():
    result = randomization_test(board(5), "y", "treated", **RUN, draws=499, graph=grid(3, 4), interval=True, level=0.9)
    assert result.ci[0] < result.estimate < result.ci[1]


def test_staggered_sets_keep_their_timing():
    panel = board(6)
    late = panel["cluster"] == "B"
    panel.loc[late, "treated"] = (panel.loc[late, "year"] >= 3).astype(float)
    result = randomization_test(panel, "y", "treated", **RUN, draws=300, statistic="coefficient", graph=grid(3, 4))
    at = {u: i for i, u in enumerate(sorted(panel["unit"].unique()))}
    every = list(constellations(panel))
    d = np.zeros((len(every), 12, 6))
    for k, (a, b, singles) in enumerate(every):
        d[k, [at[u] for u in a + singles], 4:] = 1
        d[k, [at[u] for u in b], 3:] = 1
    d = d - d.mean(axis=1, keepdims=True) - d.mean(axis=2, keepdims=True) + d.mean(axis=(1, 2), keepdims=True)
    y = panel.pivot_table(index="unit", columns="year", values="y").to_numpy()
    possible = np.sort(np.einsum("kut,ut->k", d, y) / np.einsum("kut,kut->k", d, d))
    drawn = result.distribution
    nearest = np.minimum(np.searchsorted(possible, drawn - 1e-10), len(possible) - 1)
    np.testing.assert_allclose(possible[nearest], drawn, atol=1e-9)
    assert len(np.unique(drawn.round(9))) > 200


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"draws": None}, "drawn, not enumerated"),
        ({}, {"cluster": None}, "graph needs a cluster"),
        ({}, {"strata": "year"}, "neither strata nor an assignment"),
        ({}, {"statistic": "welch"}, "welch compares unadjusted mean changes"),
        ({}, {"graph": pd.DataFrame({"a": [1]})}, "columns 'source' and 'target'"),
        ({}, {"graph": pd.DataFrame({"source": ["x"], "target": ["y"]})}, "joins no two units"),
        (
            {},
            {"graph": pd.DataFrame([[0, 1], [0, 0]], index=["a00", "a01"], columns=["a00", "a01"])},
            "symmetric",
        ),
        (
            {"cluster": lambda f: f["cluster"].where(~f["unit"].isin(["a02", "a21"]), "E")},
            {},
            "treated cluster E is not connected",
        ),
        ({"treated": lambda f: f["treated"] * (f["unit"] != "a00")}, {}, "differs between units of cluster A"),
        ({"treated": lambda f: f["year"] >= np.where(f["treated"].eq(1), 4, 5) * 1}, {}, "never treated"),
    ],
)
def test_refusals(change, keywords, message):
    panel = board(7).assign(**change)
    panel["treated"] = panel["treated"].astype(float)
    with pytest.raises(EstimationError, match=message):
        randomization_test(panel, "y", "treated", **{**RUN, "graph": grid(3, 4), "draws": 20, **keywords})


def test_sets_that_do_not_fit_beside_each_other_are_an_error():
    """A star: every connected set of two or three holds its centre."""
    panel = board(8)
    units = sorted(panel["unit"].unique())
    star = pd.DataFrame({"source": "a00", "target": [u for u in units if u != "a00"]})
    panel["cluster"] = panel["unit"].where(~panel["unit"].isin(["a00", "a01", "a02"]), "A")
    panel["treated"] = (panel["unit"].isin(["a00", "a01", "a02", "a03"]) & (panel["year"] >= 4)).astype(float)
    result = randomization_test(panel, "y", "treated", **RUN, draws=50, graph=star)
    assert result.meta["connected_sets"] == "55 of 3"
    both = panel.assign(cluster=panel["cluster"].where(~panel["unit"].isin(["a03", "a10"]), "B"))
    both["treated"] = (both["cluster"].isin(["A", "B"]) & (both["year"] >= 4)).astype(float)
    with pytest.raises(EstimationError, match="treated cluster B is not connected"):
        randomization_test(both, "y", "treated", **RUN, draws=50, graph=star)
