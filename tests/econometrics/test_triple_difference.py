"""Triple difference: by hand, identities, another engine, slow references, invariances, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeline.econometrics import event_study, two_way_fe
from pipeline.econometrics.triple import triple_difference, triple_event_study
from pipeline.errors import CollinearityError, EstimationError
from tests.econometrics.panels import provinces, slow_fit

KEYS = {"unit": "unit", "industry": "industry", "time": "year"}
EFFECTS = (("unit", "industry"), ("industry", "year"), ("unit", "year"))


def industries(seed=0, exposures=(-1.2, -0.5, 0.1, 0.4, 1.2), years=(2016, 2017, 2018, 2020, 2022, 2023), drop=0):
    """31 units × industries × years; the effect of treatment is 0.3 × exposure."""
    rng = np.random.default_rng(seed)
    panel = provinces(seed, years=years).drop(columns="z")
    table = pd.DataFrame({"industry": [f"i{k}" for k in range(len(exposures))], "exposure": exposures})
    long = panel.merge(table, how="cross")
    own = rng.normal(size=(31, len(exposures)))[long.groupby("unit").ngroup(), long.groupby("industry").ngroup()]
    long["y"] += own + 0.3 * long["treated"] * long["exposure"] + rng.normal(size=len(long))
    long["z"] = rng.normal(size=len(long))
    return long.drop(index=rng.choice(len(long), drop, replace=False)).reset_index(drop=True)


def test_eight_cells_by_hand(evidence):
    rows = [(u, i, t) for u in range(8) for i in "ab" for t in (0, 1)]
    panel = pd.DataFrame(rows, columns=["unit", "industry", "year"])
    panel["y"] = np.random.default_rng(0).normal(size=len(panel)).round(3)
    panel["d"], panel["exposure"] = (panel["unit"] < 3) * panel["year"], (panel["industry"] == "b").astype(float)
    means = panel.assign(hub=panel["unit"] < 3).groupby(["hub", "industry", "year"])["y"].mean()
    change = means.xs(1, level="year") - means.xs(0, level="year")
    gap = change.xs("b", level="industry") - change.xs("a", level="industry")
    result = triple_difference(panel, "y", "d", "exposure", **KEYS)
    expected = gap[True] - gap[False]
    evidence(
        triple_difference, "differences of eight cell means", "simulated 8 × 2 × 2", result.att, expected, "exact", 12
    )
    assert (result.n_obs, result.n_units, result.n_treated, result.n_clusters) == (32, 8, 3, 8)
    assert result.table["term"].tolist() == ["d×exposure"]


@pytest.mark.parametrize("covariance", ["CRV1", "CRV3"])
def test_two_industries_are_a_difference_in_differences(covariance, evidence):
    panel = industries(1, exposures=(0.0, 1.0))
    wide = panel.pivot(index=["unit", "year", "cluster", "treated", "x1"], columns="industry", values="y").reset_index()
    wide["gap"] = wide["i1"] - wide["i0"]
    options = {"by_time": ["x1"], "cluster": "cluster", "covariance": covariance}
    result = triple_difference(panel, "y", "treated", "exposure", **KEYS, **options)
    expected = two_way_fe(wide, "gap", "treated", unit="unit", time="year", **options)
    # a row less for each (unit, year), and its effect more: N – 1 and N – k alone differ
    n, k, m = len(wide), len(wide["year"].unique()) * 2, len(panel)
    factor = np.sqrt((n - 1) / (n - k) / ((m - 1) / (m - k - 6))) if covariance == "CRV1" else 1.0
    got = [result.att, result.std_error]
    evidence(
        triple_difference,
        f"two_way_fe on the difference between two industries, {covariance}",
        "simulated 31 × 2 × 6",
        got,
        [expected.att, expected.std_error / factor],
        "identity",
        10,
    )


def test_agrees_with_pyfixest(evidence):
    panel = industries(2, drop=13)
    panel["product"] = panel["treated"] * panel["exposure"]
    effects = "unit^industry + industry^year + unit^year"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated pandas keywords
        import pyfixest as pf

        convention = pf.ssc(k_fixef="none", k_adj=False)
        other = pf.feols(
            f"y ~ product + z | {effects}", panel, vcov={"CRV1": "cluster"}, ssc=convention, fixef_tol=1e-12
        )
        beta, se = other.coef()["product"], other.se()["product"]
    options = {"controls": ["z"], "cluster": "cluster"}
    result = triple_difference(panel, "y", "treated", "exposure", **KEYS, **options)
    n, k = len(panel), 5 * 6 + 2
    got, expected = [result.att, result.std_error], [beta, se * np.sqrt((n - 1) / (n - k))]
    source = f"pyfixest 0.60: y ~ product + z | {effects}"
    evidence(triple_difference, source, "simulated 31 × 5 × 6, unbalanced", got, expected, "external", 8)
    assert result.table["term"].tolist() == ["treated×exposure", "z"]


def test_jackknife_by_refitting_on_dummies(evidence):
    panel = industries(3, exposures=(-1.0, 0.2, 0.8), years=(2018, 2020, 2022), drop=5)
    panel["product"] = panel["treated"] * panel["exposure"]
    b = slow_fit(panel, ["product"], EFFECTS)[0][0]
    groups = panel["cluster"].unique()
    without = np.array([slow_fit(panel[panel["cluster"] != g], ["product"], EFFECTS)[0][0] for g in groups])
    expected = [b, np.sqrt(24 / 25 * np.sum((without - b) ** 2))]
    result = triple_difference(panel, "y", "treated", "exposure", **KEYS, cluster="cluster", covariance="CRV3")
    got = [result.att, result.std_error]
    source = "full dummies, refitted without each cluster"
    evidence(triple_difference, source, "simulated, unbalanced", got, expected, "identity", 8)


def test_several_treatments_and_slopes_equal_full_dummies():
    panel = industries(4, years=(2018, 2020, 2022, 2023), drop=7)
    panel["supply"] = panel["treated"] * (panel["x2"] > 0)
    columns = {"treated": "a", "supply": "b"}
    for name, short in columns.items():
        panel[short] = panel[name] * panel["exposure"]
    slopes = {f"x{t}": panel["x1"] * panel["exposure"] * (panel["year"] == t) for t in (2020, 2022, 2023)}
    frame = panel.assign(**slopes)
    expected = slow_fit(frame, ["a", "b", *slopes], EFFECTS)[0][:2]
    result = triple_difference(panel, "y", list(columns), "exposure", **KEYS, by_time=["x1"])
    np.testing.assert_allclose(result.table["estimate"], expected, rtol=1e-8)
    assert result.meta["by_time"] == "x1×exposure"


def test_event_study_of_two_industries(evidence):
    panel = industries(5, exposures=(0.0, 1.0))
    wide = panel.pivot(index=["unit", "year", "cluster", "cohort"], columns="industry", values="y").reset_index()
    wide["gap"] = wide["i1"] - wide["i0"]
    options = {"reference": -2, "cluster": "cluster", "covariance": "CRV3", "exclude": (0,)}
    result = triple_event_study(panel, "y", "exposure", **KEYS, cohort="cohort", **options, term="hub×exposure")
    expected = event_study(wide, "gap", unit="unit", time="year", cohort="cohort", **options)
    columns = ["estimate", "std_error", "ci_low", "band_low", "p_value"]
    kept = expected.table["std_error"].notna() & (expected.table["event_time"] != 0)
    got, wanted = result.table.loc[kept, columns], expected.table.loc[kept, columns]
    source = "event_study on the difference between two industries, CRV3"
    evidence(triple_event_study, source, "simulated 31 × 2 × 6", got, wanted, "identity", 9)
    assert result.att == pytest.approx(expected.att, rel=1e-10)
    assert result.table["event_time"].tolist() == expected.table["event_time"].tolist()
    assert result.meta["excluded"] == "0"
    assert (result.n_units, result.n_treated) == (31, 14)


def test_average_of_the_event_study_is_the_triple_difference_without_earlier_years():
    panel = industries(6, years=(2020, 2022, 2023))
    study = triple_event_study(panel, "y", "exposure", **KEYS, cohort="cohort", reference=-2)
    static = triple_difference(panel, "y", "treated", "exposure", **KEYS)
    assert study.att == pytest.approx(static.att, rel=1e-10)


@pytest.mark.parametrize(("seed", "scale"), [(1, 1e-6), (2, 1e7)])
def test_names_order_shifts_and_scale_do_not_matter(seed, scale):
    panel, rng = industries(7, drop=6), np.random.default_rng(seed)
    options = {"cluster": "cluster", "covariance": "CRV3", "by_time": ["x1"]}

    def numbers(frame):
        result = triple_difference(frame, "y", "treated", "exposure", **KEYS, **options)
        return np.array([result.att, result.std_error])

    base = numbers(panel)
    np.testing.assert_allclose(numbers(panel.iloc[rng.permutation(len(panel))]), base, rtol=1e-10)
    names = dict(zip(panel["industry"].unique(), rng.permutation(5), strict=True))
    moved = panel.assign(industry=panel["industry"].map(names), year=panel["year"] + 7)
    moved["y"] = (panel["y"] + panel.groupby(["unit", "year"]).ngroup() + 3 * moved["industry"] * panel["year"]) * scale
    np.testing.assert_allclose(numbers(moved), base * scale, rtol=1e-7)
    np.testing.assert_allclose(numbers(panel.assign(exposure=panel["exposure"] * 2 + 5)), base / 2, rtol=1e-8)


def test_the_callers_frame_is_not_touched():
    panel = industries(8)
    before = panel.copy(deep=True)
    triple_difference(panel, "y", "treated", "exposure", **KEYS, by_time=["x1"], controls=["z"], weights="w")
    triple_event_study(panel, "y", "exposure", **KEYS, cohort="cohort", reference=-2)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x1": lambda f: f["x1"] * f["year"]}, "'x1×exposure' must be constant within units"),
        ({"industry": "i0"}, r"\(unit×industry, year\) must be unique; repeated: \(110000 × i0, 2016\)"),
        ({"treated": "yes"}, "'treated' is not numeric"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(EstimationError, match=message):
        triple_difference(industries(9).assign(**change), "y", "treated", "exposure", **KEYS, by_time=["x1"])


def test_exposure_that_changes_is_refused():
    panel = industries(9)
    panel.loc[0, "exposure"] = 3.0
    with pytest.raises(EstimationError, match=r"'exposure' must be constant in time; it changes in 110000 × i0$"):
        triple_difference(panel, "y", "treated", "exposure", **KEYS)


def test_refusals_of_the_event_study():
    options = {**KEYS, "cohort": "cohort"}
    with pytest.raises(EstimationError, match=r"reference event time -1; there are \[-6"):
        triple_event_study(industries(10), "y", "exposure", **options)
    with pytest.raises(EstimationError, match="no event time ≥ 0 is left"):
        triple_event_study(industries(10), "y", "exposure", **options, reference=-2, exclude=(0, 1))


def test_collinear_columns_are_named():
    panel = industries(11).assign(same=1.0)
    with pytest.raises(CollinearityError, match=r"treatment 'treated×same' .*unit×industry, industry×year, unit×year"):
        triple_difference(panel, "y", "treated", "same", **KEYS)
