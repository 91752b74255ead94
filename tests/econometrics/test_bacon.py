"""Goodman-Bacon decomposition: R output, hand computation, regressions on the pairs, the identity with TWFE."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.bacon import bacon_decomposition
from pipeline.errors import EstimationError
from tests.econometrics.panels import dummy_matrix
from tests.econometrics.test_imputation import KEYS, STATES, castle_panel, staggered

NOTEBOOK = "R bacondecomp (github.com/evanjflack/bacondecomp, index.ipynb)"
VIGNETTE = "R bacondecomp 0.1.1, vignette bacon.html (CRAN)"


def twfe(panel):
    on = panel.assign(on=(panel["year"] >= panel["cohort"]).astype(float))
    return two_way_fe(on, "y", "on", unit="unit", time="year").att


def test_castle(evidence):
    table = bacon_decomposition(castle_panel(), "l_homicide", **STATES)
    assert table.columns.tolist() == ["comparison", "weight", "estimate"]
    assert table["comparison"].tolist() == ["earlier v later", "later v earlier", "treated v untreated"]
    weights = [0.05976325, 0.03189818, 0.90833857]
    evidence(bacon_decomposition, NOTEBOOK, "castle: weights", table["weight"].round(8), weights, "external", 8)
    total = table["weight"] @ table["estimate"]
    evidence(bacon_decomposition, NOTEBOOK, "castle: TWFE", total, 0.0818116169306475, "external", 12)
    means = [-0.00554, 0.07032, 0.08796]
    evidence(bacon_decomposition, VIGNETTE, "castle: estimates", table["estimate"].round(5), means, "external", 5)
    pairs = bacon_decomposition(castle_panel(), "l_homicide", **STATES, detail=True)
    assert len(pairs) == 25
    assert pairs.columns.tolist() == ["comparison", "treated", "control", "weight", "estimate"]
    np.testing.assert_allclose(pairs.groupby("comparison")["weight"].sum(), table["weight"], rtol=1e-14)
    # "one estimate has almost 60 percent of the weight: states treated in 2006 vs states that are never treated"
    assert pairs.loc[pairs["weight"].idxmax(), ["treated", "control"]].tolist() == [2006, np.inf]


def test_castle_twfe_itself(evidence):
    panel = castle_panel().assign(on=lambda f: f["treated"].astype(float))
    result = two_way_fe(panel, "l_homicide", "on", unit="sid", time="year")
    evidence(two_way_fe, NOTEBOOK, "castle", result.att, 0.0818116169306475, "external", 12)
    columns = dummy_matrix(panel.rename(columns={"sid": "unit"}), (("unit",), ("year",)))[:, :-1]
    columns = np.column_stack([panel["on"], np.delete(columns, 1, axis=1)])
    fitted = sm.OLS(panel["l_homicide"], columns).fit(
        cov_type="cluster", cov_kwds={"groups": panel["sid"].to_numpy(int)}, use_t=True
    )
    # statsmodels counts the 49 unit effects that are nested in the clusters
    expected = fitted.bse.iloc[0] * np.sqrt((550 - 61) / (550 - 12))
    evidence(
        two_way_fe, "statsmodels 0.15 OLS on dummies, cluster", "castle", result.std_error, expected, "external", 9
    )
    assert round(result.std_error, 9) == 0.058874218


def test_three_units_by_hand(evidence):
    """Cohorts 2, 3 and never over three periods: D = 2/3, 1/3, 0; weights in proportion to 2, 2, 1, 1."""
    panel = pd.DataFrame({"unit": list("aaabbbccc"), "year": [1, 2, 3] * 3, "cohort": [2] * 3 + [3] * 3 + [np.nan] * 3})
    panel["y"] = [0.0, 3, 5, 1, 1, 4, 2, 3, 3]
    table = bacon_decomposition(panel, "y", **KEYS, detail=True).set_index(["treated", "control"])
    weights = {(2, 3): 1 / 6, (3, 2): 1 / 6, (2, np.inf): 1 / 3, (3, np.inf): 1 / 3}
    # 2 v 3: (3 – 0) – (1 – 1); 3 v 2: (4 – 1) – (5 – 3); 2 v never: (4 – 0) – (3 – 2); 3 v never: (4 – 1) – (3 – 2.5)
    estimates = {(2, 3): 3.0, (3, 2): 1.0, (2, np.inf): 3.0, (3, np.inf): 2.5}
    for name, exact in (("weight", weights), ("estimate", estimates)):
        got = [table.loc[pair, name] for pair in exact]
        evidence(bacon_decomposition, f"{name}s by hand", "3 × 3", got, list(exact.values()), "exact", 12)
    assert twfe(panel) == pytest.approx(2.5, abs=1e-12)


@pytest.mark.parametrize("cohorts", [(np.nan, 3, 5), (3, 5, 6), (np.nan, 1, 4, 6), (0, 4), (2, 9)])
def test_sums_to_the_twfe_coefficient(cohorts, evidence):
    """With and without never-treated, always-treated and not-yet-treated units."""
    panel = staggered(1, units=24, cohorts=cohorts)
    tables = [bacon_decomposition(panel, "y", **KEYS, detail=d) for d in (False, True)]
    got = [t["weight"] @ t["estimate"] for t in tables]
    expected = twfe(panel)
    evidence(
        bacon_decomposition, "two_way_fe", f"simulated 24 × 7, cohorts {cohorts}", got, [expected] * 2, "identity", 10
    )
    for table in tables:
        assert table["weight"].sum() == pytest.approx(1, abs=1e-14)
        assert (table["weight"] > 0).all()


def test_each_estimate_is_a_regression_on_its_pair(evidence):
    panel = staggered(2, units=30, cohorts=(np.nan, 1, 4, 6)).assign(start=lambda f: f["cohort"].fillna(np.inf))
    table = bacon_decomposition(panel, "y", **KEYS, detail=True)
    expected = []
    for row in table.itertuples():
        control = 1 if row.control == -np.inf else row.control
        pair = panel[panel["start"].isin([row.treated, control])]
        if row.comparison == "earlier v later":
            pair = pair[pair["year"] < row.control]
        if row.comparison == "later v earlier":
            pair = pair[pair["year"] >= row.control]
        on = pair.assign(on=((pair["year"] >= pair["start"]) & (pair["start"] == row.treated)).astype(float))
        expected.append(two_way_fe(on, "y", "on", unit="unit", time="year").att)
    evidence(bacon_decomposition, "TWFE on each pair", "simulated 30 × 7", table["estimate"], expected, "identity", 10)
    kinds = ["earlier v later", "later v earlier", "treated v untreated", "treated v always treated"]
    assert sorted(table["comparison"].unique()) == sorted(kinds)
    assert table.loc[table["comparison"] == kinds[3], "control"].eq(-np.inf).all()


def test_cohorts_that_start_in_a_gap_of_the_calendar_are_one_group():
    panel = staggered(3, units=24, cohorts=(np.nan, 3, 4, 6))
    gap = panel[panel["year"] != 3]  # first treated rows of cohorts 3 and 4 are in period 4
    table = bacon_decomposition(gap, "y", **KEYS, detail=True)
    assert set(table["treated"]) == {4, 6}
    assert table["weight"] @ table["estimate"] == pytest.approx(twfe(gap), abs=1e-10)


def test_row_order_and_labels_do_not_matter():
    panel = staggered(4, units=24)
    before = panel.copy()
    a = bacon_decomposition(panel, "y", **KEYS)
    moved = panel.sample(frac=1, random_state=2)
    b = bacon_decomposition(moved.assign(unit=moved["unit"].map(lambda u: f"u{97 - u}")), "y", **KEYS)
    pd.testing.assert_frame_equal(panel, before)
    pd.testing.assert_frame_equal(a, b, rtol=1e-12)


def test_refusals():
    panel = staggered(5, units=12)
    with pytest.raises(EstimationError, match=r"every unit in every period; incomplete: 0 \(6 of 7 periods\)"):
        bacon_decomposition(panel.iloc[1:], "y", **KEYS)
    hole = panel.assign(y=panel["y"].where((panel["unit"] != 3) | (panel["year"] < 6)))
    with pytest.raises(EstimationError, match=r"incomplete: 3 \(5 of 7 periods\)"):
        bacon_decomposition(hole, "y", **KEYS)
    with pytest.raises(EstimationError, match="same treatment path according to 'cohort'"):
        bacon_decomposition(panel.assign(cohort=4.0), "y", **KEYS)
    with pytest.raises(EstimationError, match="no unit is ever treated"):
        bacon_decomposition(panel.assign(cohort=np.nan), "y", **KEYS)
