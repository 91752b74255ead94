"""HonestDiD: relative magnitudes by conditional and hybrid tests, smoothness by fixed-length intervals."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.stats import norm, truncnorm

from pipeline.econometrics import event_study
from pipeline.econometrics.honest import breakdown_value, honest_did
from pipeline.econometrics.honest_periods import path_of
from pipeline.econometrics.honest_relative import _least_favourable, polyhedra
from pipeline.econometrics.honest_smooth import folded_quantile, optimal_weights
from pipeline.errors import EstimationError
from tests.econometrics.panels import YEARS, provinces

DATA = Path(__file__).with_name("data")
README = "R HonestDiD, README.md (commit 02b541b)"
STATA = "Stata honestdid 0.5.3, README.md (commit 0aa6d4f)"
ENDS = ["ci_low", "ci_high"]
GAPS = {"times": [2013, 2014, 2015, 2016, 2018, 2019, 2022, 2023], "reference_time": 2020, "pre_periods": 6}


def read(name):
    """Coefficients and covariance of a committed event study."""
    table = pd.read_csv(DATA / f"{name}.csv")
    return table["estimate"].to_numpy(), table.filter(regex="^v").to_numpy()


@pytest.fixture(scope="module")
def medicaid():
    """The event study of the README: TWFE on 43 states, 2008–2015, clustered by state."""
    panel = pd.read_csv(DATA / "medicaid_insurance.csv").melt(["state", "cohort"], var_name="year", value_name="dins")
    panel["year"] = panel["year"].astype(int)
    panel = panel[(panel["year"] < 2016) & (panel["cohort"] != 2015)]
    panel = panel.assign(cohort=panel["cohort"].where(panel["cohort"] == 2014))
    result = event_study(panel, "dins", unit="state", time="year", cohort="cohort", cluster="state", bands=False)
    rows = (result.table["event_time"] != -1).to_numpy()
    return result.table.loc[rows, "estimate"].to_numpy(), result.vcov[np.ix_(rows, rows)]


def on_grid(table, sd, points):
    """First and last grid value inside each interval, on R's grid of ±20 standard errors around zero."""
    grid = np.linspace(-20 * sd, 20 * sd, points)
    return np.array([(grid[grid >= low].min(), grid[grid <= high].max()) for low, high in table[ENDS].to_numpy()])


def random_study(seed, n=6, clusters=30):
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=(clusters, n)) + rng.normal(size=(clusters, 1))
    return rng.normal(size=n) * 0.3, draws.T @ draws / clusters**2


def test_benzarti_carloni_relative_magnitudes(evidence):
    """R gives points of a grid, .00076 apart, that ends at 20 standard errors: its last upper end is the grid's."""
    b, v = read("benzarti_carloni")
    sd = np.sqrt(v[4, 4])
    step = 40 * sd / 999
    table = honest_did(b, v, pre_periods=4, bounds=(0.5, 1, 1.5, 2))
    published = np.array(
        [
            [0.11812948578177346, 0.27158386602562062],
            [0.06723125075039843, 0.31868372530838568],
            [0.013294315120135292, 0.36958196033976071],
            [-0.042161970809571847, 0.3794577372861469],
        ]
    )
    assert published[3, 1] == pytest.approx(20 * sd, rel=1e-8)
    assert table["ci_high"][3] > 20 * sd
    evidence(
        honest_did,
        "R HonestDiD, C-LF, Mbar .5 1 1.5 2, grid step .00076, without the upper end at 2, where R's grid stops "
        "(anzonyquispe/honestdid, tests/r_test_results.json)",
        "Benzarti and Carloni 2019",
        table[ENDS].to_numpy().ravel()[:7],
        published.ravel()[:7],
        "external",
        2,
    )
    snapped = on_grid(table, sd, 1000)
    np.testing.assert_allclose(snapped[:3], published[:3], rtol=1e-8)  # R's points are the first and last inside ours
    assert snapped[3, 0] == pytest.approx(published[3, 0], abs=1.01 * step)  # R simulates its critical value: one step
    wide = honest_did(b, v, pre_periods=4, bounds=np.linspace(0, 2, 10))
    evidence(
        honest_did,
        "R HonestDiD, C-LF, wider grid, three digits (stata-honestdid, test/unit-tests-consistency.R.log, 471f014)",
        "Benzarti and Carloni 2019",
        wide[ENDS].to_numpy(),
        [
            [0.159, 0.233],
            [0.143, 0.248],
            [0.124, 0.266],
            [0.102, 0.286],
            [0.0793, 0.308],
            [0.0560, 0.329],
            [0.0312, 0.352],
            [0.00711, 0.376],
            [-0.0172, 0.400],
            [-0.0417, 0.424],
        ],
        "external",
        2,
    )


