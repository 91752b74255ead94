"""HonestDiD, pre-trend power and power curves: calendar years count, also those a sample leaves out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct, t

from pipeline import specs
from pipeline.econometrics import randomization_test
from pipeline.estimate import designs, run, sensitivity
from pipeline.specs import Adjustment, Model, Sample

YEARS = (2013, 2014, 2015, 2016, 2018, 2019, 2020, 2021, 2022, 2023)
CLUSTERS = 12
NONE = Adjustment("none", ("province_code", "year"), "province + year", "", "", "")
EVENT = Model("e.y.none", "e", "event_study", "y", ("hub",), NONE, Sample("all", "", ""), ())


def panel(path, noise=1e-4):
    """Twelve provinces, each a cluster, five of them hubs that leave the others by ``path`` (year: difference)."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame([(f"{u:02d}", y) for u in range(CLUSTERS) for y in YEARS], columns=["province_code", "year"])
    frame["cluster"] = frame["province_code"]
    frame["hubs"] = (frame["province_code"] < "05").astype(float)
    frame["cohort"] = np.where(frame["hubs"] == 1, 2022.0, np.inf)
    frame["hub_post"] = frame["hubs"] * (frame["year"] >= 2022)
    frame["y"] = frame["hubs"] * frame["year"].map(path) + noise * rng.normal(size=len(frame))
    return frame


def values(rows):
    return {(row["term"], row["method"]): row for row in rows}


def breakdown(path, target, settings):
    rows = sensitivity.honest(EVENT, panel(path), settings, target, "relative_magnitude")
    return values(rows)[target, "breakdown_relative_magnitude"]["statistic"]


def test_the_path_is_without_reference_and_announcement(settings):
    truth = {year: 0.1 * (year - 2020) for year in YEARS}
    coefficients, vcov, years, pre = sensitivity.path_of(EVENT, panel(truth), settings)
    assert years == [2013, 2014, 2015, 2016, 2018, 2019, 2022, 2023]
    assert pre == 6
    assert vcov.shape == (8, 8)
    np.testing.assert_allclose(coefficients, [truth[year] for year in years], atol=1e-3)


def test_two_years_without_data_may_bring_twice_the_change(settings):
    """The trend moves by 0.1 from 2018 to 2019: 0.2 by 2022 is what it may bring, 0.3 by 2023."""
    path = dict.fromkeys(YEARS, -0.1) | {2019: 0.0, 2020: 0.0, 2021: 0.1, 2022: 0.2, 2023: 0.2}
    assert breakdown(path, "2022", settings) == pytest.approx(1, abs=0.02)
    assert breakdown(path, "2023", settings) == pytest.approx(2 / 3, abs=0.02)
    assert breakdown(path, "average", settings) == pytest.approx(0.8, abs=0.02)  # 0.2 over the mean of 0.2 and 0.3


def test_a_change_over_two_years_counts_half(settings):
    """From 2016 to 2018 the trend moves by 0.2, which is 0.1 a year."""
    path = dict.fromkeys(YEARS, 0.0) | dict.fromkeys(YEARS[:4], -0.2) | {2022: 0.2, 2023: 0.2}
    assert breakdown(path, "2022", settings) == pytest.approx(1, abs=0.02)


def test_a_straight_line_goes_on_over_the_gaps(settings):
    path = {year: 0.1 * (year - 2020) for year in YEARS}
    for target in ("average", "2022", "2023"):
        rows = values(sensitivity.honest(EVENT, panel(path, noise=1e-2), settings, target, "smoothness"))
        line = rows[target, "honest_smoothness_0"]
        assert line["ci_low"] < 0 < line["ci_high"]
        assert line["ci_high"] < line["estimate"] - 0.05  # the estimate under parallel trends is 0.2 to 0.3
        widths = [row["ci_high"] - row["ci_low"] for (_, name), row in rows.items() if name.startswith("honest")]
        assert widths == sorted(widths)
        assert [name for _, name in rows][-1] == "breakdown_smoothness"


def test_targets_weigh_the_years_after(settings):
    found = sensitivity.targets([2018, 2019, 2022, 2023], 2)
    assert {k: v.tolist() for k, v in found.items()} == {"average": [0.5, 0.5], "2022": [1, 0], "2023": [0, 1]}


def test_trends_that_pass_are_told_by_calendar_year(settings):
    frame = panel(dict.fromkeys(YEARS, 0.0), noise=0.1)
    view = sensitivity.pretrends(EVENT, frame, settings).set_index(["row", "column"])["value"]
    for kind in ("individual", "joint"):
        slopes = []
        for power in ("0.5", "0.8"):
            own = view[f"e.y.none|{kind}|{power}"]
            slopes.append(own["slope"])
            assert own["trend_2022"] == pytest.approx(2 * own["slope"])
            assert own["trend_2023"] == pytest.approx(3 * own["slope"])
            assert {"passed_2022", "passed_2023", "size", "bayes_factor", "likelihood_ratio"} <= set(own.index)
        assert 0 < slopes[0] < slopes[1]


def test_the_distribution_holds_every_assignment_once(settings):
    frame = panel(dict.fromkeys(YEARS, 0.0), noise=1.0).query("year != 2021").reset_index(drop=True)
    model = Model("d.y.none", "d", "two_way_fe", "y", ("hub_post",), NONE, Sample("all", "", ""), ())
    view = sensitivity.distribution(model, frame, settings).set_index("column")
    shares = view.drop(index="observed")
    assert shares["value"].sum() == pytest.approx(1)
    assert (shares["value"] * 792).round(6).apply(float.is_integer).all()  # C(12, 5) assignments
    exact = randomization_test(frame, "y", "hub_post", draws=None, statistic="t", seed=0, **designs.common(model))
    observed = view.loc["observed", "value"]
    assert observed == pytest.approx(exact.statistic)
    counts = np.histogram(np.clip(exact.distribution, -6, 6), np.round(np.linspace(-6, 6, 121), 1))[0]
    np.testing.assert_allclose(shares["value"], counts / 792)
    assert np.mean(np.abs(exact.distribution) >= abs(observed) * (1 - 1e-9)) == pytest.approx(exact.p_value)


def test_the_power_curve_is_that_of_the_noncentral_t():
    view = sensitivity.power_curve("s", std_error=0.08, df=24, level=0.95).set_index("column")
    assert view.loc["0.00", "value"] == pytest.approx(0.05)
    assert view["value"].is_monotonic_increasing
    assert view["x"].iloc[-1] == 0.5
    bound, shift = t.ppf(0.975, 24), 0.2 / 0.08
    central = t.cdf(shift - bound, 24) + t.cdf(-shift - bound, 24)
    assert view.loc["0.20", "value"] == pytest.approx(central)  # the formula of the plan, near the noncentral one
    assert abs(central - (nct.sf(bound, 24, shift) + nct.cdf(-bound, 24, shift))) < 0.02


def test_on_the_real_panel_the_years_are_those_of_the_sample(real_rows, settings, specification):
    model = specification("event.chain_ln.x")
    frame = run.sample_of(model, real_rows, specs.models().treatments, settings)
    _, _, years, pre = sensitivity.path_of(model, frame, settings)
    assert (years, pre) == ([2013, 2014, 2015, 2016, 2018, 2019, 2022, 2023], 6)
