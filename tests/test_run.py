"""``run.py``, in a temporary copy, with a make-believe pip and uv: nothing is downloaded."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "run.py").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the make-believe uv is a shell script")

# Answers `pip config list` and `pip install --target .uv`, whose uv logs its call and makes a .venv of one Python.
PIP = """
import json, os, pathlib, sys
if sys.argv[1:] == ["config", "list"]:
    print(os.environ.get("FAKE_CONFIG", ""))
elif os.environ.get("FAKE_PIP_ERROR"):
    sys.exit(os.environ["FAKE_PIP_ERROR"])
else:
    uv = pathlib.Path(".uv/bin/uv")
    uv.parent.mkdir(parents=True, exist_ok=True)
    uv.write_text(f'#!/bin/sh\\nexec "{sys.executable}" "{os.environ["FAKE_UV"]}" "$@"\\n')
    uv.chmod(0o755)
    pathlib.Path("pip.log").open("a").write(json.dumps(sys.argv[1:]) + "\\n")
"""
UV = """
import json, os, pathlib, shutil, sys
names = ("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "SSL_CERT_FILE", "VIRTUAL_ENV")
log = {"arguments": sys.argv[1:]} | {name: os.environ.get(name) for name in names}
pathlib.Path("uv.log").open("a").write(json.dumps(log) + "\\n")
if sys.argv[1] == "venv":
    shutil.rmtree(".venv", ignore_errors=True)
    pathlib.Path(".venv/bin").mkdir(parents=True)
    pathlib.Path(".venv/bin/python").symlink_to(sys.executable)
else:
    print("Installed 3 packages")
    sys.exit(os.environ.get("FAKE_UV_ERROR"))
"""


class Copy:
    """A project folder with nothing in it but what starts a build, and small locks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "算力 枢纽"
        self.folder.mkdir()
        (self.folder / "pipeline").mkdir()
        for name in ("run.py", "pipeline/__init__.py", "pipeline/build.py"):
            shutil.copy(ROOT / name, self.folder / name)
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-build.txt"):
            (self.folder / name).write_text(f"# {name}\n", encoding="utf-8")
        fakes = folder / "fakes"
        (fakes / "pip").mkdir(parents=True)
        (fakes / "pip" / "__init__.py").touch()
        (fakes / "pip" / "__main__.py").write_text(PIP, encoding="utf-8")
        (fakes / "uv.py").write_text(UV, encoding="utf-8")
        (fakes / "psutil").symlink_to(Path(psutil.__file__).parent)  # pipeline imports it
        self.cwd = folder
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_", "SSL_"))}
        self.env = keep | {"PYTHONPATH": str(fakes), "FAKE_UV": str(fakes / "uv.py")}

    def run(self, *command: str, start: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, *(start or (str(self.folder / "run.py"),)), *command]
        return subprocess.run(call, cwd=self.cwd, env=self.env | env, capture_output=True, text=True, timeout=60)

    def log(self, name: str) -> list[dict[str, object]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


HELLO = ("python", "-c", "print('hello')")


def one_line(result: subprocess.CompletedProcess[str], *says: str) -> None:
    """The run failed with one line on standard error, which says so."""
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in says), result.stderr


def test_it_is_short_and_uses_the_standard_library_alone() -> None:
    assert len(TEXT.splitlines()) < 60
    imported = {
        alias.name for node in ast.walk(ast.parse(TEXT)) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module) for node in ast.walk(ast.parse(TEXT)) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names


def test_an_old_python_can_parse_it() -> None:
    ast.parse(TEXT, feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13), (3, 15, 0)])
def test_a_python_too_old_or_too_new_is_told_so(copy: Copy, version: tuple[int, ...]) -> None:
    pretend = f"import runpy, sys; sys.version_info = {version}; runpy.run_path(sys.argv[1])"
    result = copy.run(str(copy.folder / "run.py"), start=("-c", pretend))
    one_line(result, "3.11 to 3.14", "not {}.{}".format(*version))


