"""Two groups, two periods, with covariates: the estimators of Sant'Anna and Zhao and their influence functions.

Sant'Anna and Zhao (2020, J. Econometrics 219, 101–122); the convention of influence functions is that of the R package
DRDID (drdid_imp_panel, drdid_panel, reg_did_panel, std_ipw_did_panel), but no propensity score is trimmed.

Notation: u are the weights of treated units, h those of control units; each set sums to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.special import expit

from pipeline.econometrics.design import Floats
from pipeline.errors import CollinearityError, EstimationError

METHODS = ("improved", "traditional", "regression", "ipw")
COLLINEAR = 1e-9  # a pivot below this share of the largest, columns standardised
CONVERGED = 1e-8  # last Newton step, in the linear index of any unit: what is left after it is of second order
NEWTON_STEPS = 100
VANISHED = 1e-10  # smallest over largest eigenvalue of the information, covariates standardised
CERTAIN = 1 - 1e-6  # a control unit with a higher propensity score cannot be told from a treated one
Objective = Callable[[Floats], tuple[float, Floats, Floats]]


class _NoSolutionError(Exception):
    """The propensity score has no solution."""


@dataclass(frozen=True, eq=False)
class TwoByTwo:
    """An effect on the treated and what its inference needs.

    Attributes
    ----------
    att : float
    influence : ndarray, (n,)
        Influence function, mean zero.
    control_weights : ndarray, (n,)
        att = Σ u·change – Σ control_weights·change; zero for treated units, sum one, negative where the outcome
        regression extrapolates.
    top_propensity : float
        Largest propensity score of a control unit; missing for "regression".
    """

    att: float
    influence: Floats
    control_weights: Floats
    top_propensity: float


def two_by_two(
    change: Floats,
    treated: NDArray[np.bool_],
    covariates: Floats,
    *,
    method: str,
    names: Sequence[str] = (),
    weights: Floats | None = None,
) -> TwoByTwo:
    """Effect on the treated from changes of the outcome.

    Parameters
    ----------
    change : ndarray, (n,)
        Outcome after minus outcome before.
    treated : ndarray of bool, (n,)
    covariates : ndarray, (n, k)
        Without a constant; k may be 0.
    method : {"improved", "traditional", "regression", "ipw"}
        "improved": inverse probability tilting and weighted least squares (equation 3.1 with the nuisance functions of
        section 3.1; drdid_imp_panel).
        "traditional": logit and least squares (drdid_panel). "regression": least squares on the controls
        (reg_did_panel). "ipw": logit, normalised weights (std_ipw_did_panel).
    names : sequence of str, (k,)
        Of the covariates, for messages.
    weights : ndarray, (n,), optional
        Positive.

    Raises
    ------
    CollinearityError
        A covariate is a combination of the others.
    EstimationError
        No overlap: the propensity score has no maximum-likelihood or tilting solution, or is one for a control unit.
    """
    if method not in METHODS:
        raise EstimationError(f"method {method!r} is not one of {', '.join(METHODS)}")
    w = np.ones(len(change)) if weights is None else weights / weights.mean()
    names = tuple(names) or tuple(f"column {j}" for j in range(covariates.shape[1]))
    control = ~treated
    u = np.where(treated, w, 0.0) / w[treated].sum()
    X = _standardised(covariates, names)
    if method == "ipw":
        _check_rank(X, names, "")
    else:
        _check_rank(X[control], names, " among the control units")
    if method == "regression":
        return _regression(change, control, X, w, u)
    estimator = {"improved": _improved, "traditional": _traditional, "ipw": _weighting}[method]
    try:
        return estimator(change, treated, X, w, u)
    except _NoSolutionError:
        raise EstimationError(_overlap_message(covariates, treated, u, method, names)) from None


def _regression(change: Floats, control: NDArray[np.bool_], X: Floats, w: Floats, u: Floats) -> TwoByTwo:
    weighted = X * np.where(control, w, 0.0)[:, None]
    gram = weighted.T @ X
    residual = change - X @ np.linalg.solve(gram, weighted.T @ change)
    att = float(u @ residual)
    omega = weighted @ np.linalg.solve(gram, X.T @ u)
    return TwoByTwo(att, len(u) * (u * (residual - att) - omega * residual), omega, float("nan"))


def _weighting(change: Floats, treated: NDArray[np.bool_], X: Floats, w: Floats, u: Floats) -> TwoByTwo:
    h, score, top = _logit_weights(treated, X, w)
    gap = change - h @ change
    att = float(u @ gap)
    influence = u * (gap - att) - h * gap - score @ (X.T @ (h * gap))
    return TwoByTwo(att, len(u) * influence, h, top)


def _traditional(change: Floats, treated: NDArray[np.bool_], X: Floats, w: Floats, u: Floats) -> TwoByTwo:
    h, score, top = _logit_weights(treated, X, w)
    weighted = X * np.where(treated, 0.0, w)[:, None]
    gram = weighted.T @ X
    residual = change - X @ np.linalg.solve(gram, weighted.T @ change)
    gap = residual - h @ residual
    att = float(u @ gap)
    shift = weighted @ np.linalg.solve(gram, X.T @ (u - h))
    influence = u * (gap - att) - h * gap - score @ (X.T @ (h * gap)) - shift * residual
    return TwoByTwo(att, len(u) * influence, h + shift, top)


def _improved(change: Floats, treated: NDArray[np.bool_], X: Floats, w: Floats, u: Floats) -> TwoByTwo:
    """Tilting balances the covariates exactly, so that the outcome regression moves only the influence function."""
    h = np.zeros(len(u))
    h[~treated] = _tilting_weights(X[~treated, 1:] - u @ X[:, 1:], w[~treated])
    weighted = X * h[:, None]
    residual = change - X @ np.linalg.solve(weighted.T @ X, weighted.T @ change)
    att = float(u @ residual - h @ residual)
    odds = float((h[~treated] / w[~treated]).max() * w[treated].sum())
    return TwoByTwo(att, len(u) * (u * (residual - att) - h * residual), h, odds / (1 + odds))


def _logit_weights(treated: NDArray[np.bool_], X: Floats, w: Floats) -> tuple[Floats, Floats, float]:
    """Odds weights of the controls, influence function of the logit coefficients (n, k) over n, top control score."""

    def objective(gamma: Floats) -> tuple[float, Floats, Floats]:
        index = X @ gamma
        p = expit(index)
        loss = float(w @ (np.logaddexp(0.0, index) - treated * index))
        return loss, X.T @ (w * (p - treated)), (X * (w * p * (1 - p))[:, None]).T @ X

    gamma = _minimise(objective, X)
    index = X @ gamma
    p, hessian = expit(index), objective(gamma)[2]
    top = float(p[~treated].max())
    if top > CERTAIN:
        raise _NoSolutionError
    odds = np.where(treated, 0.0, w * np.exp(np.where(treated, 0.0, index)))
    score = np.linalg.solve(hessian, (X * (w * (treated - p))[:, None]).T).T
    return odds / odds.sum(), score, top


def _tilting_weights(Z: Floats, w: Floats) -> Floats:
    """Weights w·exp(Zγ), normalised, that give the covariates Z, centred at the treated mean, a mean of zero.

    The first-order condition of the calibrated propensity score (Graham, Pinto and Egel 2012, Rev. Econ. Studies 79).
    """
    if not Z.shape[1]:
        return np.asarray(w / w.sum())

    def tilted(gamma: Floats) -> tuple[float, Floats]:
        index = Z @ gamma
        top = float(index.max())
        raw = w * np.exp(index - top)
        return top + float(np.log(raw.sum())), raw / raw.sum()

    def objective(gamma: Floats) -> tuple[float, Floats, Floats]:
        loss, h = tilted(gamma)
        mean = Z.T @ h
        return loss, mean, (Z * h[:, None]).T @ Z - np.outer(mean, mean)

    return tilted(_minimise(objective, Z))[1]


def _minimise(objective: Objective, index: Floats) -> Floats:
    """Minimise a smooth convex function by damped Newton.

    Stops when a full step moves no unit's linear index by more than CONVERGED. Without a minimum the index of the units
    that separate the groups runs away, and the information on that direction vanishes.
    """
    gamma = np.zeros(index.shape[1])
    loss, gradient, hessian = objective(gamma)
    for _ in range(NEWTON_STEPS):
        information = np.linalg.eigvalsh(hessian)
        if not information[0] > VANISHED * information[-1]:
            break
        step = np.linalg.solve(hessian, gradient)
        length = np.abs(index @ step).max()
        if length <= CONVERGED:
            return gamma - step
        scale = 1.0
        while True:
            new = objective(gamma - scale * step)
            if new[0] <= loss - 1e-4 * scale * (gradient @ step) + 1e-12 * abs(loss) or scale < 1e-6:
                break
            scale /= 2
        gamma, (loss, gradient, hessian) = gamma - scale * step, new
    raise _NoSolutionError


def _standardised(covariates: Floats, names: Sequence[str]) -> Floats:
    """Constant and covariates with mean zero and variance one: no estimate depends on their scale."""
    centred = covariates - covariates.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    flat = scale <= 1e-12 * np.abs(covariates).max(axis=0, initial=0.0)
    if flat.any():
        fixed = ", ".join(repr(n) for n, f in zip(names, flat, strict=True) if f)
        raise CollinearityError(f"covariate {fixed} does not vary over the units compared: a constant is always added")
    return np.column_stack([np.ones(len(covariates)), centred / scale])


def _check_rank(X: Floats, names: Sequence[str], where: str) -> None:
    if len(X) < X.shape[1]:
        raise EstimationError(f"{len(X)} units{where} cannot identify {X.shape[1]} coefficients")
    _, r, order = qr(X, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    weak = order[pivots <= COLLINEAR * pivots[0]]
    if len(weak):
        labels = ["the constant", *map(repr, names)]
        lost = ", ".join(labels[j] for j in weak)
        others = ", ".join(labels[j] for j in range(len(labels)) if j not in weak)
        raise CollinearityError(f"{lost} is a combination of {others}{where}: drop one of these covariates")


def _overlap_message(
    covariates: Floats, treated: NDArray[np.bool_], u: Floats, method: str, names: Sequence[str]
) -> str:
    """Say why there is no propensity score, naming the covariates that suffice for it on their own."""
    low, high = covariates[~treated].min(axis=0), covariates[~treated].max(axis=0)
    if method == "improved":
        why, bottom, top = "no weights of the controls reach the treated mean of the covariates", *[u @ covariates] * 2
    else:
        why = "the covariates separate treated from control units: the propensity score has no solution below one"
        bottom, top = covariates[treated].min(axis=0), covariates[treated].max(axis=0)
    apart = [n for n, a in zip(names, ((bottom >= high) | (top <= low)).tolist(), strict=True) if a]
    alone = f" ({', '.join(map(repr, apart))} alone)" if apart else ""
    return f"no overlap: {why}{alone}. Use fewer covariates, other controls, or method 'regression'"
