"""Every number in a printed table is a rounded row of the three tidy files; a changed cell is noticed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import docx
import pandas as pd
import pytest

from pipeline import specs, store
from pipeline.report import stage_tables
from tests.report import fixture_tidy
from tests.report.printed import Printed, Stored, unexplained

RESULTS = store.ROOT / "results"
STANZAS = specs.tables()
CASES = [(table_id, language, suffix) for table_id in STANZAS for language in ("zh", "en") for suffix in ("md", "docx")]
LABELS = [text for label in specs.labels().values() for text in label.values()]
TEXTS = specs.phrases()["texts"]
LABELS += [text for said in TEXTS.values() for text in said.values()]


def readings(stored: str, language: str) -> list[str]:
    """What a stored text may be printed as: yes or no, translated, its ids as labels, its commas Chinese."""
    names = specs.labels() | {key: TEXTS[key] for key in ("advancement",)}
    out = {"zh": ["是", "否", stored.replace(", ", "、")], "en": ["yes", "no"]}[language]
    for said, before, after in ((TEXTS, ", ", {"zh": "、", "en": ", "}), (names, "; ", {"zh": "；", "en": "; "})):
        for parts in ([stored], stored.split(before)):
            if all(part in said for part in parts):
                out.append(after[language].join(said[part][language] for part in parts))
    return out


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _run(root: Path) -> Path:
    """Run the stage on the tidy files under ``root``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROOT", root)
        stage_tables.main()
    return root / "results"


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results printed from made-up tidy files."""
    root = tmp_path_factory.mktemp("made_up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROOT", root)
        for name, frame in fixture_tidy.tidy().items():
            store.save(name, store.part_frame(name, frame))
    return _run(root)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results printed now from the estimates of this checkout."""
    if not (RESULTS / "estimates" / "values.parquet").exists():
        pytest.skip("no estimates yet: run `dvc repro`")
    root = tmp_path_factory.mktemp("real")
    shutil.copytree(RESULTS / "estimates", root / "results" / "estimates")
    return _run(root)


@pytest.fixture
def changed(made_up: Path, tmp_path: Path) -> Path:
    """A copy of the made-up results, to be spoilt."""
    shutil.copytree(made_up, tmp_path / "results")
    return tmp_path / "results"


def check(results: Path, table_id: str, language: str, suffix: str) -> list[str]:
    printed = Printed(results / "tables", table_id, STANZAS[table_id], language)
    return unexplained(printed, suffix, Stored.read(results / "estimates"), LABELS, readings)


@pytest.mark.parametrize(("table_id", "language", "suffix"), CASES)
def test_made_up_numbers_are_explained(made_up: Path, table_id: str, language: str, suffix: str) -> None:
    assert check(made_up, table_id, language, suffix) == []


@pytest.mark.parametrize(("table_id", "language", "suffix"), CASES)
def test_real_numbers_are_explained(real: Path, table_id: str, language: str, suffix: str) -> None:
    assert check(real, table_id, language, suffix) == []


@pytest.mark.parametrize(("table_id", "language", "suffix"), CASES)
def test_committed_numbers_are_explained(table_id: str, language: str, suffix: str) -> None:
    if not (RESULTS / "tables").exists():
        pytest.skip("no tables yet: run `dvc repro`")
    assert check(RESULTS, table_id, language, suffix) == []


def _bumped(number: str) -> str:
    """The same number with its last digit changed."""
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), number)


def test_a_changed_cell_of_the_markdown_is_noticed(changed: Path) -> None:
    path = changed / "tables" / "T4_baseline.en.md"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    numbered = [at for at, line in enumerate(lines) if line.startswith("| ") and re.search(r"\d", line.split("|")[2])]
    body = [at for at in numbered if not lines[at + 1].startswith("| :-")]  # without headings
    for at in body:
        cells = lines[at].split("|")
        lines[at] = "|".join([*cells[:2], _bumped(cells[2]), *cells[3:]])
    path.write_text("".join(lines), encoding="utf-8")
    assert len(body) > 70
    assert len(check(changed, "T4", "en", "md")) == len(body)


def test_a_changed_note_is_noticed(changed: Path) -> None:
    path = changed / "tables" / "T4_baseline.zh.md"
    text = path.read_text(encoding="utf-8")
    for number in ("1,081,575", "9,999", "0123456789ab"):
        path.write_text(text.replace(number, _bumped(number)), encoding="utf-8")
        assert len(check(changed, "T4", "zh", "md")) == 1, number


