"""A copy of the project to build in, shared by the tests of the build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".uv", "__pycache__", ".*_cache", ".hypothesis", ".ipynb_checkpoints"
)
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


class Project:
    """A copy of the project, and how to run things in it with this Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "算力 枢纽"
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}}
        self.env = kept | {"PATH": binaries, "DVC_SITE_CACHE_DIR": str(folder / "site"), "PYTHONIOENCODING": "utf-8"}

    def copy(self) -> None:
        """Copy what a fresh clone has, less ``.git``."""
        shutil.copytree(ROOT, self.folder, ignore=NOT_COPIED)
        for path in ("data/panel", "data/estimates", ".dvc/cache", ".dvc/tmp"):
            shutil.rmtree(self.folder / path, ignore_errors=True)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Python with arguments in the copy; output and errors come together, in ``stdout``."""
        call = [sys.executable, *command]
        return subprocess.run(call, cwd=self.folder, env=self.env, stdout=-1, stderr=-2, encoding="utf-8", timeout=900)

    def dvc(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "dvc", *command)


def interim(folder: Path) -> dict[str, bytes]:
    """Return the tables between the stages."""
    files = (path for name in ("panel", "estimates") for path in (folder / "data" / name).glob("*.*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy after a forced build, made once: tests that change it work in a copy of theirs."""
    project = Project(tmp_path_factory.mktemp("build"))
    project.copy()
    result = project.dvc("repro", "--force")
    assert result.returncode == 0, result.stdout.rpartition("Running stage")[2]
    for stage in STAGES:
        assert f"Running stage '{stage}'" in result.stdout
    return project
