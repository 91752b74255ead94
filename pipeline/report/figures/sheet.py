"""The sheet that every figure is drawn on: words in one language, title, notes, watermark, and its files as bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.text import Text

from pipeline.errors import ReportError

ASSETS = Path(__file__).resolve().parents[2] / "assets"
FONT = ASSETS / "NotoSansSC-Regular.ttf"
STYLE = ASSETS / "figures.mplstyle"
FORMATS = ("pdf", "svg", "png")
LANGUAGES = ("en", "zh")

# Colours that stay apart for colour-blind readers and in grey.
INK, MUTED, SHADE, PALE = "#222222", "#666666", "#eeeeee", "#e4e4e4"
DEMAND, SUPPLY, HUB, CONTROL = "#2b6a99", "#e9a84c", "#16324f", "#8c8c8c"
SUPPLY_INK = "#a86a10"  # of thin lines and words, where the fill would be faint

WIDTH_CM, CM = 16.0, 1 / 2.54
TITLE_SIZE, NOTE_SIZE = 9.5, 6.3
EDGE_CM = 0.15
_CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
# What may not end a line stays with the next character, what may not begin one with the last.
_OPENING, _CLOSING = (
    "\u2018\u201c\u300a\u3014\uff08(",
    ",.;:)\u3001\u3002\u2019\u201d\u300b\u3015\uff0c\uff1a\uff1b\uff09",
)
_TOKENS = re.compile(rf"[{_OPENING}]*(?:[{_CJK}]|[^\s{_CJK}{_OPENING}]+|$)[{_CLOSING}]*|[{_OPENING}]+|\s+")


@dataclass(frozen=True)
class Sheet:
    """What one figure in one language is drawn from.

    Attributes
    ----------
    key : str
        Id and short name, the stem of every file name: ``F5_event_study``.
    stanza : mapping
        The figure's entry in ``specs/figures.yaml``.
    rows : dict of DataFrame
        The tidy rows it reads, by the name the stanza gives them.
    params : mapping
        ``params.yaml``.
    language : {"en", "zh"}
        Language of every word.
    hashes : mapping of str
        ``data_sha256`` and ``plan_sha256`` of the estimates, printed under every figure.
    simulated : bool
        Whether the rows come from simulated data: the sheet then carries a watermark.
    """

    key: str
    stanza: Mapping[str, Any]
    rows: Mapping[str, pd.DataFrame]
    params: Mapping[str, Any]
    language: str
    hashes: Mapping[str, str]
    simulated: bool = False

    def word(self, name: str, **fill: object) -> str:
        """Return a label of the stanza in the sheet's language, its ``{places}`` filled.

        Raises
        ------
        ReportError
            The stanza lacks the label, the language, or a value for one of its places.
        """
        try:
            return str(self.stanza["words"][name][self.language]).format(**fill)
        except (KeyError, TypeError) as error:
            message = f"{self.key}: specs/figures.yaml has no usable words.{name}.{self.language} ({error!r})."
            raise ReportError(f"{message} Add it, with no other places than {sorted(fill)}.") from error

    def fact(self, name: str, column: str) -> str:
        """Return what the column of some rows says, distinct values joined by " / ": sample sizes, hashes."""
        frame = self.rows[name]
        values: list[object] = frame[column].dropna().unique().tolist() if column in frame else []
        if not values:
            raise ReportError(f"{self.key}: the rows {name!r} hold no {column}.")
        return " / ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def number(value: float, digits: int = 2) -> str:
    """Return a number as printed, with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def p_value(value: float) -> str:
    """Return a p-value as printed: ``p = 0.21``, ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the project's font and style alone, whatever the user's own settings are."""
    if not any(Path(entry.fname) == FONT for entry in font_manager.fontManager.ttflist):
        font_manager.fontManager.addfont(FONT)
    with mpl.rc_context(fname=STYLE):
        yield


