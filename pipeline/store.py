"""Every table and result file is read and written here: key, order, types, rounding, atomic replace, summary log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import orphaned
from pipeline.errors import StoreError

ROOT = Path(__file__).resolve().parents[1]
_PART = ".part"
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make its folder writable"),
}


@dataclass(frozen=True)
class Table:
    """Where a table lives and what makes its rows unique.

    Attributes
    ----------
    path : str
        Parquet file, relative to the project.
    key : tuple of str
        Columns that identify a row; rows are kept in their order.
    optional : tuple of str
        Key columns that may be missing, where they do not apply.
    csv : bool
        Whether a CSV of the same name stands beside it (the committed, citable tables).
    """

    path: str
    key: tuple[str, ...]
    optional: tuple[str, ...] = ()
    csv: bool = False


PARTS = {
    "estimates": ("spec_id", "term", "event_time", "cohort"),
    "tests": ("spec_id", "term", "method"),
    "values": ("view_id", "row", "column"),
}
OPTIONAL = ("event_time", "cohort")
TEXT = {"spec_id", "term", "method", "view_id", "row", "column", "text", "reason", "estimator", "outcome"}
TEXT |= {"fixed_effects", "controls", "covariance", "sample", "data_sha256", "plan_sha256"}
COUNT = {"event_time", "cohort", "draws", "n_obs", "n_units", "n_treated", "n_clusters", "n_treated_clusters"}
KINDS = dict.fromkeys(TEXT, "str") | dict.fromkeys(COUNT, "Int64") | {"exact": "boolean"}
COLUMNS = {
    name: {c: KINDS.get(c, "float64") for c in columns}
    for name, columns in {
        "estimates": (
            *PARTS["estimates"], "estimator", "outcome", "estimate", "std_error", "df", "ci_low", "ci_high", "p_value",
            "ci90_low", "ci90_high", "band_low", "band_high", "std_error_crv1", "mde", "mde_sd", "power_05", "power_10",
            "n_obs", "n_units", "n_treated", "n_clusters", "n_treated_clusters", "fixed_effects", "controls",
            "covariance", "sample", "outcome_mean", "outcome_sd", "data_sha256", "plan_sha256",
        ),
        "tests": (
            *PARTS["tests"], "estimate", "statistic", "df1", "df2", "p_value", "ci_low", "ci_high", "draws", "exact",
            "reason",
        ),
        "values": (*PARTS["values"], "x", "value", "low", "high", "text"),
    }.items()
}  # fmt: skip
TABLES = {
    "panel": Table("data/panel/panel.parquet", ("province_code", "year")),
    **{
        f"{name}_{variant}": Table(f"data/panel/variants/{name}_{variant}.parquet", ("province_code", "year"))
        for name in ("panel", "indices")
        for variant in ("uncorrected", "census4", "first_release")
    },
    "industries": Table("data/panel/industries.parquet", ("province_code", "industry", "year")),
    "units": Table("data/panel/units.parquet", ("province_code",)),
    "links": Table("data/panel/links.parquet", ("kind", "source", "target")),
    "input_output": Table("data/panel/input_output.parquet", ("year", "origin", "supplier", "user")),
    "exposures": Table("data/panel/exposures.parquet", ("industry",)),
    "exposures_employment": Table("data/panel/exposures_employment.parquet", ("industry",)),
    "indices": Table("data/panel/indices.parquet", ("province_code", "year")),
    "index_variants": Table("data/panel/variants/index_variants.parquet", ("province_code", "year")),
} | {name: Table(f"results/estimates/{name}.parquet", key, OPTIONAL, csv=True) for name, key in PARTS.items()}
HASHES = "data/panel/hashes.json"


# The corrected panel, the figures as published, and two older vintages of GDP in place of the newest.
VARIANTS = {
    "corrected": "",
    "uncorrected": "_uncorrected",
    "gdp_census4": "_census4",
    "gdp_first_release": "_first_release",
}


def load_rows(data: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return panel, indices, units and links; ``data`` is one of ``VARIANTS``."""
    suffix = VARIANTS[data]
    return load(f"panel{suffix}"), load(f"indices{suffix}"), load("units"), load("links")


