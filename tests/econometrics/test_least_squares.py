"""Least squares against the certified values of the NIST Statistical Reference Datasets (StRD)."""

from __future__ import annotations

from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.datasets import longley

from pipeline.econometrics import least_squares
from pipeline.errors import CollinearityError, EstimationError

DATA = Path(__file__).with_name("data")
# deviations of the Wampler data: orthogonal to every polynomial of degree ≤ 5 on 0 … 20, so the coefficients stay 1
HALF = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048, 2048]
DELTA = [*HALF, *HALF[-2::-1]]


def test_longley(evidence):
    data = longley.load_pandas()
    X = data.exog.copy()
    X.insert(0, "const", 1.0)
    certified = [
        -3482258.63459582,
        15.0618722713733,
        -0.358191792925910e-01,
        -2.02022980381683,
        -1.03322686717359,
        -0.511041056535807e-01,
        1829.15146461355,
    ]
    got = least_squares(data.endog, X)
    evidence(
        least_squares,
        "NIST StRD Longley, certified values",
        "Longley (statsmodels 0.15)",
        got,
        certified,
        "external",
        12,
    )
    np.testing.assert_allclose(got, certified, rtol=1e-13)


def test_norris(evidence):
    text = resources.files("scipy.stats.tests").joinpath("data/nist_linregress/Norris.dat").read_text()
    lines = text.splitlines()
    y, x = np.array([line.split() for line in lines[60:96]], dtype=float).T
    got = least_squares(y, np.column_stack([np.ones(36), x]))
    certified = [-0.262323073774029, 1.00211681802045]
    evidence(least_squares, "NIST StRD Norris, certified values", "Norris (scipy)", got, certified, "external", 12)


def test_wampler_deviations_are_orthogonal_to_the_polynomials():
    assert [sum(d * i**j for i, d in enumerate(DELTA)) for j in range(6)] == [0] * 6


@pytest.mark.parametrize(
    ("name", "scale", "least"),
    [("Wampler1", 0, 12), ("Wampler3", 1, 12), ("Wampler4", 100, 12), ("Wampler5", 10000, 10)],
    ids=["1", "3", "4", "5"],
)
def test_wampler(name, scale, least, evidence):
    X = np.vander(np.arange(21.0), 6, increasing=True)
    got = least_squares(X.sum(axis=1) + scale * np.array(DELTA), X)
    evidence(
        least_squares,
        f"NIST StRD {name}, certified values",
        f"{name} (by its formula)",
        got,
        np.ones(6),
        "external",
        least,
    )


def test_wampler2(evidence):
    y = [float(sum(Fraction(i, 10) ** j for j in range(6))) for i in range(21)]
    got = least_squares(y, np.vander(np.arange(21.0), 6, increasing=True))
    certified = [1.0, 0.1, 0.01, 0.001, 0.0001, 0.00001]
    evidence(
        least_squares,
        "NIST StRD Wampler2, certified values",
        "Wampler2 (by its formula)",
        got,
        certified,
        "external",
        12,
    )
    np.testing.assert_allclose(got, certified, rtol=1e-11)


def test_noint(evidence):
    first = least_squares(np.arange(130.0, 141), np.arange(60.0, 71)[:, None])
    second = least_squares([3.0, 4.0, 4.0], [[4.0], [5.0], [6.0]])
    got, certified = np.hstack([first, second]), [2.07438016528926, 0.727272727272727]
    evidence(
        least_squares, "NIST StRD NoInt1 and NoInt2, certified values", "NoInt1, NoInt2", got, certified, "external", 12
    )


def test_pontius(evidence):
    data = pd.read_csv(DATA / "nist_pontius.csv", dtype=float)
    got = least_squares(data["y"], np.vander(data["x"], 3, increasing=True))
    certified = [0.673565789473684e-03, 0.732059160401003e-06, -0.316081871345029e-14]
    source, name = "NIST StRD Pontius, certified values", "Pontius (nist_pontius.csv)"
    evidence(least_squares, source, name, got, certified, "external", 12)
    np.testing.assert_allclose(got, certified, rtol=1e-12)


def test_filip(evidence):
    data = pd.read_csv(DATA / "nist_filip.csv")
    got = least_squares(data["y"], np.vander(data["x"], 11, increasing=True))
    certified = [
        -1467.48961422980,
        -2772.17959193342,
        -2316.37108160893,
        -1127.97394098372,
        -354.478233703349,
        -75.1242017393757,
        -10.8753180355343,
        -1.06221498588947,
        -0.670191154593408e-01,
        -0.246781078275479e-02,
        -0.402962525080404e-04,
    ]
    source, name = "NIST StRD Filip, certified values", "Filip (nist_filip.csv)"
    # the powers of x are rounded before they arrive: at a condition of 1e15 that alone costs half the digits
    evidence(least_squares, source, name, got, certified, "external", 7)
    np.testing.assert_allclose(got, certified, rtol=1e-7)


def test_filip_as_stored_equals_rational_arithmetic(evidence):
    data = pd.read_csv(DATA / "nist_filip.csv")
    columns = np.vander(data["x"], 11, increasing=True)
    got, exact = least_squares(data["y"], columns), exact_solution(columns, data["y"].to_numpy())
    source, name = "normal equations in rational arithmetic", "Filip (nist_filip.csv), powers as doubles"
    evidence(least_squares, source, name, got, exact, "exact", 12)
    np.testing.assert_allclose(got, exact, rtol=1e-12)


def exact_solution(X, y):
    """Normal equations of the stored doubles in rational arithmetic."""
    rows = [[Fraction(v) for v in row] for row in X.tolist()]
    target = [Fraction(v) for v in y.tolist()]
    k = len(rows[0])
    gram = [
        [sum(r[i] * r[j] for r in rows) for j in range(k)] + [sum(r[i] * t for r, t in zip(rows, target, strict=True))]
        for i in range(k)
    ]
    for i in range(k):
        gram[i] = [v / gram[i][i] for v in gram[i]]
        for j in range(k):
            if j != i:
                gram[j] = [a - gram[j][i] * b for a, b in zip(gram[j], gram[i], strict=True)]
    return np.array([float(row[-1]) for row in gram])


def test_dependent_columns_are_named():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(20, 3)), columns=["a", "b", "c"])
    with pytest.raises(CollinearityError, match=r"^(total|a|b|c): a combination of"):
        least_squares(np.ones(20), X.assign(total=X.sum(axis=1)))
    with pytest.raises(CollinearityError, match=r"^column 1: a combination of column 0"):
        least_squares(np.ones(20), np.column_stack([np.ones(20), np.zeros(20)]))


def test_refusals_of_shapes_and_missing_values():
    with pytest.raises(EstimationError, match="2 rows cannot identify 3"):
        least_squares(np.ones(2), np.ones((2, 3)))
    with pytest.raises(EstimationError, match="missing or infinite"):
        least_squares([1.0, np.nan], np.ones((2, 1)))
    with pytest.raises(EstimationError, match="must be"):
        least_squares(np.ones(3), np.ones((2, 1)))


def test_input_is_not_changed():
    X, y = np.vander(np.arange(6.0), 3), np.arange(6.0)
    copies = X.copy(), y.copy()
    least_squares(y, X)
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(y, copies[1])