def test_benzarti_carloni_conditional(evidence):
    """R's conditional test has no simulation in it: its ends are the first and last grid points inside ours."""
    b, v = read("benzarti_carloni")
    table = honest_did(b, v, pre_periods=4, bounds=1, method="conditional")
    published = [[0.07055244362, 0.3184394077]]
    evidence(
        honest_did,
        "R HonestDiD, conditional, grid step .0038 (HonestDiD.jl, test/reference.jl, CCS_RM_ARP)",
        "Benzarti and Carloni 2019",
        table[ENDS],
        published,
        "external",
        1,
    )
    np.testing.assert_allclose(on_grid(table, np.sqrt(v[4, 4]), 200), published, rtol=1e-8)


def test_medicaid_relative_magnitudes(evidence, medicaid):
    b, v = medicaid
    got = honest_did(b, v, pre_periods=5)
    published = [[0.0240, 0.0672], [0.0170, 0.0720], [0.00824, 0.0797], [-0.000916, 0.0881]]
    evidence(honest_did, f"{README}: delta_rm_results", "Medicaid (ehec)", got[ENDS], published, "external", 2)
    assert (
        np.abs(got[ENDS].to_numpy() - published).max() < 40 * got["std_error"][0] / 999 + 5e-5
    )  # one step of R's grid
    average = honest_did(b, v, pre_periods=5, bounds=(0, 0.5, 1, 1.5, 2), target=[0.5, 0.5])
    evidence(
        honest_did,
        f"{STATA}: l_vec (.5, .5), three decimals",
        "Medicaid (ehec)",
        average[ENDS],
        [[0.041, 0.075], [0.033, 0.080], [0.020, 0.090], [0.006, 0.103], [-0.008, 0.117]],
        "external",
        1,
    )
    assert breakdown_value(b, v, pre_periods=5) < 2 < breakdown_value(b, v, pre_periods=5, level=0.9)


def test_medicaid_smoothness(evidence, medicaid):
    b, v = medicaid
    got = honest_did(b, v, pre_periods=5, restriction="smoothness", bounds=np.arange(6) / 100)
    evidence(
        honest_did,
        f"{README}: delta_sd_results (FLCI)",
        "Medicaid (ehec)",
        got[ENDS],
        [
            [0.0259, 0.0607],
            [0.0132, 0.0787],
            [0.00286, 0.0907],
            [-0.00714, 0.101],
            [-0.0171, 0.111],
            [-0.0271, 0.121],
        ],
        "external",
        2,
    )


def test_benzarti_carloni_smoothness(evidence):
    """R simulates its critical values with a million draws: a few parts in a thousand of the half-length."""
    b, v = read("benzarti_carloni")
    keywords = {"pre_periods": 4, "restriction": "smoothness"}
    evidence(
        honest_did,
        "R HonestDiD, FLCI (anzonyquispe/honestdid, tests/r_test_results.json; HonestDiD.jl, test/reference.jl)",
        "Benzarti and Carloni 2019",
        honest_did(b, v, bounds=(0, 0.01, 0.02, 0.03, 0.1, 0.2), **keywords)[ENDS],
        [
            [0.13141131596381356, 0.216169648209591],
            [0.1549652670807741, 0.2703845303265206],
            [0.17730108790014376, 0.31595646819476952],
            [0.18940446443439926, 0.34854775003919292],
            [0.1194440001, 0.4185082143],
            [0.01944400015, 0.5185082143],
        ],
        "external",
        2,
    )
    evidence(
        honest_did,
        "Stata honestdid, FLCI of the third effect (test/unit-tests-consistency.md, 95c5401)",
        "Benzarti and Carloni 2019",
        honest_did(b, v, bounds=(0, 0.1, 0.2, 0.3), target=[0, 0, 1, 0], **keywords)[ENDS],
        [[0.144, 0.260], [-0.244, 1.161], [-0.844, 1.761], [-1.444, 2.361]],
        "external",
        3,
    )
    evidence(
        honest_did,
        "R HonestDiD, FLCI with one post period (stata-honestdid, test/unit-tests-consistency.R.log, 471f014)",
        "Benzarti and Carloni 2019",
        honest_did(b, v, pre_periods=7, restriction="smoothness", bounds=(0, 0.1, 0.2, 0.3))[ENDS],
        [[-0.182, -0.106], [0.192, 0.539], [0.0919, 0.639], [-0.00812, 0.739]],
        "external",
        3,
    )
    weights, _, _ = optimal_weights(path_of(v, 4, None, None), np.eye(4)[0], 0.1, 0.95)
    np.testing.assert_allclose(weights, [0, 0, 0, 1, 1, 0, 0, 0], atol=1e-12)  # HonestDiD.jl, FLCI_OPTVEC_M01


