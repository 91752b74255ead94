from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ReportError
from pipeline.report import notes
from pipeline.report.build import build
from pipeline.report.grid import LONG_PANEL, Cell, Grid, Language, Line, Ref, Run
from pipeline.report.resolve import Tidy, Words
from pipeline.report.trace import trace

PHRASES = {
    "table": {"zh": "表{number}", "en": "Table {number}."},
    "notes": {"zh": "注：", "en": "Notes: "},
    "answer_yes": {"zh": "是", "en": "yes"},
    "answer_no": {"zh": "否", "en": "no"},
    "between": {"zh": "；", "en": "; "},
    "nothing": {"zh": "无", "en": "none"},
    "stars": {"zh": "星号", "en": "stars"},
    "texts": {"demand": {"zh": "需求型", "en": "demand side"}, "TS": {"zh": "高级化", "en": "advancement"}},
}
LABELS = {"gdp": {"zh": "生产总值", "en": "gross product", "unit": "CNY", "unit_zh": "元"}}
STANZA: dict[str, Any] = {
    "name": "small",
    "label": "tab:small",
    "title": {"zh": "小表", "en": "A small table"},
    "decimals": 2,
    "stub": "y",
    "sources": {
        "did": ["estimates", "did.{outcome}.{adjustment}", "hub_post"],
        "main": ["estimates", "did.ln.x", "hub_post"],
        "event": ["estimates", "event.{outcome}.{adjustment}", "hub", "-3"],
        "wild": ["tests", "did.{outcome}.{adjustment}", "hub_post", "wild"],
    },
    "columns": [
        {"id": "a", "head": ["(1)", {"zh": "甲", "en": "A"}], "vars": {"adjustment": "none"}},
        {"id": "b", "head": ["(2)", "B"], "vars": {"adjustment": "x"}, "panels": ["ln"]},
    ],
    "panels": [
        {"id": "ln", "title": "Panel ln", "vars": {"outcome": "ln"}, "decimals": 3},
        {"id": "level", "title": "Panel level", "vars": {"outcome": "level"}},
    ],
    "rows": [
        {"id": "estimate", "label": {"zh": "效应", "en": "Effect"}, "cell": "{did.estimate}", "stars": "did.p_value"},
        {"id": "interval", "label": "interval", "cell": "[{did.ci_low}, {did.ci_high:1*100}]", "gap": True},
        {"id": "p", "label": "p", "cell": "[{wild.p_value:p}]"},
        {"id": "draws", "label": "draws", "cell": "{wild.draws:count}", "panels": ["level"]},
        {"id": "before", "label": "before", "cell": "{event.estimate}", "panels": ["ln"]},
        {"id": "year", "label": "year effects", "cell": "{did.fixed_effects:has year}"},
    ],
    "marks": [{"panel": "ln", "row": "estimate", "column": "b", "text": "†"}],
    "notes": [
        {"zh": "哈希{main.data_sha256:hash}。", "en": "Hash {main.data_sha256:hash} in {spec_ids}."},
        {
            "interval": "main",
            "holds_zero": {"zh": "含零{main.ci_low:2}", "en": "holds zero above {main.ci_low:2}"},
            "above": {"zh": "正{main.ci_low:2}", "en": "positive from {main.ci_low:2}"},
            "below": {"zh": "负{main.ci_low:2}", "en": "negative from {main.ci_low:2}"},
        },
    ],
}


def frames() -> dict[str, pd.DataFrame]:
    rows = [
        ("did.ln.none", "hub_post", None, -0.0345, -0.1, 0.0255, 0.04, "province + year"),
        ("did.ln.x", "hub_post", None, 0.1235, -0.2, 0.3, 0.4, "province + region×year"),
        ("did.level.none", "hub_post", None, 1234.5, -1, 2, 0.0001, "province + year"),
        ("event.ln.none", "hub", -3, 0.0001, -1, 1, 0.5, ""),
        ("event.ln.x", "hub", -3, -0.0001, -1, 1, 0.5, ""),
    ]
    names = ["spec_id", "term", "event_time", "estimate", "ci_low", "ci_high", "p_value", "fixed_effects"]
    estimates = pd.DataFrame(rows, columns=names).assign(cohort=pd.NA, data_sha256="0123456789abcdef" * 4)
    estimates = estimates.astype({"event_time": "Int64", "cohort": "Int64"})
    tests = pd.DataFrame(
        [
            ("did.ln.none", "hub_post", "wild", 0.0004, 9999),
            ("did.ln.x", "hub_post", "wild", 0.25, 9999),
            ("did.level.none", "hub_post", "wild", 1.0, 1081575),
        ],
        columns=["spec_id", "term", "method", "p_value", "draws"],
    )
    values = pd.DataFrame(
        [
            ("v", "gdp", "mean", 12.345, None),
            ("v", "gdp", "role", np.nan, "demand"),
            ("v", "oil", "mean", 1.0, None),
            ("v", "oil", "role", np.nan, "unverified"),
            ("v", "coal", "mean", 2.0, None),
        ],
        columns=["view_id", "row", "column", "value", "text"],
    )
    return {"estimates": estimates, "tests": tests, "values": values}


