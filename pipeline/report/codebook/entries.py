"""What every column of the published data files is: one entry a column, from the specifications."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.errors import ReportError

if TYPE_CHECKING:
    from pipeline.specs import Index, Variable

KINDS = {"float": "number", "int": "integer"}


@dataclass(frozen=True)
class Entry:
    """One column of a published data file.

    Attributes
    ----------
    file, id : str
        Name of the file and of the column.
    zh, en : str
        Labels.
    type : str
        ``string``, ``integer``, ``number`` or ``boolean``.
    family, unit, unit_zh, nature, publication, vintage, caution, formula, check : str
        As in ``specs/dictionary.yaml``; blank where they do not apply.
    bounds : pair of float or None
        Inclusive.
    breaks : tuple of mapping
        ``year``, ``zh`` and ``en`` of each change of definition.
    derived_from : tuple of str
        The columns it is computed from.
    """

    file: str
    id: str
    zh: str
    en: str
    type: str
    family: str = ""
    unit: str = ""
    unit_zh: str = ""
    bounds: tuple[float, float] | None = None
    nature: str = ""
    publication: str = ""
    vintage: str = ""
    caution: str = ""
    breaks: tuple[Mapping[str, Any], ...] = ()
    derived_from: tuple[str, ...] = ()
    formula: str = ""
    check: str = ""


def variables(dictionary: Mapping[str, Variable]) -> dict[str, Entry]:
    """Return the entries of the dictionary's variables by id."""
    shared = ("zh", "en", "family", "unit", "unit_zh", "bounds", "nature", "publication", "vintage", "caution")
    out = {}
    for name, variable in dictionary.items():
        fields = {field: getattr(variable, field) for field in (*shared, "breaks", "derived_from", "check")}
        formula = variable.formula or variable.method or ""
        out[name] = Entry("panel", name, type=KINDS[variable.type], formula=formula, **fields)
    return out


def _sources(formula: str, known: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", formula)) if name in known)


def composites(indices: Mapping[str, Index], words: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the entries of the columns that the indices add: scores, scales, dimensions, indicators, structure.

    Parameters
    ----------
    indices : mapping of str to Index
        ``specs/indices.yaml``.
    words : mapping
        ``specs/codebook.yaml``: ``scales`` and ``structure``.
    known : mapping
        The dictionary, whose names a formula may use.
    """
    found = [entry for index in indices.values() for entry in _index(index, words["scales"], known)]
    for name, text in words["structure"].items():
        sources = _sources(text["formula"], known)
        found.append(Entry("panel", name, type="number", derived_from=sources, check="derived", **text))
    return {entry.id: entry for entry in found}


def _index(index: Index, scales: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Entry]:
    own = tuple(column.id for column in index.indicators)
    for scale in ("score", "ln", "rank", "share"):
        name = index.id if scale == "score" else f"{index.id}_{scale}"
        said = {"zh": index.zh, "en": index.en}
        yield _scaled(name, scales[scale], said, index, own if scale == "score" else (index.id,))
    if index.log_dimensions:
        said = {"zh": index.zh, "en": index.en}
        yield _scaled(f"{index.id}_mean_ln", scales["mean_ln"], said, index, own)
    for dimension, text in index.dimensions.items():
        part = tuple(column.id for column in index.indicators if column.dimension == dimension)
        said = {"zh": index.zh, "en": index.en, "dimension_zh": text["zh"], "dimension_en": text["en"]}
        yield _scaled(f"{index.id}_{dimension}", scales["dimension"], said, index, part)
        if index.log_dimensions:
            yield _scaled(f"{index.id}_{dimension}_ln", scales["dimension_ln"], said, index, part)
    for column in index.indicators:
        fields = {k: getattr(column, k) for k in ("zh", "en", "unit", "unit_zh", "formula")}
        yield Entry(
            "panel",
            column.id,
            type="number",
            family=index.id,
            derived_from=_sources(column.formula, known),
            check="derived",
            **fields,
        )


def _scaled(name: str, scale: Mapping[str, str], said: Mapping[str, str], index: Index, of: tuple[str, ...]) -> Entry:
    return Entry(
        "panel",
        name,
        zh=scale["zh"].format(**said),
        en=scale["en"].format(**said),
        type="number",
        family=index.id,
        unit=scale["unit"],
        unit_zh=scale["unit_zh"],
        nature="index",
        derived_from=of,
        formula=scale["formula"].format(weights=index.weights, of=", ".join(of)),
        check="derived",
    )


def columns(file: str, kinds: Mapping[str, str], texts: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the entries of the columns of a file that is no panel of variables.

    Parameters
    ----------
    file : str
        Its name.
    kinds : mapping of str to str
        Column to dtype, in the order of the file.
    texts : mapping
        Column to its zh and en text.

    Raises
    ------
    ReportError
        A column has no text, or a text no column.
    """
    _complete(file, list(kinds), texts)
    types = {"str": "string", "object": "string", "int64": "integer", "Int64": "integer", "float64": "number"}
    types |= {"bool": "boolean", "boolean": "boolean"}
    return {name: Entry(file, name, type=types[kind], **texts[name]) for name, kind in kinds.items()}


def _complete(file: str, names: list[str], texts: Mapping[str, Any]) -> None:
    silent = [name for name in names if name not in texts]
    absent = [name for name in texts if name not in names]
    if silent or absent:
        raise ReportError(
            f"specs/codebook.yaml, columns.{file}: no text for {', '.join(silent) or 'none'}; "
            f"a text but no column for {', '.join(absent) or 'none'}. Bring the two together."
        )


def chosen(frame: pd.DataFrame, known: Mapping[str, Entry]) -> list[Entry]:
    """Return the entries of a frame's columns, in their order.

    Raises
    ------
    ReportError
        A column has no entry; all such columns are named.
    """
    unknown = [name for name in frame.columns if name not in known]
    if unknown:
        raise ReportError(
            f"The panel has column(s) that nothing describes: {', '.join(unknown)}. Add them to specs/dictionary.yaml, "
            "specs/indices.yaml or, for structure indices, specs/codebook.yaml."
        )
    return [known[name] for name in frame.columns]


def typed(frame: pd.DataFrame, entries: list[Entry]) -> pd.DataFrame:
    """Return the frame with integers where an entry says so, so that no file prints ``123.0``.

    Raises
    ------
    ReportError
        A column of integers holds a fraction.
    """
    out = frame.copy()
    for entry in entries:
        if entry.type == "integer" and not pd.api.types.is_integer_dtype(frame[entry.id]):
            fractions = frame[entry.id].dropna() % 1 != 0
            if fractions.any():
                raise ReportError(
                    f"{entry.id} is int in specs/dictionary.yaml, but {fractions.sum()} value(s) are not."
                )
            out[entry.id] = frame[entry.id].astype("Int64")
    return out
