"""The finished table that every backend draws: lines of cells made of runs, each number with its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en"]
Align = Literal["left", "center"]
Kind = Literal["head", "panel", "body"]
LONG_PANEL = 40  # lines that still fit on one page


@dataclass(frozen=True)
class Ref:
    """Where a printed number or word is stored.

    Attributes
    ----------
    file : str
        ``estimates``, ``tests`` or ``values``.
    key : tuple of str
        Key of the row, in the order of the file's key columns; "" where an optional key does not apply.
    field : str
        Column of the file.
    decimals : int or None
        Digits printed after the point; None for text.
    scale : str
        Decimal factor from the stored to the printed number.
    """

    file: str
    key: tuple[str, ...]
    field: str
    decimals: int | None = None
    scale: str = "1"


@dataclass(frozen=True)
class Run:
    """A piece of text; ``ref`` says where it comes from, None for fixed words."""

    text: str
    ref: Ref | None = None


@dataclass(frozen=True)
class Cell:
    """Text over one or more grid columns; ``rule`` draws a thin line under the span."""

    runs: tuple[Run, ...] = ()
    span: int = 1
    align: Align = "center"
    rule: bool = False

    @property
    def text(self) -> str:
        """The printed string."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True)
class Line:
    """One line of a table; ``rule`` draws a thin line above it, ``gap`` leaves a little space there."""

    cells: tuple[Cell, ...]
    kind: Kind = "body"
    rule: bool = False
    gap: bool = False


@dataclass(frozen=True)
class Grid:
    """A table, ready to be drawn.

    Attributes
    ----------
    id, name : str
        Stable id (``T4``) and short ASCII name (``baseline``) of the file.
    language : {"zh", "en"}
        Language of every text.
    label : str
        LaTeX label.
    heading, title : str
        Number of the table as printed ("Table 4") and its title.
    lines : tuple of Line
        Spans of each line sum to the number of columns.
    widths : tuple of float
        Relative widths of the columns; they sum to 1.
    notes : tuple of tuple of Run
        Paragraphs under the table; the first begins with the word for "notes".
    landscape : bool
        Whether the table needs a page turned on its side.
    fixed : bool
        Whether the columns hold running text, so that they need the fixed widths.
    """

    id: str
    name: str
    language: Language
    label: str
    heading: str
    title: str
    lines: tuple[Line, ...]
    widths: tuple[float, ...]
    notes: tuple[tuple[Run, ...], ...]
    landscape: bool = False
    fixed: bool = False

    @property
    def head(self) -> int:
        """Number of leading head lines: those that a page break repeats."""
        count = 0
        while count < len(self.lines) and self.lines[count].kind == "head":
            count += 1
        return count

    def together(self, index: int) -> bool:
        """Whether no page may end after a line: under headings, and within a panel of short lines.

        A panel longer than a page may break where a gap is.
        """
        if self.lines[index].kind != "body":
            return True
        last = index + 1 == len(self.lines) or self.lines[index + 1].kind == "panel"
        if last or self.fixed:
            return False
        return not self.lines[index + 1].gap or self._panel_length(index) <= LONG_PANEL

    def _panel_length(self, index: int) -> int:
        """Number of lines of the panel that a line stands in."""
        starts = [at for at, line in enumerate(self.lines) if line.kind == "panel"]
        return min((at for at in starts if at > index), default=len(self.lines)) - max(
            (at for at in starts if at <= index), default=0
        )