def test_breakdown_values_of_the_published_tables(evidence, medicaid):
    b, v = medicaid
    evidence(
        breakdown_value,
        f"{README}: lower ends 0.00824 and -0.000916 at Mbar 1.5 and 2, interpolated",
        "Medicaid (ehec)",
        breakdown_value(b, v, pre_periods=5),
        1.5 + 0.5 * 0.00824 / (0.00824 + 0.000916),
        "external",
        2,
    )
    evidence(
        breakdown_value,
        f"{README}: lower ends 0.00286 and -0.00714 at M .02 and .03, interpolated",
        "Medicaid (ehec)",
        breakdown_value(b, v, pre_periods=5, restriction="smoothness"),
        0.02 + 0.01 * 0.00286 / (0.00286 + 0.00714),
        "external",
        2,
    )


def inequalities(v, k, target, bound, s, sign):
    """A of one (s, sign), its columns for θ and for the nuisance effects, and the covariance, as in R HonestDiD."""
    n = len(v)
    difference = np.diff(np.insert(np.eye(n), k, 0.0, axis=0), axis=0)
    A = np.vstack([d - bound * sign * difference[s] for half in (difference[k:], -difference[k:]) for d in half])
    change = np.vstack([target, np.eye(n - k)[np.arange(n - k) != np.flatnonzero(target)[0]]])
    columns = A[:, k:] @ np.linalg.inv(change)
    return A, columns[:, 0], columns[:, 1:], A @ v @ A.T


def slow_accepts(b, v, k, target, bound, s, sign, theta, size, critical=np.inf):
    """The test by linear programmes: η̂, then v_lo and v_up by bisection on the dual (ARP 2023, appendix D)."""
    A, column, X, sigma = inequalities(v, k, target, bound, s, sign)
    y, equal = A @ b - column * theta, np.vstack([np.sqrt(np.diag(sigma)), X.T])

    def dual(f):
        return linprog(-f, A_eq=equal, b_eq=np.eye(len(equal))[0], bounds=(0, None))

    gamma = dual(y).x
    eta, sd = gamma @ y, np.sqrt(gamma @ sigma @ gamma)
    slope = sigma @ gamma / sd**2
    rest = y - slope * eta

    def edge(far):
        near = eta
        for _ in range(30):
            middle = (near + far) / 2
            optimal = abs(-dual(rest + slope * middle).fun - middle) < 1e-9
            near, far = (middle, far) if optimal else (near, middle)
        return near

    if eta > critical:
        return False
    low, high = edge(eta - 40 * sd) / sd, min(edge(eta + 40 * sd), critical) / sd
    return eta / sd <= max(0.0, truncnorm.ppf(1 - size, low, high))


@pytest.mark.parametrize(("method", "target"), [("conditional", [1.0, 0, 0]), ("C-LF", [0.5, -1, 0.7])])
def test_accepts_what_linear_programmes_accept(evidence, method, target):
    b, v = random_study(3)
    target, bound, level = np.array(target), 0.7, 0.9
    path = path_of(v, 3, None, None)
    critical = np.full(6, np.inf)
    size = 1 - level
    if method == "C-LF":
        critical = _least_favourable(polyhedra(b, path, target, bound), 0.01)
        size = (0.1 - 0.01) / (1 - 0.01)
    row = honest_did(b, v, pre_periods=3, bounds=bound, level=level, target=target, method=method).iloc[0]
    sets = [(s, sign) for sign in (1, -1) for s in range(3)]

    def accepts(theta):
        pairs = zip(sets, critical, strict=True)
        return any(slow_accepts(b, v, 3, target, bound, *pair, theta, size, c) for pair, c in pairs)

    found = []
    for end, outward in ((row["ci_low"], -1), (row["ci_high"], 1)):
        inside, outside = end - 0.013 * outward, end + 0.021 * outward  # the end is not at a point of the bisection
        assert accepts(inside)
        assert not accepts(outside)
        for _ in range(13):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if accepts(middle) else (inside, middle)
        found.append((inside + outside) / 2)
    evidence(
        honest_did,
        f"ends by bisection with linear programmes, to 4e-6, {method}",
        "random 3 + 3",
        row[ENDS].to_numpy(float),
        found,
        "identity",
        4,
    )


