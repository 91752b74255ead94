"""Inference from influence functions: covariance by sums within clusters, and the multiplier bootstrap."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from pipeline.econometrics.covariance import cluster_sums
from pipeline.econometrics.design import Codes, Floats
from pipeline.errors import EstimationError

MULTIPLIERS = ("rademacher", "mammen")
BLOCK = 4_000_000  # multipliers held at once
GOLDEN = (1 + np.sqrt(5)) / 2


def influence_covariance(influence: Floats, clusters: Codes) -> Floats:
    """Covariance Σ_c S_c S_c' / n² of estimates with these influence functions, S_c their sums within cluster c.

    With every unit its own cluster this is the mean of squares over n, the convention of the R packages did and DRDID
    (Callaway and Sant'Anna 2021, J. Econometrics 225, Remark 10); no small-sample factor.

    Parameters
    ----------
    influence : ndarray, (n, k)
        Mean zero by column.
    clusters : Codes
        Of the n units.
    """
    sums = cluster_sums(influence, clusters) / len(influence)
    return np.asarray(sums.T @ sums)


def multiplier_bootstrap(
    influence: Floats, clusters: Codes, *, draws: int, seed: int, multiplier: str = "rademacher"
) -> Floats:
    """Draws of the estimation error, (draws, k): one multiplier a cluster on the sums of the influence functions.

    Callaway and Sant'Anna (2021, J. Econometrics 225, Theorem 3 and Remark 10).

    Parameters
    ----------
    influence : ndarray, (n, k)
    clusters : Codes
    draws, seed : int
    multiplier : {"rademacher", "mammen"}
        ±1 with equal probability, or the two-point distribution of Mammen (1993).
    """
    if multiplier not in MULTIPLIERS:
        raise EstimationError(f"multiplier {multiplier!r} is not one of {', '.join(MULTIPLIERS)}")
    sums = cluster_sums(influence, clusters) / len(influence)
    rng = np.random.default_rng(seed)
    out = np.empty((draws, influence.shape[1]))
    step = max(1, BLOCK // clusters.n)
    for start in range(0, draws, step):
        uniform = rng.random((min(step, draws - start), clusters.n))
        if multiplier == "rademacher":
            values = np.where(uniform < 0.5, -1.0, 1.0)
        else:
            values = np.where(uniform < GOLDEN / np.sqrt(5), 1 - GOLDEN, GOLDEN)
        out[start : start + len(values)] = values @ sums
    return out


def interquartile_errors(errors: Floats) -> Floats:
    """Standard errors from draws of the estimation error, (k,): interquartile range over that of the normal."""
    high, low = np.quantile(errors, [0.75, 0.25], axis=0, method="inverted_cdf")
    return np.asarray((high - low) / (2 * ndtri(0.75)))


def simultaneous_critical_value(errors: Floats, std_errors: Floats, level: float) -> float:
    """Quantile of max |error / std_error| over the estimates that have a standard error; NaN if none has."""
    known = np.isfinite(std_errors) & (std_errors > 0)
    if not known.any():
        return float("nan")
    largest = np.abs(errors[:, known] / std_errors[known]).max(axis=1)
    return float(np.quantile(largest, level, method="inverted_cdf"))
