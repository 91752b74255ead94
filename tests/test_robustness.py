"""A kill, two builds at once, a full disk, a read-only folder: one message, earlier results kept, then a build."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.build import BUSY, DONE, FULL
from tests.compare import present
from tests.project import Project, interim

pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(os.name == "nt", reason="signals, limits and mounts are those of Unix"),
]
Files = dict[str, bytes]
BUILD = ("-m", "pipeline.build", "repro")
AGAIN = "then run this again"


def files(project: Project) -> Files:
    """Return all that a build writes, hidden leftovers included, and DVC's record of it, stage by stage."""
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    record = {f"dvc.lock {stage}": json.dumps(entry, sort_keys=True).encode() for stage, entry in lock.items()}
    return present(project.folder) | interim(project.folder) | record


def copied(built: Project, folder: Path) -> Project:
    """Return a copy of the built copy, cache included."""
    project = Project(folder)
    shutil.copytree(built.folder, project.folder, symlinks=True)
    return project


@pytest.fixture
def copy(built: Project, tmp_path: Path) -> Project:
    return copied(built, tmp_path)


def forget(project: Project, stage: str) -> None:
    """Drop DVC's record of a stage, so that the next build has to run it."""
    shutil.rmtree(project.folder / ".dvc" / "cache" / "runs")
    path = project.folder / "dvc.lock"
    lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    del lock["stages"][stage]
    path.write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def started(project: Project, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python with arguments in a project; what is left of it in the end is killed."""
    call = [sys.executable, *command]
    with subprocess.Popen(
        call, cwd=project.folder, env=project.env, stdout=-1, stderr=-2, encoding="utf-8", start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def descendant(process: subprocess.Popen[str], sign: str) -> psutil.Process:
    """Wait for a process below ``process`` whose command line contains ``sign``."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(sign in word for word in child.cmdline()[1:]):
                    return child
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError(f"no {sign} within a minute")


def alive(processes: list[psutil.Process]) -> list[str]:
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def gone(processes: list[psutil.Process], seconds: float) -> None:
    end = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < end:
        time.sleep(0.1)
    assert alive(processes) == []


def one_line(output: str, *says: str) -> None:
    """The output has one line of the store, which says so, and DVC's line on the stage; no traceback."""
    lines = re.findall(r"^StoreError: .*$", output, re.MULTILINE)
    assert len(lines) == 1, output
    assert [text for text in says if text not in lines[0]] == [], lines[0]
    assert "Traceback" not in output


def test_a_killed_build_leaves_no_process_and_no_change(copy: Project) -> None:
    results, before = present(copy.folder), files(copy)
    with started(copy, "-m", "dvc", "repro", "-s", "--force", "main") as build:
        descendant(build, "popen_loky")
        below = psutil.Process(build.pid).children(recursive=True)
        assert len(below) > 2
        build.kill()
        gone(below, 10)
        output = build.communicate()[0]
    assert "The build that started this stage has ended: nothing was written." in output
    assert present(copy.folder) == results
    again = copy.run(*BUILD)
    assert again.returncode == 0, again.stdout
    assert files(copy) == before


def test_a_stage_that_outlives_its_build_writes_nothing(copy: Project) -> None:
    """The store refuses, should the stage come to its end before it has noticed."""
    code = (
        "import os, sys, time, pipeline\nfrom pipeline import stage, store\nstage._follow = lambda *_: None\n"
        "def body():\n store.write_text('results/README.md', 'late')\n print('written', flush=True)\n"
        " while not pipeline.orphaned(): time.sleep(0.05)\n"
        "stage.run(body)"
    )
    before = files(copy)
    shell = f'"{sys.executable}" -c "$0" & wait'
    with subprocess.Popen(["sh", "-c", shell, code], cwd=copy.folder, env=copy.env, stdout=-1, stderr=-2) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"written\n"
        parent.kill()
        output = parent.communicate()[0].decode()
    one_line(output, "results/README.md was not written", "the build that started this stage has ended")
    assert files(copy) == before


def test_a_killed_stage_is_named_and_its_workers_end(copy: Project) -> None:
    results, before = present(copy.folder), files(copy)
    with started(copy, "-m", "dvc", "repro", "-s", "--force", "inference") as build:
        descendant(build, "popen_loky")
        stage = descendant(build, "stage_inference")
        below = stage.children(recursive=True)
        stage.kill()
        output = build.communicate()[0]
        assert build.returncode != 0
        assert "failed to reproduce 'inference'" in output
        assert "Traceback" not in output
        gone(below, 10)
    assert present(copy.folder) == results
    again = copy.run(*BUILD)
    assert again.returncode == 0, again.stdout
    assert files(copy) == before


def test_the_second_of_two_builds_says_so_and_the_first_completes(copy: Project) -> None:
    before = files(copy)
    forget(copy, "clean")
    with started(copy, *BUILD, "clean") as first:
        descendant(first, "stage_clean")
        second = copy.run(*BUILD)
        assert (second.returncode, second.stdout) == (1, f"{BUSY}\n")
        plain = copy.dvc("repro", "-s", "--force", "clean")
        assert first.poll() is None, "the first was over too early to be in the way"
        output = first.communicate()[0]
    assert plain.returncode != 0
    assert "is busy, it is being blocked by" in plain.stdout
    assert "Traceback" not in plain.stdout
    assert first.returncode == 0, output
    assert DONE in output
    assert copy.run(*BUILD).returncode == 0
    assert files(copy) == before


def limited(size: int) -> Callable[[], None]:
    """Return what limits the files that a process writes: the write fails as on a full disk."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_stage_that_cannot_write_its_last_file_writes_none(copy: Project) -> None:
    before = files(copy)
    sizes = {path: len(before[path]) for path in before if path.startswith("results/estimates/")}
    largest = max(sizes, key=lambda path: sizes[path])
    first = "results/estimates/estimates.parquet"
    (copy.folder / first).write_bytes(b"an earlier result")
    earlier = files(copy)
    assert sizes[first] < sizes[largest] - 1, "the first file has to fit"
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.estimate.stage_collect"],
        cwd=copy.folder,
        env=copy.env,
        stdout=-1,
        stderr=-2,
        encoding="utf-8",
        preexec_fn=limited(sizes[largest] - 1),
    )
    assert result.returncode == 1
    one_line(result.stdout, f"{largest} cannot be written", "free some space", AGAIN)
    assert files(copy) == earlier
    assert copy.run(*BUILD, "collect").returncode == 0
    assert files(copy) == before


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something on a folder, where that is allowed."""
    result = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"needs a mount, which is not allowed here: {result.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_full_disk(left: int, built: Project, tmp_path: Path) -> None:
    """With no byte left DVC's own files are halved; with a few, a stage is."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=256m", "tmpfs"):
        copy = copied(built, disk)
        if left:  # DVC has its own database elsewhere
            copy.env["DVC_SITE_CACHE_DIR"] = str(tmp_path / "site")
        before = files(copy)
        forget(copy, "collect")
        copy.run("-c", "import pipeline.store")  # compiled before the disk is full
        results = present(copy.folder)
        fill = disk / "fill"
        with fill.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left)
        result = copy.run(*BUILD, "-s", "collect")
        assert result.returncode != 0
        assert result.stdout.splitlines()[-1] == FULL
        assert "Traceback" not in result.stdout
        if left:
            one_line(result.stdout, "results/", "No space left on device", "free some space", AGAIN)
        assert present(copy.folder) == results
        fill.unlink()
        again = copy.run(*BUILD)
        assert again.returncode == 0, again.stdout
        assert files(copy) == before


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only: by its permissions, or by a mount for root, whom they do not bind."""
    if os.geteuid() == 0:
        with mounted(folder, "--bind", str(folder)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            yield
    else:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)


def test_a_read_only_results_folder(copy: Project) -> None:
    before = files(copy)
    forget(copy, "collect")
    results = present(copy.folder)
    with read_only(copy.folder / "results" / "estimates"):
        result = copy.run(*BUILD, "-s", "collect")
        assert result.returncode != 0
        one_line(result.stdout, "results/estimates/estimates.parquet cannot be written", "make its folder writable")
        assert "failed to reproduce 'collect'" in result.stdout
    assert present(copy.folder) == results
    again = copy.run(*BUILD)
    assert again.returncode == 0, again.stdout
    assert files(copy) == before


@pytest.mark.parametrize("path", [".dvc/tmp/rwlock", "dvc.lock"])
def test_half_a_file_of_dvcs_own_does_not_stop_the_next_build(path: str, copy: Project) -> None:
    file = copy.folder / path
    if path.endswith("rwlock"):
        info = [{"pid": 1, "cmd": "dvc repro"}]
        file.write_text(json.dumps({"read": {str(copy.folder / "params.yaml"): info}})[:-12], encoding="utf-8")
    else:
        text = file.read_text(encoding="utf-8")
        file.write_text(text[: text.rindex("path:") + 3], encoding="utf-8")
    results = present(copy.folder)
    assert copy.dvc("repro", "check").returncode != 0  # nothing to mend otherwise
    result = copy.run(*BUILD, "check")
    assert result.returncode == 0, result.stdout
    assert f"{path} was left half-written" in result.stdout
    assert present(copy.folder) == results
