"""Cut Noto Sans SC down to the characters that Chinese and English tables and figures use.

``python pipeline/assets/subset_font.py FULL.ttf`` rewrites ``pipeline/assets/NotoSansSC-Regular.ttf``. The full font
is ``400Regular/NotoSansSC_400Regular.ttf`` of the npm package ``@expo-google-fonts/noto-sans-sc`` 0.4.3 (SIL Open Font
License 1.1, text in ``OFL.txt``). The same input gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset

TARGET = Path(__file__).with_name("NotoSansSC-Regular.ttf")
RANGES = (
    (0x0020, 0x007E),  # ASCII
    (0x00A0, 0x017F),  # Latin-1, Latin Extended-A
    (0x0391, 0x03C9),  # Greek
    (0x2010, 0x205E),  # dashes, quotation marks, per mille
    (0x2070, 0x209F),  # superscripts and subscripts
    (0x2100, 0x214F),  # letterlike symbols
    (0x2190, 0x21FF),  # arrows
    (0x2200, 0x22FF),  # mathematical operators
    (0x2460, 0x2473),  # circled numbers
    (0x25A0, 0x25FF),  # geometric shapes
    (0x3000, 0x303F),  # CJK punctuation
    (0xFF00, 0xFF5E),  # full-width forms
)


def characters() -> set[int]:
    """Return the code points to keep: GB 2312 and the ranges above."""
    rows = (bytes((high, low)) for high in range(0xA1, 0xF8) for low in range(0xA1, 0xFF))
    gb2312 = {ord(character) for pair in rows for character in pair.decode("gb2312", errors="ignore")}
    return gb2312.union(*(range(first, last + 1) for first, last in RANGES))


def main(source: str) -> None:
    """Write the subset of the font file ``source`` beside this script."""
    options = subset.Options()
    options.layout_features = ["kern"]
    options.hinting = False
    options.name_IDs = ["*"]
    options.notdef_outline = True
    options.drop_tables += ["BASE", "STAT", "vhea", "vmtx"]
    options.recalc_timestamp = False
    font = subset.load_font(source, options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=characters())
    cutter.subset(font)
    subset.save_font(font, str(TARGET), options)


if __name__ == "__main__":
    main(sys.argv[1])
