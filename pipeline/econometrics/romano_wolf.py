"""Step-down adjustment of p-values for a family of hypotheses tested on the same draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Floats, listed
from pipeline.econometrics.results import TestResult
from pipeline.errors import EstimationError

TIE = 1 - 1e-9  # a draw counts if |t*| ≥ |t|·TIE


def romano_wolf(
    tests: Mapping[str, TestResult] | pd.DataFrame,
    observed: Mapping[str, float] | None = None,
    *,
    exact: bool = False,
) -> pd.DataFrame:
    """Familywise error rate by the step-down of max |t| (Romano and Wolf 2005, JASA 100, 94–108; 2016, SPL 113, 38–40).

    Hypotheses in descending order of |t|; the adjusted p of the s-th is the share of draws in which the largest |t*|
    of the hypotheses not yet passed is at least |t_s|, but no less than the one before it. With draws from a
    permutation the control is exact where the joint hypothesis is that of the permutation (Westfall and Young 1993).

    Parameters
    ----------
    tests : mapping of str to TestResult, or DataFrame
        Tests of one family whose ``distribution`` has the same draws in the same order (the same groups, seed and
        number), or a frame draws × hypotheses of statistics under the null. A missing statistic counts as extreme.
    observed : mapping of str to float, optional
        Observed statistics, with a frame only.
    exact : bool
        With a frame only: it holds all assignments, the observed one included, so that p = count/draws. Otherwise, and
        for tests that are not ``exact``, p = (1 + count)/(1 + draws).

    Returns
    -------
    DataFrame
        Columns ``hypothesis, statistic, p_value, p_adjusted``, in the order given; ``p_value`` is the unadjusted one.

    Raises
    ------
    EstimationError
        No hypothesis, a test without draws, draws that are not the same, or no observed statistic.
    """
    if isinstance(tests, pd.DataFrame):
        if observed is None or set(observed) != set(tests.columns):
            raise EstimationError("a frame of draws needs an observed statistic for each of its columns, and no other")
        names, draws = [str(c) for c in tests.columns], np.abs(tests.to_numpy(dtype=np.float64))
        statistics = np.array([float(observed[c]) for c in tests.columns])
    else:
        if observed is not None:
            raise EstimationError("observed statistics come with a frame; tests have their own")
        names, draws, statistics, exact = _shared_draws(tests)
    if not draws.size or not np.isfinite(statistics).all():
        raise EstimationError("a family needs at least one hypothesis, one draw, and finite observed statistics")
    draws = np.where(np.isnan(draws), np.inf, draws)
    order = np.argsort(-np.abs(statistics), kind="stable")
    left = np.maximum.accumulate(draws[:, order[::-1]], axis=1)[:, ::-1]  # largest |t*| from this hypothesis on
    limit = TIE * np.abs(statistics)
    adjusted = np.empty(len(names))
    adjusted[order] = np.maximum.accumulate(_share(left >= limit[order], exact=exact))
    return pd.DataFrame(
        {
            "hypothesis": names,
            "statistic": statistics,
            "p_value": _share(draws >= limit, exact=exact),
            "p_adjusted": adjusted,
        }
    )


def _share(extreme: np.ndarray, *, exact: bool) -> Floats:
    count, total = extreme.sum(axis=0), len(extreme)
    return np.asarray(count / total if exact else (1 + count) / (1 + total))


def _shared_draws(tests: Mapping[str, TestResult]) -> tuple[list[str], Floats, Floats, bool]:
    columns = {name: test.distribution for name, test in tests.items() if test.distribution is not None}
    without = [name for name in tests if name not in columns]
    if without:
        raise EstimationError(f"no draws are kept of {listed(without)}")
    kinds = {(t.exact, t.draws, t.meta.get("assignments", "")) for t in tests.values()}
    if len(kinds) > 1:
        raise EstimationError(
            "the tests of a family must share their draws: the same groups, number and seed; here "
            + listed([f"{n}: {t.draws} draws, {t.meta.get('assignments', 'unknown')}" for n, t in tests.items()])
        )
    statistics = np.array([test.statistic for test in tests.values()])
    draws = np.abs(np.column_stack(list(columns.values()))) if columns else np.empty((0, 0))
    return list(tests), draws, statistics, bool(kinds and next(iter(kinds))[0])