def made(stanza: dict[str, Any], language: Language = "en", *, stars: bool = False, **given: pd.DataFrame) -> Grid:
    return build("T9", stanza, Tidy(frames() | given), Words(language, PHRASES), labels=LABELS, stars=stars)


def small(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(STANZA) | changes


def texts(grid: Grid) -> list[list[str]]:
    return [[cell.text for cell in line.cells] for line in grid.lines]


def test_every_printed_string() -> None:
    grid = made(small())
    assert texts(grid) == [
        ["", "(1)", "(2)"],
        ["y", "A", "B"],
        ["Panel ln"],
        ["Effect", "−0.035", "0.124†"],
        ["interval", "[−0.100, 2.6]", "[−0.200, 30.0]"],
        ["p", "[<0.001]", "[0.250]"],
        ["before", "0.000", "0.000"],
        ["year effects", "yes", "no"],
        ["Panel level"],
        ["Effect", "1,234.50", ""],
        ["interval", "[−1.00, 200.0]", ""],
        ["p", "[1.000]", ""],
        ["draws", "1,081,575", ""],
        ["year effects", "yes", ""],
    ]
    assert [line.kind for line in grid.lines[:4]] == ["head", "head", "panel", "body"]
    assert [at for at, line in enumerate(grid.lines) if line.rule] == [2, 8]
    assert (grid.heading, grid.title, grid.head) == ("Table 9.", "A small table", 2)
    said = ["".join(run.text for run in note) for note in grid.notes]
    ids = "did.ln.(none, x), did.level.none, event.ln.(none, x)"
    assert said == [f"Notes: Hash 0123456789ab in {ids}.", "holds zero above −0.20"]


def test_chinese_prints_the_same_numbers() -> None:
    grid = made(small(), "zh")
    assert texts(grid)[3:5] == [["效应", "−0.035", "0.124†"], ["interval", "[−0.100, 2.6]", "[−0.200, 30.0]"]]
    assert texts(grid)[7] == ["year effects", "是", "否"]
    assert grid.heading == "表9"


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 0.3, "positive from 0.10"), (-0.3, -0.1, "negative from −0.30")]
)
def test_the_sentence_on_a_null_follows_the_interval(low: float, high: float, said: str) -> None:
    estimates = frames()["estimates"]
    chosen = estimates["spec_id"] == "did.ln.x"
    estimates = estimates.assign(
        ci_low=estimates["ci_low"].mask(chosen, low), ci_high=estimates["ci_high"].mask(chosen, high)
    )
    assert "".join(run.text for run in made(small(), estimates=estimates).notes[1]) == said


def test_stars_are_printed_and_said_only_when_asked_for() -> None:
    grid = made(small(), stars=True)
    assert texts(grid)[3] == ["Effect", "−0.035**", "0.124†"]
    assert texts(grid)[9] == ["Effect", "1,234.50***", ""]
    assert grid.notes[-1][0].text == "stars"
    assert "*" not in "".join(cell for line in texts(made(small())) for cell in line)


