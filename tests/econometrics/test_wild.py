"""Wild cluster bootstrap: each draw re-estimated, exact enumeration, published counts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from statsmodels.datasets import grunfeld

from pipeline.econometrics import two_way_fe, wild_cluster_bootstrap
from pipeline.errors import EstimationError
from tests.econometrics.panels import provinces, slow_fit, small

KEYS = {"unit": "unit", "time": "year", "cluster": "cluster"}


def one_draw(panel, fitted, residual, v, effects, by_time, null):
    """t of the regression refitted on y* = restricted fit + v·restricted residual, by the public CRV1."""
    drawn = panel.assign(y=fitted + residual * panel["cluster"].map(v).to_numpy())
    result = two_way_fe(drawn, "y", "treated", **KEYS, controls=["z"], by_time=by_time, effects=effects)
    return (result.att - null) / result.std_error


@pytest.mark.parametrize(
    ("effects", "by_time", "null", "drop"),
    [(None, ["x"], 0.0, 0), (None, [], 0.3, 4), (("unit", ("half", "year")), [], 0.0, 2), (("year",), [], 0.0, 0)],
    ids=["slopes", "null-unbalanced", "half-year", "no-unit-effects"],
)
def test_every_draw_equals_a_refit(effects, by_time, null, drop, evidence):
    panel = small(1, drop=drop)
    result = wild_cluster_bootstrap(
        panel,
        "y",
        "treated",
        **KEYS,
        controls=["z"],
        by_time=by_time,
        effects=effects,
        null=null,
        distribution="rademacher",
        draws=None,
        seed=0,
    )
    names = [("unit",), ("year",)] if effects is None else [(e,) if isinstance(e, str) else e for e in effects]
    shifted = panel.assign(y=panel["y"] - null * panel["treated"])
    residual = slow_fit(shifted, ["z"], names, by_time)[1]
    fitted = panel["y"].to_numpy() - residual
    groups = sorted(panel["cluster"].unique())
    expected = [
        one_draw(panel, fitted, residual, dict(zip(groups, v, strict=True)), effects, by_time, null)
        for v in list(product((-1, 1), repeat=6))[::5]
    ]
    label = f"simulated 9 × 6, effects {effects or 'unit, year'}{', by_time' if by_time else ''}, null {null}"
    evidence(
        wild_cluster_bootstrap,
        "t* of an explicit refit of the draw",
        label,
        result.distribution[::5],
        expected,
        "identity",
        8,
    )
    assert (result.draws, result.exact) == (64, True)


def test_random_webb_draws_equal_refits():
    panel = small(2, drop=3)
    result = wild_cluster_bootstrap(panel, "y", "treated", **KEYS, controls=["z"], draws=12, seed=7)
    points = np.sqrt([1.5, 1, 0.5, 0.5, 1, 1.5]) * [-1, -1, -1, 1, 1, 1]
    v = points[np.random.default_rng(7).integers(6, size=(12, 6))]
    residual = slow_fit(panel, ["z"], [("unit",), ("year",)])[1]
    fitted = panel["y"].to_numpy() - residual
    groups = sorted(panel["cluster"].unique())
    expected = [one_draw(panel, fitted, residual, dict(zip(groups, row, strict=True)), None, [], 0.0) for row in v]
    np.testing.assert_allclose(result.distribution, expected, rtol=1e-9)
    assert (result.draws, result.exact) == (12, False)


def test_grunfeld_counts(evidence):
    data = grunfeld.load_pandas().data
    firms = data[data["firm"] != "American Steel"]
    result = wild_cluster_bootstrap(
        firms,
        "invest",
        "capital",
        unit="firm",
        time="year",
        cluster="firm",
        controls=["value"],
        effects=("firm",),
        distribution="rademacher",
        draws=None,
        seed=0,
    )
    strict = int(np.sum(np.abs(result.distribution) > abs(result.statistic) * (1 + 1e-9)))
    # reference values: the two draws equal to all ones or all minus ones tie with the observed t
    got, source = [result.p_value * 1024, strict], "enumeration of 2^10 sign vectors: 26 with ties, 24 strict"
    evidence(wild_cluster_bootstrap, source, "Grunfeld, 10 firms, capital", got, [26, 24], "exact", 12)


def test_statistic_is_the_t_of_crv1():
    panel = provinces(3, drop=6)
    result = wild_cluster_bootstrap(panel, "y", "treated", **KEYS, by_time=["x1", "x2"], seed=1, weights="w", null=0.2)
    fe = two_way_fe(panel, "y", "treated", **KEYS, by_time=["x1", "x2"], weights="w")
    assert result.statistic == pytest.approx((fe.att - 0.2) / fe.std_error, rel=1e-9)
    assert result.estimate == pytest.approx(fe.att, rel=1e-9)
    assert (result.draws, result.exact, result.df, len(result.distribution)) == (9999, False, 24, 9999)
    assert result.p_value == np.mean(np.abs(result.distribution) >= abs(result.statistic) * (1 - 1e-9))


def test_same_seed_same_draws_and_another_seed_other_draws():
    a, b, c = (wild_cluster_bootstrap(provinces(4), "y", "treated", **KEYS, draws=99, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.distribution, b.distribution)
    assert not np.array_equal(a.distribution, c.distribution)


def test_size_under_the_null(evidence):
    p = [wild_cluster_bootstrap(provinces(s), "y", "treated", **KEYS, draws=199, seed=s).p_value for s in range(200)]
    got = np.mean(np.array(p) <= 0.1)
    assert 0.1 - 3 * 0.0212 < got < 0.1 + 3 * 0.0212
    evidence(
        wild_cluster_bootstrap,
        "rejection rate at 10 %, 200 panels",
        "simulated, 8 of 25 clusters treated",
        got,
        0.1,
        "simulation",
        0,
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"distribution": "mammen"}, "not one of rademacher, webb"),
        ({"draws": None}, "give a number between 1 and"),
        ({"draws": 0}, "give a number between 1 and"),
        ({"cluster": "nation"}, "cluster 'nation' has 1 group"),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(EstimationError, match=message):
        wild_cluster_bootstrap(provinces(5).assign(nation="cn"), "y", "treated", **{**KEYS, "seed": 0, **keywords})