def blank(sheet: Sheet) -> Figure:
    """Return an empty figure of the stanza's height; draw inside ``house_style``."""
    figure = Figure(figsize=(WIDTH_CM * CM, float(sheet.stanza["height_cm"]) * CM))
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, sheet: Sheet, notes: list[str]) -> None:
    """Add title, notes with the hashes and, for simulated rows, the watermark; fit the axes between them."""
    notes = [*notes, sheet.word("hashes", **{name: value[:12] for name, value in sheet.hashes.items()})]
    height = float(sheet.stanza["height_cm"])
    left = EDGE_CM / WIDTH_CM
    figure.text(left, 1 - EDGE_CM / height, sheet.word("title"), size=TITLE_SIZE, va="top")
    lines = wrap((" " if sheet.language == "en" else "").join(notes), (WIDTH_CM - 2 * EDGE_CM) * CM * 72, NOTE_SIZE)
    figure.text(
        left,
        EDGE_CM / height,
        "\n".join(lines),
        size=NOTE_SIZE,
        color=MUTED,
        va="bottom",
        linespacing=1.35,
        gid="notes",
    )
    bottom = (EDGE_CM + len(lines) * NOTE_SIZE * 1.6 / 72 / CM + 0.15) / height
    top = 1 - (EDGE_CM + 0.75) / height
    figure.set_layout_engine("constrained", rect=(left, bottom, 1 - 2 * left, top - bottom), w_pad=0.02, h_pad=0.02)
    if sheet.simulated:
        mark = sheet.word("simulated")
        figure.text(
            0.5, 0.5, mark, size=40, color="#b00020", alpha=0.3, rotation=25, ha="center", va="center", gid="watermark"
        )


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines no wider than ``width`` points, between words and between Chinese characters."""
    lines = [""]
    for token in _TOKENS.findall(text):
        if lines[-1] and _width((lines[-1] + token).rstrip(), size) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += token.lstrip() if not lines[-1] else token
    return lines


def _width(text: str, size: float) -> float:
    font = _font()
    font.set_size(100, 72)
    font.set_text(text, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64 * size / 100


@cache
def _font() -> FT2Font:
    return FT2Font(str(FONT))


@cache
def glyphs() -> frozenset[int]:
    """Return the code points that the committed font can draw."""
    return frozenset(int(code) for code in _font().get_charmap())


def check_glyphs(key: str, texts: list[str]) -> None:
    """Raise ReportError, naming figure, text and character, if the font lacks a glyph."""
    lacking = {t: sorted({c for c in t if ord(c) not in glyphs() and c != "\n"}) for t in texts}
    found = [f"{c!r} (U+{ord(c):04X}) in {t!r}" for t, characters in lacking.items() for c in characters]
    if found:
        hint = "Use another character, or widen pipeline/assets/subset_font.py and cut the font again."
        raise ReportError(f"{key}: {FONT.name} has no glyph for {'; '.join(found)}. {hint}")


def _freeze(figure: Figure) -> None:
    """Keep the axes where the layout put them, rounded: its solver leaves the last bits to the order in memory."""
    figure.set_layout_engine("none")
    for axis in figure.axes:
        left, bottom, width, height = (round(float(v), 9) for v in axis.get_position(original=True).bounds)
        axis.set_position((left, bottom, width, height))


def encode(figure: Figure, sheet: Sheet) -> dict[str, bytes]:
    """Return the figure in every format; the same rows give the same bytes.

    Raises
    ------
    ReportError
        A text of the figure holds a character that the font lacks.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the check below names it, and raises
        figure.draw_without_rendering()
    _freeze(figure)
    check_glyphs(sheet.key, [t.get_text() for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible()])
    title = sheet.word("title")
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"Title": title, "CreationDate": None, "Creator": None, "Producer": None},
        "svg": {"Title": title, "Date": None, "Creator": None},
        "png": {"Software": None},
    }
    files = {}
    for kind in FORMATS:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata[kind])
        files[kind] = buffer.getvalue()
    return files
