"""Cross-checks of all of ``specs/``, run once before any stage computes: names, languages, overlap, plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline import specs
from pipeline.errors import SpecError
from pipeline.indices.composition import WEIGHTS
from pipeline.indices.structure import STRUCTURE
from pipeline.overlap import SCALES, audit, names_in

# What pipeline.estimate.designs and pipeline.estimate.battery can run; a test holds the two together.
ESTIMATORS = (
    *("two_way_fe", "event_study", "event_study_by_role", "long_difference"),
    *("balanced", "doubly_robust", "synthetic_did"),
)
TESTS = (
    *("crv1", "cr2", "equality", "joint", "slope", "wild_webb", "wild_rademacher", "permutation_role", "welch"),
    *("randomization_hub", "randomization_hub_coefficient", "randomization_province", "randomization_stratified"),
    *("randomization_contiguous", "conley_300", "conley_500", "conley_800", "driscoll_kraay", "ferman_pinto"),
)
GROUPS = ("hub", "demand", "supply")
USES = ("outcome", "index", "control")
DEVIATION = ("id", "date", "what", "why", "effect")


def check() -> None:
    """Check every file of ``specs/`` against the others.

    Raises
    ------
    SpecError
        Names every inconsistency found, each with its file.
    OverlapError
        A series stands on both sides of an equation or in two indices; names it.
    """
    problems = [*_dictionary(), *_corrections(), *_industries(), *_indices()]
    problems += [*_models(), *_unfit(), *_plan(), *_deviations(), *_languages()]
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


def _industries() -> Iterator[str]:
    """A sector stands in one industry; groups and inputs are made of sectors of an industry."""
    known, declared = specs.dictionary(), specs.industries()
    taken: dict[str, str] = {}
    for name, industry in declared.industries.items():
        if f"va_{name}_census5" not in known:
            yield f"industries.yaml: {name} has no value added va_{name}_census5 in dictionary.yaml."
        for sector in industry.sectors:
            if taken.setdefault(sector, name) != name or industry.sectors.count(sector) > 1:
                yield f"industries.yaml: {sector} stands in {taken[sector]} and again in {name}."
    for part in (declared.employment, declared.inputs):
        for name, group in part.items():
            for sector in group.sectors:
                if sector not in taken:
                    yield f"industries.yaml: {name} names {sector}, which is in no industry."


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
    names = set(specs.dictionary()) | set(STRUCTURE)
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
            if name not in {*known, *models.attributes, "outcome"}:
                yield f"models.yaml: adjustment {adjustment.id} uses {name}, which dictionary.yaml does not have."
    for treatment in models.treatments.values():
        if (treatment.first is None) == (treatment.only is None):
            yield f"models.yaml: treatment {treatment.id} needs either first or only."
        if treatment.group not in GROUPS and treatment.group not in models.attributes:
            yield f"models.yaml: treatment {treatment.id} is of group {treatment.group}, which is declared nowhere."
        if treatment.moderator and treatment.moderator not in possible:
            yield f"models.yaml: treatment {treatment.id} has moderator {treatment.moderator}, which is no variable."
        if isinstance(treatment.first, str) and treatment.first not in params:
            yield f"models.yaml: treatment {treatment.id} starts at {treatment.first}, which params.yaml does not have."
    for model in models.specifications:
        if model.estimator not in ESTIMATORS:
            yield f"models.yaml: {model.model} wants {model.estimator}; known: {', '.join(ESTIMATORS)}."
        if model.outcome not in possible:
            yield f"models.yaml: {model.model} has outcome {model.outcome}, which no index or variable is called."
        if not model.estimator.startswith("event_study"):
            for name in model.treatments:
                if name not in models.treatments:
                    yield f"models.yaml: {model.model} has treatment {name}, which is not declared there."
        for name in model.tests:
            if name not in TESTS:
                yield f"models.yaml: {model.model} asks for test {name}; known: {', '.join(TESTS)}."
    for name in [*models.descriptives["variables"], *models.descriptives["trends"]]:
        if name not in possible:
            yield f"models.yaml: descriptives name {name}, which no index or variable is called."


def _unfit() -> Iterator[str]:
    """A series that says it is not fit for a use is not put to it."""
    models = specs.models()
    uses = {("index", n) for i in specs.indices().values() for c in i.indicators for n in names_in(c.formula)}
    uses |= {("outcome", n) for m in models.specifications for n in _series(m.outcome)}
    uses |= {("control", n) for a in models.adjustments.values() for name in a.by_time for n in _series(name)}
    for name, variable in specs.dictionary().items():
        for entry in variable.unfit:
            if entry["use"] not in USES:
                yield f"dictionary.yaml: {name} is unfit for {entry['use']}; known uses: {', '.join(USES)}."
            if (entry["use"], name) in uses:
                yield f"{name} is used as {entry['use']}, for which it is not fit: {entry['en']}"


def _series(name: str) -> set[str]:
    """Return the raw series behind a variable, and the variable itself; none behind an index."""
    variable = specs.dictionary().get(name)
    if variable is None:
        return set()
    return {name}.union(*(_series(other) for other in variable.derived_from))


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


def _deviations() -> Iterator[str]:
    """A deviation says when, what, why and to what effect, the last three in both languages."""
    seen = set()
    for number, entry in enumerate(specs.deviations(), 1):
        name = entry.get("id", f"entry {number}")
        if name in seen:
            yield f"deviations.yaml: id {name} occurs twice."
        seen.add(name)
        absent = [field for field in DEVIATION if field not in entry]
        absent += [field for field in DEVIATION[2:] if field in entry and not isinstance(entry[field], dict)]
        if absent:
            yield f"deviations.yaml: {name} needs {', '.join(DEVIATION)} (the last three as zh and en); see {absent}."


def _languages() -> Iterator[str]:
    """Every text in one language has its twin in the other."""
    printed = ("tables", "figures", "phrases", "plan", "site", "codebook")
    for name in ("dictionary", "industries", "indices", "models", "deviations", *printed):
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
