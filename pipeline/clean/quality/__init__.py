"""Quality rules on the published figures: one rule, one function; a flag asks for a verdict, it is none."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from pipeline.clean.quality import accounting, jumps, patterns
from pipeline.clean.quality.series import FLAG, Published, gathered

RULES: dict[str, Callable[[Published], pd.DataFrame]] = {
    "interpolation": patterns.interpolation,
    "decimals": patterns.decimals,
    "repeated": patterns.repeated,
    "spike": jumps.spike,
    "stock_dip": jumps.stock_dip,
    "exchange": jumps.exchange,
    "parts": accounting.parts,
    "national_total": accounting.national_total,
    "growth": accounting.growth,
    "breaks": accounting.breaks,
}


def flag(data: Published) -> pd.DataFrame:
    """Run every rule.

    Returns
    -------
    DataFrame
        ``variable, province_code, year, value, rule, score``, one row a cell and rule, in the order of cell and rule.
    """
    found = gathered([rule(data) for rule in RULES.values()])
    return found[FLAG].sort_values(["variable", "province_code", "year", "rule"], kind="stable").reset_index(drop=True)
