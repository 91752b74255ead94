"""``dvc.yaml`` declares what the stages read: an undeclared dependency makes DVC restore stale results."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import MODULES, closure, tree

ROOT = Path(__file__).resolve().parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SPECS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "specs").glob("*.yaml")}
FOLDER_OUTS = {"results/tables", "results/figures"}


def entry(stage: str) -> str:
    program, option, module = STAGES[stage]["cmd"].split()
    assert (program, option) == ("python", "-m")
    return str(module)


def outs(stage: str) -> dict[str, dict[str, Any]]:
    """Return the outs of a stage with their options."""
    listed = STAGES[stage]["outs"]
    return {k: v for out in listed for k, v in (out.items() if isinstance(out, dict) else [(out, {})])}


def covered(path: str, deps: list[str]) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@cache
def accessors() -> dict[str, set[str]]:
    """Return the files that each function of ``pipeline.specs`` reads, itself or through others."""
    functions = {node.name: node for node in tree("pipeline.specs").body if isinstance(node, ast.FunctionDef)}

    def reads(name: str, seen: tuple[str, ...] = ()) -> set[str]:
        found: set[str] = set()
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.JoinedStr) and ast.unparse(node).startswith("f'specs/"):
                found |= SPECS
            elif isinstance(node, ast.Constant) and str(node.value) in {*SPECS, "params.yaml"}:
                found.add(str(node.value))
            elif isinstance(node, ast.Name) and node.id in functions and node.id not in (*seen, name):
                found |= reads(node.id, (*seen, name))
        return found

    return {name: reads(name) for name in functions}


def specifications(stage: str) -> set[str]:
    """Return the files of ``specs/``, and ``params.yaml``, that the modules of a stage read."""
    used: set[str] = set()
    for module in closure(entry(stage)) - {"pipeline.specs"}:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "specs":
                used.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and node.module == "pipeline.specs":
                used |= {alias.name for alias in node.names}
    return set().union(*(accessors().get(name, set()) for name in used))


def test_the_accessors_are_understood() -> None:
    assert accessors()["dictionary"] == {"specs/dictionary.yaml"}
    assert accessors()["labels"] == {"specs/dictionary.yaml", "specs/indices.yaml"}
    assert accessors()["seed"] == {"params.yaml"}
    assert accessors()["parsed"] == SPECS


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_modules_it_imports_and_no_other(stage: str) -> None:
    needed = {MODULES[module].relative_to(ROOT).as_posix() for module in closure(entry(stage))}
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/") and dep.endswith(".py")}
    assert declared == needed


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_specifications_it_reads_and_no_other(stage: str) -> None:
    deps = STAGES[stage]["deps"]
    read = specifications(stage)
    assert {path for path in read & SPECS if not covered(path, deps)} == set()
    assert {dep for dep in deps if dep.startswith("specs/")} <= read
    assert ("params.yaml" in read) == ("params.yaml" in deps or bool(STAGES[stage].get("params")))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_lock(stage: str) -> None:
    assert "requirements.txt" in STAGES[stage]["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_committed_or_made_by_an_earlier_stage(stage: str) -> None:
    names = list(STAGES)
    made = {out for earlier in names[: names.index(stage)] for out in outs(earlier)}
    sources = ("pipeline/", "specs", "params.yaml", "requirements.txt", "data/raw", "data/user")
    assert {dep for dep in STAGES[stage]["deps"] if dep not in made and not dep.startswith(sources)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_results_are_committed_and_outlive_a_failing_stage(stage: str) -> None:
    for out, options in outs(stage).items():
        if out.startswith(("results/", "notebooks/")):
            assert options == {"cache": False, "persist": True}, out
        else:
            assert out.startswith(("data/panel/", "data/estimates/")), out
            assert options == {}, out
        assert out in FOLDER_OUTS or Path(out).suffix, f"{out}: a folder"


def test_no_out_belongs_to_two_stages() -> None:
    listed = [out for stage in STAGES for out in outs(stage)]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("stage", STAGES)
def test_the_lock_was_written_for_these_files(stage: str) -> None:
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"][stage]
    assert lock["cmd"] == STAGES[stage]["cmd"]
    assert {dep["path"] for dep in lock["deps"]} == set(STAGES[stage]["deps"])
    assert {out["path"] for out in lock["outs"]} == set(outs(stage))
    stale = [
        item["path"]
        for item in lock["deps"] + lock["outs"]
        if (ROOT / item["path"]).is_file()
        and hashlib.md5((ROOT / item["path"]).read_bytes()).hexdigest() != item["md5"]
    ]
    assert stale == [], "changed since the last build: run `dvc repro`"
