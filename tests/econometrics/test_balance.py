"""Entropy balancing: published value, closed forms, a general optimiser, and what cannot be balanced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from causaldata import cps_mixtape, nsw_mixtape
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pipeline.econometrics.balance import entropy_balance
from pipeline.errors import EstimationError

COVARIATES = ["age", "educ", "black", "hisp", "marr", "nodegree", "re74", "re75", "u74", "u75"]


@pytest.fixture(scope="module")
def ldw():
    """The 185 trained men of LaLonde, Dehejia and Wahba, and the 15,992 men of CPS-1."""
    trained = nsw_mixtape.load_pandas().data.query("treat == 1")
    rows = pd.concat([trained, cps_mixtape.load_pandas().data], ignore_index=True)[
        ["treat", "re78", *COVARIATES[:8]]
    ].astype(float)
    return rows.assign(u74=(rows["re74"] == 0).astype(float), u75=(rows["re75"] == 0).astype(float))


def simulated(seed, n=40, k=3):
    rng = np.random.default_rng(seed)
    D = np.arange(n) < n // 4
    return rng.normal(size=(n, k)) + 0.4 * D[:, None], D


def test_training_programme_as_published(ldw, evidence):
    trained = ldw["treat"] == 1
    weights = entropy_balance(ldw[COVARIATES], trained)
    att = ldw.loc[trained, "re78"].mean() - weights @ ldw.loc[~trained, "re78"]
    reference = "Imbens and Xu (2024), table A1, entropy balancing, LDW-CPS1 (xuyiqing/lalonde, docs/02-LDW.html)"
    evidence(entropy_balance, reference, "LaLonde, causaldata nsw_mixtape and cps_mixtape", att, 1406.27, "external", 4)
    means = ldw.loc[trained, COVARIATES].mean()
    np.testing.assert_allclose(weights @ ldw.loc[~trained, COVARIATES], means, rtol=1e-9)


def test_weights_against_a_second_engine(ldw, evidence):
    from diff_diff.balancing import entropy_balance as engine

    trained = (ldw["treat"] == 1).to_numpy()
    X = ldw[COVARIATES].to_numpy(float) / ldw[COVARIATES].to_numpy(float).std(axis=0)
    expected, _ = engine(X[~trained], X[trained].mean(axis=0), tol=1e-12)
    got = entropy_balance(ldw[COVARIATES], trained)
    evidence(
        entropy_balance, "diff-diff 3.13 balancing.entropy_balance", "LaLonde and CPS-1", got, expected, "external", 7
    )


def test_closed_forms(evidence):
    two = entropy_balance([0.0, 1.0, 0.25, 0.25], [0, 0, 1, 1])
    evidence(entropy_balance, "two controls: (.75, .25)", "hand", two, [0.75, 0.25], "exact", 12)
    # controls at –1, 0, 1 and target m: w ∝ (1/z, 1, z) with (z – 1/z)/(1/z + 1 + z) = m
    m, q = 0.4, np.array([1.0, 2.0, 1.0])
    z = (m * q[1] + np.sqrt((m * q[1]) ** 2 + 4 * (1 - m**2))) / (2 * (1 - m))
    expected = q * [1 / z, 1, z] / (q @ [1 / z, 1, z])
    got = entropy_balance([-1, 0, 1, m], [0, 0, 0, 1], base_weights=q)
    evidence(entropy_balance, "three controls, base weights (1, 2, 1): a quadratic", "hand", got, expected, "exact", 11)


@pytest.mark.parametrize("seed", range(3))
def test_against_a_general_optimiser_of_the_primal_problem(evidence, seed):
    X, D = simulated(seed)
    q = np.random.default_rng(seed).uniform(0.5, 2, size=len(X))
    got = entropy_balance(X, D, base_weights=q)
    base = q[~D] / q[~D].sum()

    def divergence(w):
        return (w * np.log(w / base)).sum(), np.log(w / base) + 1

    rows = np.vstack([X[~D].T, np.ones((~D).sum())])
    target = {"type": "eq", "fun": lambda w: rows @ w - np.r_[X[D].mean(axis=0), 1], "jac": lambda w: rows}
    slow = minimize(
        divergence, base, jac=True, bounds=[(1e-12, 1)] * len(base), constraints=target, options={"ftol": 1e-14}
    )
    evidence(
        entropy_balance, "scipy SLSQP on the primal problem", f"simulated, seed {seed}", got, slow.x, "external", 4
    )
    residual = np.log(got / base) - rows.T @ np.linalg.lstsq(rows.T, np.log(got / base), rcond=None)[0]
    assert np.abs(residual).max() < 1e-9  # first-order condition: log(w/q) is linear in the covariates


def test_second_moments_match_too():
    X, D = simulated(5, n=80, k=2)
    w = entropy_balance(X, D, moments=2)
    for power in (1, 2):
        np.testing.assert_allclose(w @ X[~D] ** power, (X[D] ** power).mean(axis=0), atol=1e-10)
    w = entropy_balance(X, D, moments=3)
    np.testing.assert_allclose(w @ X[~D] ** 3, (X[D] ** 3).mean(axis=0), atol=1e-9)


def test_base_weights_stay_where_nothing_is_to_be_done():
    x = np.array([1.0, 2, 3, 4, 2.5, 2.5])
    D = [0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(entropy_balance(x, D), [0.25] * 4, rtol=1e-12)
    tilted = entropy_balance(x, D, base_weights=[1, 3, 3, 1])
    np.testing.assert_allclose(tilted, np.array([1, 3, 3, 1]) / 8, rtol=1e-12)
    np.testing.assert_array_equal(tilted, entropy_balance(x, D, base_weights=[2, 6, 6, 2, 9, 9]))


def test_a_control_that_no_weights_can_use_has_weight_zero():
    frame = pd.DataFrame({"coast": [0, 0, 0, 1, 0, 0], "x": [0, 1, 2, 1, 0.5, 0.9]})
    w = entropy_balance(frame, [0, 0, 0, 0, 1, 1])
    assert w[3] == 0
    assert w @ frame["x"][:4] == pytest.approx(0.7, rel=1e-10)
    np.testing.assert_allclose(w[:3], entropy_balance(frame.loc[[0, 1, 2, 4, 5], "x"], [0, 0, 0, 1, 1]), rtol=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_scale_location_and_copies_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    X, D = simulated(7)
    base = entropy_balance(X, D)
    order = rng.permutation(len(X))
    moved = 1e4 * X[order] * [1, -1, 1e-6] + [5, 0, 7]
    moved = np.column_stack([moved, moved[:, 0] - moved[:, 1]])
    copy = moved.copy()
    got = np.full(len(X), np.nan)
    got[order[~D[order]]] = entropy_balance(moved, D[order])
    np.testing.assert_allclose(got[~D], base, rtol=1e-7)
    np.testing.assert_array_equal(moved, copy)


def test_infeasible_sets_name_the_covariates():
    X, D = simulated(8)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    far = frame.assign(b=frame["b"] + 100 * D)
    with pytest.raises(EstimationError, match=r"no weights of the 30 controls balance 'b' \(treated mean 99\.9"):
        entropy_balance(far, D)
    corner = pd.DataFrame({"x": [0, 1, 0, 0.8], "y": [0, 0, 1, 0.8]})
    with pytest.raises(EstimationError, match=r"all of x, y together: '[xy]' \(off by 1\.3 SD at best\)$"):
        entropy_balance(corner, [0, 0, 0, 1])


def test_refusals():
    X, D = simulated(9)

    def refuse(message, covariates=X, treated=D, **keywords):
        with pytest.raises(EstimationError, match=message):
            entropy_balance(covariates, treated, **keywords)

    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    refuse("covariate b has missing or infinite values", frame.assign(b=np.where(frame.index == 3, np.nan, frame["b"])))
    refuse("treated must hold 40 values", treated=D[1:])
    refuse("treated must hold 40 values", treated=2 * D)
    refuse("no treated unit", treated=0 * D)
    refuse("no control unit", treated=D | True)
    refuse("base weights must be positive", base_weights=np.zeros(40))
    refuse("one for each of the 30 controls", base_weights=np.ones(7))
    refuse("moments 4 is not 1, 2 or 3", moments=4)
