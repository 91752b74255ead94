"""Variables computed from published series, by the formulas and methods of the dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from pipeline.errors import SpecError

PER_1E4 = 1e4  # 1e8 CNY over CNY is 1e8 persons: 1e4 units of 1e4 persons


class Derived(Protocol):
    """The part of a dictionary entry that says how a variable is computed."""

    @property
    def derived_from(self) -> tuple[str, ...]:
        """Names of the variables it needs."""

    @property
    def formula(self) -> str | None:
        """Expression over columns of the panel."""

    @property
    def method(self) -> str | None:
        """Name of a function in ``METHODS``."""


def average_population(panel: pd.DataFrame) -> pd.Series:
    """Average resident population of the year, in 1e4 persons.

    The mean of the year-ends t – 1 and t where both are published; else ``gdp_sector_sum`` (1e8 CNY) over
    ``gdp_per_capita`` (CNY per person), which the statistical office divides by the average population.

    Parameters
    ----------
    panel : DataFrame
        Rows (province_code, year), columns ``population, gdp_sector_sum, gdp_per_capita``.

    Returns
    -------
    Series
        Aligned with ``panel``; missing where neither way is open.
    """
    ends = panel.set_index(["province_code", "year"])["population"]
    before = ends.rename(lambda year: year + 1, level="year").reindex(ends.index)
    implied = panel["gdp_sector_sum"] / panel["gdp_per_capita"] * PER_1E4
    mean = pd.Series(((before + ends) / 2).to_numpy(), index=panel.index)
    return mean.fillna(implied)


METHODS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {"average_population": average_population}


def add(panel: pd.DataFrame, derived: Mapping[str, Derived]) -> pd.DataFrame:
    """Append the derived variables to the panel, each after those it needs.

    Parameters
    ----------
    panel : DataFrame
        Rows (province_code, year), one column a published variable.
    derived : mapping of str to dictionary entry
        The entries with ``derived_from`` and either ``formula`` or ``method``.

    Raises
    ------
    SpecError
        A variable needs one that is not in the panel, two need each other, or a method is unknown.
    """
    out = panel.copy()
    waiting = dict(derived)
    while waiting:
        ready = [k for k, v in waiting.items() if all(name in out.columns for name in v.derived_from)]
        if not ready:
            lacking = "; ".join(f"{k} needs {', '.join(v.derived_from)}" for k, v in waiting.items())
            raise SpecError(f"specs/dictionary.yaml: these cannot be derived from the panel: {lacking}.")
        for name in ready:
            out[name] = _compute(out, name, waiting.pop(name))
    return out[[*panel.columns, *derived]]


def _compute(panel: pd.DataFrame, name: str, entry: Derived) -> pd.Series:
    if entry.method is not None:
        if entry.method not in METHODS:
            known = ", ".join(METHODS)
            raise SpecError(f"specs/dictionary.yaml: {name} has method {entry.method}; known: {known}.")
        return METHODS[entry.method](panel)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = pd.Series(panel.eval(str(entry.formula)), index=panel.index, dtype=float)
    return values.where(np.isfinite(values))
