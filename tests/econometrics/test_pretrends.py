"""Power of pre-tests and the bias of what passes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, f, multivariate_normal, ncx2, norm, t, truncnorm

from pipeline.econometrics.pretrends import box, pretrend_power
from pipeline.errors import EstimationError
from tests.econometrics.test_honest import random_study, read

HE_WANG = {"pre_periods": 3, "times": [-4, -3, -2, 0, 1, 2, 3], "reference_time": -1}
STATA = "Stata pretrends 0.2.0, README.md"
R = "R pretrends, README.md (2022 version, Figure 2C)"


def test_he_and_wang_linear(evidence):
    b, v = read("he_wang")
    stata = pretrend_power(v, **HE_WANG, power=0.5, coefficients=b)
    row = stata.iloc[0]
    evidence(
        pretrend_power,
        f"{STATA}: r(slope), r(Power), r(Bayes), r(LR)",
        "He and Wang 2017",
        row[["slope", "power", "bayes_factor", "likelihood_ratio"]].to_numpy(float),
        [0.0520662478209672, 0.5000000000006959, 0.5690176871738699, 0.1057053243787036],
        "external",
        5,
    )
    evidence(
        pretrend_power,
        f"{STATA}: r(results), deltatrue and meanAfterPretesting",
        "He and Wang 2017",
        stata[["trend", "mean_if_passed"]].to_numpy(),
        [
            [-0.1561987, -0.0923171],
            [-0.1041325, -0.0555576],
            [-0.0520662, -0.0279117],
            [0.0520662, 0.0649147],
            [0.1041325, 0.1208691],
            [0.1561987, 0.1694932],
            [0.208265, 0.2245753],
        ],
        "external",
        5,
    )
    r = pretrend_power(v, **HE_WANG, power=0.5, slopes=0.05205871, coefficients=b)
    evidence(
        pretrend_power,
        f"{R}: slope_for_power (to the tolerance of uniroot)",
        "He and Wang 2017",
        r["slope"][0],
        0.05205871,
        "external",
        3,
    )
    evidence(
        pretrend_power,
        f"{R}: df_power at its slope (pmvnorm's default tolerance is .001)",
        "He and Wang 2017",
        r.iloc[7][["power", "bayes_factor", "likelihood_ratio"]].to_numpy(float),
        [0.4999776, 0.56901, 0.1057627],
        "external",
        3,
    )
    evidence(
        pretrend_power,
        f"{R}: df_eventplot at its slope, deltatrue, se, meanAfterPretesting",
        "He and Wang 2017",
        r.loc[7:, ["trend", "std_error", "mean_if_passed"]].to_numpy(),
        [
            [-0.15617613, 0.09437463, -0.09230764],
            [-0.10411742, 0.07705139, -0.05555285],
            [-0.05205871, 0.05512372, -0.02790950],
            [0.05205871, 0.06264775, 0.06490184],
            [0.10411742, 0.08981034, 0.12084694],
            [0.15617613, 0.08877826, 0.16946498],
            [0.20823484, 0.09893648, 0.22453827],
        ],
        "external",
        4,
    )


def test_he_and_wang_quadratic(evidence):
    b, v = read("he_wang")
    trend = 0.024 * (np.array(HE_WANG["times"]) + 1.0) ** 2
    columns = ["power", "bayes_factor", "likelihood_ratio"]
    table = pretrend_power(v, **HE_WANG, power=(), trend=trend, coefficients=b)
    for reference, expected in (
        (STATA, [0.6624492444726371, 0.3841447004284795, 0.4332635208743188]),
        (R, [0.6624282, 0.3841516, 0.4332635]),  # pmvnorm's default tolerance is .001
    ):
        evidence(
            pretrend_power,
            f"{reference}, quadratic trend",
            "He and Wang 2017",
            table.iloc[0][columns].to_numpy(float),
            expected,
            "external",
            4,
        )
    assert table["slope"].isna().all()
    assert table["target_power"].isna().all()


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_box_probability_and_mean(k):
    """Against scipy's distribution function and against rejection sampling."""
    rng = np.random.default_rng(k)
    _, v = random_study(k, n=k)
    mean, bound = rng.normal(size=k) * np.sqrt(np.diag(v)), 1.96 * np.sqrt(np.diag(v))
    total, inside = box(mean, v, bound)
    if k == 1:
        low, high = (-bound - mean) / np.sqrt(v[0]), (bound - mean) / np.sqrt(v[0])
        assert total == pytest.approx(norm.cdf(high) - norm.cdf(low), abs=1e-12)
        np.testing.assert_allclose(inside, truncnorm.mean(low, high, mean, np.sqrt(v[0])), rtol=1e-9)
        return
    expected = multivariate_normal(mean, v, seed=1).cdf(bound, lower_limit=-bound)
    assert total == pytest.approx(expected, abs=2e-5)
    draws = rng.multivariate_normal(mean, v, 400_000, method="cholesky")
    kept = draws[(np.abs(draws) <= bound).all(axis=1)]
    error = kept.std(axis=0) / np.sqrt(len(kept))
    assert (np.abs(inside - kept.mean(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("test", ["individual", "joint"])
def test_power_size_and_bias_by_simulation(evidence, test):
    """Everything that the table says, from draws of the event study."""
    _, v = random_study(31, n=6)
    keywords = {"pre_periods": 4, "times": [2015, 2016, 2018, 2019, 2022, 2023], "reference_time": 2020}
    table = pretrend_power(v, **keywords, power=0.6, test=test)
    trend = table["trend"].to_numpy()
    np.testing.assert_allclose(trend, table["slope"][0] * (np.array(keywords["times"]) - 2020), rtol=1e-12)
    noise = np.random.default_rng(2).multivariate_normal(np.zeros(6), v, 400_000, method="cholesky")

    def passes(draws):
        if test == "individual":
            return (np.abs(draws[:, :4]) <= norm.ppf(0.975) * np.sqrt(np.diag(v)[:4])).all(axis=1)
        return np.einsum("ij,ij->i", draws[:, :4] @ np.linalg.inv(v[:4, :4]), draws[:, :4]) <= chi2.ppf(0.95, 4)

    kept, under_null = passes(noise + trend), passes(noise)
    got = table.iloc[0][["power", "size", "bayes_factor"]].to_numpy(float)
    evidence(
        pretrend_power,
        f"400,000 simulated event studies, {test} pre-test: power, size, Bayes factor",
        "random 4 + 2 with gaps",
        got,
        [1 - kept.mean(), 1 - under_null.mean(), kept.mean() / under_null.mean()],
        "simulation",
        2,
    )
    means = (noise + trend)[kept]
    error = means.std(axis=0) / np.sqrt(len(means))
    assert (np.abs(table["mean_if_passed"] - means.mean(axis=0)) < 5 * error).all()


def test_one_pre_period_in_closed_form(evidence):
    v = np.array([[0.04, 0.01], [0.01, 0.09]])
    table = pretrend_power(v, pre_periods=1, power=0.8, slopes=(-0.3,))
    z = norm.ppf(0.975)
    slope = table["slope"][0]
    low, high = -z + slope / 0.2, z + slope / 0.2
    evidence(
        pretrend_power,
        "one pre period: normal and truncated normal formulas",
        "2 × 2 covariance",
        [table["power"][0], table["power"][2], table["mean_if_passed"][0], table["mean_if_passed"][1]],
        [
            0.8,
            1 - norm.cdf(z - 1.5) + norm.cdf(-z - 1.5),
            truncnorm.mean(low, high, -slope, 0.2),
            slope + 0.01 / 0.04 * (truncnorm.mean(low, high, -slope, 0.2) + slope),
        ],
        "exact",
        9,
    )
    assert 1 - (norm.cdf(high) - norm.cdf(low)) == pytest.approx(0.8, abs=1e-9)
    assert table["slope"].tolist() == [slope, slope, -0.3, -0.3]


def test_joint_power_is_the_noncentral_chi_square(evidence):
    _, v = random_study(32, n=5)
    table = pretrend_power(v, pre_periods=5, power=(), slopes=(0.1, 0.4), test="joint")
    since = np.arange(-5, 0)
    shift = since @ np.linalg.solve(v, since)
    expected = [ncx2.sf(chi2.ppf(0.95, 5), 5, s**2 * shift) for s in (0.1, 0.4)]
    evidence(
        pretrend_power,
        "scipy.stats.ncx2",
        "random, 5 pre",
        table.loc[[0, 5], "power"].to_numpy(),
        expected,
        "identity",
        9,
    )
    assert table["size"][0] == pytest.approx(0.05, abs=1e-12)


def test_critical_values_with_degrees_of_freedom():
    _, v = random_study(33, n=3)
    for test, level in (
        ("individual", 2 * norm.cdf(t.ppf(0.975, 24)) - 1),
        ("joint", chi2.cdf(3 * f.ppf(0.95, 3, 24), 3)),
    ):
        with_df = pretrend_power(v, pre_periods=3, power=(), slopes=0.2, test=test, df=24)
        assert with_df["power"][0] == pytest.approx(
            pretrend_power(v, pre_periods=3, power=(), slopes=0.2, test=test, level=level)["power"][0], rel=1e-9
        )


def test_a_trend_and_its_negative_have_the_same_power():
    b, v = random_study(34, n=7)
    table = pretrend_power(v, pre_periods=4, power=(), slopes=(0.2, -0.2), coefficients=b)
    up, down = table.iloc[:7], table.iloc[7:].reset_index(drop=True)
    np.testing.assert_allclose(up["power"], down["power"], rtol=1e-10)
    np.testing.assert_allclose(up["mean_if_passed"], -down["mean_if_passed"], rtol=1e-9)
    density = multivariate_normal(np.zeros(4), v[:4, :4])
    for part in (up, down):
        ratio = density.pdf(b[:4] - part["trend"].to_numpy()[:4]) / density.pdf(b[:4])
        assert part["likelihood_ratio"][0] == pytest.approx(ratio, rel=1e-9)


def test_more_power_needs_a_steeper_trend_and_units_do_not_matter():
    _, v = random_study(35, n=6)
    base = pretrend_power(v, pre_periods=4, power=(0.5, 0.8, 0.95))
    assert (np.diff(base["slope"].unique()) > 0).all()
    scaled = pretrend_power(1e6 * v, pre_periods=4, power=(0.5, 0.8, 0.95))
    np.testing.assert_allclose(scaled["slope"], 1e3 * base["slope"], rtol=1e-9)
    slow = pretrend_power(v, pre_periods=4, times=[-8, -6, -4, -2, 2, 4], reference_time=0, power=(0.5, 0.8, 0.95))
    np.testing.assert_allclose(slow["slope"], base["slope"] / 2, rtol=1e-9)


def test_the_pre_covariance_alone_will_do():
    _, v = random_study(36, n=6)
    full = pretrend_power(v, pre_periods=4)
    short = pretrend_power(v[:4, :4], pre_periods=4)
    rows = full["time"] < 0
    pd.testing.assert_frame_equal(full[rows].reset_index(drop=True), short)
    assert full["time"].tolist() == [-4, -3, -2, -1, 1, 2] * 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"power": 0.05}, "between the size of the pre-test"),
        ({"power": 1.0}, "and 1, not 1"),
        ({"test": "wald"}, "test 'wald' is not one of individual, joint"),
        ({"level": 0}, "between 0 and 1"),
        ({"df": 0}, "df be positive"),
        ({"trend": [1, 2]}, "2 coefficients for a 6×6 vcov"),
        ({"coefficients": [1, 2]}, "2 coefficients for a 6×6 vcov"),
        ({"power": ()}, "give a power, a slope or a trend"),
        ({"slopes": np.nan}, "slopes must be finite"),
        ({"vcov": np.ones((6, 6))}, "pre coefficients is singular"),
        ({"pre_periods": 9}, "from 1 to 6"),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(EstimationError, match=message):
        pretrend_power(**{"vcov": random_study(37)[1], "pre_periods": 4, **keywords})
