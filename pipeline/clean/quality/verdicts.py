"""Verdicts on flagged cells, joined with the flags and compared with the declared corrections cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import CorrectionError, SpecError

DECISIONS = {"kept": "kept", "corrected": "corrected", "missing": "set missing"}
ACTIONS = {"set_missing": "missing", "set": "corrected", "exchange": "corrected"}
COLUMNS = ["indicator", "province_code", "year", "value", "rule", "score", "decision", "reason"]

Cell = tuple[str, str, int]


def reconcile(
    flags: pd.DataFrame, verdicts: Sequence[Mapping[str, Any]], corrections: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Join every flag with its verdict; refuse flags, verdicts and corrections that do not agree.

    Parameters
    ----------
    flags : DataFrame
        ``variable, province_code, year, value, rule, score``: what the rules find in the figures as published.
    verdicts : sequence of mapping
        Entries of ``specs/verdicts.yaml``: ``variable, province_code, year, rules, verdict, reason`` (``en, zh``).
    corrections : sequence of mapping
        Entries of ``specs/corrections.yaml``.

    Returns
    -------
    DataFrame
        ``indicator, province_code, year, value, rule, score, decision, reason``, one row a flag; ``decision`` is
        ``kept``, ``corrected`` or ``set missing``.

    Raises
    ------
    SpecError
        Lists every flagged cell without a verdict and what to do, every verdict whose cell no rule flags any more or
        other rules flag, and every verdict that is malformed or shares its reason.
    CorrectionError
        Lists every cell that is corrected without a verdict that says so, or judged an error without a correction.
    """
    rules: dict[Cell, list[str]] = {}
    rows = flags[["variable", "province_code", "year", "rule"]].itertuples(index=False, name=None)
    for variable, code, year, rule in rows:
        rules.setdefault((variable, code, int(year)), []).append(rule)
    cells = [_cell(v) for v in verdicts]
    problems = [*_malformed(verdicts, cells), *_unmatched(rules, verdicts, cells, flags)]
    disagreements = [*_disagreements(dict(zip(cells, verdicts, strict=True)), corrections)]
    if problems:
        head = f"specs/verdicts.yaml: {len(problems)} verdict(s) and the flags of the quality rules do not agree:"
        raise SpecError("\n".join([head, *problems, *disagreements]))
    if disagreements:
        head = f"specs/corrections.yaml and specs/verdicts.yaml do not agree in {len(disagreements)} cell(s):"
        raise CorrectionError("\n".join([head, *disagreements]))
    return _joined(flags, dict(zip(cells, verdicts, strict=True)))


def _cell(entry: Mapping[str, Any]) -> Cell:
    return entry["variable"], str(entry["province_code"]), int(entry["year"])


def _name(cell: Cell) -> str:
    return f"  {cell[0]}, {cell[1]}, {cell[2]}"


def _malformed(verdicts: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> Iterator[str]:
    for cell, times in Counter(cells).items():
        if times > 1:
            yield f"{_name(cell)}: judged {times} times; keep one verdict."
    for language in ("en", "zh"):
        reasons = Counter(v["reason"].get(language, "") for v in verdicts)
        for cell, verdict in zip(cells, verdicts, strict=True):
            reason = verdict["reason"].get(language, "")
            if not reason:
                yield f"{_name(cell)}: the reason has no {language} text."
            elif reasons[reason] > 1:
                yield f"{_name(cell)}: shares its {language} reason with another cell; write what holds for this one."
    for cell, verdict in zip(cells, verdicts, strict=True):
        if verdict["verdict"] not in DECISIONS:
            yield f"{_name(cell)}: verdict {verdict['verdict']!r}, expected one of {', '.join(DECISIONS)}."


def _unmatched(
    rules: Mapping[Cell, list[str]], verdicts: Sequence[Mapping[str, Any]], cells: Sequence[Cell], flags: pd.DataFrame
) -> Iterator[str]:
    values = {(v, c, int(y)): x for v, c, y, x in zip(*(flags[k] for k in _KEYS), strict=True)}
    for cell in sorted(rules.keys() - set(cells)):
        found = ", ".join(sorted(rules[cell]))
        yield (
            f"{_name(cell)}: {values[cell]:.10g} is flagged ({found}) and not judged; compare it with its neighbouring "
            "years, total, provinces or publication and add a verdict (kept, corrected, missing)."
        )
    for cell, verdict in zip(cells, verdicts, strict=True):
        if cell not in rules:
            yield f"{_name(cell)}: no rule flags this cell any more; remove the verdict (and its correction, if any)."
        elif sorted(verdict["rules"]) != sorted(rules[cell]):
            found = ", ".join(sorted(rules[cell]))
            judged = ", ".join(sorted(verdict["rules"]))
            yield f"{_name(cell)}: judged for {judged}, now flagged by {found}; judge again."


_KEYS = ("variable", "province_code", "year", "value")


def _disagreements(
    verdicts: Mapping[Cell, Mapping[str, Any]], corrections: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    changed: dict[Cell, tuple[str, str]] = {}
    for entry in corrections:
        for cell in entry["cells"]:
            key = (entry["variable"], str(cell["province_code"]), int(cell["year"]))
            changed[key] = (entry["id"], ACTIONS[entry["action"]])
    for cell, (name, verdict) in changed.items():
        given = verdicts[cell]["verdict"] if cell in verdicts else "none"
        if given != verdict:
            yield f"{_name(cell)}: correction {name} needs the verdict {verdict}, found {given}."
    for cell, entry in verdicts.items():
        if entry["verdict"] != "kept" and cell not in changed:
            yield f"{_name(cell)}: the verdict is {entry['verdict']}, and no correction changes it."


def _joined(flags: pd.DataFrame, verdicts: Mapping[Cell, Mapping[str, Any]]) -> pd.DataFrame:
    judged = [verdicts[(v, c, int(y))] for v, c, y in zip(*(flags[k] for k in _KEYS[:3]), strict=True)]
    out = flags.rename(columns={"variable": "indicator"}).assign(
        decision=[DECISIONS[v["verdict"]] for v in judged], reason=[" ".join(v["reason"]["en"].split()) for v in judged]
    )
    return (
        out[COLUMNS].sort_values(["indicator", "province_code", "year", "rule"], kind="stable").reset_index(drop=True)
    )
