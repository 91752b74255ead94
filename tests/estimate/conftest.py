"""The real panel, built from the raw figures of the checkout into a temporary folder."""

from __future__ import annotations

import shutil

import pytest

from pipeline import specs, store
from pipeline.clean import stage_clean
from pipeline.estimate import designs, samples
from pipeline.indices import stage_indices


@pytest.fixture(scope="session")
def real_rows(tmp_path_factory):
    """Panel, indices and attributes of the units, one row a province and year."""
    root = tmp_path_factory.mktemp("panel")
    shutil.copytree(store.ROOT / "data" / "raw", root / "data" / "raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROOT", root)
        stage_clean.main()
        stage_indices.main()
        return samples.merge(*store.load_rows("corrected"))


@pytest.fixture(scope="session")
def settings():
    return designs.Settings(**specs.settings(), data_sha256="", plan_sha256="")


@pytest.fixture(scope="session")
def specification():
    """Return a function that finds a specification by its id."""
    by_id = {m.spec_id: m for m in specs.models().specifications}
    return by_id.__getitem__
