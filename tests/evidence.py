"""What each public function was compared with, written down by the tests that compared.

A test asks for the fixture ``evidence`` and calls it with a result and its reference. ``pytest --evidence`` rewrites
``tests/evidence.csv`` from the calls of the tests that passed; plain pytest fails if the file says otherwise, as far
as the tests that ran can tell. Digits are -log10 of the largest error over the largest reference value, at most CAP:
beyond that they are rounding noise of one machine; SLACK allows for what another processor changes.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).with_name("evidence.csv")
FIELDS = ("function", "reference", "dataset", "digits", "test", "grade")
GRADES = ("external", "exact", "simulation", "identity")
CAP, SLACK = 12, 2
Row = dict[str, str]


def digits(got: object, expected: object) -> int:
    """Correct digits: floor(-log10(max error / max |expected|)), from 0 to CAP."""
    a, b = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    assert np.isfinite(a).all(), "the result has missing values"
    assert np.isfinite(b).all(), "the reference has missing values"
    error = float(np.max(np.abs(a - b))) / (float(np.max(np.abs(b))) or 1.0)
    return CAP if error == 0 else max(0, min(CAP, math.floor(-math.log10(error))))


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a result with its reference and record how many digits agree."""

    def compare(
        function: Callable[..., object],
        reference: str,
        dataset: str,
        got: object,
        expected: object,
        grade: str,
        digits_required: int,
    ) -> None:
        assert grade in GRADES, grade
        reached = digits(got, expected)
        assert reached >= digits_required, f"{reached} digits, {digits_required} required: {got} for {expected}"
        room = function.__module__.split(".")[1]
        row = (f"{room}.{function.__name__}", reference, dataset, str(reached), request.node.nodeid, grade)
        request.node.user_properties.append(("evidence", json.dumps(dict(zip(FIELDS, row, strict=True)))))

    return compare


class Collector:
    """Gathers the rows of passed tests; with xdist, in the controlling process."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.passed: set[str] = set()
        self.seen: set[str] = set()
        self.deselected = False
        self.messages: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seen.add(report.nodeid)
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
            self.rows += [json.loads(str(v)) for k, v in report.user_properties if k == "evidence"]

    def pytest_deselected(self) -> None:
        self.deselected = True

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        if config.getoption("collectonly") or not self.seen:
            return
        full = not (self.deselected or config.getoption("keyword") or config.getoption("markexpr"))
        full = full and [str(a) for a in config.args] == config.getini("testpaths")
        old = read()
        stale = [r for r in old if full and r["test"] not in self.seen]
        if config.getoption("evidence"):
            kept = [r for r in old if r["test"] not in self.passed and r not in stale]
            write(kept + [_steady(r, old) for r in self.rows])
            return
        self.messages = list(differences(old, self.rows, self.passed))
        self.messages += [f"{r['function']}: recorded by {r['test']}, which is gone" for r in stale]
        if self.messages and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.messages:
            terminalreporter.section("tests/evidence.csv is not what the tests compared", red=True)
            for message in self.messages:
                terminalreporter.line(message)
            terminalreporter.line("look at the difference, then rewrite the file with: pytest --evidence")


def key(row: Row) -> tuple[str, ...]:
    """Everything but the digits."""
    return tuple(row[f] for f in FIELDS if f != "digits")


def differences(recorded: list[Row], new: list[Row], passed: set[str]) -> Iterator[str]:
    """Where the rows of the tests that passed are not those of the file."""
    old = {key(r): int(r["digits"]) for r in recorded if r["test"] in passed}
    now = {key(r): int(r["digits"]) for r in new}
    for k in sorted(old.keys() | now.keys()):
        name = f"{k[0]} against {k[1]} ({k[3]})"
        if k not in old:
            yield f"{name}: not in the file"
        elif k not in now:
            yield f"{name}: in the file, but no longer compared"
        elif abs(old[k] - now[k]) > SLACK:
            yield f"{name}: {now[k]} digits, the file says {old[k]}"


def _steady(row: Row, recorded: list[Row]) -> Row:
    """Keep the digits of the file where they differ by no more than another processor may change."""
    old = next((r for r in recorded if key(r) == key(row)), row)
    return old if abs(int(old["digits"]) - int(row["digits"])) <= SLACK else row


def read() -> list[Row]:
    """Rows of the file; none if it does not exist."""
    if not FILE.exists():
        return []
    with FILE.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def write(rows: list[Row]) -> None:
    """Write the file, one line for each comparison."""
    unique = {key(r): r for r in rows}
    with FILE.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(unique[k] for k in sorted(unique))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--evidence", action="store_true", help="rewrite tests/evidence.csv from what the tests compared")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # not a worker of xdist
        config.pluginmanager.register(Collector(), "evidence-collector")
