"""The evidence file covers every public function, and its own rules hold."""

from __future__ import annotations

import inspect

import pytest

from pipeline import econometrics, indices
from tests.evidence import CAP, FIELDS, GRADES, differences, digits, read


def test_every_public_function_has_a_row(request):
    if request.config.getoption("evidence"):
        pytest.skip("the file is being rewritten")
    covered = {row["function"] for row in read()}
    for room in (econometrics, indices):
        functions = [n for n in getattr(room, "__all__", []) if inspect.isfunction(getattr(room, n))]
        missing = [n for n in functions if f"{room.__name__.split('.')[-1]}.{n}" not in covered]
        assert not missing, f"no row in tests/evidence.csv: {missing}"


def test_rows_are_well_formed():
    for row in read():
        assert set(row) == set(FIELDS)
        assert row["grade"] in GRADES
        assert 0 <= int(row["digits"]) <= CAP


def test_digits():
    assert digits(1.0, 1.0) == CAP
    assert digits([1.001, 5.0], [1.0, 5.0]) == 3
    assert digits(0.001, 0.0) == 3
    assert digits(3.0, 1.0) == 0
    with pytest.raises(AssertionError, match="missing"):
        digits(float("nan"), 1.0)
    with pytest.raises(AssertionError, match="shapes"):
        digits([1.0, 2.0], 1.0)


def test_differences_name_what_changed():
    row = dict(zip(FIELDS, ("econometrics.f", "R", "data", "8", "tests/a.py::t", "external"), strict=True))
    passed = {"tests/a.py::t"}
    assert list(differences([row], [row], passed)) == []
    assert list(differences([row], [], set())) == []  # its test did not run
    assert "no longer compared" in next(differences([row], [], passed))
    assert "not in the file" in next(differences([], [row], passed))
    assert list(differences([row], [row | {"digits": "7"}], passed)) == []
    assert "4 digits, the file says 8" in next(differences([row], [row | {"digits": "4"}], passed))
