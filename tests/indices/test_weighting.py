"""Normalisation and entropy weights, against reference values and exact arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import EstimationError
from pipeline.indices import entropy, entropy_weights, normalise

X = pd.DataFrame({"a": [1.0, 2.0, 4.0, 3.0], "b": [10.0, 8.0, 6.0, 2.0], "c": [5.0, 1.0, 3.0, 2.0]})


def test_normalise_by_hand(evidence):
    got = normalise(X, negative=["b"])
    expected = np.array([[0, 0, 1], [1 / 3, 1 / 4, 0], [1, 1 / 2, 1 / 2], [2 / 3, 1, 1 / 4]])
    evidence(
        normalise,
        "exact arithmetic: quarters and thirds",
        "4 × 3 matrix",
        got,
        expected,
        "exact",
        12,
    )


def test_entropy_by_hand(evidence):
    got = entropy(normalise(X, negative=["b"]))
    thirds, quarters, eighths = np.array([1, 3, 2]) / 6, np.array([1, 2, 4]) / 7, np.array([4, 2, 1]) / 7
    expected = [-(p * np.log(p)).sum() / np.log(4) for p in (thirds, quarters, eighths)]
    evidence(
        entropy,
        "e = -sum p ln p / ln n with shares by hand",
        "4 × 3 matrix",
        got,
        expected,
        "exact",
        12,
    )
    np.testing.assert_allclose(got, [0.729574, 0.689392, 0.689392], atol=5e-7)


def test_entropy_weights_reference(evidence):
    weights = entropy_weights(normalise(X, negative=["b"]))
    evidence(
        entropy_weights, "reference values of the design", "4 × 3 matrix", weights,
        [0.30329, 0.348355, 0.348355], "external", 5,
    )  # fmt: skip
    score = normalise(X, negative=["b"]) @ weights
    np.testing.assert_allclose(score, [0.348355, 0.188185, 0.651645, 0.637637], atol=5e-7)


def test_reference_rows_set_the_bounds_and_later_values_are_not_clipped():
    got = normalise(pd.DataFrame({"a": [0.0, 2.0, 3.0]}), reference=np.array([True, True, False]))
    assert got["a"].tolist() == [0.0, 1.0, 1.5]


def test_constant_column_is_named():
    with pytest.raises(EstimationError, match="constant on the reference rows: a"):
        normalise(pd.DataFrame({"a": [1.0, 1.0, 2.0], "b": [1.0, 2.0, 3.0]}), reference=np.array([True, True, False]))


def test_missing_value_is_named():
    with pytest.raises(EstimationError, match="missing values in b"):
        normalise(pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, 2.0]}))


def test_negative_shares_are_refused():
    with pytest.raises(EstimationError, match="negative"):
        entropy_weights(pd.DataFrame({"a": [-0.1, 1.0], "b": [0.2, 1.0]}))


matrices = st.lists(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), min_size=4, max_size=12).filter(
    lambda rows: all(len(set(column)) > 1 for column in zip(*rows, strict=True))
)


@given(matrices, st.floats(0.001, 1000), st.permutations(range(4)))
def test_weights_sum_to_one_and_ignore_units_and_row_order(rows, unit, order):
    values = pd.DataFrame(rows, columns=list("abc"), dtype=float)
    weights = entropy_weights(normalise(values))
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert (weights >= -1e-12).all()
    shuffled = values.iloc[[*order, *range(4, len(values))]] * unit
    pd.testing.assert_series_equal(entropy_weights(normalise(shuffled)), weights, rtol=1e-9, atol=1e-12)
