"""Cross-checks of all of ``specs/``, run once before any stage computes: names, languages, overlap, plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline import specs
from pipeline.errors import OverlapError, SpecError
from pipeline.indices.composition import WEIGHTS

ESTIMATORS = ("two_way_fe", "event_study")
TESTS = ("crv1", "wild_webb", "randomization_hub", "joint", "slope")
SCALES = ("", "_ln", "_rank", "_share")
FUNCTIONS = ("log", "exp", "sqrt")


def names_in(formula: str) -> list[str]:
    """Return the variables a formula names, in order, once each."""
    return [n for n in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", formula)) if n not in FUNCTIONS]


def check() -> None:
    """Check every file of ``specs/`` against the others.

    Raises
    ------
    SpecError
        Names every inconsistency found, each with its file.
    OverlapError
        A series stands on both sides of an equation or in two indices; names it.
    """
    problems = [*_dictionary(), *_corrections(), *_indices(), *_models(), *_plan(), *_languages()]
    if problems:
        raise SpecError("\n".join([f"specs/ has {len(problems)} inconsistency(ies):", *problems]))
    audit()


def _dictionary() -> Iterator[str]:
    known = specs.dictionary()
    for name, variable in known.items():
        used = [*variable.derived_from, *(names_in(variable.formula) if variable.formula else [])]
        for other in dict.fromkeys(used):
            if other not in known:
                yield f"dictionary.yaml: {name} is derived from {other}, which has no entry."
        if variable.derived and bool(variable.formula) == bool(variable.method):
            yield f"dictionary.yaml: {name} is derived and needs either formula or method."
        if not variable.bounds[0] < variable.bounds[1]:
            yield f"dictionary.yaml: {name} has bounds {list(variable.bounds)}; low must be below high."


def _corrections() -> Iterator[str]:
    known, seen = specs.dictionary(), set()
    for entry in specs.corrections():
        if entry["id"] in seen:
            yield f"corrections.yaml: id {entry['id']} occurs twice."
        seen.add(entry["id"])
        if "variable" in entry and entry["variable"] not in known:
            yield f"corrections.yaml: {entry['id']} names {entry['variable']}, which dictionary.yaml does not have."


def _indices() -> Iterator[str]:
    known = specs.dictionary()
    taken: dict[str, str] = {}
    for index in specs.indices().values():
        if index.weights not in WEIGHTS:
            yield f"indices.yaml: {index.id} wants weights {index.weights}; known: {', '.join(WEIGHTS)}."
        for column in index.indicators:
            if column.id in known or column.id in taken:
                yield f"indices.yaml: {index.id}.{column.id} is already the name of something else."
            taken[column.id] = index.id
            if column.dimension not in index.dimensions:
                yield f"indices.yaml: {index.id}.{column.id} has dimension {column.dimension}, not declared there."
            for name in names_in(column.formula):
                if name not in known:
                    yield f"indices.yaml: {index.id}.{column.id} uses {name}, which dictionary.yaml does not have."


def outcomes() -> set[str]:
    """Return every name that can be an outcome: variables, indicators, indices and dimensions in their scales."""
    names = set(specs.dictionary())
    for index in specs.indices().values():
        names |= {index.id + scale for scale in SCALES} | {c.id for c in index.indicators}
        for dimension in index.dimensions:
            names |= {f"{index.id}_{dimension}"} | ({f"{index.id}_{dimension}_ln"} if index.log_dimensions else set())
    return names


def _models() -> Iterator[str]:
    known, models, params = specs.dictionary(), specs.models(), specs.params()
    possible = outcomes()
    for adjustment in models.adjustments.values():
        for name in adjustment.by_time:
            if name not in known:
                yield f"models.yaml: adjustment {adjustment.id} uses {name}, which dictionary.yaml does not have."
    for treatment in models.treatments.values():
        if (treatment.first is None) == (treatment.only is None):
            yield f"models.yaml: treatment {treatment.id} needs either first or only."
        if treatment.first is not None and treatment.first not in params:
            yield f"models.yaml: treatment {treatment.id} starts at {treatment.first}, which params.yaml does not have."
    for model in models.specifications:
        if model.estimator not in ESTIMATORS:
            yield f"models.yaml: {model.model} wants {model.estimator}; known: {', '.join(ESTIMATORS)}."
        if model.outcome not in possible:
            yield f"models.yaml: {model.model} has outcome {model.outcome}, which no index or variable is called."
        if model.estimator == "two_way_fe":
            for name in model.treatments:
                if name not in models.treatments:
                    yield f"models.yaml: {model.model} has treatment {name}, which is not declared there."
        for name in model.tests:
            if name not in TESTS:
                yield f"models.yaml: {model.model} asks for test {name}; known: {', '.join(TESTS)}."
    for name in [*models.descriptives["variables"], *models.descriptives["trends"]]:
        if name not in possible:
            yield f"models.yaml: descriptives name {name}, which no index or variable is called."


def _plan() -> Iterator[str]:
    plan, params = specs.plan(), specs.params()
    by_id = {m.spec_id: m for m in specs.models().specifications}
    for name in ("event_year", "reference_year", "announcement_year"):
        if plan["treatment"][name] != params[name]:
            yield f"plan.yaml: {name} is {plan['treatment'][name]}, params.yaml says {params[name]}."
    primary = by_id.get(plan["primary"]["specification"])
    if primary is None:
        yield f"plan.yaml: primary specification {plan['primary']['specification']} is not in models.yaml."
    else:
        for key, value in {
            "outcome": primary.outcome,
            "controls": list(primary.adjustment.by_time),
            "sample_years": list(primary.sample.years),
        }.items():
            if plan["primary"][key] != value:
                yield f"plan.yaml: primary {key} is {plan['primary'][key]}, models.yaml says {value}."


def _languages() -> Iterator[str]:
    """Every text in one language has its twin in the other."""
    for name in ("dictionary", "indices", "models", "tables", "figures", "phrases", "plan"):
        yield from _one_language(specs.parsed(name), f"{name}.yaml")


def _one_language(node: Any, where: str) -> Iterator[str]:
    if isinstance(node, dict):
        if ("zh" in node) != ("en" in node):
            yield f"{where} has {'zh' if 'zh' in node else 'en'} alone: {node.get('zh', node.get('en'))!r}."
        for key, child in node.items():
            yield from _one_language(child, f"{where}: {key}" if where.endswith(".yaml") else f"{where}.{key}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _one_language(child, f"{where}[{number}]")


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
    pairs = {(m.outcome, m.adjustment) for m in specs.models().specifications if m.adjustment.by_time}
    for outcome, adjustment in sorted(pairs, key=lambda pair: (pair[0], pair[1].id)):
        left, right = families_of_outcome(outcome), families(list(adjustment.by_time))
        for family in sorted(set(left) & set(right)):
            found.append(
                f"{family}: {left[family]} in outcome {outcome} and {right[family]} in adjustment {adjustment.id}."
            )
    if found:
        text = "A series stands on both sides; take it out of one in specs/indices.yaml or specs/models.yaml:"
        raise OverlapError("\n".join([text, *found]))
