"""Families of hypotheses: who belongs, common draws, and the step-down by regressions and a loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline import specs
from pipeline.econometrics import two_way_fe
from pipeline.estimate import families
from pipeline.specs import Adjustment, Model, Sample

CLUSTERS = {unit: unit for unit in "cdefghij"} | {"a": "A", "b": "A"}
HUBS = ("a", "b", "c", "d")
NONE = Adjustment("none", ("province_code", "year"), "province + year", "", "", "")
ALL = Sample("all", "", "")
DRAWS = 30


def model(outcome):
    return Model(f"m.{outcome}.none", "m", "two_way_fe", outcome, ("hub_post",), NONE, ALL, ())


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        [(u, y) for u in sorted(CLUSTERS) for y in (2019, 2020, 2022)], columns=["province_code", "year"]
    )
    frame["cluster"] = frame["province_code"].map(CLUSTERS)
    frame["hubs"] = frame["province_code"].isin(HUBS).astype(float)
    frame["hub_post"] = frame["hubs"] * (frame["year"] >= 2022)
    common = rng.normal(size=len(frame))
    for number, effect in enumerate((1.5, 0.6, 0.0)):
        frame[f"y{number}"] = common + rng.normal(size=len(frame)) + effect * frame["hub_post"]
    return frame


def by_regressions(frame, outcome, drawn):
    """|t| under every draw, by one regression each."""
    out = []
    for draw in drawn.to_dict("records"):
        treated = frame["cluster"].map(draw).astype(float) * (frame["year"] >= 2022)
        keys = {"unit": "province_code", "time": "year", "cluster": "cluster"}
        fitted = two_way_fe(frame.assign(treated=treated), outcome, "treated", **keys)
        out.append(abs(fitted.att / fitted.std_error))
    return np.array(out)


def step_down(observed, draws):
    """Adjusted p of Romano and Wolf (2005), one hypothesis after the other."""
    order = sorted(observed, key=lambda name: -observed[name])
    found, least = {}, 0.0
    for at, name in enumerate(order):
        largest = np.max([draws[other] for other in order[at:]], axis=0)
        count = np.sum(largest >= observed[name] * (1 - 1e-9))
        least = max(least, (1 + count) / (1 + len(largest)))
        found[name] = least
    return found


def test_the_families_of_the_project_hold_no_outcome_of_x():
    declared = specs.models()
    sizes = {}
    for name, family in declared.families.items():
        members = families.members(declared.specifications, family, "x")
        sizes[name] = len(members)
        assert {m.adjustment.id for m in members} == {"x"}
        assert not {m.outcome for m in members} & {"ln_gdp_per_capita", "tertiary_share", "advancement"}
    assert sizes == {"A": 4, "B": 14, "C": 7}


def test_draws_are_of_clusters_and_keep_the_number_of_hubs(rows):
    drawn = families.assignments(rows, DRAWS, seed=1)
    assert drawn.shape == (DRAWS, 9)
    assert set(drawn.sum(axis=1)) == {3.0}
    assert drawn.equals(families.assignments(rows.sample(frac=1, random_state=1), DRAWS, seed=1))
    assert len(drawn.drop_duplicates()) > 20


def test_the_step_down_is_that_of_a_loop_over_regressions(rows):
    own = [model(f"y{number}") for number in range(3)]
    drawn = families.assignments(rows, DRAWS, seed=1)
    table = pd.DataFrame(families.adjusted(own, [rows] * 3, drawn, seed=1)).set_index(["method", "spec_id"])
    draws = {m.spec_id: by_regressions(rows, m.outcome, drawn) for m in own}
    status = rows.groupby("cluster")["hubs"].first().to_frame().T
    observed = {m.spec_id: by_regressions(rows, m.outcome, status)[0] for m in own}
    wanted = step_down(observed, draws)
    for name, t in observed.items():
        adjusted, alone = table.loc[("romano_wolf", name)], table.loc[("romano_wolf_unadjusted", name)]
        assert abs(adjusted["statistic"]) == pytest.approx(t, rel=1e-9)
        assert adjusted["p_value"] == pytest.approx(wanted[name], abs=1e-12)
        assert alone["p_value"] == pytest.approx((1 + np.sum(draws[name] >= t * (1 - 1e-9))) / (1 + DRAWS), abs=1e-12)
        assert alone["p_value"] <= adjusted["p_value"]
        assert (adjusted["term"], adjusted["draws"]) == ("hub_post", DRAWS)


def test_a_member_that_lacks_a_cluster_keeps_the_draws_of_the_others(rows):
    """The member with all clusters has the p it has alone; the other is regressed on its own clusters, draw by draw."""
    own, without = [model("y0"), model("y1")], rows[rows["cluster"] != "j"]
    drawn = families.assignments(rows, DRAWS, seed=1)
    table = pd.DataFrame(families.adjusted(own, [rows, without], drawn, seed=1)).set_index(["method", "spec_id"])
    draws = {
        "m.y0.none": by_regressions(rows, "y0", drawn),
        "m.y1.none": by_regressions(without, "y1", drawn.drop(columns="j")),
    }
    observed = {name: abs(table.loc[("romano_wolf", name), "statistic"]) for name in draws}
    for name, p in step_down(observed, draws).items():
        assert table.loc[("romano_wolf", name), "p_value"] == pytest.approx(p, abs=1e-12)


def test_a_family_of_one_is_not_adjusted(rows):
    drawn = families.assignments(rows, DRAWS, seed=1)
    first, second = families.adjusted([model("y1")], [rows], drawn, seed=1)
    assert first["p_value"] == second["p_value"]
