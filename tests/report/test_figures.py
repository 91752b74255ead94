"""Figures draw the tidy rows, all of them and nothing else, in both languages, to the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline import specs, store
from pipeline.errors import ReportError
from pipeline.report import stage_figures
from pipeline.report.figures import build, raw_trends, rows, sheet
from tests.report import fixture_designs, fixture_inference

Tidy = dict[str, pd.DataFrame]
STANZAS = specs.figures()
IDS = sorted(STANZAS)
PARAMS = {"event_year": 2022, "reference_year": 2020, "announcement_year": 2021}
YEARS = [2013, 2014, 2015, 2016, 2018, 2019, 2020, 2021, 2022, 2023]
HASHES = {"data_sha256": "d" * 64, "plan_sha256": "b" * 64}
HUBS = {
    "JJJ": ("demand", "京津冀枢纽", "Beijing-Tianjin-Hebei", "110000 120000 130000"),
    "YRD": ("demand", "长三角枢纽", "Yangtze River Delta", "310000 320000 330000 340000"),
    "GBA": ("demand", "粤港澳大湾区枢纽", "Guangdong-HK-Macau GBA", "440000"),
    "CY": ("demand", "成渝枢纽", "Chengdu-Chongqing", "510000 500000"),
    "NM": ("supply", "内蒙古枢纽", "Inner Mongolia", "150000"),
    "GZ": ("supply", "贵州枢纽", "Guizhou", "520000"),
    "GS": ("supply", "甘肃枢纽", "Gansu", "620000"),
    "NX": ("supply", "宁夏枢纽", "Ningxia", "640000"),
}
CLUSTERS = {
    "ZJK": ("张家口集群", "Zhangjiakou", "130000"),
    "YRDGI": (
        "长三角生态绿色一体化发展示范区集群",
        "Yangtze River Delta Eco-Green Integrated Development Demonstration Zone",
        "310000;320000;330000",
    ),
    "WH": ("芜湖集群", "Wuhu", "340000"),
    "SG": ("韶关集群", "Shaoguan", "440000"),
    "TF": ("天府集群", "Tianfu", "510000"),
    "CQ": ("重庆集群", "Chongqing", "500000"),
    "HLGE": ("和林格尔集群", "Horinger", "150000"),
    "GA": ("贵安集群", "Gui'an", "520000"),
    "QY": ("庆阳集群", "Qingyang", "620000"),
    "ZW": ("中卫集群", "Zhongwei", "640000"),
}
NAMES = {
    "110000": ("北京", "Beijing"), "120000": ("天津", "Tianjin"), "130000": ("河北", "Hebei"),
    "140000": ("山西", "Shanxi"), "150000": ("内蒙古", "Inner Mongolia"), "210000": ("辽宁", "Liaoning"),
    "220000": ("吉林", "Jilin"), "230000": ("黑龙江", "Heilongjiang"), "310000": ("上海", "Shanghai"),
    "320000": ("江苏", "Jiangsu"), "330000": ("浙江", "Zhejiang"), "340000": ("安徽", "Anhui"),
    "350000": ("福建", "Fujian"), "360000": ("江西", "Jiangxi"), "370000": ("山东", "Shandong"),
    "410000": ("河南", "Henan"), "420000": ("湖北", "Hubei"), "430000": ("湖南", "Hunan"),
    "440000": ("广东", "Guangdong"), "450000": ("广西", "Guangxi"), "460000": ("海南", "Hainan"),
    "500000": ("重庆", "Chongqing"), "510000": ("四川", "Sichuan"), "520000": ("贵州", "Guizhou"),
    "530000": ("云南", "Yunnan"), "540000": ("西藏", "Tibet"), "610000": ("陕西", "Shaanxi"),
    "620000": ("甘肃", "Gansu"), "630000": ("青海", "Qinghai"), "640000": ("宁夏", "Ningxia"),
    "650000": ("新疆", "Xinjiang"),
}  # fmt: skip
LINKS = ["NM|JJJ", "NM|YRD", "GZ|YRD", "GZ|GBA", "GS|JJJ", "GS|YRD", "GS|GBA"]


def _estimates() -> pd.DataFrame:
    """Return made-up coefficients of two event studies; the reference year is a zero without standard error."""
    out = []
    for shift, adjustment in enumerate(["none", "x"]):
        for place, year in enumerate(YEARS):
            value = 0.04 * np.sin(2.0 * place + shift) - 0.03 * shift
            error = 0.035 + 0.004 * abs(2020 - year)
            interval, band = 2.064 * error, 2.9 * error
            drawn = {"ci_low": value - interval, "ci_high": value + interval}
            drawn |= {"band_low": value - band, "band_high": value + band} if year != 2021 else {}
            if year == 2020:
                value, error, drawn = 0.0, np.nan, {}
            row = {"estimate": value, "std_error": error, "df": 24.0, "n_obs": 310, "n_units": 31, "n_clusters": 25}
            row |= {
                "spec_id": f"event.chain_ln.{adjustment}",
                "term": "hub",
                "event_time": year - 2022,
                "cohort": pd.NA,
            }
            common = drawn | {"n_treated_clusters": 8, "covariance": "CRV3", "sample": "chain_event"} | HASHES
            out.append(row | common)
            for role, by in {"demand": 0.01, "supply": -0.02}.items():
                moved = {"spec_id": f"roles_event.chain_ln.{adjustment}", "term": role}
                moved |= {"estimate": value + by * (year != 2020), "band_low": np.nan, "band_high": np.nan}
                out.append(row | common | moved)
    return pd.DataFrame(out).astype({"event_time": "Int64", "cohort": "Int64"})


def _tests() -> pd.DataFrame:
    out = []
    for adjustment, p in {"none": 0.31, "x": 0.047}.items():
        spec = {"spec_id": f"event.chain_ln.{adjustment}", "term": "pre"}
        out.append(spec | {"method": "joint", "statistic": 1.2417, "df1": 6.0, "df2": 24.0, "p_value": p})
        out.append(spec | {"method": "slope", "estimate": -0.0123, "statistic": -1.1, "df1": 24.0, "p_value": p / 100})
    return pd.DataFrame(out)


def _values() -> pd.DataFrame:
    hub_of = {code: (hub, facts[0]) for hub, facts in HUBS.items() for code in facts[3].split()}
    grids = {
        "hub_map": {
            code: {"name_zh": zh, "name_en": en, "hub": hub_of.get(code, ("", ""))[0]}
            | {"group": hub_of.get(code, ("", "control"))[1]}
            | {"clusters": ";".join(c for c, facts in CLUSTERS.items() if code in facts[2])}
            for code, (zh, en) in NAMES.items()
        },
        "hub_links": {link: {"source": link.split("|")[0], "target": link.split("|")[1]} for link in LINKS},
        "registry_hubs": {hub: {"hub_zh": facts[1], "hub_en": facts[2]} for hub, facts in HUBS.items()},
        "registry_clusters": {
            cluster: dict(zip(["cluster_zh", "cluster_en"], facts[:2], strict=True))
            for cluster, facts in CLUSTERS.items()
        },
    }
    out = [
        {"view_id": view, "row": row, "column": column, "text": text}
        for view, grid in grids.items()
        for row, cells in grid.items()
        for column, text in cells.items()
    ]
    level = {"hub": 3.0, "control": 2.4, "demand": 3.5, "supply": 2.3}
    for row, base in level.items():
        for year in YEARS:
            value = base + 0.09 * (year - 2013) + 0.03 * np.cos(year * base)
            place = {"x": float(year), "value": value, "low": value - 0.4, "high": value + 0.5}
            out.append({"view_id": "trends_chain_ln", "row": row, "column": str(year)} | place)
    for shift, index in enumerate(("chain", "compute_intensity", "compute_scale")):
        for place, code in enumerate(NAMES):
            for year in (2020, 2023):
                rank = float((place * (7 if year == 2020 else 9) + shift) % 31 + 1)
                out.append(
                    {"view_id": f"ranks_{index}", "row": code, "column": str(year), "x": rank, "value": 3 * rank}
                )
    return pd.DataFrame(out)


@pytest.fixture(scope="module")
def tidy() -> Tidy:
    parts = [{"estimates": _estimates(), "tests": _tests(), "values": _values()}]
    parts += [fixture_inference.figures(HASHES), fixture_designs.figures(HASHES)]
    joined = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]}
    keys = {"estimates": ["spec_id", "term", "event_time"], "tests": ["spec_id", "term", "method"]}
    return joined | {name: joined[name].drop_duplicates(key, ignore_index=True) for name, key in keys.items()}


@pytest.fixture(scope="module")
def drawn(tidy: Tidy) -> dict[str, tuple[dict[str, bytes], pd.DataFrame]]:
    return {i: build.build(i, STANZAS[i], tidy, PARAMS, simulated=True) for i in IDS}


def _figure(figure_id: str, tidy: Tidy, language: str = "en", *, simulated: bool = True) -> Figure:
    stanza = STANZAS[figure_id]
    selected = rows.select(figure_id, stanza, tidy)
    with sheet.house_style():
        page = sheet.Sheet(figure_id, stanza, selected, PARAMS, language, HASHES, simulated)
        figure = build.DRAW[stanza["module"]](page)
        figure.draw_without_rendering()
    return figure


def _artist(figure: Figure, gid: str, panel: int = 0) -> Any:
    return figure.axes[panel].findobj(lambda a: a.get_gid() == gid)[0]


def _changed(
    frame: pd.DataFrame, where: Callable[[pd.DataFrame], pd.Series], column: str, value: object
) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].mask(where(frame), value)})


@pytest.mark.parametrize("figure_id", IDS)
def test_every_stanza_gives_every_format_in_both_languages(figure_id, drawn):
    stem = build.stem(figure_id, STANZAS[figure_id])
    starts = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}
    files = drawn[figure_id][0]
    assert set(files) == {f"{stem}.{language}.{kind}" for language in ("en", "zh") for kind in starts}
    assert all(content.startswith(starts[name.rsplit(".", 1)[1]]) for name, content in files.items())
    assert files[f"{stem}.en.svg"] != files[f"{stem}.zh.svg"]


def test_a_second_run_in_another_process_gives_the_same_bytes(tidy, drawn, tmp_path):
    tidy_file = tmp_path / "tidy.pkl"
    pd.to_pickle((tidy, {name: content for files, _ in drawn.values() for name, content in files.items()}), tidy_file)
    code = (
        "import sys, pandas as pd; from pipeline import specs; from pipeline.report.figures.build import build;"
        f"tidy, first = pd.read_pickle(sys.argv[1]); params = {PARAMS!r};"
        "drawn = [build(i, s, tidy, params, simulated=True)[0] for i, s in specs.figures().items()];"
        "again = {name: content for files in drawn for name, content in files.items()};"
        "print([n for n in first if first[n] != again.get(n)])"
    )
    command = [sys.executable, "-c", code, str(tidy_file)]
    done = subprocess.run(
        command, cwd=store.ROOT, capture_output=True, text=True, env={"PYTHONHASHSEED": "7", "TZ": "UTC-8"}
    )
    assert done.stdout.strip() == "[]", done.stderr


def same(a: object, b: object) -> bool:
    return bool(pd.isna(a) and pd.isna(b)) if pd.isna(a) or pd.isna(b) else a == b


@pytest.mark.parametrize("figure_id", IDS)
def test_the_data_are_the_rows_that_the_stanza_selects(figure_id, tidy, drawn):
    data, expected = drawn[figure_id][1], 0
    for wanted in STANZAS[figure_id]["reads"].values():
        columns = [c for c in wanted if c != "table"]
        frame = tidy[wanted["table"]]
        rows_wanted = frame[np.logical_and.reduce([frame[c].isin(wanted[c]) for c in columns])]
        keys = list(store.PARTS[wanted["table"]])
        keys = [k for k in keys if k in data.columns]
        kept = data[data["table"] == wanted["table"]].merge(rows_wanted[keys], on=keys)
        shared = [c for c in rows_wanted.columns if c in data.columns]
        assert len(kept) == len(rows_wanted)
        for column in shared:
            left, right = kept[column].to_list(), rows_wanted[column].to_list()
            assert all(same(a, b) for a, b in zip(left, right, strict=True)), column
        dropped = [c for c in rows_wanted.columns if c not in data.columns]
        assert rows_wanted[dropped].isna().all(axis=None)
        expected += len(rows_wanted)
    assert len(data) == expected
    for column in rows.INTEGERS:
        assert column not in data or data[column].dtype == "Int64"


def test_event_study_draws_every_estimate_interval_and_band(tidy):
    figure = _figure("F5", tidy)
    for panel, spec_id in enumerate(STANZAS["F5"]["panels"]):
        estimates = tidy["estimates"]
        tidy_rows = estimates[estimates["spec_id"] == spec_id]
        tidy_rows = tidy_rows.assign(year=tidy_rows["event_time"].astype(int) + 2022)
        points = {
            int(x): y
            for name in ("reference", "announcement", "effects")
            for x, y in _artist(figure, name, panel).get_xydata()
        }
        assert points == dict(zip(tidy_rows["year"], tidy_rows["estimate"], strict=True))
        for gid, (low, high) in {"intervals": ("ci_low", "ci_high"), "bands": ("band_low", "band_high")}.items():
            segments = [
                s for k in ("announcement", "effects") for s in _artist(figure, f"{gid} {k}", panel).get_segments()
            ]
            ends = {int(s[0, 0]): (s[0, 1], s[1, 1]) for s in segments}
            known = tidy_rows.dropna(subset=[low])
            assert ends == {y: (a, b) for y, a, b in zip(known["year"], known[low], known[high], strict=True)}
        reference = _artist(figure, "reference", panel)
        assert reference.get_xydata().tolist() == [[2020, 0]]
        assert to_hex(reference.get_markerfacecolor()) == "#ffffff"
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert "F(6, 24) = 1.24, p = 0.31" in figure.axes[0].texts[0].get_text()
    assert "−0.012 a year, p < 0.001" in figure.axes[1].texts[0].get_text()


def test_event_study_by_role_draws_every_estimate_and_interval_beside_its_year(tidy):
    figure = _figure("F6", tidy)
    estimates = tidy["estimates"]
    for panel, spec_id in enumerate(STANZAS["F6"]["panels"]):
        for role, shift in {"demand": -0.14, "supply": 0.14}.items():
            expected = estimates[(estimates["spec_id"] == spec_id) & (estimates["term"] == role)]
            expected = expected.assign(at=expected["event_time"].astype(float) + 2022 + shift)
            points = np.concatenate([_artist(figure, name, panel).get_xydata() for name in (role, f"reference {role}")])
            assert sorted(map(tuple, points)) == sorted(expected[["at", "estimate"]].itertuples(index=False, name=None))
            known = expected.dropna(subset=["ci_low"])
            segments = _artist(figure, f"intervals {role}", panel).get_segments()
            assert [(s[0, 0], s[0, 1], s[1, 1]) for s in segments] == list(
                known[["at", "ci_low", "ci_high"]].itertuples(index=False, name=None)
            )
            assert to_hex(_artist(figure, f"reference {role}", panel).get_markerfacecolor()) == "#ffffff"
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["Demand hubs", "Supply hubs"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_index_ranks_draw_both_years_of_every_province_in_the_order_of_the_later(language, tidy):
    figure = _figure("F2", tidy, language)
    groups = {code: facts[0] for facts in HUBS.values() for code in facts[3].split()}
    for panel, index in enumerate(STANZAS["F2"]["panels"]):
        ranks = tidy["values"].query("view_id == @view", local_dict={"view": f"ranks_{index}"})
        ranks = ranks.pivot_table(index="row", columns="column", values="x").sort_values("2023")
        names = [label.get_text() for label in figure.axes[panel].get_yticklabels()]
        assert names == [NAMES[code][language == "en"] for code in ranks.index]
        heights = dict(zip(ranks.index, range(1, 32), strict=True))
        for group in ("demand", "supply", "control"):
            some = ranks[[groups.get(code, "control") == group for code in ranks.index]]
            for year in ("2020", "2023"):
                points = _artist(figure, f"{year} {group}", panel).get_xydata()
                assert points.tolist() == [[rank, heights[code]] for code, rank in some[year].items()]
            segments = _artist(figure, f"lines {group}", panel).get_segments()
            assert [s[:, 0].tolist() for s in segments] == some[["2020", "2023"]].to_numpy().tolist()


def test_a_province_without_a_rank_is_named(tidy):
    values = tidy["values"][~((tidy["values"]["view_id"] == "ranks_chain") & (tidy["values"]["row"] == "540000"))]
    with pytest.raises(ReportError, match=r"F2_index_ranks.*chain and hub_map disagree about 540000"):
        build.build("F2", STANZAS["F2"], tidy | {"values": values}, PARAMS)


def test_raw_trends_draw_means_and_quartiles_and_break_where_a_year_is_missing(tidy):
    figure = _figure("F4", tidy)
    for group in ("hub", "control", "demand", "supply"):
        expected = tidy["values"].query("view_id == 'trends_chain_ln' and row == @group").set_index("x")
        line = pd.Series(*_artist(figure, f"mean {group}").get_data()[::-1])
        assert np.isnan(line[2017])
        assert line.drop(2017).to_dict() == expected["value"].to_dict()
    vertices = np.concatenate([p.vertices for p in _artist(figure, "quartiles hub").get_paths()])
    hub = tidy["values"].query("view_id == 'trends_chain_ln' and row == 'hub'")
    assert {tuple(v) for v in hub[["x", "low"]].to_numpy()} | {tuple(v) for v in hub[["x", "high"]].to_numpy()} <= {
        tuple(v) for v in vertices
    }
    assert not (vertices[:, 0] == 2017).any()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hub_map_shows_every_province_cluster_and_link(language, tidy):
    figure = _figure("F1", tidy, language)
    tiles = {str(a.get_gid())[5:]: a for a in figure.axes[0].findobj(lambda a: str(a.get_gid()).startswith("tile "))}
    assert set(tiles) == set(NAMES) | {"710000", "810000", "820000"}
    assert len({(t.get_x(), t.get_y()) for t in tiles.values()}) == 34
    colours = {
        group: to_hex(tiles[code].get_facecolor()) for group, code in {"demand": "310000", "supply": "520000"}.items()
    }
    for _, (role, _, _, codes) in HUBS.items():
        assert {to_hex(tiles[code].get_facecolor()) for code in codes.split()} == {colours[role]}
    links = {a.get_gid()[5:] for a in figure.axes[0].findobj(lambda a: str(a.get_gid()).startswith("link "))}
    assert links == set(LINKS)
    spaces = [t.get_window_extent() for t in tiles.values()]
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        for tile in spaces:
            inside = tile.x0 <= box.x0 and box.x1 <= tile.x1 and tile.y0 <= box.y0 and box.y1 <= tile.y1
            assert inside or not tile.overlaps(box), text.get_text()
    said = "".join(t.get_text() for t in figure.axes[0].texts).replace(" ", "")
    assert all(names[language == "en"].replace(" ", "") in said for names in CLUSTERS.values())


@pytest.mark.parametrize("figure_id", IDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_leaves_the_sheet_or_covers_another(figure_id, language, tidy):
    figure = _figure(figure_id, tidy, language, simulated=False)
    renderer = figure.canvas.get_renderer()
    boxes = []
    for text in set(figure.findobj(Text)):  # a legend is walked through twice
        if text.get_text().strip() and text.get_visible():
            box = text.get_window_extent(renderer)
            boxes.append((text.get_text(), box.x0, box.y0, box.x1, box.y1))
    frame = figure.bbox
    assert [b for b in boxes if b[1] < 0 or b[2] < 0 or b[3] > frame.x1 or b[4] > frame.y1] == []
    clash = [
        (a[0], b[0])
        for i, a in enumerate(boxes)
        for b in boxes[i + 1 :]
        if min(a[3], b[3]) - max(a[1], b[1]) > 1 and min(a[4], b[4]) - max(a[2], b[2]) > 1
    ]
    assert clash == []


def test_a_missing_row_is_named_with_its_figure(tidy):
    lacking = tidy | {"tests": tidy["tests"].query("method != 'slope' or spec_id != 'event.chain_ln.x'")}
    with pytest.raises(
        ReportError, match=r"F5_event_study.*tests \(spec_id = event.chain_ln.x, term = pre, method = slope\)"
    ):
        build.build("F5", STANZAS["F5"], lacking, PARAMS)


def test_a_province_without_a_tile_is_named(tidy):
    stanza = STANZAS["F1"] | {"tiles": {k: v for k, v in STANZAS["F1"]["tiles"].items() if k != "540000"}}
    with pytest.raises(ReportError, match=r"F1_hub_map.*540000"):
        build.build("F1", stanza, tidy, PARAMS)


def test_a_link_without_a_route_is_named(tidy):
    link = pd.DataFrame({"view_id": "hub_links", "row": "NX|CY", "column": ["source", "target"], "text": ["NX", "CY"]})
    with pytest.raises(ReportError, match=r"F1_hub_map.*NX\|CY"):
        build.build("F1", STANZAS["F1"], tidy | {"values": pd.concat([tidy["values"], link])}, PARAMS)


def test_a_cluster_without_a_host_province_is_named(tidy):
    values = _changed(tidy["values"], lambda d: (d["row"] == "620000") & (d["column"] == "clusters"), "text", "")
    with pytest.raises(ReportError, match=r"F1_hub_map.*disagree about QY"):
        build.build("F1", STANZAS["F1"], tidy | {"values": values}, PARAMS)


def test_a_label_missing_in_one_language_is_named(tidy):
    stanza = STANZAS["F4"] | {"words": STANZAS["F4"]["words"] | {"y": {"en": "y"}}}
    with pytest.raises(ReportError, match=r"F4_raw_trends.*words\.y\.zh"):
        build.build("F4", stanza, tidy, PARAMS)


def test_a_character_that_the_font_lacks_is_named(tidy):
    stanza = STANZAS["F4"] | {"words": STANZAS["F4"]["words"] | {"y": {"en": "log \u16a0", "zh": "对数"}}}
    with pytest.raises(ReportError, match=r"F4_raw_trends.*U\+16A0"):
        build.build("F4", stanza, tidy, PARAMS)


def test_rows_of_two_builds_are_refused(tidy):
    mixed = _changed(tidy["estimates"], lambda d: d["spec_id"] == "event.chain_ln.x", "data_sha256", "e" * 64)
    with pytest.raises(ReportError, match="2 pairs of data and plan hash"):
        build.build("F4", STANZAS["F4"], tidy | {"estimates": mixed}, PARAMS)


def test_an_unknown_module_is_named(tidy):
    with pytest.raises(ReportError, match=r"F4_raw_trends: no module 'sparkline'"):
        build.build("F4", STANZAS["F4"] | {"module": "sparkline"}, tidy, PARAMS)


def test_simulated_rows_carry_a_watermark_and_others_none(tidy):
    for simulated in (True, False):
        marks = _figure("F5", tidy, simulated=simulated).findobj(lambda a: a.get_gid() == "watermark")
        assert len(marks) == simulated
    said = tidy | {"estimates": tidy["estimates"].assign(sample="simulated_panel")}
    plain, marked = (build.build("F5", STANZAS["F5"], t, PARAMS)[0]["F5_event_study.en.svg"] for t in (tidy, said))
    assert b'id="watermark"' in marked
    assert b'id="watermark"' not in plain


def _strings(node: object) -> list[str]:
    if isinstance(node, dict):
        return [text for key, value in node.items() for text in [*_strings(key), *_strings(value)]]
    if isinstance(node, (list, tuple)):
        return [text for value in node for text in _strings(value)]
    return [node] if isinstance(node, str) else []


@pytest.mark.parametrize("figure_id", IDS)
def test_every_word_stands_in_both_languages_and_in_no_other_key(figure_id):
    for name, word in STANZAS[figure_id]["words"].items():
        assert set(word) == {"en", "zh"}, name
        assert all(isinstance(text, str) and text.strip() for text in word.values()), name


@pytest.mark.parametrize("path", sorted(p.name for p in (store.ROOT / "specs").glob("*.yaml")))
def test_the_font_has_every_character_of_the_specifications(path):
    import yaml

    parsed = yaml.safe_load((store.ROOT / "specs" / path).read_text(encoding="utf-8"))
    sheet.check_glyphs(path, _strings(parsed))


def test_lines_break_between_words_and_chinese_characters_and_fit():
    chinese = "阴影\uff1a2021年\uff08政策公布年\uff09\uff0c参与估计但不进入检验。" * 6
    english = "Thick bars: 95 % intervals, thin bars: simultaneous bands. " * 5
    for text in (chinese, english):
        lines = sheet.wrap(text, 200, 6.3)
        assert len(lines) > 2
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line[0] in ",;:)\u3002\uff0c\uff1a\uff09" for line in lines)
        assert max(sheet._width(line, 6.3) for line in lines) <= 200


@pytest.mark.parametrize(("value", "text"), [(0.0004, "p < 0.001"), (0.0312, "p = 0.031"), (0.4567, "p = 0.46")])
def test_p_values_are_printed_as_the_field_does(value, text):
    assert sheet.p_value(value) == text


def test_labels_that_would_touch_move_apart_and_keep_their_order():
    moved = raw_trends._spread({"a": 1.0, "b": 1.02, "c": 3.0, "d": 0.99}, 0.2)
    assert moved["c"] == 3.0
    order = [moved[k] for k in ("d", "a", "b")]
    assert np.allclose(np.diff(order), 0.2)
    assert np.isclose(np.mean(order), np.mean([1.0, 1.02, 0.99]))


def test_the_stage_writes_all_files_and_drops_what_no_stanza_names(tidy, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "ROOT", tmp_path)
    for name in store.PARTS:
        frame = tidy[name].assign(cohort=pd.NA) if name == "estimates" else tidy[name]
        store.save(name, frame)
    old = tmp_path / "results/figures/F99_gone.en.pdf"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    monkeypatch.setattr(specs, "figures", lambda: {"F4": STANZAS["F4"]})
    monkeypatch.setattr(specs, "params", lambda: PARAMS)
    stage_figures.main()
    kinds = [f"F4_raw_trends.{lang}.{kind}" for lang in ("en", "zh") for kind in ("pdf", "svg", "png")]
    assert sorted(p.name for p in old.parent.iterdir()) == sorted([*kinds, "F4_raw_trends.csv"])
    table = pd.read_csv(old.parent / "F4_raw_trends.csv")
    assert len(table) == 40
    assert list(table.columns) == ["table", "view_id", "row", "column", "x", "value", "low", "high"]
