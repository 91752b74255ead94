"""The committed figures: counts, identities and a source for each."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import specs
from pipeline.clean import formats, read, units
from tests.clean.helpers import RAW


@pytest.fixture(scope="module")
def figures():
    return read.figures(RAW / "official")


@pytest.fixture(scope="module")
def wide(figures):
    return figures.pivot_table(index=["province_code", "year"], columns="variable", values="value")


def registry(name, columns):
    return read.table(
        RAW / ("geography" if name in ("provinces", "adjacency", "prefectures") else "policy") / f"{name}.csv", columns
    )


def test_counts(figures):
    assert figures["variable"].nunique() == 104
    assert len(figures) == 37593
    assert figures["province_code"].nunique() == 31
    published = {k for k, v in specs.dictionary().items() if not v.derived}
    assert published == set(figures["variable"])


def test_years_of_the_dictionary_are_those_of_the_figures(figures):
    years = figures.groupby("variable")["year"].agg(["min", "max"])
    for name, row in years.iterrows():
        assert (row["min"], row["max"]) == (specs.dictionary()[name].first_year, specs.dictionary()[name].last_year)


def test_numbers_are_written_as_published():
    text = (RAW / "official" / "education.csv").read_text(encoding="utf-8").splitlines()
    assert text[1] == "bachelor_graduates,110000,2013,114149,persons"
    for path in (RAW / "official").glob("*.csv"):
        values = pd.read_csv(path, dtype=str)["value"]
        assert not values.str.endswith(".0").any() and not values.str.contains("e").any()


def test_layout_of_hubs():
    provinces = registry("provinces", formats.PROVINCES)
    hubs, clusters = registry("hubs", formats.HUBS), registry("clusters", formats.CLUSTERS)
    prefectures = registry("prefectures", formats.PREFECTURES)
    table = units.units(provinces, hubs, clusters, prefectures, registry("programmes", formats.PROGRAMMES))
    assert len(table) == 31 and len(hubs) == 8 and len(clusters) == 10
    assert (table["hub"] != "").sum() == 14 and table["cluster"].nunique() == 25
    assert table["host"].sum() == 12
    hub = table["hub"] != ""
    assert (table.loc[hub, "bigdata_zone"].count(), table.loc[~hub, "bigdata_zone"].count()) == (8, 2)
    assert (table.loc[hub, "ai_zone"].count(), table.loc[~hub, "ai_zone"].count()) == (9, 7)
    hub_without_host = table[(table["hub"] != "") & ~table["host"]]
    assert hub_without_host["name_en"].tolist() == ["Beijing", "Tianjin"]
    assert table.groupby("role")["hub"].nunique().to_dict() == {"": 1, "demand": 4, "supply": 4}
    assert table["region"].value_counts().to_dict() == {"west": 12, "east": 10, "central": 6, "northeast": 3}
    links = units.links(registry("adjacency", formats.ADJACENCY), hubs, clusters)
    service = links[links["kind"] == "service"]
    assert set(zip(service["source"], service["target"], strict=True)) == {
        ("NM", "JJJ"),
        ("NM", "YRD"),
        ("GZ", "YRD"),
        ("GZ", "GBA"),
        ("GS", "JJJ"),
        ("GS", "YRD"),
        ("GS", "GBA"),
    }
    assert (links["kind"] == "adjacency").sum() == 69


def test_sectors_sum_to_gdp_of_their_vintage(wide):
    old = wide[["va_primary", "va_secondary", "va_tertiary"]].sum(axis=1, min_count=3) - wide["gdp_sector_sum"]
    assert old.count() == 558 and old.abs().max() <= 0.55
    new = wide[[f"va_{s}_census5" for s in ("primary", "secondary", "tertiary")]].sum(axis=1, min_count=3)
    assert new.count() == 279 and (new - wide["gdp"]).abs().max() <= 0.25
    nine = [
        v
        for v in wide
        if v.startswith("va_")
        and v.endswith("_census5")
        and v.split("_")[1] not in ("primary", "secondary", "tertiary")
    ]
    total = wide[nine].sum(axis=1, min_count=9)
    assert len(nine) == 9 and total.count() == 279
    last = total.index.get_level_values("year") == 2024
    assert (total - wide["gdp"])[~last].abs().max() <= 0.55
    assert (total - wide["gdp_2024_preliminary"])[last].abs().max() <= 0.55


def test_parts_do_not_exceed_their_totals(wide):
    pairs = {
        "tax_revenue": "budget_revenue",
        "education_expenditure": "fiscal_expenditure",
        "science_expenditure": "fiscal_expenditure",
        "rd_basic": "rd_expenditure",
        "rd_experimental": "rd_expenditure",
        "industrial_rd": "rd_expenditure",
        "hightech_rd": "industrial_rd",
        "invention_applications": "patent_applications",
        "invention_grants": "patent_grants",
        "it_employment": "urban_employment",
        "manufacturing_employment": "urban_employment",
        "electricity_generation_hydro": "electricity_generation",
        "electricity_generation_thermal": "electricity_generation",
        "software_product_revenue": "software_revenue",
        "it_service_revenue": "software_revenue",
        "optical_cable_km": "optical_cable_total_km",
    }
    for part, total in pairs.items():
        assert not (wide[part] > wide[total] * (1 + 1e-9)).any(), part


@pytest.mark.parametrize("year", [2017, 2018, 2020])
def test_national_input_output_tables_balance(year):
    long = pd.read_csv(RAW / "io" / f"national_{year}.csv", dtype={"row": str, "column": str})
    assert set(long["year"]) == {year}
    table = long.pivot_table(index=["row", "origin"], columns="column", values="value")
    sectors = pd.read_csv(RAW / "io" / "national_sectors.csv", dtype=str)
    codes = sectors.loc[sectors["kind"] == "sector", "code"].tolist()
    assert len(codes) == 42 and set(table.columns) | set(table.index.get_level_values("row")) <= set(sectors["code"])
    home = table.xs("domestic", level="origin")
    np.testing.assert_allclose(home[codes].sum(axis=1), home["TIU"], rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(home["TIU"] + home["TFU"], home["GO"], rtol=1e-9, atol=1e-3)
    total = table.xs("total", level="origin")
    np.testing.assert_allclose(total.loc["TII", codes] + total.loc["TVA", codes], total.loc["TI", codes], rtol=1e-9)
    np.testing.assert_allclose(total.loc["TI", codes], home.loc[codes, "GO"], rtol=1e-6)


def test_provincial_input_output_tables_have_known_provinces_and_one_value_a_cell():
    provinces = set(registry("provinces", formats.PROVINCES)["province_code"])
    table = pd.read_csv(RAW / "io" / "province_tables.csv.gz", dtype={"province_code": str})
    assert len(table) == 130608 and set(table["province_code"]) == provinces and set(table["year"]) == {2012, 2017}
    assert not table.duplicated(["province_code", "year", "row", "column"]).any()
    sectors = pd.read_csv(RAW / "io" / "province_sectors.csv", dtype={"province_code": str})
    assert len(sectors) == 31 * 2 * 42 and set(sectors["unit"]) == {"1e4 CNY"}
    added = table[table["row"] == "TVA"].rename(columns={"column": "sector"})
    both = sectors.merge(added, on=["province_code", "year", "sector"])
    assert len(both) > 2500
    np.testing.assert_allclose(both["value_added"], both["value"], rtol=1e-6, atol=1)


def test_compressed_bytes_carry_no_date():
    header = (RAW / "io" / "province_tables.csv.gz").read_bytes()[:10]
    assert header[3] == 0 and header[4:8] == b"\0\0\0\0"
    assert gzip.decompress((RAW / "io" / "province_tables.csv.gz").read_bytes()).startswith(b"province_code,year,row,")


def test_every_file_and_every_variable_has_its_source(figures):
    fields = {"publisher", "publication", "years", "vintage", "by_hand", "terms", "check", "citation"}
    for folder in ("official", "policy", "geography", "io"):
        sources = yaml.safe_load((RAW / folder / "SOURCES.yaml").read_text(encoding="utf-8"))
        files = {p.name for p in (RAW / folder).iterdir() if p.suffix in (".csv", ".gz")}
        assert set(sources) == files
        for name, entry in sources.items():
            if folder == "official":
                inside = figures[figures["file"] == f"official/{name}"]
                assert set(entry["variables"]) == set(inside["variable"])
                assert all(fields | {"name_zh"} <= set(v) for v in entry["variables"].values())
                counts = inside["variable"].value_counts()
                assert all(v["figures"] == counts[k] for k, v in entry["variables"].items())
            else:
                assert fields | {"content", "names_zh"} <= set(entry), (folder, name)


def test_text_files_are_utf8_with_lf_and_no_mark():
    for path in RAW.rglob("*"):
        if path.suffix in (".csv", ".yaml", ".sha256"):
            content = path.read_bytes()
            assert b"\r" not in content and not content.startswith(b"\xef\xbb\xbf") and content.endswith(b"\n")
            content.decode()