@pytest.mark.parametrize("bound", [0.4, 2.0])
def test_least_favourable_critical_value(bound):
    """Against draws of the largest vertex, the vertices found by enumeration of bases."""
    b, v = random_study(5)
    target = np.array([0.2, 0.5, 0.3])
    kappa = 0.05
    critical = _least_favourable(polyhedra(b, path_of(v, 3, None, None), target, bound), kappa)
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(6), v, 200_000, method="cholesky")
    for i, (s, sign) in enumerate((s, sign) for sign in (1, -1) for s in range(3)):
        A, _, X, sigma = inequalities(v, 3, target, bound, s, sign)
        equal = np.vstack([np.sqrt(np.diag(sigma)), X.T])
        vertices = []
        for basis in map(list, combinations(range(len(A)), len(equal))):
            if np.linalg.matrix_rank(equal[:, basis], tol=1e-9) == len(equal):
                gamma = np.linalg.solve(equal[:, basis], np.eye(len(equal))[0])
                if gamma.min() > -1e-9:
                    vertices.append(gamma @ A[basis])
        above = np.mean((draws @ np.array(vertices).T).max(axis=1) > critical[i])
        assert above == pytest.approx(kappa, abs=4 * np.sqrt(kappa / len(draws)))


def test_no_violation_allowed_gives_the_usual_interval(evidence):
    b, v = random_study(7)
    target = np.array([0.3, 0.7, -0.4])
    got = [
        honest_did(b, v, pre_periods=3, bounds=0, target=target, method=m)[ENDS].to_numpy()[0]
        for m in ("C-LF", "conditional")
    ]
    usual = target @ b[3:] + norm.ppf([0.025, 0.975]) * np.sqrt(target @ v[3:, 3:] @ target)
    evidence(honest_did, "estimate ± 1.96 se at Mbar = 0", "random 3 + 3", got, [usual, usual], "identity", 9)


def test_sets_are_nested_in_the_bound():
    b, v = random_study(8, n=8)
    table = honest_did(b, v, pre_periods=5, bounds=np.linspace(0, 3, 13), target=[1 / 3] * 3)
    assert (np.diff(table["ci_low"]) < 0).all()
    assert (np.diff(table["ci_high"]) > 0).all()


def test_far_bounds_grow_with_the_largest_pre_change():
    """With a precise pre-trend the ends move by Mbar times its largest change."""
    b, v = np.array([0.0, 1.0, 0.2, 0.5]), np.diag([1e-6, 1e-6, 1e-6, 0.01])
    table = honest_did(b, v, pre_periods=3, bounds=(10, 20))
    np.testing.assert_allclose(np.diff(table[ENDS].to_numpy(), axis=0), [[-10, 10]], atol=0.05)  # |1.0 - 0.0| = 1


def trend_by_gls(b, v, since, k, target):
    """Effects beside a linear trend through the reference, by generalised least squares."""
    X = np.column_stack([since, np.eye(len(b))[:, k:]])
    inverse = np.linalg.inv(v)
    cov = np.linalg.inv(X.T @ inverse @ X)
    contrast = np.append(0.0, target)
    return contrast @ cov @ X.T @ inverse @ b, np.sqrt(contrast @ cov @ contrast)


def test_exact_linearity_is_generalised_least_squares(evidence):
    b, v = random_study(9, n=8)
    target = np.array([0.5, 0.5])
    for keywords, since in (
        ({"pre_periods": 6}, [-6, -5, -4, -3, -2, -1, 1, 2]),
        (GAPS, np.array(GAPS["times"]) - 2020),
    ):
        row = honest_did(b, v, restriction="smoothness", bounds=0, target=target, **keywords).iloc[0]
        estimate, se = trend_by_gls(b, v, np.asarray(since, dtype=float), 6, target)
        evidence(
            honest_did,
            "M = 0: effects beside a linear trend by GLS"
            + ("" if "times" not in keywords else ", gaps in the calendar"),
            "random 6 + 2",
            row[ENDS].to_numpy(float),
            estimate + norm.ppf([0.025, 0.975]) * se,
            "identity",
            9,
        )


def worst_bias(weights, points, A, reference):
    """Largest w'δ over |A δ| ≤ 1 with δ zero at the reference."""
    f = np.zeros(len(points))
    f[np.searchsorted(points, GAPS["times"])] = weights
    zero = (points == reference).astype(float)[None]
    return -linprog(-f, np.vstack([A, -A]), np.ones(2 * len(A)), zero, [0.0], bounds=(None, None)).fun


def smoothness_set(times, reference, yearly=False):
    """Rows of A with |A δ| ≤ M for δ at the times; ``yearly`` adds the years between them as columns."""
    points = np.sort(np.append(times, reference))
    if yearly:
        points = np.arange(points[0], points[-1] + 1)
    gaps = np.diff(points)
    slopes = np.diff(np.eye(len(points)), axis=0) / gaps[:, None]
    return points, np.diff(slopes, axis=0) / ((gaps[1:] + gaps[:-1]) / 2)[:, None]


