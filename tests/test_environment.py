"""The lock: every package pinned and hashed, no download host named, both files and the installed environment agree."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt")


def entries(lock: str) -> list[tuple[Requirement, list[str], list[str]]]:
    """Return each requirement with its hashes and with what it is there for."""
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8"))
    found = []
    for block in blocks:
        if block.startswith("#"):
            continue
        head, *rest = block.rstrip("\n").split("\n")
        hashes = [line.strip().removesuffix(" \\") for line in rest if "--hash" in line]
        via = [line.strip("# ").removeprefix("via").strip() for line in rest if line.lstrip().startswith("#")]
        found.append((Requirement(head.removesuffix(" \\")), hashes, [name for name in via if name]))
    return found


def pins(lock: str) -> dict[tuple[str, str], str]:
    return {(canonicalize_name(r.name), str(r.marker)): str(r.specifier) for r, _, _ in entries(lock)}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_hashes(lock: str) -> None:
    assert len(entries(lock)) >= 2
    for requirement, hashes, _ in entries(lock):
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_host_is_named(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"(?m)^ *(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text)


def test_the_development_lock_contains_the_runtime_lock() -> None:
    development = pins("requirements-dev.txt")
    assert {key: development.get(key) for key in pins("requirements.txt")} == pins("requirements.txt")


@pytest.mark.parametrize(("lock", "extras"), [("requirements.txt", ()), ("requirements-dev.txt", ("dev",))])
def test_the_lock_was_made_from_these_inputs(lock: str, extras: tuple[str, ...]) -> None:
    declared = [Requirement(text) for text in PROJECT["dependencies"]]
    for extra in extras:
        declared += [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    direct = [r for r, _, via in entries(lock) if any(name.startswith(PROJECT["name"]) for name in via)]
    assert {canonicalize_name(r.name) for r in direct} == {canonicalize_name(r.name) for r in declared}
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in direct}
    for requirement in declared:
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_source_builds_and_setup_tools_are_locked() -> None:
    assert {name for name, _ in pins("requirements-build.txt")} == {"setuptools", "uv"}


def test_the_environment_is_the_lock() -> None:
    wrong = []
    for requirement, _, _ in entries("requirements-dev.txt"):
        if requirement.marker is None or requirement.marker.evaluate():
            installed = metadata.version(requirement.name)
            if installed not in requirement.specifier:
                wrong.append(f"{requirement}: {installed} is installed")
    assert wrong == []


def test_run_py_accepts_the_pythons_that_the_project_does() -> None:
    text = (ROOT / "run.py").read_text(encoding="utf-8")
    (bounds,) = re.findall(r"not \((\d+), (\d+)\) <= sys.version_info\[:2\] < \((\d+), (\d+)\)", text)
    low, high = ".".join(bounds[:2]), ".".join(bounds[2:])
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={low},<{high}")
