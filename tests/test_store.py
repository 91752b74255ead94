"""The store: key, order, rounding, atomic replacement, refusal after a killed build."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import store
from pipeline.errors import StoreError


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    return tmp_path


TOY = store.Table("data/toy.parquet", ("code", "year"), csv=True)


def frame(**more):
    return pd.DataFrame({"code": ["b", "a", "a"], "year": [2020, 2021, 2020], "x": [1 / 3, 2.0, np.nan]} | more)


def test_saved_rows_are_sorted_rounded_and_reread():
    store.save(TOY, frame())
    got = store.load(TOY)
    assert list(zip(got["code"], got["year"], strict=True)) == [("a", 2020), ("a", 2021), ("b", 2020)]
    assert got["x"].tolist()[1:] == [2.0, 0.33333333]


def test_published_columns_pass_untouched():
    store.save(TOY, frame(), raw=("x",))
    assert store.load(TOY)["x"].tolist()[2] == 1 / 3


def test_parquet_carries_no_pandas_metadata(project):
    store.save(TOY, frame())
    assert pq.read_schema(project / TOY.path).metadata is None


def test_row_order_does_not_change_the_bytes(project):
    store.save(TOY, frame())
    first = (project / TOY.path).read_bytes(), (project / "data/toy.csv").read_bytes()
    store.save(TOY, frame().iloc[::-1])
    assert ((project / TOY.path).read_bytes(), (project / "data/toy.csv").read_bytes()) == first


def test_rounding_keeps_eight_digits_and_clears_noise():
    got = store.round_significant(pd.Series([123456789.123, -2 / 3, 1e-5, -0.0, np.nan, np.inf]))
    assert got.tolist()[:4] == [123456790.0, -0.66666667, 0.0, 0.0]
    assert np.isnan(got[4]) and np.isinf(got[5])
    assert not np.signbit(got[3])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame(code=["a", "a", "a"], year=[2020, 2020, 2021]), "occur more than once: a, 2020"),
        (frame(code=["a", None, "b"]), "1 row.s. lack a key"),
        (frame().drop(columns="year"), "key column.s. year are absent"),
    ],
)
def test_bad_keys_are_refused_and_leave_the_file(project, rows, message):
    store.save(TOY, frame())
    before = (project / TOY.path).read_bytes()
    with pytest.raises(StoreError, match=message):
        store.save(TOY, rows)
    assert (project / TOY.path).read_bytes() == before


def test_a_failure_while_writing_leaves_the_earlier_file(project):
    store.write_text("results/a.txt", "old")
    with pytest.raises(RuntimeError), store.replacing("results/a.txt") as path:
        path.write_text("half")
        raise RuntimeError
    assert (project / "results/a.txt").read_text() == "old"
    assert [p.name for p in (project / "results").iterdir()] == ["a.txt"]


def test_an_orphaned_stage_does_not_write(monkeypatch):
    monkeypatch.setattr(pipeline, "_STARTERS", (-1,))
    with pytest.raises(StoreError, match="has ended"):
        store.write_text("results/a.txt", "late")


def test_a_folder_that_cannot_be_written_is_one_line(project):
    (project / "results").write_text("a file where a folder is wanted")
    with pytest.raises(StoreError, match=r"results/a.txt cannot be written: .*Earlier results are untouched"):
        store.write_text("results/a.txt", "x")


def test_missing_table_says_what_to_do():
    with pytest.raises(StoreError, match="dvc repro"):
        store.load("panel")


def test_tidy_parts_get_their_columns_and_refuse_others():
    got = store.part_frame("values", pd.DataFrame({"view_id": ["v"], "row": ["r"], "column": ["c"], "value": [1]}))
    assert list(got.columns) == ["view_id", "row", "column", "x", "value", "low", "high", "text"]
    with pytest.raises(StoreError, match=r"unknown column\(s\) extra"):
        store.part_frame("values", pd.DataFrame({"extra": [1]}))


def test_summary_log_shows_a_change_in_data(project):
    table = {"province_code": ["a", "b"], "year": [2020, 2020], "x": [1.0, 3.0]}
    store.save("panel", pd.DataFrame(table))
    log = pd.read_csv(project / "results/log/panel.csv").set_index("column")
    assert log.loc["x", "mean"] == 2
    assert log.loc["province_code", "distinct"] == 2
    assert log.loc["x", "missing"] == 0


def test_keep_only_removes_what_no_specification_names(project):
    for name in ("T1.md", "T9.md"):
        store.write_text(f"results/tables/{name}", "")
    store.keep_only("results/tables", {"T1.md"})
    assert [p.name for p in (project / "results/tables").iterdir()] == ["T1.md"]
