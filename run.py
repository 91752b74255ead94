"""The one way in: make .venv when the lock has changed, then run a command in it (default: dvc repro)."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

if not (3, 11) <= sys.version_info[:2] < (3, 15):
    sys.exit("run.py needs Python 3.11 to 3.14, not {}.{}: try `python3.12 run.py`.".format(*sys.version_info))
ROOT = Path(__file__).resolve().parent
VENV, UV, BUILD = ROOT / ".venv", str(ROOT / ".uv" / "bin" / "uv"), "requirements-build.txt"
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_EXTRA_INDEX_URL", "cert": "SSL_CERT_FILE"}
FAILURES = {
    "no module named pip": "pip is missing: install it (Debian, Ubuntu: apt install python3-pip) and run this again.",
    "no space left|disk full|quota exceeded|enough space": "The disk is full: free 2 GB and run this again.",
    "retrying|fetch|connect|no matching": "The package index is unreachable (network? certificate?) or lacks a file.",
}


def step(*command: str) -> str:
    """Run one step of the set-up, show what it downloads, and end with one clear line if it fails."""
    output = ""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=-1, stderr=-2, text=True, errors="replace") as process:
        for line in process.stdout or ():
            output += line
            print(line if re.match(" *(Downloading|Building|Installed)", line) else "", end="", flush=True)
    if process.returncode:
        sys.exit(next((text for sign, text in FAILURES.items() if re.search(sign, output.lower())), output))
    return output


signal.signal(signal.SIGINT, lambda *_: sys.exit("Interrupted. What is finished is kept; the same command goes on."))
command, stamp = sys.argv[1:] or ["dvc", "repro"], VENV / "lock.txt"
binaries = str(VENV / ("Scripts" if os.name == "nt" else "bin"))
env = os.environ | {"VIRTUAL_ENV": str(VENV), "PATH": binaries + os.pathsep + os.environ.get("PATH", "")}
made = stamp.read_text() if stamp.exists() and shutil.which("python", path=binaries) else ""
lock = f"requirements{'-dev' if {'pytest', 'ruff', 'mypy'} & {*command[:3]} or '-dev' in made[:20] else ''}.txt"
wanted = f"# {lock} {sys.version_info[:2]}\n" + (ROOT / lock).read_text() + (ROOT / BUILD).read_text()
if made != wanted:
    print(f"Setting up .venv from {lock}: about 0.2 GB to download, once.", flush=True)
    python = getattr(sys, "_base_executable", "") if Path(sys.prefix) == VENV else sys.executable  # .venv has no pip
    env |= {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "UV_INDEX_STRATEGY": "unsafe-best-match"}  # hashes guard it
    listed = re.findall(rf"(?m)^(\S+)\.({'|'.join(PIP_TO_UV)})=(.+)$", step(python, "-m", "pip", "config", "list"))
    for _, key, value in sorted(listed, key=lambda entry: entry[0] == "global"):
        env.setdefault(PIP_TO_UV[key], " ".join(ast.literal_eval(value).split()))
    step(python, "-m", "pip", "install", "--target", ".uv", "--upgrade", "--retries", "1", "-r", BUILD)
    step(UV, "venv", "--clear", "--force", "--python", python, str(VENV))
    step(UV, "pip", "sync", "--require-hashes", "--build-constraints", BUILD, lock)
    stamp.write_text(wanted)
start = ["python", "-m", "pipeline.build"] if command[:2] == ["dvc", "repro"] else command[:1]
program = shutil.which(start[0], path=env["PATH"]) or sys.exit(f"{command[0]}: no such command in .venv.")
with subprocess.Popen([program, *start[1:], *command[1:]], cwd=ROOT, env=env) as process:
    status = process.wait()
sys.exit(status if status >= 0 else 128 - status)