def test_rows_of_a_view_with_labels_groups_spans_and_phrases() -> None:
    group = {"zh": "组", "en": "Group"}
    stanza = {
        "name": "view",
        "label": "tab:view",
        "title": "t",
        "decimals": 1,
        "sources": {"v": ["values", "v", "{row}"]},
        "panels": [
            {
                "id": "p",
                "title": "P",
                "stub": "s",
                "columns": [
                    {"id": "unit", "head": "Unit", "cell": "{unit}", "span": {"zh": 1, "en": 2}},
                    {"id": "zh", "head": "zh only", "cell": "{v.mean}", "span": {"zh": 1, "en": 0}},
                    {"id": "mean", "group": group, "head": "Mean", "cell": "{v.mean}"},
                    {"id": "sd", "group": group, "head": "Mean", "cell": {"zh": "{v.mean:0}", "en": "{v.mean:0}"}},
                ],
                "rows": {"view": "v", "first": ["gdp"], "label": "{row}"},
            }
        ],
    }
    labels = LABELS | {name: {"zh": name, "en": name, "unit": "t"} for name in ("oil", "coal")}
    grid = build("T9", stanza, Tidy(frames()), Words("en", PHRASES), labels=labels)
    assert texts(grid) == [
        ["P"],
        ["", "", "Group"],
        ["s", "Unit", "Mean", "Mean"],
        ["gdp", "CNY", "12.3", "12"],
        ["oil", "t", "1.0", "1"],
        ["coal", "t", "2.0", "2"],
    ]
    assert [(cell.span, cell.rule) for cell in grid.lines[1].cells] == [(1, False), (2, False), (2, True)]
    stanza["panels"][0]["rows"] = [{"id": "gdp", "label": "{label}, {unit}, {v.role:phrase}"}]  # type: ignore[index]
    chinese = build("T9", stanza, Tidy(frames()), Words("zh", PHRASES), labels=LABELS)
    assert texts(chinese)[-1] == ["生产总值, 元, 需求型", "元", "12.3", "12.3", "12"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "{did.estimate"}, "T9, panel ln, row estimate, column a: cannot read the placeholder"),
        ({"cell": "{dod.estimate}"}, "row estimate, column a: unknown source 'dod'. Known: did, event, main, wild"),
        ({"cell": "{did.std_error}"}, "estimates has no column 'std_error' (row did.ln.none | hub_post | - | -)"),
        ({"cell": "{did.estimate:3f}"}, "unknown style '3f'"),
        ({"cell": "{country}"}, "unknown variable {country}"),
        ({"cell": "{did.cohort}"}, "did.ln.none | hub_post | - | -: cohort is None, expected a number"),
        ({"cell": "{did.fixed_effects:phrase}"}, "translates no text 'province + year'"),
        ({"label": {"en": "x", "zh": 3}, "cell": 3}, "expected a text or a zh and en pair, found 3"),
        ({"celll": "x"}, "unknown field(s) celll"),
    ],
)
def test_a_mistake_in_a_row_names_table_and_cell(change: dict[str, Any], message: str) -> None:
    stanza = small()
    stanza["rows"][0] |= change
    with pytest.raises(ReportError) as error:
        made(stanza)
    assert message in str(error.value)


def test_a_missing_key_names_table_cell_and_key() -> None:
    tests = frames()["tests"].iloc[1:]
    with pytest.raises(ReportError) as error:
        made(small(), tests=tests)
    expected = "T9, panel ln, row p, column a: tests has no row did.ln.none | hub_post | wild (field p_value)."
    assert str(error.value).startswith(expected)


def test_a_number_that_is_missing_is_not_printed_as_nan() -> None:
    estimates = frames()["estimates"].assign(estimate=np.nan)
    with pytest.raises(ReportError, match="estimate is None, expected a number"):
        made(small(), estimates=estimates)


def test_a_heading_must_fit_the_columns() -> None:
    stanza = small()
    stanza["panels"][1]["columns"] = [{"id": "a", "head": "x", "vars": {"adjustment": "none"}}]
    with pytest.raises(ReportError, match="'Panel level' does not span 3 columns"):
        made(stanza)
    with pytest.raises(ReportError, match="2 widths for 3 columns"):
        made(small(widths=[1, 2]))


def test_a_view_without_rows_or_without_a_named_row_is_an_error() -> None:
    stanza = small()
    stanza["panels"][0]["rows"] = {"view": "w", "label": "x"}
    with pytest.raises(ReportError, match="values has no view 'w'"):
        made(stanza)
    stanza["panels"][0]["rows"] = {"view": "v", "first": ["gas"], "label": "x"}
    with pytest.raises(ReportError, match="the view v has no row gas"):
        made(stanza)


def test_a_full_crossing_of_specifications_is_named_as_one() -> None:
    stanza = small()
    stanza["panels"], stanza["rows"] = stanza["panels"][:1], [stanza["rows"][i] for i in (0, 4)]
    note = "".join(run.text for run in made(stanza).notes[0])
    assert note.endswith("in (did, event).ln.(none, x).")


