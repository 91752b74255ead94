"""Balancing: every set of covariates once, and the reason where no weights exist."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline import specs
from pipeline.estimate import balancing, designs, run

NAMES = ("p", "q", "r")
LABELS = {name: {"zh": f"中{name}", "en": f"English {name}"} for name in NAMES}


@pytest.fixture
def provinces():
    """Hubs at the origin of p and q, inside the controls; r of the hubs lies beyond every control."""
    controls = pd.DataFrame({"p": [-1.0, 1, -1, 1], "q": [-1.0, -1, 1, 1], "r": [0.0, 0.5, 1, 0.2]})
    hubs = pd.DataFrame({"p": [-0.5, 0.5], "q": [0.25, -0.25], "r": [2.0, 3.0]})
    return pd.concat([controls, hubs], ignore_index=True), pd.Series([0.0] * 4 + [1.0] * 2)


def test_every_subset_comes_once_the_smaller_first():
    found = list(balancing.subsets(NAMES))
    assert len(found) == len({frozenset(names) for names in found}) == 7
    assert [len(names) for names in found] == [1, 1, 1, 2, 2, 2, 3]


def test_feasible_sets_have_weights_and_others_a_reason(provinces):
    view = balancing.feasibility(*provinces, LABELS)
    view = view[view["view_id"] == "balancing"]
    cells = {field: view.pivot(index="row", columns="column", values=field) for field in ("value", "text")}
    numbers, texts = cells["value"], cells["text"]
    assert set(numbers.index) == {"p", "q", "r", "p+q", "p+r", "q+r", "p+q+r"}
    assert sorted(numbers["order"]) == [1, 2, 3, 4, 5, 6, 7]
    for row in numbers.index:
        assert numbers.loc[row, "feasible"] == float("r" not in row)
        assert (texts.loc[row, "reason"] == texts.loc[row, "reason"]) == ("r" in row)  # nan where there is none
        assert texts.loc[row, "names_en"].count("English") == numbers.loc[row, "size"]
    assert "'r'" in texts.loc["p+r", "reason"]
    assert numbers.loc["p+q", "effective_controls"] == pytest.approx(4)
    assert numbers.loc["p+q", "largest_weight"] == pytest.approx(0.25)
    assert numbers.loc["r", "gap"] == pytest.approx(2.5 - 0.425)
    assert texts.loc["p+r", "set"] == "p, r"
    assert texts["outside"].dropna().to_dict() == dict.fromkeys(("r", "p+r", "q+r", "p+q+r"), "r")


def test_covariates_within_their_ranges_may_still_not_be_balanced_together():
    controls = pd.DataFrame({"p": [0.0, 1, 0.9], "q": [0.0, 1, 0.9]})
    hubs = pd.DataFrame({"p": [0.2], "q": [0.8]})
    covariates, hub = pd.concat([controls, hubs], ignore_index=True), pd.Series([0.0, 0, 0, 1])
    view = balancing.feasibility(covariates, hub, LABELS)
    outside = view[(view["view_id"] == "balancing") & (view["column"] == "outside")].set_index("row")["text"]
    assert outside.to_dict() == {"p+q": "together"}
    ranges = view[view["view_id"] == "balancing_covariates"].pivot(index="row", columns="column", values="value")
    assert ranges.loc["q", ["mean_hub", "low", "high", "order"]].tolist() == [0.8, 0.0, 1.0, 2.0]
    assert ranges.loc["p", "gap"] == pytest.approx(0.2 - 1.9 / 3)


def test_region_support_is_the_estimate_with_region_effects():
    """The weights of the regions, times their own differences, are the coefficient with region × year effects."""
    rng = np.random.default_rng(2)
    region = ["east"] * 6 + ["west"] * 5 + ["north"] * 2
    hub = ["A", "A", "B", "", "", "", "C", "", "", "", "", "", ""]
    units = pd.DataFrame({"region": region, "hub": hub, "province_code": [f"{n:02d}" for n in range(13)]})
    support = balancing.regions(units).pivot(index="row", columns="column", values="value")
    assert support.loc["east"].to_dict() == pytest.approx(
        {"hub_provinces": 3, "control_provinces": 3, "hubs": 2, "effective_hubs": 9 / 5, "weight": 1.5 / 2.3}
    )
    assert support.loc["north", ["effective_hubs", "weight"]].tolist() == [0, 0]
    units["y"], units["hubs"] = rng.normal(size=13), (units["hub"] != "").astype(float)
    design = np.column_stack([units["hubs"], pd.get_dummies(units["region"], dtype=float)])
    slope = np.linalg.lstsq(design, units["y"], rcond=None)[0][0]
    means = units.pivot_table(index="region", columns="hubs", values="y")
    gaps = (means[1.0] - means[0.0]).fillna(0.0)
    assert support["weight"] @ gaps.loc[support.index] == pytest.approx(slope)


def test_without_each_cluster_there_is_an_estimate_or_a_reason(real_rows, settings, specification):
    model = specification("balanced.chain_ln.none")
    frame = run.sample_of(model, real_rows, specs.models().treatments, settings)
    view = balancing.without_each(model, frame, settings)
    estimates = view[view["column"] == "estimate"].set_index("row")["value"]
    reasons = view[view["column"] == "reason"].set_index("row")["text"]
    assert len(estimates) == 24
    assert list(reasons.index) == ["balanced.chain_ln.none|350000"]  # Fujian
    assert "x_gdp_per_capita" in reasons.iloc[0]
    assert view.loc[view["column"] == "outcome", "text"].tolist() == ["no solution"]
    left = frame[frame["cluster"] != "NM"].reset_index(drop=True)
    assert estimates["balanced.chain_ln.none|NM"] == pytest.approx(designs.fit(model, left, settings, "CRV1").att)