def part(stage: str, name: str) -> Table:
    """Return the cached part of one tidy file that ``stage`` contributes."""
    return Table(f"data/estimates/{stage}_{name}.parquet", PARTS[name], OPTIONAL)


def part_frame(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows of a tidy file all of its columns, in order and with their types.

    Raises
    ------
    StoreError
        A column is not one of the file's.
    """
    kinds = COLUMNS[name]
    unknown = sorted(set(rows.columns) - set(kinds))
    if unknown:
        raise StoreError(f"{name}: unknown column(s) {', '.join(unknown)}.")
    return rows.reindex(columns=list(kinds)).astype(kinds)


def round_significant(values: pd.Series, digits: int = 8) -> pd.Series:
    """Round floats to ``digits`` significant digits; |x| < 1e-12 · max|column| becomes 0.

    Eight digits are what every BLAS kernel, thread count and Python agree on for this project's numbers.
    """
    x = values.to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(x) & (x != 0)
    if not finite.any():
        return pd.Series(x, index=values.index, name=values.name)
    x = np.where(finite & (np.abs(x) < 1e-12 * np.abs(x[finite]).max()), 0.0, x)
    rounded = [float(f"{v:.{digits - 1}e}") if np.isfinite(v) else v for v in x.tolist()]
    return pd.Series(rounded, index=values.index, name=values.name, dtype=float) + 0.0


def _resolve(table: str | Table) -> Table:
    return TABLES[table] if isinstance(table, str) else table


def load(table: str | Table, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table that an earlier stage saved."""
    path = ROOT / _resolve(table).path
    if not path.exists():
        raise StoreError(f"{_resolve(table).path} does not exist: run `dvc repro` to build it.")
    return pd.read_parquet(path, columns=columns)


def load_hashes() -> dict[str, Any]:
    """Return ``data_sha256`` and ``plan_sha256`` as stage ``check`` wrote them."""
    path = ROOT / HASHES
    if not path.exists():
        raise StoreError(f"{HASHES} does not exist: run `dvc repro` to build it.")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def save(table: str | Table, frame: pd.DataFrame, *, raw: tuple[str, ...] = ()) -> None:
    """Check the key, sort, round computed floats, replace the file atomically and write its summary log.

    Parameters
    ----------
    table : str or Table
        A name of ``TABLES`` or a ``part``.
    frame : DataFrame
        The rows; every key column is present and has no missing value.
    raw : tuple of str
        Columns that pass untouched: published figures.

    Raises
    ------
    StoreError
        A key column is absent, a key repeats or is missing, or the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _resolve(table)
    frame = _ordered(table, frame)
    for column in frame.columns:
        if column not in raw and pd.api.types.is_float_dtype(frame[column]):
            frame[column] = round_significant(frame[column])
    arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(table.path) as path:
        pq.write_table(arrow, path, compression="zstd")
    if table.csv:
        write_csv(str(Path(table.path).with_suffix(".csv")), frame)
    if table in TABLES.values() and "variants" not in table.path:
        write_csv(f"results/log/{Path(table.path).stem}.csv", _summary(frame))


def _ordered(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    absent = [k for k in table.key if k not in frame.columns]
    if absent:
        raise StoreError(f"{table.path}: key column(s) {', '.join(absent)} are absent.")
    keys = frame[list(table.key)]
    without = keys.drop(columns=list(table.optional), errors="ignore").isna().any(axis=1)
    if without.any():
        raise StoreError(f"{table.path}: {int(without.sum())} row(s) lack a key value.")
    twice = keys[keys.duplicated()]
    if len(twice):
        shown = "; ".join(", ".join(map(str, row)) for row in twice.head(5).itertuples(index=False))
        raise StoreError(
            f"{table.path}: {len(twice)} key(s) occur more than once: {shown}. Key: {', '.join(table.key)}."
        )
    return frame.sort_values(list(table.key), kind="stable").reset_index(drop=True)


def _summary(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in frame.columns:
        column = frame[name]
        row: dict[str, object] = {"column": name, "rows": len(column), "missing": int(column.isna().sum())}
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numbers = column.astype(float)
            row |= {"mean": numbers.mean(), "sd": numbers.std(), "min": numbers.min(), "max": numbers.max()}
        else:
            row |= {"distinct": column.nunique()}
        rows.append(row)
    log = pd.DataFrame(rows, columns=["column", "rows", "missing", "distinct", "mean", "sd", "min", "max"])
    log["distinct"] = log["distinct"].astype("Int64")
    for name in ("mean", "sd", "min", "max"):
        log[name] = round_significant(log[name].astype(float))
    return log


def write_csv(path: str, frame: pd.DataFrame) -> None:
    """Write a frame as UTF-8 CSV with LF line ends, atomically."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def write_text(path: str, text: str) -> None:
    """Write a text file as UTF-8 with LF line ends, atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: str, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as target:
        target.write_bytes(content)


def keep_only(folder: str, names: set[str]) -> None:
    """Remove from a result folder what no specification names any more."""

    def remove() -> None:
        for path in sorted((ROOT / folder).glob("*")):
            if path.name not in names:
                path.unlink()

    _when_complete(remove)


class _Held:
    """What ``together`` holds back: temporary files, and the changes that end them."""

    def __init__(self) -> None:
        self.active = False
        self.changes: list[Callable[[], None]] = []
        self.temporary: list[Path] = []


_HELD = _Held()


def _when_complete(change: Callable[[], None]) -> None:
    """Make a change now, or inside ``together`` when all has been written."""
    if _HELD.active:
        _HELD.changes.append(change)
    else:
        change()


def discard() -> None:
    """Drop what ``together`` holds back."""
    for path in _HELD.temporary:
        path.unlink(missing_ok=True)
    _HELD.active, _HELD.changes, _HELD.temporary = False, [], []


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Hold back every replacement and removal until the block has succeeded.

    A stage that fails at its last file, on a full disk say, leaves the results of the earlier build as
    they were. Parts that a killed build left behind are removed first.
    """
    for folder in ("data", "results", "notebooks"):
        for part in (ROOT / folder).rglob(f".*{_PART}"):
            part.unlink(missing_ok=True)
    _HELD.active = True
    try:
        yield
        changes, _HELD.active = _HELD.changes, False
        for change in changes:
            change()
    finally:
        discard()


@contextlib.contextmanager
def replacing(path: str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (relative to the project) that replaces it on success.

    Raises
    ------
    StoreError
        The run that started this process has ended (a killed build must not write later), or the
        file system refuses: full, read-only, no permission.
    """
    target = ROOT / path
    _check_parent(path)
    with _one_line(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_PART, dir=target.parent)
        os.close(handle)
    temporary = Path(name)

    def replace() -> None:
        _check_parent(path)
        with _one_line(path):
            temporary.replace(target)

    if _HELD.active:
        _HELD.temporary.append(temporary)
    try:
        with _one_line(path):
            yield temporary
            temporary.chmod(0o644)
        _when_complete(replace)
    finally:
        if not _HELD.active:
            temporary.unlink(missing_ok=True)


def _check_parent(path: str) -> None:
    if orphaned():
        raise StoreError(f"{path} was not written: the build that started this stage has ended. Run `dvc repro` again.")


@contextlib.contextmanager
def _one_line(path: str) -> Iterator[None]:
    """Turn a refusal of the file system into one line: which file, why, what to do."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        advice = _ADVICE.get(error.errno or 0, "put that right")
        raise StoreError(
            f"{path} cannot be written: {reason}. Earlier results are untouched: {advice}, then run this again."
        ) from error
