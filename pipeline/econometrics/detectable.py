"""What an estimate could have found: minimum detectable effect and power."""

from __future__ import annotations

from scipy.special import stdtr, stdtrit

from pipeline.errors import EstimationError


def minimum_detectable_effect(std_error: float, df: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """Smallest true effect that a two-sided test would find with this power (Bloom 1995, Evaluation Review 19).

    Parameters
    ----------
    std_error : float
        In units of the outcome.
    df : float
        Degrees of freedom of the t test.
    power, level : float
        Power, and confidence level of the test.

    Returns
    -------
    float
        (t_{(1 + level)/2} + t_{power})·se, in units of the outcome.

    Raises
    ------
    EstimationError
        A standard error or degrees of freedom that are not positive, a power or level outside (0, 1).
    """
    _check(std_error, df, power, level)
    return float((stdtrit(df, 0.5 + level / 2) + stdtrit(df, power)) * std_error)


def power(effect: float, std_error: float, df: float, *, level: float = 0.95) -> float:
    """Power of the two-sided t test against a true effect: T(δ/se – t) + T(–δ/se – t).

    Parameters
    ----------
    effect, std_error : float
        In units of the outcome.
    df : float
        Degrees of freedom.
    level : float
        Confidence level of the test.

    Raises
    ------
    EstimationError
        As in :func:`minimum_detectable_effect`.
    """
    _check(std_error, df, 0.5, level)
    critical = stdtrit(df, 0.5 + level / 2)
    return float(stdtr(df, effect / std_error - critical) + stdtr(df, -effect / std_error - critical))


def _check(std_error: float, df: float, share: float, level: float) -> None:
    if not (std_error > 0 and df > 0):
        raise EstimationError(f"standard error and degrees of freedom must be positive, not {std_error} and {df}")
    if not (0 < share < 1 and 0 < level < 1):
        raise EstimationError(f"power and level must lie between 0 and 1, not {share} and {level}")
