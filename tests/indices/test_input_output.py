"""Leontief inverse, upstreamness and exposures: reference values, exact arithmetic, identities, the real table."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import specs, store
from pipeline.errors import EstimationError
from pipeline.indices import stage_exposures
from pipeline.indices.exposures import by_industry, input_coefficients, relative_to_input, standardised
from pipeline.indices.input_output import downstreamness, leontief_inverse, upstreamness

RAW = store.ROOT / "data" / "raw" / "io"
Z = pd.DataFrame([[20.0, 30.0], [10.0, 40.0]], ["a", "b"], ["a", "b"])
X = pd.Series({"a": 100.0, "b": 200.0})


@pytest.fixture(scope="module")
def national():
    """Domestic and imported flows and gross output of 2017 by code, read from the raw file without the pipeline."""
    table = pd.read_csv(RAW / "national_2017.csv", dtype={"row": str, "column": str})
    cells = table.set_index(["origin", "row", "column"])["value"]
    codes = [f"{i:02d}" for i in range(1, 43)]
    blocks = [[[cells[origin, i, j] for j in codes] for i in codes] for origin in ("domestic", "imported")]
    return np.array(blocks[0]), np.array(blocks[1]), np.array([cells["total", "TI", j] for j in codes])


def test_reference_values(evidence):
    inverse, up, down = leontief_inverse(Z, X), upstreamness(Z, X), downstreamness(Z, X)
    source, data = "reference values of the design", "2 × 2 table"
    evidence(leontief_inverse, source, data, inverse, [[1.28, 0.24], [0.16, 1.28]], "external", 12)
    evidence(upstreamness, source, data, up, [1.76, 1.36], "external", 12)
    evidence(downstreamness, source, data, down, [1.44, 1.52], "external", 12)
    rest = inverse.to_numpy() - np.eye(2)
    lengths = inverse.to_numpy() @ rest / rest  # average propagation lengths, from L alone
    np.testing.assert_allclose(lengths, [[1.417143, 1.56], [1.56, 1.417143]], atol=5e-7)


def test_leontief_inverse_as_printed_by_r(evidence):
    got = leontief_inverse([[150, 500], [200, 100]], [1000, 2000])
    source = "R: solve(diag(2) - A), table of Miller and Blair ch. 2 (nathanlane/hugoblog, 2016-07-11-leontiefpart1.md)"
    printed = [[1.2541254, 0.330033], [0.2640264, 1.122112]]
    evidence(leontief_inverse, source, "Miller and Blair, 2 × 2", got, printed, "external", 6)


def exact_inverse(matrix):
    """Gauss–Jordan in rational arithmetic."""
    n = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(n))] for i, row in enumerate(matrix)]
    for i in range(n):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


def test_exact_arithmetic(evidence):
    rng = np.random.default_rng(3)
    z, final, exports, imports = (rng.integers(1, 50, shape) for shape in ((6, 6), 6, 6, 6))
    x = z.sum(axis=1) + z.sum(axis=0) + final
    flows, output = [[Fraction(int(v)) for v in row] for row in z], [int(v) for v in x]
    supply = [int(v) for v in x - exports + imports]
    unit = [[int(i == j) for j in range(6)] for i in range(6)]
    inverse = exact_inverse([[unit[i][j] - flows[i][j] / output[j] for j in range(6)] for i in range(6)])
    rows = exact_inverse([[unit[i][j] - flows[i][j] / supply[i] for j in range(6)] for i in range(6)])
    source, data = "rational arithmetic (fractions)", "6 × 6 table of integers"
    evidence(
        leontief_inverse, source, data, leontief_inverse(z, x), [[float(v) for v in r] for r in inverse], "exact", 12
    )
    got = upstreamness(z, x, exports=exports, imports=imports)
    evidence(upstreamness, f"{source}, with trade", data, got, [float(sum(r)) for r in rows], "exact", 12)
    columns = [float(sum(c)) for c in zip(*inverse, strict=True)]
    evidence(downstreamness, source, data, downstreamness(z, x), columns, "exact", 12)


tables = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda rng: (rng.uniform(0, 10, (5, 5)), rng.uniform(1, 20, 5)))(np.random.default_rng(seed))
)


@settings(max_examples=30, deadline=None)
@given(tables, st.permutations(range(5)), st.floats(1e-6, 1e6))
def test_identities_of_a_closed_economy(table, order, unit):
    z, final = table
    x = z.sum(axis=1) + final
    final_of_cost = x - z.sum(axis=0)
    inverse = leontief_inverse(z, x).to_numpy()
    np.testing.assert_allclose(inverse @ final, x, rtol=1e-9)
    np.testing.assert_allclose(downstreamness(z, x) @ final, x.sum(), rtol=1e-9)
    np.testing.assert_allclose(upstreamness(z, x) @ final_of_cost, x.sum(), rtol=1e-9)
    named = pd.DataFrame(z * unit, list("abcde"), list("abcde"))
    mixed = named.iloc[order].iloc[:, ::-1]
    output = pd.Series(x * unit, list("abcde"))[::-1]
    for measure in (upstreamness, downstreamness):
        np.testing.assert_allclose(measure(mixed, output)[list("abcde")], measure(z, x), rtol=1e-9)


def test_a_sector_without_flows_stands_at_one():
    z = pd.DataFrame([[20.0, 0.0], [0.0, 0.0]])
    assert upstreamness(z, [100, 0]).tolist() == [1.25, 1.0]
    assert downstreamness(z, [100, 0]).tolist() == [1.25, 1.0]


@pytest.mark.parametrize(
    ("flows", "output", "message"),
    [
        (Z, [100, 0], "without a positive total: b"),
        (Z * 10, X, r"the spectral radius is 3\.2247, not below 1"),
        (Z.rename(columns={"b": "c"}), X, "same sectors"),
        (Z, X.rename({"b": "c"}), "output must have the sectors of the flows"),
        (Z, [100, 200, 300], "2 finite numbers"),
        (Z.where(Z > 15), X, "missing or infinite"),
        ([[1.0, 2.0]], [3.0], "same sectors"),
    ],
)
def test_refusals(flows, output, message):
    for measure in (leontief_inverse, upstreamness, downstreamness):
        with pytest.raises(EstimationError, match=message):
            measure(flows, output)


def test_a_province_whose_intermediate_use_has_no_end_is_not_computable():
    table = pd.read_csv(RAW / "province_tables.csv.gz", dtype={"province_code": str})
    sectors = [f"sec{i:02d}" for i in range(1, 43)]
    own = table[table["year"] == 2017]

    def of(code):
        cells = own[own["province_code"] == code].pivot(index="row", columns="column", values="value")
        cells = cells.reindex(index=sectors, columns=[*sectors, "GO", "EX", "OF", "IM", "IF"]).fillna(0.0)
        exports, imports = cells["EX"] + cells["OF"], cells["IM"] + cells["IF"]
        return upstreamness(cells[sectors], cells["GO"], exports=exports, imports=imports)

    with pytest.raises(EstimationError, match=r"spectral radius is 1\.2"):
        of("110000")
    assert of("310000").between(1, 7).all()


def test_the_callers_tables_are_not_touched():
    flows, output = Z.copy(), X.copy()
    input_coefficients(flows, flows, output, ["a"])
    upstreamness(flows, output, exports=output / 10, imports=output / 5)
    pd.testing.assert_frame_equal(flows, Z)
    pd.testing.assert_series_equal(output, X)


def test_coefficients_by_hand(evidence):
    imported = pd.DataFrame([[5.0, 10.0], [0.0, 2.0]], Z.index, Z.columns)
    got = input_coefficients(Z, imported, X, ["a"])
    direct = np.array([25 / 100, 40 / 200])
    expected = np.column_stack([direct, direct @ np.array([[1.28, 0.24], [0.16, 1.28]])])
    evidence(input_coefficients, "direct coefficients × L by hand", "2 × 2 table", got, expected, "exact", 12)
    both = input_coefficients(Z, imported, X, ["a", "b"])
    np.testing.assert_allclose(both["direct"], [35 / 100, 82 / 200], rtol=1e-14)
    with pytest.raises(EstimationError, match="no sector of the table is called c"):
        input_coefficients(Z, imported, X, ["a", "c"])


def test_industries_are_averages_weighted_by_output():
    values = pd.DataFrame({"v": [1.0, 4.0, 2.0]}, list("abc"))
    output = pd.Series([100.0, 200.0, 50.0], list("abc"))
    got = by_industry(values, output, {"one": ["a", "b"], "two": ["c"]})
    assert got["v"].to_dict() == {"one": 3.0, "two": 2.0}
    with pytest.raises(EstimationError, match="in no industry: c; in two industries: a; not in the table: d"):
        by_industry(values, output, {"one": ["a", "b"], "two": ["a", "d"]})


def test_exposure_relative_to_the_input_itself():
    values, output = pd.Series([1.0, 4.0, 2.0], list("abc")), pd.Series([100.0, 300.0, 50.0], list("abc"))
    got = relative_to_input(values, output, {"input": ["c"], "users": ["a", "b"], "rest": []}, ["c"])
    assert got.to_dict() == {"input": 1.0, "users": 1.625, "rest": 0.0}


def test_standardised_over_the_rows_with_ddof_one():
    got = standardised(pd.DataFrame({"v": [1.0, 2.0, 6.0]}))["v"]
    np.testing.assert_allclose(got, np.array([-2, -1, 3]) / np.sqrt(7), rtol=1e-14)


@pytest.fixture
def saved(national, tmp_path, monkeypatch):
    """What the stage saves, from a table handed over by name as the stage before hands it over."""
    domestic, imported, output = national
    names = pd.read_csv(RAW / "national_sectors.csv", dtype=str).query("kind == 'sector'")["name_zh"].tolist()
    rows = [
        (2017, origin, supplier, user, block[i, j])
        for origin, block in (("domestic", domestic), ("imported", imported))
        for i, supplier in enumerate(names)
        for j, user in enumerate(names)
    ]
    rows += [(2017, "domestic", name, "GO", x) for name, x in zip(names, output, strict=True)]
    monkeypatch.setattr(store, "ROOT", tmp_path)
    store.save("input_output", pd.DataFrame(rows, columns=["year", "origin", "supplier", "user", "value"]))
    stage_exposures.main()
    return store.load("exposures").set_index("industry"), store.load("exposures_employment").set_index("industry")


def test_exposures_of_the_nine_industries(national, saved, evidence):
    domestic, imported, output = national
    groups = {"agriculture": [0], "industry": range(1, 26), "construction": [26], "wholesale_retail": [27]}
    groups |= {"transport": [28], "hotels_catering": [29], "finance": [31], "real_estate": [32]}
    groups |= {"other_services": [30, *range(33, 42)]}
    power = total = np.eye(42)
    for _ in range(400):  # the series 1 + A + A² + …, without an inverse
        power = power @ (domestic / output)
        total = total + power
    expected, complete_it = {}, None
    for name, inputs in (("it", [30]), ("it_electronics", [19, 30])):
        direct = (domestic + imported)[inputs].sum(axis=0) / output
        complete = direct @ total
        complete_it = complete if complete_it is None else complete_it
        for kind, values in (("direct", direct), ("complete", complete)):
            expected[f"{kind}_{name}"] = [np.average(values[list(g)], weights=output[list(g)]) for g in groups.values()]
    expected = pd.DataFrame(expected, groups)
    nine, employment = saved
    assert set(nine.index) == set(groups)
    # saved figures have eight digits
    got = nine.loc[list(groups), expected.columns]
    source, data = "power series on the raw table, sectors by code", "national table 2017, 42 sectors"
    evidence(input_coefficients, source, data, got, expected, "identity", 7)
    scaled = (expected - expected.mean()) / expected.std(ddof=1)
    np.testing.assert_allclose(nine.loc[list(groups), [f"{c}_z" for c in expected.columns]], scaled, atol=1e-7)
    manufacturing = range(5, 23)
    ratio = np.average(complete_it[manufacturing], weights=output[manufacturing]) / complete_it[30]
    assert employment["exposure"].to_dict() == {
        "it_services": 1.0, "manufacturing": pytest.approx(ratio, rel=1e-7), "rest": 0.0,
    }  # fmt: skip


def test_views_hold_every_saved_figure(saved):
    views = store.load(store.part("exposures", "values"))
    for name, frame in zip(("exposures", "exposures_employment"), saved, strict=True):
        wide = views[views["view_id"] == name].pivot(index="row", columns="column", values="value")
        pd.testing.assert_frame_equal(wide[frame.columns], frame, check_names=False, check_like=True)


def test_every_label_and_industry_has_its_counterpart():
    declared = specs.industries()
    assert [f"va_{name}_census5" in specs.dictionary() for name in declared.industries] == [True] * 9
    names = set(pd.read_csv(RAW / "national_sectors.csv", dtype=str).query("kind == 'sector'")["name_zh"])
    listed = [s for industry in declared.industries.values() for s in industry.sectors]
    assert sorted(listed) == sorted(names) and len(listed) == 42
