"""The adapter to linearmodels: the coefficients that are printed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.econometrics.design import Codes, Design, Floats
from pipeline.econometrics.fit import Fit
from pipeline.errors import CollinearityError, EstimationError

AGREE = 1e-7  # largest difference from the own residuals, in units of a coefficient's scale


def linearmodels_coefficients(fit: Fit) -> tuple[Floats, str]:
    """Coefficients of the shown regressors by linearmodels, and the name of the model used.

    ``PanelOLS`` carries at most two fixed effects; with more, ``AbsorbingLS``. Covariances are not taken from there:
    its small-sample conventions differ from ours.

    Raises
    ------
    CollinearityError
        linearmodels refuses the columns; names them.
    EstimationError
        The result differs from the residuals of :mod:`pipeline.econometrics.fit`: a sign of near collinearity.
    """
    design = fit.design
    index = pd.MultiIndex.from_arrays([design.unit.ids, design.time.ids], names=["unit", "time"])
    columns = np.hstack([design.X, fit.slopes])
    columns = columns - columns[0]  # a constant is always absorbed: no slope moves, equal leading digits cancel exactly
    exog = pd.DataFrame(columns, index=index, columns=[f"x{j}" for j in range(columns.shape[1])])
    y = pd.DataFrame({"y": design.y - design.y[0]}, index=index)
    weights = None if design.weights is None else pd.DataFrame({"w": design.weights}, index=index)
    two = len(design.effects) <= 2
    name = "linearmodels PanelOLS" if two else "linearmodels AbsorbingLS"
    try:
        params = (_panel_ols if two else _absorbing)(design, y, exog, weights)
    except ValueError as error:
        names = ", ".join((*design.terms, *design.by_time))
        raise CollinearityError(f"{names}: too close to combinations of one another for {name} ({error})") from error
    shown = params[exog.columns].to_numpy(dtype=np.float64)[: design.X.shape[1]]
    scale = np.sqrt(np.diag(fit.inverse)) * np.linalg.norm(fit.y)
    apart = np.abs(shown - fit.coefficients) > AGREE * scale
    if apart.any():
        names = ", ".join(t for t, a in zip(design.terms, apart, strict=True) if a)
        raise EstimationError(f"two algorithms disagree on {names}: the regressors are nearly collinear")
    return shown, name


def _panel_ols(design: Design, y: pd.DataFrame, exog: pd.DataFrame, weights: pd.DataFrame | None) -> pd.Series:
    from linearmodels.panel import PanelOLS

    unit, time = (_is(design, codes) for codes in (design.unit, design.time))
    others = {name: codes.ids for name, codes in design.effects.items() if name not in (unit, time)}
    frame = pd.DataFrame({f"effect{i}": v for i, v in enumerate(others.values())}, index=y.index) if others else None
    if not design.effects:
        exog = exog.assign(constant=1.0)
    model = PanelOLS(
        y,
        exog,
        weights=weights,
        entity_effects=unit is not None,
        time_effects=time is not None,
        other_effects=frame,
    )
    return pd.Series(model.fit(auto_df=False, count_effects=False).params)


def _absorbing(design: Design, y: pd.DataFrame, exog: pd.DataFrame, weights: pd.DataFrame | None) -> pd.Series:
    from linearmodels.iv.absorbing import AbsorbingLS

    absorb = pd.DataFrame(
        {f"effect{i}": pd.Categorical(codes.ids) for i, codes in enumerate(design.effects.values())}, index=y.index
    )
    model = AbsorbingLS(y, exog, absorb=absorb, weights=weights)
    return pd.Series(model.fit(method="lsmr", absorb_options={"atol": 1e-15, "btol": 1e-15, "conlim": 0.0}).params)


def _is(design: Design, codes: Codes) -> str | None:
    """Name of the effect that is exactly this column, if any."""
    return next((name for name, e in design.effects.items() if e is codes or _same(e, codes)), None)


def _same(left: Codes, right: Codes) -> bool:
    return left.n == right.n and bool(np.array_equal(left.ids, right.ids))
