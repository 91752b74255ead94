"""Readers of ``data/raw``: bytes to frames, refusing by name what is not as recorded or not as declared."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.clean.formats import FIGURES
from pipeline.errors import FormatError, ManifestError

MANIFEST = "MANIFEST.sha256"
SHOWN = 20  # row numbers named in one message before it only counts


def verify_manifest(raw: Path) -> str:
    """Compare every file under ``raw`` with its recorded sha256.

    Parameters
    ----------
    raw : Path
        The folder of raw figures; its ``MANIFEST.sha256`` has one line ``<sha256>  <relative path>`` a file.

    Returns
    -------
    str
        sha256 of the manifest itself: it changes when any raw file does.

    Raises
    ------
    ManifestError
        Names each file that is missing, is not listed, or does not match. Hidden files are ignored.
    """
    path = raw / MANIFEST
    if not path.exists():
        raise ManifestError(f"data/raw/{MANIFEST} is missing: restore it from the repository.")
    content = path.read_bytes()
    recorded: dict[str, str] = {}
    for number, line in enumerate(_decode(content, f"data/raw/{MANIFEST}").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None:
            raise ManifestError(f"data/raw/{MANIFEST}, line {number}: expected '<sha256>  <path>', found {line!r}.")
        recorded[match[2]] = match[1]
    present = {
        p.relative_to(raw).as_posix(): p for p in raw.rglob("*") if p.is_file() and p != path and p.name[0] != "."
    }
    problems = [f"{name} is missing" for name in sorted(recorded.keys() - present.keys())]
    problems += [f"{name} is not listed" for name in sorted(present.keys() - recorded.keys())]
    for name in sorted(recorded.keys() & present.keys()):
        found = hashlib.sha256(present[name].read_bytes()).hexdigest()
        if found != recorded[name]:
            problems.append(f"{name} does not match: its sha256 is {found}, recorded {recorded[name]}")
    if problems:
        head = f"{len(problems)} file(s) of data/raw differ from data/raw/{MANIFEST}."
        what = "Restore them from the repository; to record a change made on purpose: python -m pipeline.record"
        raise ManifestError("\n".join([f"{head} {what}", *(f"  {p}" for p in problems)]))
    return hashlib.sha256(content).hexdigest()


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            content.decode("gb18030")
        except UnicodeDecodeError:
            raise FormatError(f"{name} is not valid UTF-8 at byte {error.start}: save it as UTF-8.") from error
        raise FormatError(f"{name} is encoded in GBK, expected UTF-8: save it as UTF-8.") from error


def table(path: Path, columns: dict[str, str], *, called: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read one CSV file (or .csv.gz) with declared columns.

    Parameters
    ----------
    path : Path
        The file; it is named in messages by its last two parts.
    columns : dict of str
        Column name to ``"text"``, ``"int"``, ``"float"``, or ``"float?"`` where a blank is a missing value; all are
        required and no other is allowed.
    called : mapping of str, optional
        What a column is called from here on, by its name in the file.

    Returns
    -------
    DataFrame
        The declared columns, after ``file`` and ``row``: line number in the file, the header being 1.

    Raises
    ------
    FormatError
        The file is absent, is not UTF-8, lacks a column or has an unknown one, or a number is no finite number.
    """
    name = "/".join(path.parts[-2:])
    if not path.exists():
        raise FormatError(f"{name} does not exist. Expected a CSV file with columns {', '.join(columns)}.")
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        frame = pd.read_csv(io.StringIO(_decode(content, name)), dtype=str, keep_default_na=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FormatError(f"{name} is not a CSV file with columns {', '.join(columns)}: {error}") from error
    lacking = [c for c in columns if c not in frame.columns]
    unknown = [c for c in frame.columns if c not in columns]
    if lacking or unknown:
        parts = [f"lacks column(s) {', '.join(lacking)}"] if lacking else []
        parts += [f"has unknown column(s) {', '.join(unknown)}"] if unknown else []
        raise FormatError(f"{name} {' and '.join(parts)}. Expected: {', '.join(columns)}.")
    frame = frame[list(columns)]
    rows = pd.Series(np.arange(2, len(frame) + 2), index=frame.index)
    problems: list[str] = []
    for column, kind in columns.items():
        if kind != "text":
            frame = frame.assign(**{column: _numbers(frame[column], kind, rows, problems)})
    if problems:
        raise FormatError("\n".join([f"{name} has values that are not numbers:", *problems]))
    frame = frame.rename(columns=dict(called or {}))
    frame.insert(0, "file", name)
    frame.insert(1, "row", rows)
    return frame


def _numbers(text: pd.Series, kind: str, rows: pd.Series, problems: list[str]) -> pd.Series:
    values = pd.to_numeric(text, errors="coerce").astype(float)
    bad = ~np.isfinite(values) | ((values % 1 != 0) if kind == "int" else False)
    if kind == "float?":
        bad &= text != ""
    if bad.any():
        shown = ", ".join(f"row {r}: {t!r}" for r, t in zip(rows[bad].head(SHOWN), text[bad].head(SHOWN), strict=True))
        more = f" and {int(bad.sum()) - SHOWN} more" if bad.sum() > SHOWN else ""
        problems.append(
            f"  column {text.name}, expected {'whole numbers' if kind == 'int' else 'numbers'}: {shown}{more}"
        )
        return values
    return values.astype("int64") if kind == "int" else values


def figures(folder: Path) -> pd.DataFrame:
    """Read every file of published figures in ``folder``, one under the other.

    Returns
    -------
    DataFrame
        Columns ``file, row, variable, province_code, year, value, unit``, one row a figure.

    Raises
    ------
    FormatError
        Gathers what is wrong in all files; or there is no file.
    """
    frames: list[pd.DataFrame] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.csv")):
        try:
            frames.append(table(path, FIGURES))
        except FormatError as error:
            problems.append(str(error))
    if problems:
        raise FormatError("\n".join(problems))
    if not frames:
        raise FormatError(f"{'/'.join(folder.parts[-2:])} holds no CSV file of figures.")
    return pd.concat(frames, ignore_index=True)
