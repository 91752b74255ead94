"""Everything that ``specs/`` and ``params.yaml`` declare, parsed into plain frozen records.

Each accessor reads one file, so that a stage depends on the files it uses and on no other.
``pipeline.spec_checks`` cross-checks them all before anything is computed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

import yaml

from pipeline.errors import SpecError
from pipeline.store import ROOT

T = TypeVar("T")


@dataclass(frozen=True)
class Variable:
    """One entry of ``dictionary.yaml``: a published series or one derived from others."""

    id: str
    family: str
    zh: str
    en: str
    unit: str
    unit_zh: str
    type: str
    bounds: tuple[float, float]
    nature: str
    publication: str = ""
    vintage: str = ""
    caution: str = ""
    check: str = ""
    first_year: int | None = None
    last_year: int | None = None
    breaks: tuple[dict[str, Any], ...] = ()
    derived_from: tuple[str, ...] = ()
    formula: str | None = None
    method: str | None = None
    scale: bool = False
    max_jump: float | None = 50.0
    unfit: tuple[dict[str, Any], ...] = ()

    @property
    def derived(self) -> bool:
        """Whether the pipeline computes the series; a raw one is published."""
        return bool(self.derived_from)


@dataclass(frozen=True)
class Indicator:
    """One column of an index."""

    id: str
    formula: str
    dimension: str
    unit: str
    unit_zh: str
    zh: str
    en: str


@dataclass(frozen=True)
class Index:
    """One composite index: its rows, its columns and how they are weighted."""

    id: str
    zh: str
    en: str
    role: str
    years: tuple[int, ...]
    reference_last: int
    weights: str
    log_dimensions: bool
    dimensions: dict[str, dict[str, str]]
    indicators: tuple[Indicator, ...]


@dataclass(frozen=True)
class Industry:
    """One industry, group of industries or input: the sectors of the input–output table that make it up."""

    id: str
    zh: str
    en: str
    sectors: tuple[str, ...]


@dataclass(frozen=True)
class Industries:
    """All of ``industries.yaml``: who is exposed, to which inputs, and what the coefficients are called."""

    industries: dict[str, Industry]
    employment: dict[str, Industry]
    inputs: dict[str, Industry]
    coefficients: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Sample:
    """The rows an equation is estimated on.

    Years: listed, or those from ``first`` (to ``last``) in which at least ``minimum_units`` provinces have the outcome.
    Provinces: all, without those (provinces or hubs) under ``without``; ``controls`` keeps the control provinces alone.
    """

    id: str
    zh: str
    en: str
    years: tuple[int, ...] = ()
    first: int | None = None
    last: int | None = None
    minimum_units: int | None = None
    announcement: bool = True
    without: tuple[str, ...] = ()
    controls: bool = False


@dataclass(frozen=True)
class Treatment:
    """A group of provinces × the years that count as treated.

    ``group``: "hub", a role, or a unit-constant column of the rows (a programme, an exposure). ``first``: the first
    treated year, or the key of ``params.yaml`` that holds it. ``moderator``: a column whose province mean over
    ``moderator_years``, standardised, multiplies the treatment.
    """

    id: str
    zh: str
    en: str
    group: str = "hub"
    first: str | int | None = None
    only: int | None = None
    moderator: str | None = None
    moderator_years: tuple[int, ...] = ()


@dataclass(frozen=True)
class Adjustment:
    """What an equation controls for beside the unit effects."""

    id: str
    effects: tuple[str | tuple[str, ...], ...]
    fixed_effects: str
    controls: str
    zh: str
    en: str
    by_time: tuple[str, ...] = ()
    by_time_years: tuple[int, ...] = ()
    years_of: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of variables averaged over other years

    def windows(self) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
        """Return the variables by the years they are averaged over."""
        common = tuple(name for name in self.by_time if name not in self.years_of)
        own = [((name,), tuple(self.years_of[name])) for name in self.by_time if name in self.years_of]
        return [*([(common, self.by_time_years)] if common else []), *own]


@dataclass(frozen=True)
class Model:
    """One specification: an outcome, an adjustment and the estimator that meets them."""

    spec_id: str
    model: str
    estimator: str
    outcome: str
    treatments: tuple[str, ...]
    adjustment: Adjustment
    sample: Sample
    tests: tuple[str, ...]
    data: str = "corrected"
    overlap: tuple[str, ...] = ()
    without: str = ""
    moderated: tuple[str, ...] = ()  # treatments with a moderator, which has a coefficient in every period
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shock:
    """A staggered programme: ``cohort``, the column of ``units`` with its first year, over the years listed."""

    id: str
    zh: str
    en: str
    cohort: str
    years: tuple[int, ...]
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Models:
    """All of ``models.yaml``, its stanzas expanded over outcomes and adjustments."""

    descriptives: dict[str, Any]
    attributes: dict[str, dict[str, str]]
    samples: dict[str, Sample]
    treatments: dict[str, Treatment]
    adjustments: dict[str, Adjustment]
    specifications: tuple[Model, ...] = field(default=())
    shocks: tuple[Shock, ...] = field(default=())
    families: dict[str, dict[str, Any]] = field(default_factory=dict)
    balancing: dict[str, Any] = field(default_factory=dict)


@cache
def _parse(path: str) -> Any:
    try:
        return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(f"{path} is missing.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid YAML in UTF-8: {' '.join(str(error).split())}") from error


def _freeze(value: Any) -> Any:
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value


def _record(kind: type[T], path: str, key: str, stanza: Any, **given: Any) -> T:
    """Build one record; an unknown, missing or malformed field names the file, the stanza and the field."""
    if not isinstance(stanza, dict):
        raise SpecError(f"{path}: {key} must be a mapping, not {stanza!r}.")
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(stanza) - known)
    if unknown:
        raise SpecError(f"{path}: {key} has unknown field(s) {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    try:
        return kind(**({k: _freeze(v) for k, v in stanza.items()} | given))
    except TypeError as error:
        raise SpecError(f"{path}: {key}: {str(error).partition('__init__() ')[2] or error}.") from error


def parsed(name: str) -> Any:
    """Return ``specs/<name>.yaml`` as parsed, for checks that walk all of it."""
    return _parse(f"specs/{name}.yaml")


def params() -> dict[str, Any]:
    """Return ``params.yaml``."""
    return dict(_parse("params.yaml"))


def settings() -> dict[str, Any]:
    """Return the parameters that estimation shares: dates, level, draws."""
    names = ("event_year", "reference_year", "announcement_year", "level", "wild_draws")
    return {name: params()[name] for name in names}


def dictionary() -> dict[str, Variable]:
    """Return the variables by id."""
    path = "specs/dictionary.yaml"
    return {k: _record(Variable, path, k, v, id=k) for k, v in _parse(path).items()}


def corrections() -> list[dict[str, Any]]:
    """Return the declared corrections of raw figures."""
    return list(_parse("specs/corrections.yaml") or [])


def verdicts() -> list[dict[str, Any]]:
    """Return the verdicts on the figures that a quality rule flags."""
    return list(_parse("specs/verdicts.yaml") or [])


def identities() -> dict[str, Any]:
    """Return what published figures must satisfy among themselves."""
    return dict(_parse("specs/identities.yaml"))


def indices() -> dict[str, Index]:
    """Return the composite indices by id."""
    path = "specs/indices.yaml"
    out = {}
    for key, stanza in _parse(path).items():
        columns = tuple(
            _record(Indicator, path, f"{key}.{name}", column, id=name) for name, column in stanza["indicators"].items()
        )
        out[key] = _record(Index, path, key, stanza, id=key, indicators=columns)
    return out


def industries() -> Industries:
    """Return industries, groups of employment and digital inputs with the input–output sectors that make them up."""
    path = "specs/industries.yaml"
    raw = _parse(path)

    def records(name: str) -> dict[str, Industry]:
        return {k: _record(Industry, path, f"{name}.{k}", v, id=k) for k, v in raw[name].items()}

    return Industries(records("industries"), records("employment"), records("inputs"), raw["coefficients"])


def models() -> Models:
    """Return samples, treatments, adjustments and the expanded specifications."""
    path = "specs/models.yaml"
    raw = _parse(path)
    samples = {k: _record(Sample, path, k, v, id=k) for k, v in raw["samples"].items()}
    treatments = {k: _record(Treatment, path, k, v, id=k) for k, v in raw["treatments"].items()}
    adjustments = {k: _record(Adjustment, path, k, v, id=k) for k, v in raw["adjustments"].items()}
    shocks = tuple(_record(Shock, path, f"shocks.{k}", v, id=k) for k, v in raw["shocks"].items())
    expanded = []
    for name, stanza in raw["models"].items():
        try:
            cells = [
                (outcome, adjustments[adjustment], samples[stanza["sample"]])
                for outcome in stanza["outcomes"]
                for adjustment in stanza["adjustments"]
            ]
        except KeyError as error:
            raise SpecError(f"{path}: models.{name} names {error}, which is not declared there.") from error
        for without in stanza.get("leave_out", [""]):
            model = f"{name}_{without}" if without else name
            expanded += [
                Model(
                    spec_id=f"{model}.{outcome}.{adjustment.id}",
                    model=model,
                    estimator=stanza["estimator"],
                    outcome=outcome,
                    treatments=tuple(stanza["treatments"]),
                    adjustment=adjustment,
                    sample=sample,
                    tests=_tests(stanza["tests"], outcome, adjustment.id),
                    data=stanza.get("data", "corrected"),
                    overlap=tuple(stanza.get("overlap", {}).get(outcome, ())),
                    without=without,
                    moderated=tuple(t for t in stanza["treatments"] if t in treatments and treatments[t].moderator),
                    options=stanza.get("options", {}),
                )
                for outcome, adjustment, sample in cells
            ]
    return Models(
        raw["descriptives"],
        raw["attributes"],
        samples,
        treatments,
        adjustments,
        tuple(expanded),
        shocks,
        raw["families"],
        raw["balancing"],
    )


def _tests(declared: list[str] | dict[str, list[str]], outcome: str, adjustment: str) -> tuple[str, ...]:
    """Return the tests of one equation: a list serves all; a mapping names them by equation, else by adjustment."""
    if isinstance(declared, list):
        return tuple(declared)
    return tuple(declared.get(f"{outcome}.{adjustment}", declared.get(adjustment, ())))


def tables() -> dict[str, Any]:
    """Return the stanzas of the printed tables by id."""
    return dict(_parse("specs/tables.yaml"))


def figures() -> dict[str, Any]:
    """Return the stanzas of the figures by id."""
    return dict(_parse("specs/figures.yaml"))


def phrases() -> dict[str, Any]:
    """Return the fixed words of tables and figures in both languages."""
    return dict(_parse("specs/phrases.yaml"))


def site() -> dict[str, Any]:
    """Return the words of the entry page, its headline and what is not printed for want of data."""
    return dict(_parse("specs/site.yaml"))


def codebook() -> dict[str, Any]:
    """Return the columns of the published data files that the dictionary does not hold, and readings in Chinese."""
    return dict(_parse("specs/codebook.yaml"))


def plan() -> dict[str, Any]:
    """Return the analysis plan."""
    return dict(_parse("specs/plan.yaml"))


def deviations() -> list[dict[str, Any]]:
    """Return the declared deviations from the plan."""
    return list(_parse("specs/deviations.yaml") or [])


def labels() -> dict[str, dict[str, str]]:
    """Return zh, en and unit of every variable, indicator, index and dimension that can be printed."""
    out = {k: {"zh": v.zh, "en": v.en, "unit": v.unit, "unit_zh": v.unit_zh} for k, v in dictionary().items()}
    for index in indices().values():
        out |= {c.id: {"zh": c.zh, "en": c.en, "unit": c.unit, "unit_zh": c.unit_zh} for c in index.indicators}
        out |= {f"{index.id}_{k}": {"zh": v["zh"], "en": v["en"], "unit": "0–100"} for k, v in index.dimensions.items()}
        out[index.id] = {"zh": index.zh, "en": index.en, "unit": "0–100"}
        out[f"{index.id}_ln"] = {"zh": f"{index.zh}（对数）", "en": f"ln {index.en}", "unit": "ln"}
    return out


def canonical(parsed: Any) -> bytes:
    """Return the canonical JSON of a parsed specification: what its hash is taken of."""
    return json.dumps(parsed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def plan_sha256() -> str:
    """Return the hash of the parsed plan."""
    return hashlib.sha256(canonical(plan())).hexdigest()


def seed(stage: str, spec_id: str) -> int:
    """Return the seed of one specification's draws in one stage: adding a specification moves nobody else's."""
    text = f"{params()['seed']}/{stage}/{spec_id}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
