"""The headline: the sentence that the data allow about the primary specification, and the numbers beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.resolve import Scope, Tidy, Words

PLACE = "specs/site.yaml, headline"


def headline(stanza: Mapping[str, Any], tidy: Tidy, words: Words) -> dict[str, Any]:
    """Fill the headline in one language.

    Parameters
    ----------
    stanza : mapping
        ``headline`` of ``specs/site.yaml``: ``sources``, ``decimals``, a ``sentence`` that may hang on an interval, and
        ``facts``, each with ``label`` and ``value``.
    tidy, words : Tidy, Words
        The three tidy files, and the language.

    Returns
    -------
    dict with ``sentence`` (runs) and ``facts`` (list of ``label`` and ``runs``).

    Raises
    ------
    ReportError
        A number does not exist; the message names its key.
    """
    scope = Scope(tidy, words, stanza["sources"], {"lang": words.language}, stanza["decimals"], PLACE)
    facts = [
        {"label": words.say(fact["label"], PLACE), "runs": scope.fill(words.say(fact["value"], PLACE))}
        for fact in stanza["facts"]
    ]
    return {"sentence": scope.fill(words.say(scope.choose(stanza["sentence"]), PLACE)), "facts": facts}
