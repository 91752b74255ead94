"""Compare the results in the folder with the committed ones: by bytes, and where those differ by value.

``python tests/compare.py [COMMIT]`` (default HEAD) says which of the two it found. Bytes differ where the processor
is another. By value: floats of data files at rtol 1e-6, integers and text exact; numbers of printed files within one
unit of the last printed place; figures by the CSV of their data; notebooks by their sources and text outputs.
Each difference names file, row, column and both values.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("results", "notebooks")
RTOL = 1e-6
PICTURES = {".pdf", ".png", ".svg"}
PRINTED = {".md", ".tex", ".html", ".docx", ".ipynb", ".json", ".txt"}
SHOWN = 5  # differences listed per file
NUMBER = re.compile(r"(?<![\w.])(-?(?:\d[\d,]*(?:\.\d+)?|\.\d+))(?!\w|\.\d)")

Grid = list[list[object]]


def differences(base: Mapping[str, bytes], fresh: Mapping[str, bytes]) -> list[str]:
    """Return what separates two sets of files by value; empty when nothing does.

    Parameters
    ----------
    base, fresh : mapping of str to bytes
        Content by path relative to the project; ``base`` is what is committed.
    """
    found = [f"{path}: is committed, but the build does not write it" for path in sorted(set(base) - set(fresh))]
    found += [f"{path}: the build writes it, but it is not committed" for path in sorted(set(fresh) - set(base))]
    for path in sorted(set(base) & set(fresh)):
        if base[path] == fresh[path]:
            continue
        if Path(path).suffix in PICTURES:
            found += _without_data(path, base)
            continue
        here = list(_compare(path, base[path], fresh[path]))
        found += here[:SHOWN]
        if len(here) > SHOWN:
            found.append(f"{path}: and {len(here) - SHOWN} more")
    return found


def _without_data(path: str, base: Iterable[str]) -> list[str]:
    """Return a complaint about a picture that differs and has no CSV of its data to be compared by."""
    data = path.split(".")[0] + ".csv"
    return [] if data in base else [f"{path}: differs, and there is no {data} to compare it by"]


def _compare(path: str, base: bytes, fresh: bytes) -> Iterator[str]:
    suffix, printed = Path(path).suffix, path.startswith("results/tables/") or Path(path).suffix in PRINTED
    if suffix not in {".csv", ".parquet"} | PRINTED:
        yield f"{path}: differs, and {suffix or 'this'} files are compared by bytes only"
        return
    old, new = _grid(suffix, base), _grid(suffix, fresh)
    if len(old) != len(new):
        yield f"{path}: {len(old)} rows committed, {len(new)} built"
        return
    scale = {} if printed else _scale(old)
    header = old[0] if suffix in {".csv", ".parquet"} and old else []
    for number, (left, right) in enumerate(zip(old, new, strict=True), start=1):
        if len(left) != len(right):
            yield f"{path}, row {number}: {len(left)} cells committed, {len(right)} built"
            continue
        for column, (a, b) in enumerate(zip(left, right, strict=True)):
            same = _same_print(str(a), str(b)) if printed else _same_cell(a, b, scale.get(column, 0.0))
            if not same:
                name = header[column] if column < len(header) else column + 1
                yield f"{path}, row {number}, column {name}: committed {a!r}, built {b!r}"


def _grid(suffix: str, content: bytes) -> Grid:
    """Return the cells of a file: rows of a data file or a table, lines of a text."""
    if suffix == ".parquet":
        return _parquet(content)
    if suffix == ".docx":
        return _docx(content)
    if suffix == ".ipynb":
        return _notebook(content)
    text = content.decode("utf-8")
    if suffix == ".csv":
        return [list(row) for row in csv.reader(io.StringIO(text, newline=""))]
    separator = {".md": "|", ".tex": "&"}.get(suffix)
    return [list(line.split(separator)) if separator else [line] for line in text.splitlines()]


def _parquet(content: bytes) -> Grid:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    columns = [column.to_pylist() for column in table.itercolumns()]
    types: list[object] = [str(field.type) for field in table.schema]
    return [list(table.column_names), types, *map(list, zip(*columns, strict=True))]


def _docx(content: bytes) -> Grid:
    import docx

    document = docx.Document(io.BytesIO(content))
    rows: Grid = [[paragraph.text] for paragraph in document.paragraphs]
    return rows + [[cell.text for cell in row.cells] for table in document.tables for row in table.rows]


def _notebook(content: bytes) -> Grid:
    rows: Grid = []
    for number, cell in enumerate(json.loads(content)["cells"], start=1):
        rows.append([f"cell {number}", cell["cell_type"], "".join(cell["source"])])
        for output in cell.get("outputs", []):
            texts = [output.get("text", "")]
            texts += [text for kind, text in sorted(output.get("data", {}).items()) if kind.startswith("text/")]
            rows.append([f"cell {number}", output["output_type"], *("".join(text) for text in texts)])
    return rows


def _float(cell: object) -> float | None:
    """Return a float cell's value; None for text and for integers, which are compared exactly."""
    if isinstance(cell, float):
        return cell
    if isinstance(cell, str) and re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=e))(e[-+]?\d+)?", cell):
        return float(cell)
    return None


def _scale(grid: Grid) -> dict[int, float]:
    """Return max |x| of each column: below 1e-12 of it a number is zero, as in ``store.save``."""
    scale: dict[int, float] = {}
    for row in grid:
        for column, cell in enumerate(row):
            value = _float(cell)
            if value is not None and math.isfinite(value):
                scale[column] = max(scale.get(column, 0.0), abs(value))
    return scale


def _same_cell(a: object, b: object, scale: float) -> bool:
    x, y = _float(a), _float(b)
    if x is None or y is None:
        return a == b
    return x == y or (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=RTOL, abs_tol=1e-12 * scale)


def _same_print(a: str, b: str) -> bool:
    """Say whether two printed texts agree: words and integers exactly, decimals within one unit of the last place."""
    old, new = (NUMBER.split(re.sub(r"\$-\$|−", "-", text)) for text in (a, b))
    return old[::2] == new[::2] and all(_within_one_unit(x, y) for x, y in zip(old[1::2], new[1::2], strict=True))


def _within_one_unit(a: str, b: str) -> bool:
    places = len(a.partition(".")[2])
    if places != len(b.partition(".")[2]):
        return False
    x, y = (Decimal(text.replace(",", "")) for text in (a, b))
    return abs(x - y) <= (Decimal(1).scaleb(-places) if places else 0)


def committed(commit: str) -> dict[str, bytes]:
    """Return the result files of a commit."""
    listing = _git("ls-tree", "-r", "-z", "--name-only", commit, *FOLDERS).decode()
    return {path: _git("cat-file", "blob", f"{commit}:{path}") for path in listing.split("\0") if path}


def present(root: Path) -> dict[str, bytes]:
    """Return the result files in a project folder."""
    files = (path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if ".ipynb_checkpoints" not in name}


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def main(commit: str = "HEAD") -> int:
    """Print which of the two was found; the exit status is 1 when the values differ."""
    base, fresh = committed(commit), present(ROOT)
    if base == fresh:
        print(f"results/ and notebooks/ are byte-identical to {commit}: {len(base)} files.")
        return 0
    found = differences(base, fresh)
    if found:
        print(f"results/ and notebooks/ differ from {commit} in value:", *found, sep="\n", file=sys.stderr)
        return 1
    changed = sorted(path for path in base if base[path] != fresh[path])
    print(
        f"results/ and notebooks/ equal {commit} by value. Bytes differ (another processor?) in:",
        *changed,
        sep="\n",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
