"""From a reference distribution to p-value and interval: the part that all tests by reassignment share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from pipeline.econometrics.design import Floats
from pipeline.econometrics.results import TestResult
from pipeline.econometrics.studentised import Moments


class Reference(Protocol):
    """Statistics of all reassignments, as functions of the hypothesised effect."""

    @property
    def spread(self) -> float:
        """Standard deviation of the estimates."""

    @property
    def missing(self) -> int:
        """How many assignments have no estimate."""

    def extreme(self, observed: Moments, null: float) -> int:
        """How many assignments have |t*| ≥ |t|, ties counted."""

    def statistics(self, null: float) -> Floats | None:
        """Signed statistics in the order drawn; None where they were counted, not listed."""


def conclude(
    observed: Moments,
    reference: Reference,
    total: int,
    *,
    exact: bool,
    studentised: bool,
    null: float,
    interval: bool,
    level: float,
    meta: dict[str, str],
) -> TestResult:
    """Share of assignments at least as extreme, and the interval of the effects that are not rejected.

    Parameters
    ----------
    observed : Moments
        Of the one observed assignment.
    reference : Reference
    total : int
        Number of assignments behind it.
    exact : bool
        They are all there are, the observed one included: p = count/total. Otherwise (1 + count)/(1 + total).
    studentised : bool
        The interval is sought in steps of the observed standard error; otherwise of the spread of the estimates.
    null, interval, level
        As in :func:`randomization_test`.
    meta : dict of str
    """

    def p_value(tau: float) -> float:
        count = reference.extreme(observed, tau)
        return count / total if exact else (1 + count) / (1 + total)

    estimate = float(observed.b[0] / observed.slope[0])
    scale = float(np.sqrt(observed.v0[0])) if studentised else reference.spread
    return TestResult(
        statistic=float(observed.statistics(null)[0]),
        p_value=p_value(null),
        estimate=estimate,
        ci=invert(p_value, estimate, scale, 1 - level) if interval else None,
        draws=total,
        exact=exact,
        distribution=reference.statistics(null),
        meta=meta | {"null": repr(float(null)), "level": repr(level), "not_estimable": str(reference.missing)},
    )


def invert(p_value: Callable[[float], float], estimate: float, scale: float, alpha: float) -> tuple[float, float]:
    """Ends of {τ : p(τ) > alpha}, read as the part connected to the estimate.

    Outward in steps of a quarter of ``scale``, growing beyond ten, then bisection to 1e-9 of it; infinite if no τ
    within 10,000 is rejected.
    """

    def end(sign: float) -> float:
        inside, step = 0.0, 0.25
        while p_value(estimate + sign * (inside + step) * scale) > alpha:
            inside += step
            step = step if inside < 10 else inside
            if inside > 10_000:
                return sign * float("inf")
        low, high = inside, inside + step
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (middle, high) if p_value(estimate + sign * middle * scale) > alpha else (low, middle)
        return estimate + sign * high * scale

    return end(-1.0), end(1.0)
