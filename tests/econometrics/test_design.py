"""Checks of the caller's panel: each fault is one message that names it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.absorb import Groups, Projector
from pipeline.econometrics.design import encode
from pipeline.errors import EstimationError
from tests.econometrics.panels import dummy_matrix, provinces

KEYS = {"unit": "unit", "time": "year"}


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        ({}, {"controls": ["gdp", "pop"]}, "no column 'gdp', 'pop'"),
        ({"y": "high"}, {}, "'y' is not numeric"),
        ({"y": lambda f: f["y"].where(f.index != 3, np.inf)}, {}, "'y' has 1 infinite"),
        ({"y": np.nan}, {}, "no row is complete in unit, year, y, treated"),
        ({"w": lambda f: f["w"] - 0.6}, {"weights": "w"}, "'w' must be positive"),
        ({}, {"by_time": ["z"]}, r"'z' must be constant within units; it changes in 110000, .* and 26 more"),
        (
            {"year": lambda f: f["year"].replace(2014, 2013)},
            {},
            r"\(unit, year\) must be unique; repeated: \(110000, 2013\)",
        ),
    ],
)
def test_faults_are_named(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        two_way_fe(provinces(1).assign(**change), "y", "treated", **KEYS, **keywords)


def test_a_column_that_stands_twice_is_refused():
    panel = provinces(2)
    with pytest.raises(EstimationError, match="more than one column 'y'"):
        two_way_fe(pd.concat([panel, panel[["y"]]], axis=1), "y", "treated", **KEYS)


def test_too_few_rows_are_refused():
    panel = provinces(3)
    few = panel[panel["unit"].isin(["110000", "250000"]) & panel["year"].isin([2020, 2022])]
    with pytest.raises(EstimationError, match="4 rows cannot identify 4 parameters"):
        two_way_fe(few, "y", "treated", **KEYS)


def test_nullable_and_boolean_columns_are_numbers():
    panel = provinces(4)
    typed = panel.assign(y=panel["y"].astype("Float64"), treated=panel["treated"].astype(bool))
    assert two_way_fe(typed, "y", "treated", **KEYS).att == two_way_fe(panel, "y", "treated", **KEYS).att


@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_equal_projection_on_full_dummies(weighted):
    panel = provinces(5, drop=20)
    effects = [("unit",), ("year",), ("region", "year")]
    codes = [encode(panel[list(e)].astype(str).agg("|".join, axis=1)) for e in effects]
    weights = panel["w"].to_numpy() if weighted else None
    root = np.sqrt(weights) if weighted else np.ones(len(panel))
    columns = panel[["y", "z"]].to_numpy()
    X = dummy_matrix(panel, effects) * root[:, None]
    expected = columns * root[:, None] - X @ np.linalg.lstsq(X, columns * root[:, None], rcond=1e-11)[0]
    for by_means in (True, False):
        projector = Projector.on(codes, len(panel), weights, by_means=by_means)
        np.testing.assert_allclose(projector.residual(columns), expected, atol=1e-12)
        assert projector.rank == np.linalg.matrix_rank(X)


def test_group_means_do_not_cancel():
    """Thirteen equal leading digits: deviations from group means keep every digit that the data have."""
    rng = np.random.default_rng(6)
    small = rng.integers(-500, 500, size=(60, 1)) / 1024
    groups = Groups.of(encode(pd.Series(np.repeat(np.arange(6), 10))), None)
    np.testing.assert_allclose(groups.centred(small + 2.0**40), groups.centred(small), rtol=0, atol=1e-15)
