"""The notes under a table: texts that hang on an interval, lists drawn from a view, the specifications printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from pipeline.report.grid import Line, Run
from pipeline.report.resolve import Scope


def fill(note: Any, scope: Scope) -> tuple[Run, ...]:
    """Return the runs of one note.

    A note is a text; or ``{interval: source, holds_zero: …, above: …, below: …}``; or
    ``{view: v, list: [row, …], where: column, item: …, text: …}``: ``{list}`` in ``text`` stands for the entries of
    ``list`` whose text in ``where`` is not empty, each as ``item`` says (source ``item``; ``{name}`` if ``list`` maps a
    row to its name), joined by the phrase ``between``; or for the phrase ``nothing``.
    """
    if isinstance(note, Mapping) and "list" in note:
        return _listed(note, scope)
    return scope.fill(scope.words.say(scope.choose(note), scope.place))


def _listed(note: Mapping[str, Any], scope: Scope) -> tuple[Run, ...]:
    words, place, entries = scope.words, scope.place, note["list"]
    sources, pieces = dict(scope.sources), []
    for number, row in enumerate(entries):
        name = f"item{number}"
        sources[name] = ["values", note["view"], row]
        within = replace(scope, sources=sources)
        if scope.tidy.get(within.ref(name, scope.substitute(note["where"]), "text"), place):
            piece = words.say(note["item"], place).replace("{item.", f"{{{name}.")
            called = words.say(entries[row], place) if isinstance(entries, Mapping) else row
            pieces.append(piece.replace("{name}", called))
    said = words.phrase("between", place).join(pieces) if pieces else words.phrase("nothing", place)
    return replace(scope, sources=sources).fill(words.say(note["text"], place).replace("{list}", said))


def spec_ids(lines: Iterable[Line]) -> str:
    """Name every specification that the table prints; models and outcomes that share what follows stand together."""
    refs = [run.ref for line in lines for cell in line.cells for run in cell.runs if run.ref is not None]
    ids = dict.fromkeys(ref.key[0] for ref in refs if ref.file != "values")
    return ", ".join(_crossed([spec_id.split(".") for spec_id in ids]))


def _crossed(ids: list[list[str]]) -> list[str]:
    """Write ids as few crossings: ``did.(a, b).(none, x)``."""
    columns = [list(dict.fromkeys(column)) for column in zip(*ids, strict=True)]
    if {tuple(parts) for parts in ids} == set(product(*columns)):
        return [".".join(map(_either, columns))] if ids else []
    rests: dict[str, list[list[str]]] = {}
    for head, *rest in ids:
        rests.setdefault(head, []).append(rest)
    alike: dict[frozenset[tuple[str, ...]], list[str]] = {}
    for head, tails in rests.items():
        alike.setdefault(frozenset(map(tuple, tails)), []).append(head)
    return [f"{_either(heads)}.{tail}" for heads in alike.values() for tail in _crossed(rests[heads[0]])]


def _either(parts: list[str]) -> str:
    return f"({', '.join(parts)})" if len(parts) > 1 else parts[0]
