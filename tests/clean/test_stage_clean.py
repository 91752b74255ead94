"""The whole stage: what it saves, and that a planted error leaves what an earlier run saved."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline import specs, store
from pipeline.clean import stage_clean
from pipeline.errors import ValidationError
from tests.clean.helpers import copy_raw, edit

OUTS = (
    "data/panel/panel.parquet",
    "data/panel/industries.parquet",
    "data/panel/units.parquet",
    "data/panel/links.parquet",
    "data/panel/input_output.parquet",
    "data/estimates/clean_values.parquet",
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    copy_raw(tmp_path / "data" / "raw", "official", "policy", "geography", "io")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    return tmp_path


def test_stage_saves_its_tables_and_an_error_leaves_them(root):
    stage_clean.main()
    known = specs.dictionary()
    panel = pd.read_parquet(root / OUTS[0])
    assert panel.columns.tolist() == ["province_code", "year", *known]
    assert len(panel) == 31 * 20
    published = [k for k, v in known.items() if not v.derived]
    assert panel[published].notna().to_numpy().sum() == 37593 - 39
    industries = pd.read_parquet(root / OUTS[1])
    assert len(industries) == 31 * 9 * 9 and industries["value_added"].gt(0).all()
    assert industries.groupby(["province_code", "industry"])["year"].agg(["min", "max"]).eq([2016, 2024]).all(axis=None)
    before = {out: (root / out).read_bytes() for out in OUTS}
    edit(
        root / "data/raw/official/population.csv",
        *[f"population,540000,2020,{v},1e4 persons" for v in ("366", "3660000")],
    )
    with pytest.raises(ValidationError, match=r"population, 540000 Tibet, 2020: 3660000, .*probably in persons"):
        stage_clean.main()
    assert {out: (root / out).read_bytes() for out in OUTS} == before
