"""The overlap audit: no family of series stands in two indices or on both sides of an equation."""

from __future__ import annotations

import re

from pipeline import specs
from pipeline.errors import OverlapError, SpecError
from pipeline.indices.structure import STRUCTURE

SCALES = ("", "_ln", "_rank", "_share", "_mean_ln")
FUNCTIONS = ("log", "exp", "sqrt")
Equation = tuple[str, str, tuple[str, ...], tuple[str, ...]]


def names_in(formula: str) -> list[str]:
    """Return the variables a formula names, in order, once each."""
    return [n for n in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", formula)) if n not in FUNCTIONS]


def families(names: list[str]) -> dict[str, str]:
    """Return {family: variable} of the raw series behind the names; scale series (GDP, population) are exempt."""
    known = specs.dictionary()
    found: dict[str, str] = {}
    for name in names:
        variable = known[name]
        if variable.scale:
            continue
        if variable.derived:
            found |= families(list(variable.derived_from))
        else:
            found[variable.family] = name
    return found


def families_of_outcome(outcome: str) -> dict[str, str]:
    """Return {family: variable} behind an outcome: a variable, an indicator, an index or a dimension of one."""
    known = specs.dictionary()
    if outcome in known:
        return families([outcome])
    if outcome in STRUCTURE:
        return families(list(STRUCTURE[outcome]))
    for index in specs.indices().values():
        columns = [c for c in index.indicators if c.id == outcome]
        for dimension in index.dimensions:
            if outcome.removesuffix("_ln") == f"{index.id}_{dimension}":
                columns = [c for c in index.indicators if c.dimension == dimension]
        if outcome in {index.id + scale for scale in SCALES}:
            columns = list(index.indicators)
        if columns:
            return families([n for c in columns for n in names_in(c.formula)])
    raise SpecError(f"{outcome} is neither a variable nor an index.")


def audit() -> None:
    """Refuse a series that stands in a compute index and in the chain index, or on both sides of an equation.

    Two vintages of a series are one family. GDP and population are scale series and exempt.

    Raises
    ------
    OverlapError
        Names the family, and where it stands twice.
    """
    found = []
    indices = specs.indices()
    sides = {name: families_of_outcome(name) for name in indices}
    for chain in (i for i in indices.values() if i.role == "chain"):
        for compute in (i for i in indices.values() if i.role == "compute"):
            for family in sorted(set(sides[chain.id]) & set(sides[compute.id])):
                one, other = sides[chain.id][family], sides[compute.id][family]
                found.append(f"{family}: {one} in {chain.id} and {other} in {compute.id}.")
    for outcome, adjustment, names, declared in sorted(_equations()):
        left, right = families_of_outcome(outcome), families_of(names)
        both = set(left) & set(right)
        for family in sorted(both - set(declared)):
            found.append(f"{family}: {left[family]} in outcome {outcome} and {right[family]} in {adjustment}.")
        for family in sorted(set(declared) - both):
            found.append(f"{family}: specs/models.yaml declares it an overlap of {outcome}, but there is none.")
    if found:
        text = "A series stands on both sides; take it out of one in specs/indices.yaml or specs/models.yaml:"
        raise OverlapError("\n".join([text, *found]))


def _equations() -> set[Equation]:
    """Return outcome, where the other side is declared, its columns, and the overlap declared."""
    models = specs.models()
    found: set[Equation] = set()
    for model in models.specifications:
        chosen = model.adjustment
        names = tuple(name for name in chosen.by_time if name != "outcome" and name not in models.attributes)
        moderators = {t: models.treatments[t].moderator for t in model.treatments if t in models.treatments}
        found |= {(model.outcome, f"treatment {t}", (name,), ()) for t, name in moderators.items() if name}
        if names:
            found.add((model.outcome, f"adjustment {chosen.id}", names, model.overlap))
    return found


def families_of(names: tuple[str, ...]) -> dict[str, str]:
    """Return {family: variable} behind controls or moderators: variables, or indicators of an index."""
    found: dict[str, str] = {}
    for name in names:
        found |= families_of_outcome(name)
    return found


def view() -> list[dict[str, str]]:
    """Return rows (row, column, text) of the overlap audit: by family, the series that stands in each place."""
    places: dict[str, dict[str, list[str]]] = {}

    def place(family: str, where: str, name: str) -> None:
        names = places.setdefault(family, {}).setdefault(where, [])
        if name not in names:
            names.append(name)

    for index in specs.indices().values():
        for family, name in families_of_outcome(index.id).items():
            place(family, index.id, name)
    models = specs.models()
    for adjustment in models.adjustments.values():
        names = tuple(n for n in adjustment.by_time if n != "outcome" and n not in models.attributes)
        for family, name in families_of(names).items():
            place(family, "x", name)
    for model in models.specifications:
        for family in model.overlap:
            place(family, "declared", model.outcome)
    for variable in specs.dictionary().values():
        if variable.scale:
            place(variable.family, "scale", variable.id)
    return [
        {"row": family, "column": where, "text": "; ".join(names)}
        for family, found in sorted(places.items())
        for where, names in found.items()
    ]
