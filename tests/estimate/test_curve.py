"""The specification curve: every combination once, the headline among them, and its p by brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from pipeline import specs
from pipeline.econometrics import Specification, two_way_fe
from pipeline.estimate import curve, designs, run

X = specs.models().adjustments["x"]
YEARS = specs.models().samples["chain"].years
HEADLINE = "entropy|all|ln|x|all"
TIE = 1 - 1e-9


@pytest.fixture(scope="module")
def frame(real_rows, index_variants, settings):
    return curve.panel(real_rows, index_variants, X, YEARS, settings.event_year)


@pytest.fixture(scope="module")
def declared(index_variants):
    return curve.specifications([c for c in index_variants.columns if "|" in c], X)


def estimated(frame, chosen, settings, draws=9):
    view, tests = curve.estimate(frame, chosen, settings, draws=draws, seed=1)
    cells = view.pivot(index="row", columns="column", values="value")
    intervals = view[view["column"] == "estimate"].set_index("row")[["low", "high", "x"]]
    return cells.join(intervals), {row["method"]: row for row in tests}


def test_every_combination_is_asked_once(declared):
    assert len(declared) == 32 * 8 * 5 == 1280
    assert len({s.name for s in declared}) == 1280
    assert len({(s.outcome, s.by_time, s.effects, s.sample) for s in declared}) == 1280


def test_the_variants_leave_out_one_indicator_at_a_time(index_variants):
    left = {tuple(name.split("|")) for name in index_variants.columns if "|" in name}
    parts = [{v[at] for v in left} for at in range(3)]
    indicators = {c.id for c in specs.indices()["chain"].indicators}
    assert parts == [{"entropy", "equal"}, {"all", *indicators}, {"ln", "mean_ln"}]
    assert len(left) == 32


@pytest.mark.parametrize(("adjustment", "outcome"), [("none", "chain_ln"), ("x", "chain_ln"), ("region", "chain_ln")])
def test_the_headline_is_one_of_them(real_rows, settings, specification, frame, declared, adjustment, outcome):
    model = specification(f"did.{outcome}.{adjustment}")
    printed = designs.fit(model, run.sample_of(model, real_rows, specs.models().treatments, settings), settings, "CRV3")
    chosen = [s for s in declared if s.name == HEADLINE.replace("|x|", f"|{adjustment}|")]
    cells, _ = estimated(frame, chosen, settings)
    (row,) = cells.to_dict("records")
    assert row["estimate"] == pytest.approx(printed.att, abs=1e-10)
    assert row["p_value"] == pytest.approx(printed.p_value, abs=1e-10)
    assert (row["low"], row["high"]) == pytest.approx(printed.ci, abs=1e-10)


def test_samples_and_lagged_levels_are_what_their_names_say(real_rows, settings, specification, frame, declared):
    wanted = {
        "entropy|all|ln|x|without_tibet": "did_without_tibet.chain_ln.x",
        "entropy|all|ln|x|without_2020": "did_to_2019.chain_ln.x",
        "entropy|all|ln|none|from_2018": "did_from_2018.chain_ln.none",
        "entropy|all|ln|none|without_forerunners": "did_without_forerunners.chain_ln.none",
        "entropy|all|ln|lagged|all": "did_lagged.chain_ln.lagged",
        "entropy|all|mean_ln|x|all": "did_mean_ln.chain_mean_ln.x",
    }
    cells, _ = estimated(frame, [s for s in declared if s.name in wanted], settings)
    for name, spec_id in wanted.items():
        model = specification(spec_id)
        own = designs.fit(model, run.sample_of(model, real_rows, specs.models().treatments, settings), settings, "CRV1")
        assert cells.loc[name, "estimate"] == pytest.approx(own.att, abs=1e-9), name


def test_places_follow_the_estimates(frame, declared, settings):
    cells, tests = estimated(frame, declared[::40], settings)
    ordered = cells.sort_values("x")
    assert ordered["x"].tolist() == list(range(1, len(cells) + 1))
    assert ordered["estimate"].round(8).is_monotonic_increasing
    assert set(tests) == {"median", "share_significant", "share_same_sign", "average_z"}
    assert tests["share_same_sign"]["statistic"] == max((cells["estimate"] > 0).mean(), (cells["estimate"] < 0).mean())
    assert tests["median"]["statistic"] == pytest.approx(abs(cells["estimate"].median()))


def test_a_small_curve_by_brute_force(settings):
    """Two specifications, every choice of two hubs of six, each by its own regressions."""
    rng = np.random.default_rng(9)
    small = pd.DataFrame([(u, y) for u in "abcdefg" for y in (2019, 2020, 2022)], columns=["province_code", "year"])
    small["cluster"] = small["province_code"].replace({"g": "a"})
    small["hub_post"] = (small["cluster"].isin(["a", "b"]) & (small["year"] >= 2022)).astype(float)
    small[["v", "w"]] = rng.normal(size=(len(small), 2))
    small["late"] = small["year"] >= 2020
    asked = [Specification("v", "v"), Specification("w", "w", sample="late")]
    cells, tests = estimated(small, asked, settings, draws=999)
    estimates, statistics = [], []
    for hubs in combinations("abcdef", 2):
        drawn = small.assign(treated=(small["cluster"].isin(hubs) & (small["year"] >= 2022)).astype(float))
        keys = {"unit": "province_code", "time": "year", "cluster": "cluster"}
        fits = [
            two_way_fe(rows, outcome, "treated", **keys)
            for outcome, rows in (("v", drawn), ("w", drawn[drawn["late"]]))
        ]
        estimates.append([f.att for f in fits])
        statistics.append([abs(f.att / f.std_error) for f in fits])
    b, t = np.array(estimates), np.array(statistics)  # the first assignment is the observed one
    for at, name in enumerate(("v", "w")):
        assert cells.loc[name, "estimate"] == pytest.approx(b[0, at])
        assert cells.loc[name, "p_randomization"] == pytest.approx(np.mean(t[:, at] >= t[0, at] * TIE))
    median = np.abs(np.median(b, axis=1))
    assert tests["median"]["p_value"] == pytest.approx(np.mean(median >= median[0] * TIE))
    assert (tests["median"]["draws"], tests["median"]["exact"]) == (15, True)
