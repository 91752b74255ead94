"""The import graph of ``pipeline``, read from the source: which modules a module needs, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "pipeline").rglob("*.py"))
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _executed(child)


def _names(module: str) -> Iterator[str]:
    for node in _executed(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def direct(module: str) -> frozenset[str]:
    """Modules of ``pipeline`` that ``module`` imports, in functions too, and the packages they are in."""
    found = set()
    for name in (*_names(module), module):
        parts = name.split(".")
        found |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & set(MODULES)
    return frozenset(found - {module})


def closure(module: str) -> set[str]:
    """``module`` and everything of ``pipeline`` that is imported when it runs."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += direct(name)
    return seen