@pytest.mark.parametrize("reference", [2020, 2017, 2012])
def test_worst_case_bias_is_that_of_a_linear_programme(reference):
    """Wherever the reference lies."""
    _, v = random_study(11, n=8)
    path = path_of(v, 6, GAPS["times"], reference)
    points, A = smoothness_set(GAPS["times"], reference)
    for bound in (0.0, 0.02, 0.5):
        weights, sd, bias = optimal_weights(path, np.array([0.5, 0.5]), bound, 0.95)
        assert sd == pytest.approx(np.sqrt(weights @ v @ weights), rel=1e-12)
        assert worst_bias(weights, points, A, reference) == pytest.approx(bias, rel=1e-9)


def test_bias_when_the_bound_holds_at_every_year_seen_or_not():
    """No larger than ours, and the same where the weights change no sign within a gap."""
    _, v = random_study(11, n=8)
    path = path_of(v, 6, GAPS["times"], 2020)
    points, A = smoothness_set(GAPS["times"], 2020, yearly=True)
    for bound in (0.0, 0.02, 0.5):
        weights, _, bias = optimal_weights(path, np.array([0.5, 0.5]), bound, 0.95)
        yearly = worst_bias(weights, points, A, 2020)
        assert yearly <= bias * (1 + 1e-9)
    assert yearly == pytest.approx(bias, rel=1e-9)  # at .5 all weight is on the last slope before treatment


def test_which_period_is_the_reference_does_not_matter(evidence):
    """Coefficients measured from 2015 instead of 2020, with their covariance, give the same sets."""
    b, v = random_study(27, n=8)
    change = np.eye(9)[[0, 1, 3, 4, 5, 6, 7, 8]] - np.eye(9)[2]  # points in order, less 2015
    full_b, full_v = np.insert(b, 6, 0.0), np.insert(np.insert(v, 6, 0.0, axis=0), 6, 0.0, axis=1)
    times = [2013, 2014, 2016, 2018, 2019, 2020, 2022, 2023]
    for restriction in ("relative_magnitude", "smoothness"):
        keywords = {"restriction": restriction, "target": [0.3, 0.7], "bounds": (0.1, 1)}
        base = honest_did(b, v, **GAPS, **keywords)
        moved = honest_did(
            change @ full_b,
            change @ full_v @ change.T,
            pre_periods=6,
            times=times,
            reference_time=2015,
            **keywords,
        )
        evidence(
            honest_did,
            f"the same study with another reference period, {restriction}",
            "random 6 + 2 with gaps",
            moved[ENDS],
            base[ENDS],
            "identity",
            8,
        )


@pytest.mark.parametrize("bound", [0.01, 0.05, 0.2])
def test_no_other_weights_give_a_shorter_interval(evidence, bound):
    """Against a general minimiser of h·cv(MB/h) over the pre weights and the sizes of their kinks."""
    _, v = random_study(12, n=8)
    path = path_of(v, **{"pre_periods": 6, "times": GAPS["times"], "reference_time": 2020})
    target = np.array([1.0, 0.0])
    since = np.array(GAPS["times"]) - 2020.0
    points, A = smoothness_set(GAPS["times"], 2020)
    at = np.searchsorted(points, GAPS["times"])
    kinks = np.linalg.inv(np.vstack([A, points == 2020, points == 2019]))[at, : len(A)].T

    def length(x):
        w = np.append(x[:6], target)
        h = np.sqrt(w @ v @ w)
        return h * folded_quantile(bound * x[6:].sum() / h, 0.95)

    weights, sd, bias = optimal_weights(path, target, bound, 0.95)
    ours = sd * folded_quantile(bound * bias / sd, 0.95)
    assert bias == pytest.approx(np.abs(kinks @ weights).sum(), rel=1e-9)
    constraints = [
        {"type": "eq", "fun": lambda x: since @ np.append(x[:6], target)},
        {"type": "ineq", "fun": lambda x: x[6:] - kinks @ np.append(x[:6], target)},
        {"type": "ineq", "fun": lambda x: x[6:] + kinks @ np.append(x[:6], target)},
    ]
    start = np.append(-np.ones(6) * (since[6] / since[:6].sum()), np.full(len(kinks), 3.0))
    found = minimize(length, start, constraints=constraints, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500})
    assert found.success
    evidence(
        honest_did,
        f"shortest half-length by SLSQP, M = {bound}",
        "random 6 + 2 with gaps",
        ours,
        found.fun,
        "identity",
        6,
    )


