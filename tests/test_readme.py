"""The READMEs show what the build prints, and name commands and files that exist."""

from __future__ import annotations

import re

import pytest

from pipeline.store import ROOT

READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("name", READMES)
def test_the_table_shown_is_the_one_built(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    source, shown = re.search(r"<!-- table: (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL).groups()
    built = (ROOT / "results" / "tables" / source).read_text(encoding="utf-8").splitlines()
    rows = [line for line in shown.splitlines() if line]
    assert len(rows) > 10
    start = built.index(rows[0])
    assert built[start : start + len(rows)] == rows


@pytest.mark.parametrize("name", [*READMES, "results/README.md"])
def test_every_file_linked_exists(name):
    path = ROOT / name
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    links = [link for link in links if not link.startswith("http")]
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("name", READMES)
def test_every_path_named_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:data|results|notebooks|specs|pipeline)/[\w./*-]*)`", text)
    assert named
    assert [p for p in named if not list(ROOT.glob(p.rstrip("/")))] == []
