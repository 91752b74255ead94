"""The whole build, in copies of the project whose path has a space and Chinese characters, without ``.git``."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.compare import differences, present
from tests.project import NOT_COPIED, ROOT, STAGES, Project, interim

pytestmark = pytest.mark.build


def test_the_build_gives_the_committed_results(built: Project) -> None:
    assert differences(present(ROOT), present(built.folder)) == []


def test_each_stage_writes_every_out_it_declares(built: Project) -> None:
    lock = yaml.safe_load((built.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for stage in STAGES:
        for out in lock[stage]["outs"]:
            assert (built.folder / out["path"]).exists(), out["path"]
    written = {out["path"] for stage in lock.values() for out in stage["outs"]}
    files = {*present(built.folder), *interim(built.folder)}
    assert {path for path in files if path not in written and path.rpartition("/")[0] not in written} == set()


def test_with_nothing_changed_nothing_runs(built: Project) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.folder.glob("[dnr]*/**/*") if path.is_file()}
    result = built.dvc("repro")
    assert result.returncode == 0, result.stdout
    assert "Data and pipelines are up to date." in result.stdout
    assert "Running stage" not in result.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_stages_given_only_what_they_declare_write_the_same_bytes(
    built: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The second build: determinism, and no dependency that ``dvc.yaml`` does not declare."""
    made: dict[str, Path] = {}
    for stage, stanza in STAGES.items():
        alone = Project(tmp_path_factory.mktemp(stage))
        alone.folder.mkdir()
        for dep in stanza["deps"]:
            provide(made.get(dep, ROOT) / dep, alone.folder / dep)
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        if stanza.get("params"):
            text = yaml.safe_dump({name: params[name] for name in stanza["params"]})
            (alone.folder / "params.yaml").write_text(text, encoding="utf-8")
        for out in stanza["outs"]:
            path = next(iter(out)) if isinstance(out, dict) else out
            made[path] = alone.folder
            if path.startswith("notebooks/"):  # executed in place: source and out in one
                provide(ROOT / path, alone.folder / path)
        result = alone.run(*stanza["cmd"].split()[1:])
        assert result.returncode == 0, f"{stage}, with nothing but its deps: {result.stdout[-2000:]}"
        for path in (path for path, folder in made.items() if folder == alone.folder):
            assert contents(alone.folder / path) == contents(built.folder / path), f"{stage}: {path} is not the same"


def provide(source: Path, target: Path) -> None:
    """Put a file or folder where a stage expects it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=NOT_COPIED, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of the files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in files if file.is_file()}


def rewrite(folder: Path, path: str, change: Callable[[str], str | bytes], *, record: bool = True) -> None:
    """Change a file as a user might, and unless told otherwise record its new sha256 in the manifest."""
    file, manifest = folder / path, folder / "data" / "raw" / "MANIFEST.sha256"
    changed = change(file.read_text(encoding="utf-8"))
    content = changed.encode() if isinstance(changed, str) else changed
    assert content != file.read_bytes(), "nothing was planted"
    file.write_bytes(content)
    if record and path.startswith("data/raw/"):
        line = f"{hashlib.sha256(content).hexdigest()}  {path.removeprefix('data/raw/')}"
        lines = manifest.read_text(encoding="utf-8").splitlines()
        lines = [line if old.endswith(line.partition("  ")[2]) else old for old in lines]
        manifest.write_bytes("".join(f"{text}\n" for text in lines).encode())


def cell(change: Callable[[dict[str, str]], dict[str, str]], **where: str) -> Callable[[str], str]:
    """Return a change of the one row of a CSV file whose columns have the values of ``where``."""

    def apply(text: str) -> str:
        reader = csv.DictReader(io.StringIO(text))
        rows = [change(row) if where.items() <= row.items() else row for row in reader]
        out = io.StringIO()
        writer = csv.DictWriter(out, reader.fieldnames or [], lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    return apply


POPULATION, GDP = "data/raw/official/population.csv", "data/raw/official/national_accounts.csv"
BEIJING = {"variable": "gdp", "province_code": "110000", "year": "2012"}
PLANTED: dict[str, tuple[str, Callable[[Path], None], list[str]]] = {
    "a duplicate key": (
        "clean",
        lambda folder: rewrite(folder, POPULATION, lambda text: text + text.splitlines()[1] + "\n"),
        ["ValidationError", "population.csv", "population, 110000 Beijing, 2010", "one figure a variable"],
    ),
    "an unknown province": (
        "clean",
        lambda folder: rewrite(folder, GDP, cell(lambda row: row | {"province_code": "990000"}, **BEIJING)),
        ["ValidationError", "national_accounts.csv", "gdp, 990000", "a province of"],
    ),
    "a figure in another unit": (
        "clean",
        lambda folder: rewrite(
            folder, GDP, cell(lambda row: row | {"value": str(float(row["value"]) * 10_000)}, **BEIJING)
        ),
        ["ValidationError", "national_accounts.csv", "gdp, 110000 Beijing, 2012", "1e8 CNY", "probably in 1e4 CNY"],
    ),
    "a missing column": (
        "clean",
        lambda folder: rewrite(folder, POPULATION, lambda text: re.sub(r",[^,\n]*$", "", text, flags=re.MULTILINE)),
        ["FormatError", "population.csv", "lacks column(s) unit"],
    ),
    "a file in GBK": (
        "clean",
        lambda folder: rewrite(folder, "data/raw/geography/provinces.csv", lambda text: text.encode("gbk")),
        ["FormatError", "provinces.csv", "GBK", "save it as UTF-8"],
    ),
    "a raw file that is not the recorded one": (
        "check",
        lambda folder: rewrite(folder, POPULATION, lambda text: text.replace("1962", "1963", 1), record=False),
        ["ManifestError", "official/population.csv does not match", "recorded"],
    ),
    "a series on both sides": (
        "check",
        lambda folder: rewrite(
            folder, "specs/indices.yaml", lambda text: text.replace("bachelor_graduates / pop", "hightech_firms / pop")
        ),
        ["OverlapError", "both sides", "hightech_firms"],
    ),
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with the committed results, for planting errors."""
    project = Project(tmp_path_factory.mktemp("planted"))
    project.copy()
    return project


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_stops_the_build_and_leaves_the_results(name: str, spoilt: Project) -> None:
    stage, plant, says = PLANTED[name]
    sources, before = ("data/raw", "specs"), present(spoilt.folder)
    plant(spoilt.folder)
    try:
        result = spoilt.dvc("repro", stage)
    finally:
        for path in sources:
            provide(ROOT / path, spoilt.folder / path)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    assert len(re.findall(r"^\w+Error: ", result.stdout, re.MULTILINE)) == 1, result.stdout
    assert [text for text in says if text not in result.stdout] == [], result.stdout
    assert present(spoilt.folder) == before