def test_folded_quantile():
    for t in (0.0, 0.3, 2.0, 40.0):
        c = folded_quantile(t, 0.95)
        assert norm.cdf(c - t) - norm.cdf(-c - t) == pytest.approx(0.95, abs=1e-12)
    assert folded_quantile(0.0, 0.95) == pytest.approx(norm.ppf(0.975), abs=1e-12)


def test_times_one_apart_are_the_default():
    b, v = random_study(14, n=8)
    for restriction in ("relative_magnitude", "smoothness"):
        plain = honest_did(b, v, pre_periods=5, restriction=restriction)
        years = [2001, 2002, 2003, 2004, 2005, 2007, 2008, 2009]
        for extra in ({"pre_periods": 5}, {"pre_periods": years[:5]}, {"pre_periods": 5, "reference_time": 2006}):
            pd.testing.assert_frame_equal(plain, honest_did(b, v, times=years, restriction=restriction, **extra))


def test_only_time_per_period_counts():
    """Twice the calendar: the same relative magnitudes; a quarter of the curvature."""
    b, v = random_study(15, n=8)
    double = [-10, -8, -6, -4, -2, 2, 4, 6]
    pd.testing.assert_frame_equal(
        honest_did(b, v, pre_periods=5), honest_did(b, v, pre_periods=5, times=double, reference_time=0), rtol=1e-9
    )
    one = honest_did(b, v, pre_periods=5, restriction="smoothness", bounds=0.08)
    two = honest_did(b, v, pre_periods=5, times=double, reference_time=0, restriction="smoothness", bounds=0.02)
    np.testing.assert_allclose(one[ENDS], two[ENDS], rtol=1e-9)


def test_a_gap_before_the_first_post_period_counts_double():
    b, v = random_study(16, n=5)
    once = honest_did(b, v, pre_periods=4, bounds=(1, 2, 3))
    gap = honest_did(b, v, pre_periods=4, times=[-4, -3, -2, -1, 2], reference_time=0, bounds=(0.5, 1, 1.5))
    np.testing.assert_allclose(once[ENDS], gap[ENDS], rtol=1e-9)


def test_a_gap_between_pre_periods_halves_the_change():
    """The change over two years counts per year: half of it, whatever the rest."""
    b, v = np.array([5.0, 1.0, 0.9, 1.1]), np.diag([1e-8, 1e-8, 1e-8, 0.01])
    near = honest_did(b, v, pre_periods=3, bounds=(1, 2))
    far = honest_did(b, v, pre_periods=3, times=[-4, -2, -1, 1], reference_time=0, bounds=(2, 4))
    np.testing.assert_allclose(near[ENDS], far[ENDS], rtol=1e-4)


def test_a_gap_after_the_reference_is_a_year_outside_the_target(evidence):
    """Smoothness with a post year unseen equals that year seen with no weight: the bound holds in both years."""
    b, v = random_study(17, n=8)
    keywords = {"restriction": "smoothness", "bounds": (0.02, 0.3)}
    seen = [2014, 2015, 2016, 2017, 2018, 2019, 2022, 2023]
    gap = honest_did(b, v, pre_periods=6, times=seen, reference_time=2020, target=[0.5, 0.5], **keywords)
    wide = np.insert(np.insert(v, 6, 0.0, axis=0), 6, 0.0, axis=1)
    wide[6, 6] = v[6, 6]
    full = honest_did(np.insert(b, 6, 0.0), wide, pre_periods=6, target=[0, 0.5, 0.5], **keywords)
    evidence(
        honest_did,
        "the unseen year added as a post coefficient without weight",
        "random 6 + 2, gap before the first post period",
        gap[ENDS],
        full[ENDS],
        "identity",
        9,
    )


@settings(max_examples=8, deadline=None)
@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-2, 2),
    restriction=st.sampled_from(["relative_magnitude", "smoothness"]),
)
def test_units_sign_and_effect_size(scale, shift, restriction):
    """Scale and mirror with the outcome; an effect added to the target moves the set by as much."""
    b, v = random_study(18, n=7)
    bounds = np.array([0.1, 0.6])
    unit = scale if restriction == "smoothness" else 1.0
    keywords = {"pre_periods": 4, "restriction": restriction, "target": [0.2, 0.3, 0.5]}
    base = honest_did(b, v, bounds=bounds, **keywords)[ENDS].to_numpy()
    scaled = honest_did(scale * b, scale**2 * v, bounds=bounds * unit, **keywords)[ENDS].to_numpy()
    np.testing.assert_allclose(scaled, scale * base, rtol=1e-7, atol=1e-9 * scale)
    mirrored = honest_did(-b, v, bounds=bounds, **keywords)[ENDS].to_numpy()
    np.testing.assert_allclose(mirrored, -base[:, ::-1], rtol=1e-7, atol=1e-9)
    moved = honest_did(b + shift * (np.arange(7) >= 4), v, bounds=bounds, **keywords)[ENDS].to_numpy()
    np.testing.assert_allclose(moved, base + shift, rtol=1e-6, atol=1e-8)


