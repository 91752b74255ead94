"""Every covariance against a slow loop, its degrees of freedom, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.econometrics import two_way_fe
from pipeline.errors import EstimationError
from tests.econometrics.panels import dummy_matrix, provinces, slow_crv1, slow_fit, slow_sandwich

KEYS = {"unit": "unit", "time": "year"}
TWO_WAY = (("unit",), ("year",))


@pytest.mark.parametrize(("drop", "weights"), [(0, None), (8, "w")], ids=["balanced", "unbalanced-weighted"])
def test_crv3_equals_a_refit_without_each_cluster(drop, weights, evidence):
    panel = provinces(1, drop=drop)
    result = two_way_fe(
        panel,
        "y",
        "treated",
        **KEYS,
        controls=["z"],
        by_time=["x1", "x2"],
        cluster="cluster",
        covariance="CRV3",
        weights=weights,
    )
    groups = panel["cluster"].unique()
    full = slow_fit(panel, ["treated", "z"], TWO_WAY, ["x1", "x2"], weights)[0]
    refits = [
        slow_fit(panel[panel["cluster"] != g], ["treated", "z"], TWO_WAY, ["x1", "x2"], weights)[0] - full
        for g in groups
    ]
    expected = (len(groups) - 1) / len(groups) * np.array(refits).T @ np.array(refits)
    data = f"simulated 31 × 9{', unbalanced' if drop else ''}{', weighted' if weights else ''}"
    evidence(two_way_fe, "CRV3 by 25 explicit refits on full dummies", data, result.vcov, expected, "identity", 8)
    assert result.df == 24


def test_crv3_without_unit_effects_equals_refits():
    panel = provinces(2, drop=5)
    result = two_way_fe(
        panel, "y", "treated", **KEYS, controls=["hub"], effects=("year",), cluster="cluster", covariance="CRV3"
    )
    full = slow_fit(panel, ["treated", "hub"], (("year",),))[0]
    shifts = np.array(
        [
            slow_fit(panel[panel["cluster"] != g], ["treated", "hub"], (("year",),))[0] - full
            for g in panel["cluster"].unique()
        ]
    )
    np.testing.assert_allclose(result.vcov, 24 / 25 * shifts.T @ shifts, rtol=1e-8)


def test_crv3_is_missing_with_its_reason_where_one_cluster_identifies_a_coefficient():
    panel = provinces(3)
    panel["one"] = panel["treated"] * (panel["cluster"] == "hub2")
    panel["rest"] = panel["treated"] - panel["one"]
    result = two_way_fe(panel, "y", ["one", "rest"], **KEYS, cluster="cluster", covariance="CRV3")
    assert np.isnan(result.std_error)
    assert result.meta["no_variance"] == "not identified when a cluster is left out: one (without hub2)"
    alone = two_way_fe(panel[panel["cluster"] != "hub2"], "y", "rest", **KEYS, cluster="cluster", covariance="CRV3")
    others = slow_fit(panel[panel["cluster"] != "c05"], ["one", "rest"], TWO_WAY)[0]
    assert np.isfinite(others).all()
    assert result.table["std_error"][1] == pytest.approx(alone.std_error * np.sqrt(24 / 25 / (23 / 24)), rel=1e-8)


def test_cr2_and_its_degrees_of_freedom_equal_full_matrices(evidence):
    panel = provinces(4, drop=6).sort_values(["cluster", "unit", "year"]).reset_index(drop=True)
    result = two_way_fe(panel, "y", "treated", **KEYS, by_time=["x1"], cluster="cluster", covariance="CR2")
    _, u, X = slow_fit(panel, ["treated"], TWO_WAY, ["x1"])
    bread = np.linalg.pinv(X.T @ X, rcond=1e-11)
    annihilator = np.eye(len(X)) - X @ bread @ X.T
    weights, scores = [], []
    for g in panel["cluster"].unique():
        rows = (panel["cluster"] == g).to_numpy()
        values, vectors = np.linalg.eigh(annihilator[np.ix_(rows, rows)])
        root = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0)
        adjusted = (vectors * root) @ vectors.T @ X[rows] @ bread[:, 0]
        scores.append(adjusted @ u[rows])
        weights.append(annihilator[:, rows] @ adjusted)
    p = np.array(weights) @ np.array(weights).T
    expected = [np.sum(np.square(scores)) ** 0.5, np.trace(p) ** 2 / np.sum(p * p)]
    evidence(
        two_way_fe,
        "CR2 and Satterthwaite df from the full annihilator",
        "simulated 31 × 9, unbalanced",
        [result.std_error, result.df],
        expected,
        "identity",
        8,
    )


def test_cr2_of_a_balanced_design_with_equal_clusters_is_the_textbook_one():
    # every cluster one unit, one cohort, no covariates: a comparison of mean changes with CR2 is Welch's variance
    panel = provinces(5)
    result = two_way_fe(panel, "y", "treated", **KEYS, covariance="CR2")
    wide = panel.pivot_table(index="unit", columns="year", values="y")
    change = wide[[2022, 2023]].mean(axis=1) - wide.drop(columns=[2022, 2023]).mean(axis=1)
    hub = panel.groupby("unit")["hub"].first() == 1
    a, b = change[hub].var() / hub.sum(), change[~hub].var() / (~hub).sum()
    assert result.std_error == pytest.approx(np.sqrt(a + b), rel=1e-9)
    assert result.df == pytest.approx((1 / 14 + 1 / 17) ** 2 / (1 / 14**2 / 13 + 1 / 17**2 / 16), rel=1e-9)


@pytest.mark.parametrize("kind", ["HC1", "iid"])
def test_row_covariances_equal_full_dummies(kind):
    panel = provinces(6, drop=4)
    result = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], covariance=kind)
    _, u, X = slow_fit(panel, ["treated", "z"], TWO_WAY)
    n, k = len(X), np.linalg.matrix_rank(X)
    meat = (X * u[:, None] ** 2).T @ X if kind == "HC1" else X.T @ X * (u @ u) / n
    np.testing.assert_allclose(result.vcov, slow_sandwich(X, 2, meat) * n / (n - k), rtol=1e-8)
    assert (result.df, result.n_clusters) == (n - k, 0)


def test_two_way_clusters_follow_cameron_gelbach_miller():
    panel = provinces(7, drop=4).assign(both=lambda f: f["cluster"] + f["year"].astype(str))
    result = two_way_fe(panel, "y", "treated", **KEYS, controls=["z"], cluster=("cluster", "year"))
    n, g = len(panel), 9
    parts = []
    for name in ("cluster", "year", "both"):
        v = slow_crv1(panel, ["treated", "z"], TWO_WAY, cluster=name, nested=("unit", "year"))[1]
        size = panel[name].nunique()
        parts.append(v / (size / (size - 1)) * g / (g - 1))
    np.testing.assert_allclose(result.vcov, parts[0] + parts[1] - parts[2], rtol=1e-8)
    assert (result.df, result.n_clusters, n) == (8, 9, result.n_obs)


def test_crv1_counts_only_effects_that_cross_clusters():
    panel = provinces(8, drop=4)
    effects = (("unit",), ("region", "year"))
    result = two_way_fe(panel, "y", "treated", **KEYS, effects=effects, by_time=["x1"], cluster="unit")
    b, v = slow_crv1(panel, ["treated"], effects, ["x1"], cluster="unit")
    assert result.std_error == pytest.approx(np.sqrt(v[0, 0]), rel=1e-8)
    other = dummy_matrix(panel, effects[1:])
    assert np.linalg.matrix_rank(other) == 27
    assert b[0] == pytest.approx(result.att, rel=1e-8)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"covariance": "CRV2"}, "not one of CRV1, CRV3, CR2, HC1, iid"),
        ({"covariance": "CRV3", "cluster": ("cluster", "year")}, "CRV3 is not defined for two-way clusters"),
        ({"cluster": ("cluster", "year", "region")}, "at most two clusters"),
        ({"cluster": "nation"}, "cluster 'nation' has 1 group"),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(EstimationError, match=message):
        two_way_fe(provinces(9).assign(nation="cn"), "y", "treated", **KEYS, **keywords)
