"""The list of results: what stands in ``results/``, with specification ids and hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

TABLE_FORMATS = ("html", "md", "csv", "tex", "docx")
FIGURE_FORMATS = ("pdf", "svg", "png")
LANGUAGES = ("en", "zh")
FEW = 3


@dataclass(frozen=True)
class Printed:
    """A table or figure and its files.

    Attributes
    ----------
    id, folder, stem : str
        ``T4``, ``tables``, ``T4_baseline``.
    title : mapping of language to str
        Without the number.
    formats : tuple of str
        Suffixes; each exists in every language.
    source : str
        The file beside it that says where its numbers are stored.
    specifications : list of str
        Ids of what it prints, shortened by :func:`grouped`.
    """

    id: str
    folder: str
    stem: str
    title: Mapping[str, str]
    formats: tuple[str, ...]
    source: str
    specifications: list[str]


def grouped(keys: pd.Series) -> list[str]:
    """Return the specification ids among the keys of traced numbers, shortened: ``did.chain_ln.{none, x}``.

    Adjustments of one model and outcome stand together; so do more than ``FEW`` models that begin alike and share what
    follows: ``leave_out_{GZ, NM, …}.chain_ln.{none, x}``.
    """
    ids = pd.unique(keys.astype(str).str.split("|").str[0].str.strip())
    adjustments: dict[str, list[str]] = {}
    for name in ids:
        head, _, adjustment = name.rpartition(".")
        adjustments.setdefault(head or name, []).extend([adjustment] if head else [])
    models: dict[tuple[str, str], list[str]] = {}
    for head, found in adjustments.items():
        model, *rest = [*head.split("."), *([_braces(found)] if found else [])]
        family = model.rpartition("_")[0]
        models.setdefault((family, ".".join(rest)), []).append(model)
    out: list[str] = []
    for (family, tail), alike in models.items():
        start = f"{family}_" if family else ""
        told = [_braces([m.removeprefix(start) for m in alike], start)] if len(alike) > FEW else alike
        out += [f"{model}.{tail}" if tail else model for model in told]
    return out


def _braces(parts: Sequence[str], prefix: str = "") -> str:
    return prefix + (f"{{{', '.join(parts)}}}" if len(parts) > 1 else parts[0])


def tables(stanzas: Mapping[str, Any], keys: Mapping[str, pd.Series]) -> list[Printed]:
    """Return the printed tables; ``keys`` are those of the estimates and tests in each."""
    out = []
    for name, stanza in stanzas.items():
        stem = f"{name}_{stanza['name']}"
        found = grouped(keys[name])
        out.append(Printed(name, "tables", stem, stanza["title"], TABLE_FORMATS, f"{stem}.cells.csv", found))
    return out


def figures(stanzas: Mapping[str, Any], keys: Mapping[str, pd.Series]) -> list[Printed]:
    """Return the printed figures; a title of theirs begins with the number, which is left out."""
    out = []
    for name, stanza in stanzas.items():
        stem = f"{name}_{stanza['name']}"
        title = {k: stanza["words"]["title"][k].split(maxsplit=1)[-1] for k in LANGUAGES}
        out.append(Printed(name, "figures", stem, title, FIGURE_FORMATS, f"{stem}.csv", grouped(keys[name])))
    return out


def _line(entry: Printed) -> str:
    links = " · ".join(
        f"{language}: " + " ".join(f"[{form}]({entry.folder}/{entry.stem}.{language}.{form})" for form in entry.formats)
        for language in LANGUAGES
    )
    title = f"{entry.title['en']} · {entry.title['zh']}"
    specifications = ", ".join(f"`{name}`" for name in entry.specifications)
    source = "cells" if entry.folder == "tables" else "rows"
    return f"| {entry.id} | {title} | {links} | [{source}]({entry.folder}/{entry.source}) | {specifications} |"


def contents(printed: Sequence[Printed], site: Mapping[str, Any], hashes: Mapping[str, str]) -> str:
    """Return ``results/README.md``.

    Parameters
    ----------
    printed : sequence of Printed
        Tables, then figures.
    site : mapping
        ``specs/site.yaml``: ``pending``, ``supply`` and ``files``.
    hashes : mapping
        ``data_sha256`` and ``plan_sha256``.
    """
    lines = [
        "# Results · 结果",
        "",
        "Written by the build; every number is a row of one of the three files in [`estimates/`](estimates). "
        "由流程自动生成；每个数字都可在 [`estimates/`](estimates) 的三个文件中找到。",
        "",
        "To look around, open [`index.html`](index.html) in a browser. 浏览请打开 [`index.html`](index.html)。",
        "",
        f"- data · 数据 sha256 `{hashes['data_sha256']}`",
        f"- plan · 计划 sha256 `{hashes['plan_sha256']}`",
        "",
        "| id | title · 标题 | files · 文件 | data · 数据 | specifications · 设定 |",
        "|---|---|---|---|---|",
        *map(_line, printed),
        "",
        "| file · 文件 | what it is · 内容 |",
        "|---|---|",
        *(f"| [`{path}`]({path}) | {text['en']} · {text['zh']} |" for path, text in site["files"].items()),
        "| [`log/`](log) | the columns of every table of the build, summarised · 中间数据各列的摘要 |",
        "",
    ]
    if site["pending"]:
        lines += [
            "Not printed: data that the user has to supply. 未输出：需由使用者提供数据。 "
            f"{site['supply']['en']} {site['supply']['zh']}",
            "",
            "| id | title · 标题 | what it needs · 所需数据 |",
            "|---|---|---|",
        ]
        for name, entry in site["pending"].items():
            title, needs = (f"{entry[field]['en']} · {entry[field]['zh']}" for field in ("title", "needs"))
            lines.append(f"| {name} | {title} | {needs} |")
        lines.append("")
    return "\n".join(lines)
