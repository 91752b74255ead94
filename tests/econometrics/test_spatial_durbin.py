"""Spatial Durbin: PySAL spreg, R SDPDmod, generic optimisers, Lee and Yu's transformations, simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import helmert
from scipy.optimize import approx_fprime, minimize, minimize_scalar

from pipeline.econometrics import two_way_fe
from pipeline.econometrics.spatial_durbin import spatial_durbin
from pipeline.errors import CollinearityError, EstimationError

DATA = Path(__file__).parent / "data"
KEYS = {"unit": "unit", "time": "year"}


@pytest.fixture(scope="module")
def cigarettes():
    """Baltagi's 46 states, 1963–1992, and Elhorst's contiguity matrix."""
    panel = pd.read_csv(DATA / "cigar.csv")
    links = pd.read_csv(DATA / "cigar_neighbours.csv")
    states = sorted(panel["state"].unique())
    W = pd.DataFrame(0.0, index=states, columns=states)
    for a, b in links.itertuples(index=False):
        W.loc[a, b] = W.loc[b, a] = 1.0
    logs = {
        "c": np.log(panel["sales"]),
        "p": np.log(panel["price"] / panel["cpi"]),
        "y": np.log(panel["ndi"] / panel["cpi"]),
    }
    return panel.assign(**logs), W


CIGARETTES = {"unit": "state", "time": "year"}


def estimates(result, terms):
    return result.table.set_index("term").loc[list(terms), ["estimate", "std_error"]].to_numpy()


@pytest.mark.parametrize(
    ("lags", "b", "se", "sigma2"),
    [
        (
            (),
            [-0.531674026671171, -0.000689646737627, 0.298155041156222],
            [0.02544208022972, 0.015213108455668, 0.028434390109253],
            0.006667124106244,
        ),
        (
            None,
            [-0.929798289723303, 0.548597769256972, 0.57930092838878, -0.577488505799845, 0.457077056755919],
            [0.039455419549762, 0.059113950401125, 0.046103769126745, 0.059921979528902, 0.027355791181907],
            0.005433964254071,
        ),
    ],
    ids=["lag", "Durbin"],
)
def test_unit_effects_of_spreg(cigarettes, lags, b, se, sigma2, evidence):
    panel, W = cigarettes
    result = spatial_durbin(
        panel, "c", ["p", "y"], **CIGARETTES, weights_matrix=W, effects="unit", bias_correction=False, spatial_lags=lags
    )
    terms = ["p", "y", *([] if lags == () else ["W×p", "W×y"]), "rho"]
    source = f"PySAL spreg 1.9.0: Panel_FE_Lag{'' if lags == () else ' with WX among the regressors'}"
    expected = np.column_stack([b, se])
    evidence(spatial_durbin, source, "cigarettes, 46 states × 30", estimates(result, terms), expected, "external", 8)
    assert float(result.meta["sigma2"]) == pytest.approx(sigma2, rel=1e-9)


def test_unit_effects_of_sdpdmod(cigarettes, evidence):
    """SDPDmod looks the log-determinant up on a grid of rho, which costs it the fourth digit."""
    panel, W = cigarettes
    result = spatial_durbin(
        panel, "c", ["p", "y"], **CIGARETTES, weights_matrix=W, effects="unit", bias_correction=False, spatial_lags=()
    )
    expected = [[0.297576, 0.028444], [-0.5320053, 0.0254445], [-0.0007088, 0.0152139]]
    source = 'R SDPDmod: vignette spatial_model, SDPDm(logc ~ logp + logy, model = "sar", effect = "individual")'
    got = estimates(result, ["rho", "p", "y"])
    evidence(spatial_durbin, source, "cigarettes, 46 states × 30", got, expected, "external", 2)


def test_two_way_effects_of_sdpdmod(cigarettes, evidence):
    panel, W = cigarettes
    source = 'R SDPDmod at carlos-mendez.org/post/r_sdpdmod: SDPDm(model = "sdm", effect = "twoways"'
    plain = spatial_durbin(panel, "c", ["p", "y"], **CIGARETTES, weights_matrix=W, bias_correction=False)
    got = estimates(plain, ["rho", "p", "y", "W×p", "W×y"])[:, 0]
    expected = [0.223, -1.003, 0.601, 0.049, -0.293]
    evidence(spatial_durbin, source + ")", "cigarettes, 46 states × 30", got, expected, "external", 2)
    corrected = spatial_durbin(panel, "c", ["p", "y"], **CIGARETTES, weights_matrix=W)
    got = estimates(corrected, [f"{kind}: {x}" for kind in ("direct", "indirect", "total") for x in ("p", "y")])[:, 0]
    expected = [-1.0103, 0.5885, -0.2193, -0.1972, -1.2296, 0.3913]
    evidence(
        spatial_durbin,
        source + ", LYtrans = TRUE), impacts",
        "cigarettes, 46 states × 30",
        got,
        expected,
        "external",
        2,
    )


def lattice(n, seed=0, isolated=0, directed=False):
    """A random graph of n units as a weights matrix; the last ``isolated`` have no neighbours."""
    rng = np.random.default_rng(seed)
    A = np.triu(rng.uniform(size=(n, n)) < 1 / n, 1).astype(float)
    A[np.arange(n - 1), np.arange(1, n)] = 1.0  # a chain, so that the graph is connected
    A = A * rng.uniform(0.5, 2, size=(n, n)) if directed else A + A.T
    if directed:
        A = A + (rng.uniform(size=(n, n)) < 2 / n) * (1 - np.eye(n))
    if isolated:
        A[-isolated:], A[:, -isolated:] = 0.0, 0.0
    names = [f"u{i:02d}" for i in range(n)]
    return pd.DataFrame(A, index=names, columns=names)


def simulate(A, periods, rho=0.4, seed=0, beta=(1.0, -0.5), theta=(0.3, 0.2), standardise=True):
    """Y = (I – ρW)⁻¹(Xβ + WXθ + effects + ε), sorted by unit and year."""
    rng = np.random.default_rng(seed)
    W, n = A.to_numpy(), len(A)
    if standardise:
        sums = W.sum(axis=1, keepdims=True)
        W = W / np.where(sums > 0, sums, 1)
    x = rng.normal(size=(2, n, periods)) + rng.normal(size=(2, n, 1))
    mean = sum(b * v + t * W @ v for b, t, v in zip(beta, theta, x, strict=True))
    y = np.linalg.solve(
        np.eye(n) - rho * W, mean + rng.normal(size=(n, 1)) + rng.normal(size=periods) + rng.normal(size=(n, periods))
    )
    index = pd.MultiIndex.from_product([A.index, range(2000, 2000 + periods)], names=["unit", "year"])
    return pd.DataFrame({"y": y.ravel(), "x1": x[0].ravel(), "x2": x[1].ravel()}, index=index).reset_index()


def cube(panel, A, name):
    return panel[name].to_numpy().reshape(len(A), -1)


def standardised(A):
    W = A.to_numpy()
    return W / np.where(W.sum(axis=1) > 0, W.sum(axis=1), 1)[:, None]


@pytest.mark.parametrize("effects", ["two-way", "unit", "time"])
def test_optimum_of_the_full_likelihood(effects, evidence):
    """Every parameter, dummies too, by a generic optimiser on ln|I – ρW|."""
    A = lattice(8, 1, directed=True)
    panel = simulate(A, 4, seed=2)
    W, n, t = standardised(A), 8, 4
    Y, X = cube(panel, A, "y"), [cube(panel, A, "x1"), cube(panel, A, "x2")]
    units, years = np.repeat(np.eye(n), t, axis=0), np.tile(np.eye(t), (n, 1))
    dummies = {"two-way": np.hstack([units, years[:, 1:]]), "unit": units, "time": years}[effects]
    Z = np.column_stack([*(v.ravel() for v in X), *((W @ v).ravel() for v in X), dummies])

    def minus(p):
        rho, b, s = p[0], p[1:-1], p[-1]
        e = (Y - rho * W @ Y).ravel() - Z @ b
        return -(t * np.linalg.slogdet(np.eye(n) - rho * W)[1] - n * t * s - e @ e / (2 * np.exp(2 * s)))

    start = np.r_[0.1, np.linalg.lstsq(Z, Y.ravel(), rcond=None)[0], 0.0]
    found = minimize(minus, start, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
    result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A, effects=effects, bias_correction=False)
    got = np.r_[result.table["estimate"].iloc[:5], np.log(float(result.meta["sigma2"])) / 2]
    source = "optimum over all parameters and dummies, scipy BFGS on slogdet"
    dataset = f"simulated 8 × 4, directed weights, {effects}"
    evidence(spatial_durbin, source, dataset, got, np.r_[found.x[:5], found.x[-1]], "identity", 5)


@pytest.mark.parametrize("effects", ["two-way", "unit", "time"])
def test_correction_is_the_likelihood_of_orthonormal_transformations(effects, evidence):
    """Lee and Yu (2010): F'y with F'F = I, F'1 = 0 for time and for units, and ln|I – ρF'WF|."""
    A = lattice(9, 3)
    panel = simulate(A, 5, seed=4)
    W, n, t = standardised(A), 9, 5
    over_time = helmert(t) if effects != "time" else np.eye(t)
    over_units = helmert(n) if effects != "unit" else np.eye(n)
    inner = over_units @ W @ over_units.T

    def moved(v):
        return over_units @ v @ over_time.T

    Y, X = cube(panel, A, "y"), [cube(panel, A, "x1"), cube(panel, A, "x2")]
    y, wy = moved(Y).ravel(), moved(W @ Y).ravel()
    np.testing.assert_allclose((inner @ moved(Y)).ravel(), wy, atol=1e-12)
    Z = np.column_stack([moved(v).ravel() for v in (*X, *(W @ v for v in X))])
    b0, b1 = (np.linalg.lstsq(Z, v, rcond=None)[0] for v in (y, wy))
    e0, e1 = y - Z @ b0, wy - Z @ b1

    def minus(rho):
        e = e0 - rho * e1
        return -(len(over_time) * np.linalg.slogdet(np.eye(len(inner)) - rho * inner)[1] - len(y) / 2 * np.log(e @ e))

    rho = minimize_scalar(minus, bounds=(-0.95, 0.95), method="bounded", options={"xatol": 1e-12}).x
    sigma2 = ((e0 - rho * e1) ** 2).sum() / len(y)
    result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A, effects=effects)
    got = np.r_[result.table["estimate"].iloc[:5], float(result.meta["sigma2"])]
    source = "Lee and Yu (2010): likelihood after Helmert transformations, ln|I – ρF'WF|"
    evidence(
        spatial_durbin, source, f"simulated 9 × 5, {effects}", got, np.r_[rho, b0 - rho * b1, sigma2], "identity", 6
    )


@pytest.mark.parametrize("isolated", [0, 2])
@pytest.mark.parametrize("effects", ["two-way", "unit", "time"])
def test_covariance_by_matrices_of_all_rows(effects, isolated):
    """Variance of the score and its expected derivative, written with (NT × NT) matrices."""
    A = lattice(7, 5, isolated=isolated)
    panel = simulate(A, 4, seed=6)
    W, n, t = standardised(A), 7, 4
    result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A, effects=effects)
    rho, b, sigma2 = result.table["estimate"].iloc[0], result.table["estimate"].iloc[1:5], float(result.meta["sigma2"])
    J = [np.eye(k) - 1 / k for k in (n, t)]
    M = np.kron(J[0] if effects != "unit" else np.eye(n), J[1] if effects != "time" else np.eye(t))
    G = np.kron(W @ np.linalg.inv(np.eye(n) - rho * W), np.eye(t))
    big = np.kron(W, np.eye(t))
    y = panel["y"].to_numpy()
    X = panel[["x1", "x2"]].to_numpy()
    X = np.hstack([X, big @ X])
    rest = y - rho * big @ y
    e = M @ (rest - X @ b.to_numpy())
    eta, MG = M @ G @ (rest - e), M @ G
    A_, B_ = np.zeros((6, 6)), np.zeros((6, 6))
    A_[1:5, 1:5] = X.T @ M @ X / sigma2
    A_[0, 1:5] = A_[1:5, 0] = X.T @ M @ eta / sigma2
    A_[0, 5] = A_[5, 0] = np.trace(MG) / sigma2
    A_[5, 5] = np.trace(M) / (2 * sigma2**2)
    B_[:] = A_
    A_[0, 0] = eta @ eta / sigma2 + np.trace(MG @ G) + np.trace(G.T @ MG)
    B_[0, 0] = eta @ eta / sigma2 + np.trace(MG @ MG) + np.trace(MG @ MG.T)
    expected = np.linalg.inv(A_) @ B_ @ np.linalg.inv(A_)
    np.testing.assert_allclose(result.vcov[:5, :5], expected[:5, :5], rtol=1e-7, atol=1e-12)
    if not isolated:
        np.testing.assert_allclose(A_, B_, atol=1e-9)
    assert (result.df, result.n_units, result.n_obs) == (np.inf, 7, 28)


def test_impacts_by_definition_and_by_numerical_derivatives():
    A = lattice(10, 7, isolated=1)
    panel = simulate(A, 6, seed=8)
    result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A, spatial_lags=["x2"])
    assert result.table["term"].tolist() == [
        "rho",
        "x1",
        "x2",
        "W×x2",
        *(f"{kind}: {x}" for kind in ("direct", "indirect", "total") for x in ("x1", "x2")),
    ]
    W = standardised(A)

    def impacts(p):
        R = np.linalg.inv(np.eye(10) - p[0] * W)
        S = [R @ (p[1] * np.eye(10)), R @ (p[2] * np.eye(10) + p[3] * W)]
        direct, total = [np.trace(s) / 10 for s in S], [s.sum() / 10 for s in S]
        return np.array([*direct, *np.subtract(total, direct), *total])

    p = result.table["estimate"].to_numpy()[:4]
    np.testing.assert_allclose(result.table["estimate"].iloc[4:], impacts(p), rtol=1e-12)
    jacobian = np.vstack([np.eye(4), approx_fprime(p, impacts, 1e-7)])
    np.testing.assert_allclose(result.vcov, jacobian @ result.vcov[:4, :4] @ jacobian.T, rtol=1e-5, atol=1e-9)
    assert result.att == result.table["estimate"].iloc[4]
    assert result.std_error == result.table["std_error"].iloc[4]
    assert result.meta["isolated_units"] == "u09"


def test_rows_that_sum_to_one_have_the_familiar_total_effect():
    A = lattice(12, 9)
    rows = spatial_durbin(simulate(A, 5, seed=10), "y", "x1", **KEYS, weights_matrix=A).table.set_index("term")[
        "estimate"
    ]
    assert rows["total: x1"] == pytest.approx((rows["x1"] + rows["W×x1"]) / (1 - rows["rho"]), rel=1e-12)


def test_coefficients_are_two_way_least_squares_given_rho():
    A = lattice(12, 11)
    panel = simulate(A, 5, seed=12)
    result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A)
    W, rho = standardised(A), result.table["estimate"].iloc[0]
    filtered = panel.assign(
        y=(cube(panel, A, "y") - rho * W @ cube(panel, A, "y")).ravel(),
        w1=(W @ cube(panel, A, "x1")).ravel(),
        w2=(W @ cube(panel, A, "x2")).ravel(),
    )
    ols = two_way_fe(filtered, "y", ["x1", "x2", "w1", "w2"], **KEYS)
    np.testing.assert_allclose(result.table["estimate"].iloc[1:5], ols.table["estimate"], rtol=1e-9)


@pytest.mark.parametrize("isolated", [0, 4])
def test_correction_removes_the_bias(isolated, evidence):
    """150 panels of 24 × 4: uncorrected rho is low, corrected is centred, and its standard errors are right."""
    A = lattice(24, 13, isolated=isolated)
    rhos, errors = np.empty((150, 2)), np.empty(150)
    for s in range(150):
        panel = simulate(A, 4, seed=1000 + s, rho=0.4)
        for j, corrected in enumerate((False, True)):
            result = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A, bias_correction=corrected)
            rhos[s, j] = result.table["estimate"].iloc[0]
        errors[s] = result.table["std_error"].iloc[0]
    spread, means = rhos.std(axis=0, ddof=1), rhos.mean(axis=0)
    noise = spread / np.sqrt(150)
    assert means[0] < 0.4 - 4 * noise[0]
    assert abs(means[1] - 0.4) < 3 * noise[1]
    assert errors.mean() == pytest.approx(spread[1], rel=0.15)
    dataset = f"150 simulated panels, 24 × 4{', 4 isolated' if isolated else ''}"
    evidence(spatial_durbin, "true rho .4, mean of the corrected", dataset, means[1], 0.4, "simulation", 1)


def test_order_labels_effects_and_scale_do_not_matter():
    A = lattice(10, 15, isolated=1)
    panel = simulate(A, 5, seed=16)
    base = spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=A)
    before, matrix = panel.copy(), A.copy()
    code = panel["unit"].str[1:].astype(int)
    moved = panel.assign(y=50 * panel["y"] + code**2 * (code < 9), unit="v" + panel["unit"], year=panel["year"] - 1990)
    turned = A.rename(index=lambda u: "v" + u, columns=lambda u: "v" + u).iloc[::-1, ::-1] * 7
    other = spatial_durbin(moved.sample(frac=1, random_state=1), "y", ["x1", "x2"], **KEYS, weights_matrix=turned)
    scale = np.array([1.0, *[50.0] * 10])
    np.testing.assert_allclose(other.table["estimate"], scale * base.table["estimate"], rtol=1e-7)
    np.testing.assert_allclose(other.table["std_error"], scale * base.table["std_error"], rtol=1e-7)
    pd.testing.assert_frame_equal(panel, before)
    pd.testing.assert_frame_equal(A, matrix)


def test_a_constant_added_to_a_period_does_not_matter():
    A = lattice(10, 17)
    panel = simulate(A, 5, seed=18)
    shifted = panel.assign(y=panel["y"] + (panel["year"] - 2000) ** 2)
    for effects in ("two-way", "time"):
        a, b = (spatial_durbin(p, "y", "x1", **KEYS, weights_matrix=A, effects=effects) for p in (panel, shifted))
        np.testing.assert_allclose(a.table["estimate"], b.table["estimate"], rtol=1e-8)


def test_weights_as_given_scale_rho():
    A = lattice(10, 19)
    panel = simulate(A / 10, 5, rho=0.8, seed=20, standardise=False)
    keywords = {**KEYS, "row_standardise": False, "effects": "unit"}
    base = spatial_durbin(panel, "y", "x1", **keywords, weights_matrix=A / 10)
    other = spatial_durbin(panel, "y", "x1", **keywords, weights_matrix=A)
    rows = base.table.set_index("term")["estimate"], other.table.set_index("term")["estimate"]
    assert rows[1]["rho"] == pytest.approx(rows[0]["rho"] / 10, rel=1e-8)
    assert rows[1]["total: x1"] == pytest.approx(rows[0]["total: x1"], rel=1e-8)
    assert other.meta["weights_matrix"] == "as given"


def test_a_cycle_has_complex_eigenvalues():
    names = list("abcdefg")
    A = pd.DataFrame(np.roll(np.eye(7), 1, axis=1), index=names, columns=names)
    result = spatial_durbin(simulate(A, 30, rho=-0.5, seed=21), "y", ["x1", "x2"], **KEYS, weights_matrix=A)
    assert result.table["estimate"].iloc[0] == pytest.approx(-0.5, abs=4 * result.table["std_error"].iloc[0])


GOOD = lattice(6, 22)


@pytest.mark.parametrize(
    ("matrix", "change", "keywords", "error", "message"),
    [
        (GOOD, {}, {"effects": "both"}, EstimationError, "effects 'both' is not one of two-way, unit, time"),
        (GOOD, {}, {"spatial_lags": ["q"]}, EstimationError, "not among the regressors: q"),
        (GOOD.drop(index="u03"), {}, {}, EstimationError, "each unit of the panel once on both axes: u03"),
        (lattice(7, 22), {}, {}, EstimationError, "once on both axes: u06"),
        (pd.concat([GOOD, GOOD.loc[["u01"]]]), {}, {}, EstimationError, "repeated labels"),
        (-GOOD, {}, {}, EstimationError, "not negative.* rows u00, u01"),
        (GOOD + np.diag([0, 0, 1, 0, 0, 0]), {}, {}, EstimationError, "zero on its diagonal; see rows u02"),
        (GOOD * np.nan, {}, {}, EstimationError, "must be finite"),
        (GOOD * 0, {}, {}, EstimationError, "no link"),
        (GOOD, {"x1": lambda f: f["x1"].where(f["unit"] != "u04")}, {}, EstimationError, "once on both axes: u04"),
        (
            GOOD,
            {"x1": lambda f: f["x1"].mask((f["unit"] == "u04") & (f["year"] == 2001))},
            {},
            EstimationError,
            r"incomplete: u04 \(lacks 2001\)",
        ),
        (GOOD, {"x2": lambda f: f["year"] ** 2}, {}, CollinearityError, "'x2' is a combination"),
    ],
)
def test_refusals(matrix, change, keywords, error, message):
    panel = simulate(GOOD, 4, seed=23).assign(**change)
    with pytest.raises(error, match=message):
        spatial_durbin(panel, "y", ["x1", "x2"], **KEYS, weights_matrix=matrix, **keywords)


def test_outcome_that_is_its_own_spatial_lag_has_no_interior_maximum():
    names = list("abcd")
    A = pd.DataFrame(1 - np.eye(4), index=names, columns=names)
    rng = np.random.default_rng(24)
    common = rng.normal(size=8)
    index = pd.MultiIndex.from_product([names, range(8)], names=["unit", "year"])
    panel = pd.DataFrame({"y": np.tile(common, 4) + 1e-9 * rng.normal(size=32), "x": rng.normal(size=32)}, index=index)
    with pytest.raises(EstimationError, match=r"0 maxima of the likelihood .* rises towards an end"):
        spatial_durbin(panel.reset_index(), "y", "x", **KEYS, weights_matrix=A, effects="unit")
