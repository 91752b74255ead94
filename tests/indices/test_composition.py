"""Composite indices on a panel that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.indices import compose, indicators
from pipeline.indices.composition import weight_values
from pipeline.specs import Index, Indicator


def column(name, formula, dimension):
    return Indicator(
        id=name, formula=formula, dimension=dimension, unit="", unit_zh="", zh=f"{name} zh", en=f"{name} en"
    )


INDEX = Index(
    id="toy", zh="", en="", role="chain", years=(2019, 2020, 2021), reference_last=2020, weights="entropy",
    log_dimensions=True, dimensions={"one": {}, "two": {}},
    indicators=(column("i", "x / pop * 100", "one"), column("j", "log(y)", "two"), column("k", "y", "two")),
)  # fmt: skip


@pytest.fixture
def panel():
    return pd.DataFrame(
        {
            "province_code": ["a", "b", "a", "b", "a", "b", "a"],
            "year": [2019, 2019, 2020, 2020, 2021, 2021, 2022],
            "x": [1.0, 2.0, 3.0, 5.0, 9.0, np.nan, 4.0],
            "y": [1.0, np.e, np.e**2, np.e**3, np.e**4, 1.0, 1.0],
            "pop": [10.0] * 7,
        }
    )


def test_rows_are_complete_and_of_the_listed_years(panel, evidence):
    values = indicators(panel, INDEX)
    assert values.index.tolist() == [("a", 2019), ("b", 2019), ("a", 2020), ("b", 2020), ("a", 2021)]
    evidence(indicators, "ratios by hand", "panel of 3 units", values["i"], [10, 20, 30, 50, 90], "exact", 12)
    np.testing.assert_allclose(values["j"], [0, 1, 2, 3, 4], atol=1e-15)


def test_log_of_zero_is_missing_not_minus_infinity(panel):
    panel.loc[0, "y"] = 0.0
    assert ("a", 2019) not in indicators(panel, INDEX).index


def test_scores_by_hand(panel, evidence):
    built = compose(indicators(panel, INDEX), INDEX)
    scores, weights = built.scores.set_index(["province_code", "year"]), built.weights["weight"]
    scaled = np.array([(90 - 10) / 40, 4 / 3, (np.e**4 - 1) / (np.e**3 - 1)])
    expected = 100 * scaled @ weights.to_numpy()
    score = scores.loc[("a", 2021), "toy"]
    evidence(compose, "weighted sum of normalised indicators by hand", "panel of 3 units", score, expected, "exact", 12)
    assert scores.loc[("a", 2021), "toy"] > 100, "later values are kept, not clipped"
    two = (weights["j"] * scaled[1] + weights["k"] * scaled[2]) / (weights["j"] + weights["k"])
    assert scores.loc[("a", 2021), "toy_two"] == pytest.approx(100 * two, rel=1e-12)
    assert scores.loc[("a", 2021), "toy_one"] == pytest.approx(200)
    assert scores.loc[("a", 2021), "toy_one_ln"] == pytest.approx(np.log(90), rel=1e-12)
    assert np.isnan(scores.loc[("a", 2019), "toy_two_ln"]), "a raw zero is missing in logs"


def test_score_is_the_weighted_sum_of_its_dimensions(panel):
    built = compose(indicators(panel, INDEX), INDEX)
    share = built.weights["weight"]
    joined = built.scores["toy_one"] * share["i"] + built.scores["toy_two"] * (share["j"] + share["k"])
    np.testing.assert_allclose(built.scores["toy"], joined, rtol=1e-12)


def test_rank_is_ascending_and_ties_share_the_mean(panel):
    values = indicators(panel, INDEX)
    tied = pd.concat([values, values.xs("b", drop_level=False).rename(index={"b": "c"})]).sort_index()
    scores = compose(tied, INDEX).scores.set_index(["province_code", "year"])["toy_rank"]
    assert scores.xs(2020, level="year").to_dict() == {"a": 1.0, "b": 2.5, "c": 2.5}


def test_share_averages_to_one_within_a_year(panel):
    scores = compose(indicators(panel, INDEX), INDEX).scores
    np.testing.assert_allclose(scores.groupby("year")["toy_share"].mean(), 1, rtol=1e-12)


def test_weight_view_holds_bounds_and_weights(panel):
    built = compose(indicators(panel, INDEX), INDEX)
    view = weight_values(built.weights, INDEX).set_index(["row", "column"])
    assert view.loc[("toy.i", "low"), "value"] == 10
    assert view.loc[("toy.i", "high"), "value"] == 50
    assert view.loc[("toy.j", "dimension"), "text"] == "two"
    assert view.xs("weight", level="column")["value"].sum() == pytest.approx(1)
