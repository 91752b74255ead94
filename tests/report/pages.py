"""Read pages strictly: every tag closed in order; and say what a page would fetch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "col", "br", "img", "input"}


@dataclass
class Node:
    """An element with its attributes, children and texts."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, tag: str) -> list[Node]:
        return [node for node in self.walk() if node.tag == tag]

    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> occurs twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Node:
    """Return the page as a tree; a tag that is not closed in order is an assertion error."""
    assert page.startswith("<!DOCTYPE html>\n")
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root], f"<{reader.open[-1].tag}> is not closed"
    ids = [node.attributes["id"] for node in reader.root.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids)), "an id occurs twice"
    return reader.root


def targets(page: Node) -> list[str]:
    """Return every address that the page names."""
    return [
        value for node in page.walk() for name, value in node.attributes.items() if name in {"href", "src", "srcset"}
    ]


def assert_self_contained(page: Node) -> None:
    """No address leaves the folder, no script, no style that loads, and a policy that forbids the rest."""
    assert [t for t in targets(page) if re.match(r"[a-z][a-z0-9+.-]*:|//|/", t, re.IGNORECASE)] == []
    assert {node.tag for node in page.walk()} & {"script", "link", "iframe", "object", "embed", "base", "form"} == set()
    assert [name for node in page.walk() for name in node.attributes if name.startswith("on")] == []
    for style in page.all("style"):
        assert "url(" not in style.text and "@import" not in style.text
    (policy,) = (n for n in page.all("meta") if n.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'; ")
    assert "script" not in policy.attributes["content"]


def assert_bilingual(page: Node) -> None:
    """What one language shows has its twin beside it, and the switch hides one of the two."""
    for node in page.walk():
        inside = [child for child in node.children if isinstance(child, Node)]
        en, zh = ([child for child in inside if name in child.classes()] for name in ("en", "zh"))
        assert len(en) == len(zh), f"<{node.tag}> {node.text[:60]!r}: {len(en)} texts in English, {len(zh)} in Chinese"
    switch = [node for node in page.all("input") if node.attributes["name"] == "language"]
    assert [node.attributes["id"] for node in switch] == ["en", "zh"]
    assert ["checked" in node.attributes for node in switch] == [True, False]
    (style,) = page.all("style")
    assert "#en:checked ~ main .zh, #zh:checked ~ main .en { display: none; }" in style.text