def test_the_command_runs_in_the_environment_from_the_project_folder(copy: Copy) -> None:
    code = (
        "import os, sys; print(os.getcwd(), os.environ['VIRTUAL_ENV'], os.environ['PATH'].split(':')[0], sys.argv[1:])"
    )
    result = copy.run("python", "-c", code, "a b", "算力")
    venv = copy.folder / ".venv"
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"{copy.folder} {venv} {venv / 'bin'} ['a b', '算力']"


def test_it_sets_up_once_and_again_when_the_lock_has_changed(copy: Copy) -> None:
    assert "Installed 3 packages" in copy.run(*HELLO).stdout
    assert copy.run(*HELLO).stdout == "hello\n"
    assert len(copy.log("pip.log")) == 1
    for name in ("requirements.txt", "requirements-build.txt"):
        (copy.folder / name).write_text("# changed\n", encoding="utf-8")
        assert "Setting up" in copy.run(*HELLO).stdout
        assert copy.run(*HELLO).stdout == "hello\n"


def test_every_hash_is_checked(copy: Copy) -> None:
    copy.run(*HELLO)
    (pip,), (venv, sync) = copy.log("pip.log"), copy.log("uv.log")
    assert pip[-2:] == ["-r", "requirements-build.txt"]  # its hashes make pip check them
    assert venv["arguments"][0] == "venv"
    assert sync["arguments"][:3] == ["pip", "sync", "--require-hashes"]
    assert sync["arguments"][3:] == ["--build-constraints", "requirements-build.txt", "requirements.txt"]


@pytest.mark.parametrize("command", [("pytest",), ("ruff",), ("mypy",), ("python", "-m", "pytest")])
def test_developers_tools_get_the_development_lock(copy: Copy, command: tuple[str, ...]) -> None:
    copy.run(*command, "--version")
    assert copy.log("uv.log")[-1]["arguments"][-1] == "requirements-dev.txt"


def test_other_commands_keep_the_development_lock(copy: Copy) -> None:
    copy.run("pytest", "--version")
    assert copy.run(*HELLO).stdout == "hello\n"
    (copy.folder / "requirements-dev.txt").write_text("# changed\n", encoding="utf-8")
    copy.run(*HELLO)
    assert copy.log("uv.log")[-1]["arguments"][-1] == "requirements-dev.txt"
    assert len(copy.log("uv.log")) == 4


def test_pips_index_and_certificate_are_handed_on(copy: Copy) -> None:
    listing = """:env:.cert='/c/env.pem'
global.cert='/c/global.pem'
global.extra-index-url='\\nfile:///a/simple\\nfile:///b/simple'
global.index-url='file:///global/simple'
global.user='true'
install.index-url='file:///install/simple'"""
    copy.run(*HELLO, FAKE_CONFIG=listing)
    call = copy.log("uv.log")[-1]
    assert call["UV_DEFAULT_INDEX"] == "file:///install/simple"
    assert call["UV_EXTRA_INDEX_URL"] == "file:///a/simple file:///b/simple"
    assert call["SSL_CERT_FILE"] == "/c/env.pem"


def test_uvs_own_settings_win(copy: Copy) -> None:
    copy.run(*HELLO, FAKE_CONFIG="global.index-url='file:///pip/simple'", UV_DEFAULT_INDEX="file:///uv/simple")
    assert copy.log("uv.log")[-1]["UV_DEFAULT_INDEX"] == "file:///uv/simple"


def test_pip_missing(copy: Copy) -> None:
    pip = Path(copy.env["PYTHONPATH"]) / "pip" / "__main__.py"
    pip.write_text('import sys\nsys.exit(f"{sys.executable}: No module named pip")\n', encoding="utf-8")
    one_line(copy.run(*HELLO), "pip is missing", "apt install python3-pip")


UNREACHABLE = {
    "FAKE_PIP_ERROR": "WARNING: Retrying (Retry(total=0)) ...\nERROR: No matching distribution found for uv",
    "FAKE_UV_ERROR": "error: Failed to fetch: `file:///simple/numpy/`\n  Caused by: dns error",
}
FULL = {
    "FAKE_PIP_ERROR": "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    "FAKE_UV_ERROR": "error: Failed to install: x.whl\n  Caused by: No space left on device (os error 28)",
}