def test_a_changed_cell_of_the_word_file_is_noticed(changed: Path) -> None:
    path = changed / "tables" / "T4_baseline.zh.docx"
    document = docx.Document(str(path))
    runs = document.tables[0].rows[4].cells[2].paragraphs[0].runs
    runs[0].text = _bumped(runs[0].text)
    document.save(str(path))
    assert "row 5, column 3" in check(changed, "T4", "zh", "docx")[0]


def test_a_changed_estimate_is_noticed(changed: Path) -> None:
    path = changed / "estimates" / "estimates.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    chosen = (frame["spec_id"] == "did.chain.region") & (frame["term"] == "hub_post")
    frame.loc[chosen, "std_error"] = "0.5"
    frame.to_csv(path, index=False, lineterminator="\n")
    assert len(check(changed, "T4", "en", "md")) == 1


def test_each_panel_and_column_prints_its_own_specification(made_up: Path) -> None:
    printed = Printed(made_up / "tables", "T4", STANZAS["T4"], "en")
    text, sidecar = printed.cells("docx"), printed.sidecar()
    starts = [int(row) for (row, column), said in text.items() if column == 1 and said == "Hub × post"]
    assert len(starts) == 3
    other = min(int(row) for (row, _), said in text.items() if row.isdigit() and said.startswith("Lagged level"))
    for (row, column), traced in sidecar.items():
        if row.isdigit() and int(row) < other:
            panel, right = sum(int(row) >= start for start in starts) - 1, column > 4
            outcome = fixture_tidy.OUTCOMES[3 if panel == 2 and right else panel]
            adjustment, uncorrected = fixture_tidy.ADJUSTMENTS[(column - 2) % 3], panel < 2 and right
            for cell in traced:
                model, *rest = cell["key"].split(" | ")[0].split(".")
                assert rest == [outcome, adjustment]
                assert model.endswith("_uncorrected") == uncorrected


def test_chinese_tables_name_units_in_chinese(made_up: Path) -> None:
    cells = Printed(made_up / "tables", "T2", STANZAS["T2"], "zh").cells("docx")
    units = [cells[str(row), 2] for row in range(3, 3 + len(fixture_tidy.VARIABLES))]
    assert units[:2] == ["对数", "0–100分"]
    assert not [unit for unit in units if re.search(r"[A-Za-z]{4}", unit)]


@pytest.mark.parametrize(
    ("table_id", "views"),
    [
        *(("A1", ["variables"]), ("A2", ["index_weights"]), ("A3", ["overlap"])),
        *(("A5", ["quality", "quality_rules"]), ("A21", ["deviations"])),
    ],
)
def test_no_row_of_a_view_is_left_out(real: Path, table_id: str, views: list[str]) -> None:
    name = f"{table_id}_{STANZAS[table_id]['name']}.cells.csv"
    cells = pd.read_csv(real / "tables" / name, dtype=str, keep_default_na=False)
    keys = cells.loc[cells["file"] == "values", "key"].str.split(" | ", regex=False)
    values = pd.read_csv(real / "estimates" / "values.csv", dtype=str, keep_default_na=False)
    for view in views:
        printed = {key[1] for key in keys if key[0] == view}
        assert printed == set(values.loc[values["view_id"] == view, "row"])


@pytest.mark.parametrize("table_id", STANZAS)
def test_chinese_tables_use_chinese_punctuation(real: Path, table_id: str) -> None:
    text = (real / "tables" / f"{table_id}_{STANZAS[table_id]['name']}.zh.md").read_text(encoding="utf-8")
    assert re.findall(r".{0,12}(?:[一-龥）”][,;:!?]|[,;:!?][一-龥（“]).{0,12}", text) == []


def test_the_stage_writes_the_same_bytes_twice_and_drops_what_no_stanza_names(changed: Path) -> None:
    before = _files(changed / "tables")
    (changed / "tables" / "T99_old.en.md").write_text("old", encoding="utf-8")
    _run(changed.parent)
    assert _files(changed / "tables") == before
    names = {f"{i}_{s['name']}" for i, s in STANZAS.items()}
    expected = {f"{n}.{lang}.{x}" for n in names for lang in ("zh", "en") for x in ("md", "html", "csv", "tex", "docx")}
    assert set(before) == expected | {f"{n}.cells.csv" for n in names}
    assert all(name.isascii() for name in before)


def test_nothing_is_written_when_a_table_cannot_be_built(changed: Path) -> None:
    before = _files(changed / "tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROOT", changed.parent)
        frame = store.load("tests")
        store.save("tests", frame[(frame["method"] != "slope") | ~frame["spec_id"].str.startswith("event.")])
        with pytest.raises(Exception, match=r"tests has no row event\.chain_ln\.none \| pre \| slope"):
            stage_tables.main()
    assert _files(changed / "tables") == before