def test_inputs_may_be_frames_and_are_not_touched():
    b, v = random_study(19)
    series, frame = pd.Series(b), pd.DataFrame(v)
    before = series.copy(), frame.copy()
    pd.testing.assert_frame_equal(honest_did(series, frame, pre_periods=3), honest_did(b, v, pre_periods=3))
    pd.testing.assert_series_equal(series, before[0])
    pd.testing.assert_frame_equal(frame, before[1])


def test_coverage_at_the_end_of_the_identified_set(evidence):
    """One clear pre change and a violation as large as allowed: the conditional test then has its nominal size."""
    rng = np.random.default_rng(20)
    _, v = random_study(21, n=5)
    truth = np.array([0.0, 3.0, 0.2, 0.0, 0.0])
    truth[3:] = np.array([1.0, 2.0]) * 3.0  # Mbar = 1 times the largest change, every period; no effect
    draws = rng.multivariate_normal(truth, v, 200, method="cholesky")
    covered = [
        row["ci_low"] <= 0 <= row["ci_high"]
        for b in draws
        for _, row in honest_did(b, v, pre_periods=3, bounds=1, target=[0.5, 0.5]).iterrows()
    ]
    assert 0.90 <= np.mean(covered) <= 0.99
    evidence(
        honest_did,
        "coverage at the end of the identified set, 200 draws, nominal 95 %",
        "simulated 3 + 2, relative magnitudes",
        np.mean(covered),
        0.95,
        "simulation",
        1,
    )


def test_coverage_under_the_worst_smooth_path(evidence):
    rng = np.random.default_rng(22)
    _, v = random_study(23, n=6)
    path, target, bound = path_of(v, 4, None, None), np.array([0.0, 1.0]), 0.1
    weights, _, bias = optimal_weights(path, target, bound, 0.95)
    points, A = smoothness_set(path.times, 0.0)
    f = np.insert(weights, 4, 0.0)
    zero = (points == 0).astype(float)[None]
    worst = linprog(-f, np.vstack([A, -A]), np.full(2 * len(A), bound), zero, [0.0], bounds=(-50, 50)).x
    assert f @ worst == pytest.approx(bound * bias, rel=1e-8)
    draws = rng.multivariate_normal(np.delete(worst, 4), v, 2000, method="cholesky")
    table = honest_did(draws[0], v, pre_periods=4, restriction="smoothness", bounds=bound, target=target)
    half = (table["ci_high"] - table["ci_low"]).to_numpy()[0] / 2
    covered = np.mean(np.abs(draws @ weights) <= half)
    assert weights @ draws[0] == pytest.approx(table[ENDS].to_numpy().mean(), rel=1e-9)
    evidence(
        honest_did,
        "coverage under the path of largest bias, 2,000 draws, nominal 95 %",
        "simulated 4 + 2, smoothness",
        covered,
        0.95,
        "simulation",
        1,
    )
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("restriction", ["relative_magnitude", "smoothness"])
def test_breakdown_is_where_the_interval_reaches_the_null(evidence, restriction):
    b, v = random_study(24)
    b = b + 1.2 * (np.arange(6) >= 3)
    keywords = {"pre_periods": 3, "restriction": restriction, "target": [0.4, 0.3, 0.3], "level": 0.9}
    value = breakdown_value(b, v, null=0.1, **keywords)
    assert 0 < value < 50
    low = honest_did(b, v, bounds=value, **keywords)["ci_low"][0]
    evidence(
        breakdown_value,
        f"lower end of honest_did at that bound is the null, {restriction}",
        "random 3 + 3",
        low,
        0.1,
        "identity",
        5,
    )
    ends = honest_did(b, v, bounds=np.array([0.999, 1.001]) * value, **keywords)["ci_low"]
    assert ends[0] > 0.1 > ends[1]


def test_a_planted_linear_trend_breaks_down_below_one():
    """A trend of one standard deviation a year and no effect: significant at first sight, gone before Mbar = 1."""
    values = []
    for seed in range(3):
        panel = provinces(seed)
        panel["y"] += panel["hub"] * (panel["year"] - 2020) * panel["y"].std()
        result = event_study(
            panel,
            "y",
            unit="unit",
            time="year",
            cohort="cohort",
            reference=-2,
            cluster="cluster",
            covariance="CRV3",
            bands=False,
        )
        rows = (result.table["event_time"] != -2).to_numpy()
        b, v = result.table.loc[rows, "estimate"].to_numpy(), result.vcov[np.ix_(rows, rows)]
        assert [2022 + t for t in result.table.loc[rows, "event_time"]] == [y for y in YEARS if y != 2020]
        for target in ([1, 0], [0.5, 0.5]):
            assert honest_did(b, v, bounds=0, target=target, **GAPS)["ci_low"][0] > 0
            values.append(breakdown_value(b, v, target=target, **GAPS))
    assert 0 < min(values) <= max(values) < 1


