"""All of specs/ is cross-checked before anything is computed; each inconsistency is named."""

from __future__ import annotations

import copy

import pytest

from pipeline import overlap, spec_checks, specs
from pipeline.errors import OverlapError, SpecError


@pytest.fixture
def edit(monkeypatch):
    """Return a function that hands out a parsed file to edit in place; the project's own stays as it is."""
    original = specs._parse
    copies = {}

    def parse(path):
        if path not in copies:
            copies[path] = copy.deepcopy(original(path))
        return copies[path]

    monkeypatch.setattr(specs, "_parse", parse)
    return lambda name: parse(name if "/" in name or name == "params.yaml" else f"specs/{name}.yaml")


def test_the_specifications_of_the_project_agree():
    spec_checks.check()


def test_unknown_field_is_named(edit):
    edit("dictionary")["gdp"]["colour"] = "red"
    with pytest.raises(SpecError, match=r"dictionary.yaml: gdp has unknown field\(s\) colour"):
        spec_checks.check()


def test_missing_field_is_named(edit):
    del edit("dictionary")["gdp"]["unit"]
    with pytest.raises(SpecError, match="gdp: missing 1 required positional argument: 'unit'"):
        spec_checks.check()


def test_all_inconsistencies_are_named_at_once(edit):
    edit("indices")["chain"]["indicators"]["ht_revenue"]["formula"] = "hightech_turnover / gdp"
    edit("models")["models"]["did"]["outcomes"].append("chain_cubed")
    edit("models")["models"]["did"]["tests"]["none"].append("magic")
    edit("params.yaml")["event_year"] = 2023
    with pytest.raises(SpecError) as caught:
        spec_checks.check()
    text = str(caught.value)
    for part in (
        "indices.yaml: chain.ht_revenue uses hightech_turnover",
        "models.yaml: did has outcome chain_cubed",
        "models.yaml: did asks for test magic",
        "plan.yaml: event_year is 2022, params.yaml says 2023",
    ):
        assert part in text


def test_a_sector_in_two_industries_is_named(edit):
    declared = edit("industries")
    declared["industries"]["finance"]["sectors"].append("房地产")
    declared["inputs"]["it"]["sectors"] = ["软件"]
    declared["industries"]["fishery"] = declared["industries"].pop("agriculture")
    with pytest.raises(SpecError) as caught:
        spec_checks.check()
    for part in (
        "industries.yaml: 房地产 stands in finance and again in real_estate",
        "industries.yaml: it names 软件, which is in no industry",
        "industries.yaml: fishery has no value added va_fishery_census5",
    ):
        assert part in str(caught.value)


def test_one_language_alone_is_named(edit):
    del edit("phrases")["notes"]["zh"]
    with pytest.raises(SpecError, match=r"phrases.yaml: notes has en alone"):
        spec_checks.check()


def test_a_deviation_that_leaves_something_out_is_named(edit):
    declared = edit("deviations")
    declared.append(copy.deepcopy(declared[0]))
    declared[0].pop("why")
    declared[1]["effect"].pop("zh")
    with pytest.raises(SpecError) as caught:
        spec_checks.check()
    for part in (
        f"deviations.yaml: {declared[0]['id']} needs id, date, what, why, effect",
        f"deviations.yaml: id {declared[0]['id']} occurs twice",
        "deviations.yaml[1].effect has en alone",
    ):
        assert part in str(caught.value)


def test_an_undeclared_sample_is_named(edit):
    edit("models")["models"]["did"]["sample"] = "all"
    with pytest.raises(SpecError, match=r"models\.did names 'all', which is not declared"):
        spec_checks.check()


def test_the_plan_must_be_what_is_estimated(edit):
    edit("models")["samples"]["chain"]["years"].remove(2013)
    with pytest.raises(SpecError, match=r"plan.yaml: primary sample_years is"):
        spec_checks.check()


def test_a_series_in_both_indices_stops_the_run(edit):
    edit("indices")["chain"]["indicators"]["np_revenue"]["formula"] = "it_employment / pop"
    with pytest.raises(OverlapError, match="it_employment: it_employment in chain and it_employment in compute_scale"):
        spec_checks.check()


def test_two_vintages_of_a_series_are_one_family(edit):
    edit("indices")["chain"]["indicators"]["np_revenue"]["formula"] = "va_tertiary_census5 / gdp"
    with pytest.raises(OverlapError, match=r"va_tertiary_census5 in outcome chain.* and va_tertiary in adjustment x"):
        spec_checks.check()


def test_gdp_and_population_are_exempt():
    assert overlap.families(["gdp", "pop", "x_gdp_per_capita", "x_population"]) == {}


def test_a_dimension_has_the_families_of_its_own_indicators():
    assert set(overlap.families_of_outcome("chain_upgrading_ln")) == {specs.dictionary()["hightech_revenue"].family}


def test_formula_names():
    assert overlap.names_in("log(gdp * 10000 / pop) + pop") == ["gdp", "pop"]


def test_a_file_that_is_no_yaml_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "params.yaml").write_text("a: [1", encoding="utf-8")
    monkeypatch.setattr(specs, "ROOT", tmp_path)
    specs._parse.cache_clear()
    try:
        with pytest.raises(SpecError, match=r"params\.yaml is not valid YAML"):
            specs.params()
        with pytest.raises(SpecError, match=r"plan\.yaml is missing"):
            specs.plan()
    finally:
        specs._parse.cache_clear()


def test_specification_ids_are_expanded_and_unique():
    ids = [m.spec_id for m in specs.models().specifications]
    assert "did.chain_ln.x" in ids
    assert len(ids) == len(set(ids))
    assert sum(name.startswith("did.") for name in ids) == 12


def test_seeds_belong_to_their_specification():
    assert specs.seed("wild", "did.chain_ln.x") == specs.seed("wild", "did.chain_ln.x")
    assert specs.seed("wild", "did.chain_ln.x") != specs.seed("wild", "did.chain_ln.none")
    assert specs.seed("wild", "did.chain_ln.x") != specs.seed("randomization", "did.chain_ln.x")


def test_plan_hash_ignores_layout_and_sees_content(edit):
    before = specs.plan_sha256()
    plan = edit("plan")
    reordered = dict(reversed(list(plan.items())))
    plan.clear()
    plan.update(reordered)
    assert specs.plan_sha256() == before
    plan["primary"]["outcome"] = "chain"
    assert specs.plan_sha256() != before


def test_a_series_is_not_put_to_a_use_it_is_unfit_for(edit):
    edit("models")["models"]["raw"]["outcomes"].append("rd_intensity")
    with pytest.raises(SpecError, match="rd_intensity is used as outcome, for which it is not fit: mixes the GDP"):
        spec_checks.check()


def test_a_variable_derived_from_an_unfit_series_is_refused_too(edit):
    entry = {"use": "control", "en": "for a test", "zh": "测试"}
    edit("dictionary")["va_tertiary"]["unfit"] = [entry]
    with pytest.raises(SpecError, match="va_tertiary is used as control, for which it is not fit: for a test"):
        spec_checks.check()


def test_an_overlap_that_is_not_declared_stops_the_run(edit):
    del edit("models")["models"]["raw"]["overlap"]["tertiary_share"]
    with pytest.raises(
        OverlapError, match="va_tertiary_census5 in outcome tertiary_share and va_tertiary in adjustment"
    ):
        spec_checks.check()


def test_a_declared_overlap_must_exist(edit):
    edit("models")["models"]["raw"]["overlap"]["ln_rd"] = ["va_tertiary"]
    with pytest.raises(OverlapError, match="declares it an overlap of ln_rd, but there is none"):
        spec_checks.check()
