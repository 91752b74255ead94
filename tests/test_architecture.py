"""The rules of the house about who may import whom."""

import re

import pytest

from tests.imports import MODULES, closure, direct

ROOMS = ("clean", "indices", "econometrics", "estimate", "report")
FOREIGN = {  # the modules of other rooms that a room may import; any room may import the frame's errors
    "clean": "",
    "indices": r"pipeline\.econometrics(\.results)?",
    "econometrics": "",
    "estimate": r"pipeline\.econometrics(\..+)?",
    "report": "",
}
FRAME = {"pipeline.store", "pipeline.specs", "pipeline.stage"}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def is_entry(module: str) -> bool:
    return module.rpartition(".")[2].startswith("stage_")


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_has_modules(name: str) -> None:
    assert [module for module in MODULES if room(module) == name and not module.endswith(name)]


@pytest.mark.parametrize("module", [module for module in MODULES if room(module)])
def test_rooms_meet_through_files(module: str) -> None:
    foreign = {other for other in direct(module) if room(other) not in {"", room(module)}}
    assert {other for other in foreign if not re.fullmatch(FOREIGN[room(module)], other)} == set()


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "econometrics"])
def test_econometrics_knows_no_files_and_no_other_room(module: str) -> None:
    assert {other for other in closure(module) if room(other) != "econometrics"} <= {"pipeline", "pipeline.errors"}


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "report"])
def test_report_computes_nothing(module: str) -> None:
    assert {other for other in closure(module) if room(other) in {"econometrics", "estimate"}} == set()


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) and not is_entry(module)])
def test_only_entries_import_the_store_and_the_specifications(module: str) -> None:
    assert direct(module) & FRAME == set()


def test_nothing_imports_an_entry() -> None:
    assert {other for module in MODULES for other in direct(module) if is_entry(other)} == set()