@pytest.mark.parametrize("tool", ["FAKE_PIP_ERROR", "FAKE_UV_ERROR"])
@pytest.mark.parametrize(("errors", "says"), [(UNREACHABLE, "index is unreachable"), (FULL, "disk is full")])
def test_a_failed_set_up_gives_one_line_and_is_done_anew(
    copy: Copy, tool: str, errors: dict[str, str], says: str
) -> None:
    one_line(copy.run(*HELLO, **{tool: errors[tool]}), says)
    (copy.folder / ".venv" / "half-made").mkdir(parents=True, exist_ok=True)
    assert copy.run(*HELLO).stdout.endswith("hello\n")
    assert not (copy.folder / ".venv" / "half-made").exists()


def test_an_unforeseen_failure_is_shown_in_full(copy: Copy) -> None:
    result = copy.run(*HELLO, FAKE_UV_ERROR="error: something\n  Caused by: something else")
    assert result.returncode == 1
    assert result.stderr.endswith("error: something\n  Caused by: something else\n\n")


def test_an_environment_whose_python_is_gone_is_made_anew(copy: Copy) -> None:
    copy.run(*HELLO)
    python = copy.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert copy.run(*HELLO).stdout.endswith("hello\n")


def test_the_exit_status_is_passed_on(copy: Copy) -> None:
    assert copy.run("python", "-c", "raise SystemExit(7)").returncode == 7
    assert copy.run("python", "-c", "import os; os.kill(os.getpid(), 9)").returncode == 137


def test_an_unknown_command_is_named(copy: Copy) -> None:
    one_line(copy.run("nonesuch"), "nonesuch: no such command")


def test_a_build_is_the_default_and_says_where_the_results_are(copy: Copy) -> None:
    copy.run(*HELLO)
    dvc = copy.folder / ".venv" / "bin" / "dvc"
    dvc.write_text('#!/bin/sh\necho "dvc $@"\nexit $STATUS\n', encoding="utf-8")
    dvc.chmod(0o755)
    assert copy.run(STATUS="0").stdout.splitlines()[0] == "dvc repro"
    assert "results/README.md" in copy.run("dvc", "repro", "--force", STATUS="0").stdout
    failed = copy.run("dvc", "repro", STATUS="3")
    assert failed.returncode == 3
    assert "results/README.md" not in failed.stdout


def test_a_second_build_in_the_folder_is_told_so_even_when_the_first_was_killed(copy: Copy) -> None:
    """``dvc`` lives on after its parents, and with it the lock."""
    copy.run(*HELLO)
    dvc = copy.folder / ".venv" / "bin" / "dvc"
    dvc.write_text('#!/bin/sh\n[ -n "$QUICK" ] || { echo up; exec sleep 60; }\n', encoding="utf-8")
    dvc.chmod(0o755)
    call = [sys.executable, str(copy.folder / "run.py")]
    with subprocess.Popen(call, env=copy.env, stdout=-1, text=True, start_new_session=True) as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == "up\n"
            one_line(copy.run(QUICK="1"), "Another build is running in this folder", "wait")
            assert copy.run(*HELLO).stdout == "hello\n"
            first.kill()
            first.wait()
            one_line(copy.run(QUICK="1"), "Another build is running")
        finally:
            os.killpg(first.pid, signal.SIGKILL)
    assert copy.run(QUICK="1").returncode == 0


def test_interrupted_it_waits_for_the_command_to_tidy_up(copy: Copy) -> None:
    copy.run(*HELLO)
    code = "import time\ntry:\n print('up', flush=True); time.sleep(30)\n"
    code += "except KeyboardInterrupt:\n time.sleep(0.3); print('tidied')"
    call = [sys.executable, str(copy.folder / "run.py"), "python", "-c", code]
    with subprocess.Popen(call, env=copy.env, stdout=-1, stderr=-1, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        output, error = process.communicate(timeout=20)
    assert output == "tidied\n"
    assert error.startswith("Interrupted.")
    assert process.returncode == 1
