"""The real panel, built from the raw figures of the checkout into a temporary folder."""

from __future__ import annotations

import shutil

import pytest

from pipeline import specs, store
from pipeline.clean import stage_clean
from pipeline.estimate import designs, samples
from pipeline.indices import stage_indices


@pytest.fixture(scope="session")
def load_real(tmp_path_factory):
    """Return a function that calls another with the store at the built panel."""
    root = tmp_path_factory.mktemp("panel")
    shutil.copytree(store.ROOT / "data" / "raw", root / "data" / "raw")

    def call(function, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "ROOT", root)
            return function(*arguments)

    call(stage_clean.main)
    call(stage_indices.main)
    return call


@pytest.fixture(scope="session")
def real_rows(load_real):
    """Panel, indices and attributes of the units, one row a province and year."""
    return samples.merge(*load_real(store.load_rows, "corrected"))


@pytest.fixture(scope="session")
def index_variants(load_real):
    """Every variant of the chain index, one row a province and year."""
    return load_real(store.load, "index_variants")


@pytest.fixture(scope="session")
def borders(load_real):
    """Land borders between provinces: source, target."""
    links = load_real(store.load, "links")
    return links.loc[links["kind"] == "adjacency", ["source", "target"]]


@pytest.fixture(scope="session")
def settings():
    return designs.Settings(**specs.settings(), data_sha256="", plan_sha256="")


@pytest.fixture(scope="session")
def specification():
    """Return a function that finds a specification by its id."""
    by_id = {m.spec_id: m for m in specs.models().specifications}
    return by_id.__getitem__
