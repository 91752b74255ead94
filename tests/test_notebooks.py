"""Notebooks read results, define nothing, and show no number that is not a row of the tidy files."""

from __future__ import annotations

import ast
import json
import re
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import cache

import pytest

from pipeline.errors import ReportError
from pipeline.report.notebooks import executed
from pipeline.store import ROOT
from tests.report.printed import NUMBER, Stored

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IDS = [path.name for path in NOTEBOOKS]


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def shown(cell):
    """Text of a cell's outputs."""
    texts = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        text = data.get("text/markdown", data.get("text/plain", output.get("text", "")))
        texts.append(text if isinstance(text, str) else "".join(text))
    return "\n".join(texts)


@cache
def stored():
    return Stored.read(ROOT / "results" / "estimates")


def numbers_of(names):
    """Every number of the rows of these specifications and views."""
    found = []
    for rows in stored().rows.values():
        for key, row in rows.items():
            if key[0] in names:
                found += [Decimal(v) for v in row.values() if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", v)]
    return found


def texts_of(views):
    """Every stored text and row name of these views."""
    rows = [(key, row) for key, row in stored().rows["values"].items() if key[0] in views]
    return {row["text"] for _, row in rows if row["text"]} | {key[1] for key, _ in rows if not key[1].isdigit()}


def names_in(text):
    """Specifications and views that a text names."""
    return re.findall(r"\b\w+\.\w+\.\w+\b", text) + re.findall(r'== "(\w+)"', text)


def unexplained(text, code, outputs_of_files, named=()):
    """Numbers of an output that round no row of what is named, and are no fixed word of the code."""
    for known in outputs_of_files:
        text = text.replace(known, "")
    named = [*named, *names_in(code + text)]
    for said in sorted(texts_of(set(named)), key=len, reverse=True):
        text = text.replace(said, "")
    values, words = numbers_of(set(named) | {"did.chain_ln.x"}), set(NUMBER.findall(re.sub(r"\{[^}]*\}", "", code)))
    missing = []
    for token in NUMBER.findall(text):
        number = Decimal(token.replace("−", "-").replace(",", ""))
        unit = Decimal(1).scaleb(number.as_tuple().exponent)
        rounded = {v.quantize(unit, how) for v in values for how in (ROUND_HALF_EVEN, ROUND_HALF_UP)}
        if number not in rounded and token not in words:
            missing.append(token)
    return missing


def tables():
    return [p.read_text(encoding="utf-8") for p in (ROOT / "results" / "tables").glob("*.md")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_committed_outputs_are_what_the_notebook_gives(path):
    assert executed(path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_notebooks_define_no_functions(path):
    for cell in cells(path):
        if cell["cell_type"] == "code":
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
            assert not [n for n in ast.walk(ast.parse(source(cell))) if isinstance(n, kinds)], cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_every_number_shown_is_a_row_of_the_tidy_files(path):
    seen = 0
    named = [name for cell in cells(path) if cell["cell_type"] == "code" for name in names_in(source(cell))]
    for cell in cells(path):
        if cell["cell_type"] == "code" and cell["outputs"]:
            assert unexplained(shown(cell), source(cell), tables(), named) == [], cell["id"]
            seen += 1
    assert seen >= 2


def test_a_changed_number_is_noticed():
    cell = next(c for c in cells(ROOT / "notebooks" / "03_estimates.ipynb") if c["id"] == "headline")
    text = shown(cell)
    changed = text.replace("log points", "log points (4.321)")
    assert unexplained(changed, source(cell), []) == ["4.321"]
    main = stored().rows["estimates"]["did.chain_ln.x", "hub_post", "", ""]
    number = str(Decimal(main["std_error"]).quantize(Decimal("0.001")))
    assert number in text
    assert "7.777" in unexplained(text.replace(number, "7.777"), source(cell), [])


def test_a_failing_cell_is_one_line(tmp_path):
    notebook = json.loads((ROOT / "notebooks" / "03_estimates.ipynb").read_text(encoding="utf-8"))
    notebook["cells"] = [c | {"source": "1 / 0"} for c in notebook["cells"] if c["id"] == "load"]
    (tmp_path / "broken.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    with pytest.raises(ReportError, match=r"notebooks/broken\.ipynb: a cell failed: ZeroDivisionError"):
        executed(tmp_path / "broken.ipynb")
