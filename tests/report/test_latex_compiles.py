from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import specs
from pipeline.report import latex
from pipeline.report.build import build
from pipeline.report.grid import Language
from pipeline.report.resolve import Tidy, Words
from tests.report import fixture_tidy
from tests.report.test_backends import panels, small

FONT = Path(__file__).resolve().parents[2] / "pipeline" / "assets" / "NotoSansSC-Regular.ttf"
PREAMBLE = r"""\documentclass[a4paper,11pt]{article}
\usepackage[margin=2.2cm]{geometry}
\usepackage{booktabs,threeparttable,longtable,array,pdflscape,xeCJK}
\setCJKmainfont[Path=FOLDER/,AutoFakeBold=2]{NAME}
\begin{document}
"""


@pytest.mark.skipif(
    shutil.which("xelatex") is None,
    reason="xelatex is absent: apt-get install texlive-xetex texlive-latex-recommended texlive-latex-extra "
    "texlive-lang-chinese",
)
def test_every_table_compiles_without_a_missing_character(tmp_path: Path) -> None:
    tidy, labels = Tidy(fixture_tidy.tidy()), specs.labels()
    grids = [small(), panels()]
    languages: tuple[Language, ...] = ("zh", "en")
    for language in languages:
        words = Words(language, specs.phrases())
        grids += [build(i, stanza, tidy, words, labels=labels) for i, stanza in specs.tables().items()]
    shutil.copy(FONT, tmp_path)  # a path with spaces or Chinese characters would not pass through LaTeX
    document = PREAMBLE.replace("FOLDER", ".").replace("NAME", FONT.name)
    for number, grid in enumerate(grids):
        (tmp_path / f"{number}.tex").write_bytes(latex.render(grid))
        document += rf"\input{{{number}.tex}}\clearpage see \ref{{{grid.label}}}" + "\n"
    (tmp_path / "all.tex").write_text(document + r"\end{document}", encoding="utf-8")
    command = ["xelatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    log = (tmp_path / "all.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Missing character" not in log
