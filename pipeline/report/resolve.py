r"""Look up numbers in the three tidy files and fill templates with them.

A template is text with placeholders. ``{word}`` is a variable of the stanza (language, outcome, row …);
``{source.field:style}`` is a number or word of a tidy file, where ``source`` is a key declared in the stanza:

====================  ===========================================================================
``{did.estimate}``    with the decimals of the panel
``{did.mde:2}``       two decimals
``{racks.value:0*100}``  scaled by 100, no decimals
``{cell.value:stored}``  with the digits it is stored with
``{did.n_obs:count}``  an integer with thousands separators
``{did.p_value:p}``   three decimals or ``<0.001``
``{did.plan_sha256:hash}``  the first twelve hex digits
``{hub.role_en:text}``  a text as it is stored
``{hub.status:phrase}``  a stored text, whole or between its commas, translated by the phrase list; nothing where
                      none is stored
``{did.sample:list}``  a stored text whose commas are those of the language
``{audit.x:names}``   the labels of stored ids ("a; b"); nothing where there is no such row
``{did.fixed_effects:has year}``  the words for yes or no: is ``year`` among the parts joined by " + "?
====================  ===========================================================================

In the file ``values`` the field is its ``column``; the number is read from ``value`` and texts from ``text``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from pipeline.errors import ReportError
from pipeline.report import format as fmt
from pipeline.report.grid import Language, Ref, Run

KEYS = {
    "estimates": ("spec_id", "term", "event_time", "cohort"),
    "tests": ("spec_id", "term", "method"),
    "values": ("view_id", "row", "column"),
}
HASH_DIGITS = 12
COMMA = "、"  # between the parts of a list in Chinese
_VARIABLE = re.compile(r"\{(\w+)\}")
_PLACEHOLDER = re.compile(r"\{(\w+)\.([^:{}]+)(?::([^{}]*))?\}")
_STYLE = re.compile(r"(\d+)(?:\*([\d.]+))?")
_WORDS = ("text", "phrase", "hash", "list", "names")


def _part(value: Any) -> str:
    return "" if pd.isna(value) else str(int(value) if isinstance(value, float) else value)


class Tidy:
    """The three tidy files, indexed by their keys.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        ``estimates``, ``tests`` and ``values``.
    """

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._rows: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {}
        for file, key in KEYS.items():
            records = frames[file].to_dict("records")
            self._rows[file] = {tuple(_part(r[k]) for k in key): {str(k): v for k, v in r.items()} for r in records}

    def get(self, ref: Ref, place: str) -> Any:
        """Return the stored value of ``ref``, None where it is missing.

        Raises
        ------
        ReportError
            No such file, row or column; the message names ``place``, key and field.
        """
        shown = " | ".join(part or "-" for part in ref.key)
        if ref.file not in self._rows:
            raise ReportError(f"{place}: there is no tidy file {ref.file!r}. Expected one of {', '.join(KEYS)}.")
        row = self._rows[ref.file].get(ref.key)
        if row is None:
            raise ReportError(
                f"{place}: {ref.file} has no row {shown} (field {ref.field}). "
                "Correct the key in specs/tables.yaml, or estimate it."
            )
        if ref.field not in row:
            raise ReportError(f"{place}: {ref.file} has no column {ref.field!r} (row {shown}).")
        value = row[ref.field]
        return None if pd.isna(value) else value

    def holds(self, ref: Ref) -> bool:
        """Whether the row of ``ref`` exists."""
        return ref.key in self._rows[ref.file]

    def column(self, view_id: str, column: str) -> dict[str, Any]:
        """Return one column of a view of ``values`` by row: its text where there is one, else its number."""
        rows = self._rows["values"]
        return {
            key[1]: row["value"] if pd.isna(row["text"]) else row["text"]
            for key, row in rows.items()
            if (key[0], key[2]) == (view_id, column)
        }

    def view(self, view_id: str, place: str) -> list[str]:
        """Return the rows of a view of ``values`` in the order of the file."""
        rows = list(dict.fromkeys(key[1] for key in self._rows["values"] if key[0] == view_id))
        if not rows:
            raise ReportError(f"{place}: values has no view {view_id!r}.")
        return rows


@dataclass(frozen=True)
class Words:
    """Fixed words in one language.

    Attributes
    ----------
    language : {"zh", "en"}
        The language to speak.
    phrases : mapping
        ``specs/phrases.yaml``: a name to its zh and en texts; under ``texts`` a stored English text to the same.
    """

    language: Language
    phrases: Mapping[str, Any]

    def say(self, text: Any, place: str) -> str:
        """Return a text of a stanza, written once for both languages or as a zh and en pair."""
        if isinstance(text, str):
            return text
        if not isinstance(text, Mapping) or not isinstance(text.get(self.language), str):
            raise ReportError(f"{place}: expected a text or a zh and en pair, found {text!r}.")
        return str(text[self.language])

    def phrase(self, name: str, place: str) -> str:
        """Return a fixed phrase by its name."""
        if name not in self.phrases:
            raise ReportError(f"{place}: specs/phrases.yaml has no phrase {name!r}.")
        return self.say(self.phrases[name], place)

    def translate(self, text: str, place: str) -> str:
        """Return a stored text, whole or part by part between commas, in this language: the keys under ``texts``."""
        known = self.phrases.get("texts", {})
        parts = [text] if text in known or not text else text.split(", ")
        unknown = [part for part in parts if part and part not in known]
        if unknown:
            raise ReportError(f"{place}: specs/phrases.yaml translates no text {text!r}. Add it under texts.")
        comma = COMMA if self.language == "zh" else ", "
        return comma.join(self.say(known[part], place) for part in parts if part)


@dataclass(frozen=True)
class Scope:
    """What a template may refer to.

    Attributes
    ----------
    tidy, words : Tidy, Words
        Numbers and fixed words.
    sources : mapping of str to list of str
        Name of a source to its file and the parts of its key, themselves templates of variables.
    variables : mapping of str to str
        Values of ``{word}``.
    decimals : int
        Digits of a number whose placeholder names no style.
    place : str
        Where the template stands, for errors.
    labels : mapping
        Variable to its zh and en label.
    """

    tidy: Tidy
    words: Words
    sources: Mapping[str, list[str]]
    variables: Mapping[str, str]
    decimals: int
    place: str
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def substitute(self, template: str) -> str:
        """Replace the ``{word}`` variables of a template."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self.variables:
                raise ReportError(
                    f"{self.place}: unknown variable {{{match[1]}}}. Known: {', '.join(sorted(self.variables))}."
                )
            return self.variables[match[1]]

        return _VARIABLE.sub(value, template)

    def ref(self, source: str, field: str, style: str = "") -> Ref:
        """Return the reference that a placeholder means."""
        if source not in self.sources:
            raise ReportError(f"{self.place}: unknown source {source!r}. Known: {', '.join(sorted(self.sources))}.")
        file, *parts = (self.substitute(part) for part in self.sources[source])
        wordy = style in _WORDS or style.startswith("has ")
        if file == "values":
            parts, field = [*parts, field], "text" if wordy else "value"
        missing = len(KEYS.get(file, ())) - len(parts)
        key = (*parts, *[""] * missing)
        decimals, scale = (None, "1") if wordy else self._digits(style)
        return Ref(file, key, field, decimals, scale)

    def _digits(self, style: str) -> tuple[int, str]:
        if style in ("", "count", "p", "stored"):
            return {"": self.decimals, "count": 0, "p": 3, "stored": 0}[style], "1"
        match = _STYLE.fullmatch(style)
        if match is None:
            raise ReportError(
                f"{self.place}: unknown style {style!r}. "
                "Expected digits, count, p, stored, text, phrase, hash, list or names."
            )
        return int(match[1]), match[2] or "1"

    def number(self, ref: Ref) -> float:
        """Return the number behind a reference; a missing one is an error."""
        value = self.tidy.get(ref, self.place)
        if value is None or isinstance(value, str) or not math.isfinite(value):
            shown = " | ".join(part or "-" for part in ref.key)
            raise ReportError(f"{self.place}: {ref.file} {shown}: {ref.field} is {value!r}, expected a number.")
        return float(value)

    def choose(self, text: Any) -> Any:
        """Return a text; of one that hangs on an interval, the sentence that holds for where the interval lies."""
        if not isinstance(text, Mapping) or "interval" not in text:
            return text
        low, high = (self.number(self.ref(text["interval"], side)) for side in ("ci_low", "ci_high"))
        return text["above" if low > 0 else "below" if high < 0 else "holds_zero"]

    def fill(self, template: str) -> tuple[Run, ...]:
        """Return the runs of a template: fixed text, and numbers with their references.

        Raises
        ------
        ReportError
            A variable, source, key, field, phrase or number does not exist.
        """
        template = self.substitute(template)
        runs, end = [], 0
        for match in _PLACEHOLDER.finditer(template):
            runs += [Run(template[end : match.start()])] if match.start() > end else []
            runs.append(self._run(match[1], match[2], match[3] or ""))
            end = match.end()
        rest = template[end:]
        if "{" in rest:
            raise ReportError(f"{self.place}: cannot read the placeholder in {rest!r}.")
        return (*runs, Run(rest)) if rest else tuple(runs)

    def _run(self, source: str, field: str, style: str) -> Run:
        ref = self.ref(source, field, style)
        if ref.decimals is not None:
            value = self.number(ref)
            digits = fmt.decimals(value) if style == "stored" else ref.decimals
            printed = fmt.p_value(value) if style == "p" else fmt.number(value, digits, ref.scale)
            return Run(printed, replace(ref, decimals=digits))
        if style == "names" and not self.tidy.holds(ref):
            return Run("")
        return Run(self._worded(str(self.tidy.get(ref, self.place) or ""), style), ref)

    def _worded(self, text: str, style: str) -> str:
        """Return a stored text as its style prints it."""
        if style.startswith("has "):
            found = style.removeprefix("has ") in text.split(" + ")
            return self.words.phrase("answer_yes" if found else "answer_no", self.place)
        if style == "phrase":
            return self.words.translate(text, self.place)
        if style == "list" and self.words.language == "zh":
            return text.replace(", ", COMMA)
        if style == "names":
            return self.words.phrase("between", self.place).join(map(self._name, text.split("; ")))
        return text[:HASH_DIGITS] if style == "hash" else text

    def _name(self, variable: str) -> str:
        if variable in self.labels:
            return self.words.say(self.labels[variable], self.place)
        return self.words.translate(variable, self.place)
