"""Joint tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.econometrics import event_study, two_way_fe, wald
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}


@pytest.fixture(scope="module")
def both():
    panel = provinces(1, drop=5)
    return two_way_fe(panel, "y", ["treated", "z"], **KEYS, covariance="CRV3")


def test_equals_the_f_test_of_linearmodels(evidence):
    from linearmodels.panel import PanelOLS

    panel = provinces(2, drop=5)
    indexed = panel.set_index(["unit", "year"])
    fitted = PanelOLS(indexed["y"], indexed[["treated", "z"]], entity_effects=True, time_effects=True).fit()
    other = fitted.wald_test(np.eye(2), [0.1, 0.2])  # chi-squared, over unadjusted standard errors
    ours = wald(two_way_fe(panel, "y", ["treated", "z"], **KEYS, covariance="iid"), np.eye(2), [0.1, 0.2])
    evidence(
        wald,
        "linearmodels 7.1, wald_test",
        "simulated 31 × 9, unbalanced",
        2 * ours.statistic,
        other.stat,
        "external",
        8,
    )
    assert ours.df == (2.0, two_way_fe(panel, "y", ["treated", "z"], **KEYS, covariance="iid").df)


def test_formula(both, evidence):
    r, value = np.array([[1.0, -1.0], [0.0, 2.0]]), np.array([0.3, 0.1])
    gap = r @ both.table["estimate"].to_numpy() - value
    f = gap @ np.linalg.inv(r @ both.vcov @ r.T) @ gap / 2
    result = wald(both, r, value)
    expected = [f, stats.f.sf(f, 2, 24)]
    evidence(
        wald,
        "written out, scipy F",
        "simulated 31 × 9, unbalanced",
        [result.statistic, result.p_value],
        expected,
        "identity",
        10,
    )
    assert result.df == (2.0, 24.0)


def test_one_restriction_is_the_square_of_t(both):
    result = wald(both, "treated")
    assert result.statistic == pytest.approx((both.att / both.std_error) ** 2, rel=1e-12)
    assert result.p_value == pytest.approx(both.p_value, rel=1e-10)
    assert result.estimate == pytest.approx(both.att, abs=1e-15)


def test_terms_and_matrix_say_the_same(both):
    assert wald(both, ["treated", "z"]) == wald(both, np.eye(2)) == wald(both, [[1, 0], [0, 1]])


def test_post_and_pre_of_an_event_study():
    result = event_study(provinces(3), "y", unit="unit", time="year", cohort="cohort", reference=-2, cluster="cluster")
    assert wald(result, "post") == wald(result, [0, 1])
    assert wald(result, "pre").df == (6.0, 24.0)


@pytest.mark.parametrize(
    ("restrictions", "message"),
    [
        (["treated", "treated"], "lower rank"),
        ("nobody", "no row 'nobody'"),
        ([[1.0, 0.0, 0.0]], "3 columns, the table has 2 rows"),
        ("pre", "no such event times"),
        ([4], "no row 4"),
    ],
)
def test_refusals(both, restrictions, message):
    with pytest.raises(EstimationError, match=message):
        wald(both, restrictions)


def test_cr2_and_missing_variances_are_refused():
    panel = provinces(4)
    cr2 = two_way_fe(panel, "y", ["treated", "z"], **KEYS, covariance="CR2")
    with pytest.raises(EstimationError, match="CR2"):
        wald(cr2, ["treated", "z"])
    panel["one"] = panel["treated"] * (panel["cluster"] == "hub2")
    missing = two_way_fe(panel, "y", ["one", "treated"], **KEYS, covariance="CRV3")
    with pytest.raises(EstimationError, match="without hub2"):
        wald(missing, ["one", "treated"])
