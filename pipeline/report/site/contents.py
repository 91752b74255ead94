"""The list of results: what stands in ``results/``, with specification ids and hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

TABLE_FORMATS = ("md", "csv", "tex", "docx")
FIGURE_FORMATS = ("pdf", "svg", "png")
LANGUAGES = ("en", "zh")


def specifications(keys: pd.Series) -> str:
    """Return the specification ids among the keys of traced numbers, shortened by model: ``did.chain_ln.{none, x}``."""
    ids = pd.unique(keys.astype(str).str.split("|").str[0].str.strip())
    groups: dict[str, list[str]] = {}
    for name in ids:
        head, _, adjustment = name.rpartition(".")
        groups.setdefault(head, []).append(adjustment)
    return ", ".join(f"`{k}.{{{', '.join(v)}}}`" if len(v) > 1 else f"`{k}.{v[0]}`" for k, v in groups.items())


def _links(folder: str, stem: str, formats: Sequence[str]) -> str:
    by_language = [
        f"{language}: " + " ".join(f"[{form}]({folder}/{stem}.{language}.{form})" for form in formats)
        for language in LANGUAGES
    ]
    return " · ".join(by_language)


def contents(
    tables: Mapping[str, Any],
    figures: Mapping[str, Any],
    keys: Mapping[str, pd.Series],
    hashes: Mapping[str, str],
) -> str:
    """Return ``results/README.md``.

    Parameters
    ----------
    tables, figures : mapping of id to stanza
        What is printed.
    keys : mapping of id to Series of str
        For each table and figure, the keys of the estimates and tests it prints; the part before ``|`` is the
        specification id.
    hashes : mapping
        ``data_sha256`` and ``plan_sha256``.
    """
    lines = [
        "# Results · 结果",
        "",
        "Written by the build; every number is a row of one of the three files in [`estimates/`](estimates). "
        "由流程自动生成；每个数字都可在 [`estimates/`](estimates) 的三个文件中找到。",
        "",
        f"- data · 数据 sha256 `{hashes['data_sha256']}`",
        f"- plan · 方案 sha256 `{hashes['plan_sha256']}`",
        "",
        "| id | title · 标题 | files · 文件 | data · 数据 | specifications · 设定 |",
        "|---|---|---|---|---|",
    ]
    for name, stanza in tables.items():
        stem = f"{name}_{stanza['name']}"
        title = f"{stanza['title']['en']} · {stanza['title']['zh']}"
        links = _links("tables", stem, TABLE_FORMATS)
        lines.append(
            f"| {name} | {title} | {links} | [cells](tables/{stem}.cells.csv) | {specifications(keys[name])} |"
        )
    for name, stanza in figures.items():
        stem = f"{name}_{stanza['name']}"
        title = " · ".join(stanza["words"]["title"][k].split(maxsplit=1)[-1] for k in LANGUAGES)
        links = _links("figures", stem, FIGURE_FORMATS)
        lines.append(f"| {name} | {title} | {links} | [rows](figures/{stem}.csv) | {specifications(keys[name])} |")
    lines += [
        "",
        "| file · 文件 | one row is · 一行为 | key · 主键 |",
        "|---|---|---|",
        "| `estimates/estimates.csv` | a coefficient · 一个系数 | spec_id, term, event_time, cohort |",
        "| `estimates/tests.csv` | a test · 一个检验 | spec_id, term, method |",
        "| `estimates/values.csv` | a description or a registry entry · 一项描述或登记 | view_id, row, column |",
        "| `log/*.csv` | a column of a table of the build, summarised · 中间数据各列的摘要 | column |",
        "",
    ]
    return "\n".join(lines)