def test_the_sidecar_says_where_each_number_is_stored() -> None:
    found = trace({language: made(small(), language) for language in ("zh", "en")})
    row = found[(found["row"] == "5") & (found["column"] == 2)]
    assert row["text"].tolist() == ["−0.100", "2.6"]
    assert row["key"].unique().tolist() == ["did.ln.none | hub_post"]
    assert row["field"].tolist() == ["ci_low", "ci_high"]
    assert row["decimals"].tolist() == [3, 1]
    assert row["scale"].tolist() == ["1", "100"]
    assert set(found["language"]) == {"", "zh", "en"}  # yes and no are words of a language
    assert found.loc[found["row"] == "note 2", "text"].tolist() == ["−0.20"]


def test_the_two_languages_must_print_the_same_numbers() -> None:
    stanza = small()
    stanza["rows"][0]["cell"] = {"zh": "{did.ci_low}", "en": "{did.estimate}"}
    with pytest.raises(ReportError, match="zh and en do not print the same numbers: line 4"):
        trace({language: made(stanza, language) for language in ("zh", "en")})


def views(rows: list[tuple[str, str, str, float, str | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["view_id", "row", "column", "value", "text"])


def test_the_same_lines_for_every_entry_of_a_list() -> None:
    stanza = small(sources=STANZA["sources"] | {"did": ["estimates", "did.{item}.{adjustment}", "hub_post"]})
    stanza["columns"][1] |= {"decimals": 1}
    stanza["panels"] = [
        {
            "id": "ln",
            "title": "P",
            "rows": [
                {
                    "each": [{"id": "ln", "vars": {"label": {"zh": "对数", "en": "logs"}}}, "ln"],
                    "lines": [
                        {"id": "one", "label": "{label}", "cells": {"b": "{did.estimate}"}},
                        {"id": "two", "label": "of {item}", "cell": "{did.ci_low}", "columns": ["a"]},
                    ],
                },
                {"id": "last", "label": "last", "cell": "{row}"},
            ],
        }
    ]
    labels = LABELS | {"ln": {"zh": "中", "en": "label of ln", "unit": "ln"}}
    grid = build("T9", stanza, Tidy(frames()), Words("en", PHRASES), labels=labels)
    assert texts(grid)[3:] == [
        ["logs", "", "0.1"],
        ["of ln", "−0.10", ""],
        ["Label of ln", "", "0.1"],
        ["of ln", "−0.10", ""],
        ["last", "last", "last"],
    ]
    assert [line.gap for line in grid.lines[3:]] == [False, False, True, False, False]


def test_stars_stand_beside_their_own_estimate_alone() -> None:
    stanza = small()
    stanza["rows"][0] |= {"cells": {"a": "{did.estimate}", "b": "{wild.p_value:p}"}}
    assert texts(made(stanza, stars=True))[3] == ["Effect", "−0.035**", "0.250†"]


def test_rows_of_a_view_may_be_chosen_and_ordered() -> None:
    cells = [(row, column, text) for row in "abc" for column, text in (("kind", "x" if row != "b" else "y"),)]
    given = views([("v", row, column, np.nan, text) for row, column, text in cells])
    order = views([("v", row, "order", float(n), None) for n, row in enumerate("cba")])
    values = pd.concat([given, order], ignore_index=True)
    panel: dict[str, Any] = {"id": "p", "title": "P", "columns": [{"id": "k", "head": "K", "cell": "{v.kind:text}"}]}
    stanza = {"name": "v", "label": "l", "title": "t", "sources": {"v": ["values", "v", "{row}"]}}

    def rows(**chosen: Any) -> list[str]:
        panels = [panel | {"rows": {"view": "v", "label": "{row}"} | chosen}]
        return [line[0] for line in texts(made(stanza | {"panels": panels}, values=values))[2:]]

    assert rows() == ["a", "b", "c"]
    assert rows(order="order") == ["c", "b", "a"]
    assert rows(order="order", where={"kind": "x"}) == ["c", "a"]
    assert rows(where={"kind": ["x", "y"]}) == ["a", "b", "c"]
    with pytest.raises(ReportError, match="no row is listed"):
        rows(where={"kind": "z"})
    with pytest.raises(ReportError, match="v has no kinds for a, b, c"):
        rows(order="kinds")


@pytest.mark.parametrize(("language", "names"), [("en", "gross product; advancement"), ("zh", "生产总值；高级化")])
def test_stored_ids_digits_and_lists_are_read_in_the_language(language: Language, names: str) -> None:
    values = views(
        [
            ("v", "a", "ids", np.nan, "gdp; TS"),
            ("v", "a", "number", 1234.5678, None),
            ("v", "a", "round", 10.0, None),
            ("v", "a", "years", np.nan, "2013, 2014"),
            ("v", "a", "roles", np.nan, "demand, TS"),
            ("v", "a", "empty", np.nan, ""),
        ]
    )
    cells = {"1": "{v.ids:names}", "2": "{v.none:names}", "3": "{v.number:stored}", "4": "{v.round:stored}"}
    cells |= {"5": "{v.years:list}", "6": "{v.roles:phrase}", "7": "{v.empty:phrase}"}
    panel = {
        "id": "p",
        "title": "P",
        "columns": [{"id": i, "head": i, "cell": cell} for i, cell in cells.items()],
        "rows": [{"id": "a", "label": "a"}],
    }
    stanza = {"name": "v", "label": "l", "title": "t", "sources": {"v": ["values", "v", "a"]}, "panels": [panel]}
    grid = made(stanza, language, values=values)
    comma = {"en": ", ", "zh": "、"}[language]
    roles = {"en": "demand side, advancement", "zh": "需求型、高级化"}[language]
    assert texts(grid)[-1][1:] == [names, "", "1,234.5678", "10", f"2013{comma}2014", roles, ""]
    refs = [run.ref for cell in grid.lines[-1].cells for run in cell.runs if run.ref is not None]
    assert [ref.decimals for ref in refs] == [None, 4, 0, None, None, None]


def test_a_note_lists_the_entries_that_have_something_to_say() -> None:
    values = views(
        [
            ("v", "gdp", "breaks_en", np.nan, "2018: rebased"),
            ("v", "gdp", "en", np.nan, "Product"),
            ("v", "oil", "breaks_en", np.nan, ""),
            ("v", "coal", "breaks_en", np.nan, "2020: recount"),
            ("v", "coal", "en", np.nan, "Coal"),
        ]
    )
    note = {"view": "v", "list": ["gdp", "oil", "coal"], "where": "breaks_{lang}", "text": "Breaks: {list}."}
    note["item"] = "{item.en:text} ({item.breaks_en:text})"

    def said(**changed: Any) -> str:
        return "".join(run.text for run in made(small(notes=[note | changed]), values=values).notes[0])

    assert said() == "Notes: Breaks: Product (2018: rebased); Coal (2020: recount)."
    assert said(list=["oil"]) == "Notes: Breaks: none."
    named = {"gdp": {"zh": "中", "en": "GDP"}, "oil": "Oil"}
    assert said(list=named, item="{name} {item.breaks_en:text}") == "Notes: Breaks: GDP 2018: rebased."
    with pytest.raises(ReportError, match=r"values has no row v \| gas"):
        said(list=["gas"])


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["did.a.x"], "did.a.x"),
        (["did.a.x", "did.b.none", "event.a.x", "event.b.none"], "(did, event).a.x, (did, event).b.none"),
        (["did.a.x", "did.a.none", "did.b.x", "did.b.none", "raw.c.x"], "did.(a, b).(x, none), raw.c.x"),
    ],
)
def test_specifications_are_named_in_few_words(ids: list[str], said: str) -> None:
    runs = [Run("0", Ref("estimates", (i, "hub_post", "", ""), "estimate", 2)) for i in ids]
    words = [Run("t", Ref("values", ("view", "row", "column"), "text"))]
    assert notes.spec_ids([Line((Cell(tuple(runs + words)),))]) == said


def test_a_panel_longer_than_a_page_breaks_at_its_gaps() -> None:
    def lines(count: int) -> tuple[Line, ...]:
        return (Line((Cell(),), "panel"), *(Line((Cell(),), gap=n % 3 == 0) for n in range(count)))

    stem = made(small())
    short, long = (replace(stem, lines=(*lines(count), *lines(1))) for count in (LONG_PANEL - 1, LONG_PANEL))
    assert [at for at in range(1, LONG_PANEL - 1) if not short.together(at)] == []
    assert [at for at in range(1, LONG_PANEL) if not long.together(at)] == list(range(3, LONG_PANEL, 3))
    assert not long.together(LONG_PANEL)  # the last before the next panel