def test_a_linear_trend_without_noise_breaks_down_at_one(evidence):
    """The identified set reaches zero exactly where the post change may be as large as the pre change."""
    _, v = random_study(28, n=8)
    trend = np.array(GAPS["times"]) - 2020.0
    for target in ([1, 0], [0.5, 0.5]):
        values = [breakdown_value(trend, scale * v, target=target, **GAPS) for scale in (1e-6, 1e-8)]
        assert values[0] < values[1] < 1
        evidence(
            breakdown_value,
            f"linear trend, covariance 1e-8 of a random one: 1 in the limit, target {target}",
            "a trend with gaps",
            values[1],
            1.0,
            "identity",
            3,
        )


def test_breakdown_at_the_ends():
    b, v = random_study(25)
    assert breakdown_value(0 * b, v, pre_periods=3) == 0
    flat = np.array([0.0, 0, 0, 1, 1, 1])
    assert breakdown_value(flat, 1e-12 * v, pre_periods=3) == np.inf
    assert 0 < breakdown_value(flat, 1e-3 * v, pre_periods=3) < np.inf


def test_an_estimated_trend_that_fits_no_bound_leaves_the_right_sign():
    """Every (s, sign) with the wrong sign is rejected; the set comes from the others."""
    b, v = np.array([0.0, 4.0, 0.0, 1.0, 1.0]), 0.01 * np.eye(5)
    row = honest_did(b, v, pre_periods=3, bounds=0.5).iloc[0]
    assert row["ci_low"] == pytest.approx(1 - 0.5 * 4, abs=0.5)
    assert row["ci_high"] == pytest.approx(1 + 0.5 * 4, abs=0.5)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"pre_periods": 0}, "from 1 to 6"),
        ({"pre_periods": 7}, "from 1 to 6"),
        ({"pre_periods": 6}, "no post period"),
        ({"pre_periods": [1, 2, 3]}, "need the times"),
        ({"reference_time": 2}, "need the times"),
        ({"times": [1, 2, 3, 4, 5]}, "6 increasing numbers"),
        ({"times": [1, 2, 2, 5, 6, 7]}, "increasing"),
        ({"times": [1, 2, 3, 6, 7, 8]}, "reference_time is needed: 2 whole numbers between 3 and 6"),
        ({"times": [1, 2, 3, 4, 5, 6]}, "reference_time is needed: 0 whole numbers"),
        ({"times": [1, 2, 3, 5, 6, 7], "reference_time": 3}, "reference time 3 must lie before"),
        ({"times": [1, 2, 3, 5, 6, 7], "reference_time": 8}, "reference time 8 must lie before"),
        ({"times": [1, 2, 3, 5, 6, 7], "pre_periods": [1, 2, 4]}, "but pre_periods says"),
        ({"restriction": "bounded"}, "restriction 'bounded' is not one of"),
        ({"method": "FLCI"}, "method 'FLCI' is not one of C-LF, conditional"),
        ({"bounds": (0.5, -1)}, "not negative"),
        ({"bounds": np.inf}, "finite"),
        ({"level": 1}, "between 0 and 1"),
        ({"target": [1, 0]}, "3 weights"),
        ({"target": [0, 0, 0]}, "not all zero"),
        ({"vcov": np.eye(6)[:5]}, "square"),
        ({"vcov": np.eye(5)}, "6 coefficients"),
        ({"vcov": np.diag([1, 1, 0, 1, 1, 1])}, "leave the reference out"),
        ({"vcov": np.full((6, 6), np.nan)}, "missing variances"),
        ({"vcov": np.eye(6) + np.eye(6, k=1)}, "not symmetric"),
        ({"vcov": np.eye(6) * 3 - 1}, "not positive semidefinite"),
        ({"vcov": np.ones((6, 6))}, "singular: the change between two"),
        ({"vcov": np.ones((6, 6)), "restriction": "smoothness"}, "singular: smoothness"),
        ({"coefficients": [1, 2, np.nan, 4, 5, 6]}, "a missing one"),
    ],
)
def test_refusals(keywords, message):
    b, v = random_study(26)
    arguments = {"coefficients": b, "vcov": v, "pre_periods": 3, **keywords}
    with pytest.raises(EstimationError, match=message):
        honest_did(**arguments)
