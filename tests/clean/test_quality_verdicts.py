"""Flags, verdicts and corrections agree cell by cell, or the build stops and lists every disagreement."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from pipeline import specs
from pipeline.clean import quality, read
from pipeline.clean.quality.series import published
from pipeline.clean.quality.verdicts import COLUMNS, reconcile
from pipeline.errors import CorrectionError, SpecError
from pipeline.store import ROOT
from tests.clean.helpers import RAW, copy_raw, edit

FLAGS = pd.DataFrame(
    [
        ("v", "110000", 2020, 1.0, "spike", 5.0),
        ("v", "110000", 2020, 1.0, "decimals", -4.0),
        ("v", "120000", 2020, 2.0, "spike", 6.0),
        ("w", "110000", 2019, 3.0, "exchange", 7.0),
    ],
    columns=["variable", "province_code", "year", "value", "rule", "score"],
)


def verdict(variable, code, year, rules, decision, reason):
    return {
        "variable": variable,
        "province_code": code,
        "year": year,
        "rules": rules,
        "verdict": decision,
        "reason": {"en": reason, "zh": reason},
    }


VERDICTS = [
    verdict("v", "110000", 2020, ["decimals", "spike"], "missing", "one"),
    verdict("v", "120000", 2020, ["spike"], "kept", "two"),
    verdict("w", "110000", 2019, ["exchange"], "corrected", "three"),
]
CORRECTIONS = [
    {
        "id": "a",
        "variable": "v",
        "action": "set_missing",
        "cells": [{"province_code": "110000", "year": 2020, "expect": 1}],
    },
    {"id": "b", "variable": "w", "action": "set", "cells": [{"province_code": "110000", "year": 2019, "expect": 3}]},
]


def test_every_flag_gets_the_decision_on_its_cell():
    out = reconcile(FLAGS, VERDICTS, CORRECTIONS)
    assert list(out.columns) == COLUMNS
    assert out["decision"].tolist() == ["set missing", "set missing", "kept", "corrected"]
    assert out["rule"].tolist() == ["decimals", "spike", "spike", "exchange"]
    assert out["reason"].tolist() == ["one", "one", "two", "three"]


def test_a_flagged_cell_without_a_verdict_stops_and_says_what_to_do():
    with pytest.raises(SpecError) as caught:
        reconcile(FLAGS, VERDICTS[:1] + VERDICTS[2:], CORRECTIONS)
    assert "v, 120000, 2020: 2 is flagged (spike) and not judged; compare it" in str(caught.value)


def test_a_verdict_that_no_rule_needs_any_more_stops():
    stale = verdict("v", "130000", 2020, ["spike"], "kept", "four")
    with pytest.raises(SpecError, match="v, 130000, 2020: no rule flags this cell any more"):
        reconcile(FLAGS, [*VERDICTS, stale], CORRECTIONS)


def test_other_rules_than_the_judged_ones_ask_for_a_new_judgement():
    changed = [{**VERDICTS[0], "rules": ["spike"]}, *VERDICTS[1:]]
    with pytest.raises(SpecError, match="judged for spike, now flagged by decimals, spike; judge again"):
        reconcile(FLAGS, changed, CORRECTIONS)


def test_malformed_verdicts_are_all_named():
    shared = [VERDICTS[0], {**VERDICTS[1], "reason": {"en": "one", "zh": ""}}, {**VERDICTS[2], "verdict": "maybe"}]
    with pytest.raises(SpecError) as caught:
        reconcile(FLAGS, [*shared, VERDICTS[2]], CORRECTIONS)
    text = str(caught.value)
    assert "v, 110000, 2020: shares its en reason with another cell" in text
    assert "v, 120000, 2020: the reason has no zh text" in text
    assert "w, 110000, 2019: verdict 'maybe', expected one of kept, corrected, missing" in text
    assert "w, 110000, 2019: judged 2 times" in text


def test_verdicts_and_corrections_agree_in_both_directions():
    with pytest.raises(CorrectionError) as caught:
        reconcile(FLAGS, VERDICTS, [{**CORRECTIONS[0], "action": "set"}])
    text = str(caught.value)
    assert "v, 110000, 2020: correction a needs the verdict corrected, found missing" in text
    assert "w, 110000, 2019: the verdict is corrected, and no correction changes it" in text
    beyond = [{**CORRECTIONS[0], "cells": [*CORRECTIONS[0]["cells"], {"province_code": "990000", "year": 1}]}]
    with pytest.raises(CorrectionError, match="v, 990000, 1: correction a needs the verdict missing, found none"):
        reconcile(FLAGS, VERDICTS, beyond + CORRECTIONS[1:])


@pytest.fixture(scope="module")
def declared():
    names = ("verdicts", "corrections", "identities")
    return {n: yaml.safe_load((ROOT / "specs" / f"{n}.yaml").read_text(encoding="utf-8")) for n in names}


def flagged(folder, declared):
    return quality.flag(published(read.figures(folder), specs.dictionary(), declared["identities"]))


@pytest.fixture(scope="module")
def flags(declared):
    return flagged(RAW / "official", declared)


def test_every_flag_on_the_published_figures_is_judged_once(flags, declared):
    out = reconcile(flags, declared["verdicts"], declared["corrections"])
    assert len(out) == len(flags)
    assert {"kept", "corrected", "set missing"} == set(out["decision"])


def test_each_reason_names_figures_of_its_own(declared):
    for entry in declared["verdicts"]:
        assert sum(c.isdigit() for c in entry["reason"]["en"]) >= 4, entry


def test_an_error_mended_in_the_source_leaves_a_stale_verdict(tmp_path, declared):
    official = copy_raw(tmp_path, "official") / "official"
    edit(official / "internet_and_ecommerce.csv", *(f"websites,310000,2016,{v},1e4 sites" for v in ("10", "39.1234")))
    with pytest.raises(SpecError, match="websites, 310000, 2016: no rule flags this cell any more"):
        reconcile(flagged(official, declared), declared["verdicts"], declared["corrections"])
