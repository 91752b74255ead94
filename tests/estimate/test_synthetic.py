"""Synthetic DiD and controls on the real panel: weights, paths, gaps and ranks fit together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from pipeline import specs
from pipeline.econometrics import synthetic_did
from pipeline.estimate import designs, run, synthetic

HUBS = ("CY", "GBA", "GS", "GZ", "JJJ", "NM", "NX", "YRD")
PRE, POST = ("2013", "2014", "2015", "2016", "2018", "2019", "2020"), ("2022", "2023")


@pytest.fixture(scope="module")
def model(specification):
    return specification("sdid.chain_ln.none")


@pytest.fixture(scope="module")
def frame(model, real_rows, settings):
    return run.sample_of(model, real_rows, specs.models().treatments, settings)


@pytest.fixture(scope="module")
def rows(model, real_rows, settings):
    return pd.concat(synthetic.views(model, real_rows, specs.models().treatments, settings))


@pytest.fixture(scope="module")
def views(rows):
    """The views by name, each a table of its rows and columns."""
    return {name: part.pivot(index="row", columns="column", values="value") for name, part in rows.groupby("view_id")}


def test_the_weights_are_shares(views):
    weights = views["sdid_weights"]
    for kind, number in (("unit", 17), ("time", 7)):
        own = weights.loc[kind].dropna()
        assert len(own) == number
        assert own.sum() == pytest.approx(1) and own.min() >= -1e-12
    donors = views["synthetic_donors"]
    assert donors.shape == (8, 17)
    np.testing.assert_allclose(donors.sum(axis=1), 1)
    assert donors.min(axis=None) >= -1e-12


def test_synthetic_did_is_the_gap_to_its_counterfactual(model, frame, settings, views):
    estimate = designs.fit(model, frame, settings, "CRV3")
    paths = views["sdid_path"]
    after = (paths.loc["treated", list(POST)] - paths.loc["counterfactual", list(POST)]).mean()
    assert estimate.att == pytest.approx(after, abs=1e-10)
    before = paths.loc["treated", list(PRE)] - paths.loc["counterfactual", list(PRE)]
    assert before @ views["sdid_weights"].loc["time", list(PRE)] == pytest.approx(0, abs=1e-10)
    outcome = frame.pivot(index="province_code", columns="year", values="chain_ln")
    weights = views["sdid_weights"].loc["unit"].dropna()
    np.testing.assert_allclose(paths.loc["synthetic"], weights @ outcome.loc[weights.index], atol=1e-12)


def test_its_interval_is_of_the_hub_jackknife(model, frame, settings):
    estimate = designs.fit(model, frame, settings, "CRV3")
    assert (estimate.df, estimate.n_clusters) == (24, 25)
    low, high = estimate.att + np.array([-1, 1]) * t.ppf(0.975, 24) * estimate.std_error
    assert estimate.ci == pytest.approx((low, high))
    assert estimate.p_value == pytest.approx(2 * t.sf(abs(estimate.att / estimate.std_error), 24))


def test_both_solvers_print_the_same_digits(frame, settings):
    """Table A21 says so."""
    shared = {"unit": "province_code", "time": "year", "treatment": "hub_post", "inference": "jackknife"}
    shared |= {"cluster": "cluster", "recompute": True}
    found = [synthetic_did(frame, "chain_ln", solver=solver, **shared) for solver in ("exact", "frank_wolfe")]
    assert len({(f"{e.att:.3f}", f"{e.std_error:.3f}") for e in found}) == 1


def test_each_hub_has_its_gap_and_rank(views):
    table, paths, gaps = views["synthetic_control"], views["synthetic_path"], views["synthetic_gaps"]
    assert tuple(table.index) == HUBS
    assert len(gaps) == 8 + 17
    ratio = np.sqrt((gaps[list(POST)] ** 2).mean(axis=1) / (gaps[list(PRE)] ** 2).mean(axis=1))
    placebos = ratio.drop(index=list(HUBS))
    for hub in HUBS:
        np.testing.assert_allclose(gaps.loc[hub], paths.loc[f"{hub}|actual"] - paths.loc[f"{hub}|synthetic"])
        row = table.loc[hub]
        assert row["estimate"] == pytest.approx(gaps.loc[hub, list(POST)].mean())
        assert row["ratio"] == pytest.approx(ratio[hub], rel=1e-6)
        assert row["rank"] == 1 + (placebos > ratio[hub]).sum()
        assert row["placebos"] == 17
        assert row["p_value"] == pytest.approx(row["rank"] / 18)


@pytest.mark.parametrize("hub", HUBS)
def test_the_donors_are_named_with_their_weights(real_rows, rows, views, hub):
    (said,) = rows.loc[(rows["row"] == hub) & (rows["column"] == "donors_en"), "text"]
    shares = {part.rpartition(" ")[0]: float(part.rpartition(" ")[2]) for part in said.split(", ")}
    names = real_rows.drop_duplicates("province_code").set_index("province_code")["name_en"]
    weights = views["synthetic_donors"].loc[hub].rename(names)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert set(shares) == set(weights.index[weights >= 0.005])
    assert shares == {name: round(weights[name], 2) for name in shares}
