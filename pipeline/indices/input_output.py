"""Input–output analysis: the Leontief inverse, and the distance of a sector from final use and from primary inputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import EstimationError

Floats = NDArray[np.float64]


def leontief_inverse(flows: pd.DataFrame | ArrayLike, output: pd.Series | ArrayLike) -> pd.DataFrame:
    """Return L = (I – A)⁻¹ with A_ij = Z_ij / x_j (Leontief 1936, Review of Economics and Statistics 18, 105–125).

    Parameters
    ----------
    flows : DataFrame or array, (n, n)
        Z: what row sector i delivers to column sector j; rows and columns of a frame carry the same names. Domestic
        flows alone give domestic requirements.
    output : Series or array, (n,)
        x: gross output, in the unit of ``flows``. A sector without output has no inputs.

    Returns
    -------
    DataFrame, (n, n)
        L_ij: output of i that one unit of final demand for j needs, directly and indirectly; dimensionless.

    Raises
    ------
    EstimationError
        Names that do not match, missing values, output that is zero or negative where there are flows, or a spectral
        radius of A of one or more (no final demand can be met).
    """
    z, names = _square("leontief_inverse", flows)
    x = _vector("leontief_inverse", "output", output, names)
    return pd.DataFrame(_inverse("leontief_inverse", _shares("leontief_inverse", z.T, x, names).T), names, names)


def upstreamness(
    flows: pd.DataFrame | ArrayLike,
    output: pd.Series | ArrayLike,
    *,
    exports: pd.Series | ArrayLike | None = None,
    imports: pd.Series | ArrayLike | None = None,
) -> pd.Series:
    """Return U = (I – B)⁻¹1, the mean distance from final use.

    Antràs, Chor, Fally and Hillberry (2012), American Economic Review 102(3), 412–416; with trade, equation 9 of NBER
    Working Paper 17819.

    Parameters
    ----------
    flows : DataFrame or array, (n, n)
        Z, as in :func:`leontief_inverse`.
    output : Series or array, (n,)
        x: gross output, in the unit of ``flows``.
    exports, imports : Series or array, (n,), optional
        Of an open economy, by sector; for a province with what flows to and from other provinces.

    Returns
    -------
    Series, (n,)
        B_ij = Z_ij / (x_i – exports_i + imports_i); 1 for a sector that sells to final use alone.

    Raises
    ------
    EstimationError
        As :func:`leontief_inverse`, the supply in the denominator taking the place of output: where the spectral
        radius of B is one or more, intermediate use has no end and no distance exists.
    """
    z, names = _square("upstreamness", flows)
    supply = _vector("upstreamness", "output", output, names)
    if exports is not None:
        supply = supply - _vector("upstreamness", "exports", exports, names)
    if imports is not None:
        supply = supply + _vector("upstreamness", "imports", imports, names)
    distance = _inverse("upstreamness", _shares("upstreamness", z, supply, names)).sum(axis=1)
    return pd.Series(distance, names, name="upstreamness")


def downstreamness(flows: pd.DataFrame | ArrayLike, output: pd.Series | ArrayLike) -> pd.Series:
    """Return D = 1'(I – A)⁻¹, the mean distance from primary inputs (Miller and Temurshoev 2017, IRSR 40(5), 443–475).

    Parameters
    ----------
    flows, output
        As in :func:`leontief_inverse`.

    Returns
    -------
    Series, (n,)
        1 for a sector that buys primary inputs alone.

    Raises
    ------
    EstimationError
        As :func:`leontief_inverse`.
    """
    return leontief_inverse(flows, output).sum(axis=0).rename("downstreamness")


def _square(caller: str, flows: pd.DataFrame | ArrayLike) -> tuple[Floats, pd.Index]:
    """Flows as an array, columns in the order of the rows, and the names."""
    frame = flows if isinstance(flows, pd.DataFrame) else pd.DataFrame(np.asarray(flows, dtype=np.float64))
    names = frame.index
    if frame.shape[0] != frame.shape[1] or not names.is_unique or set(names) != set(frame.columns):
        raise EstimationError(f"{caller}: flows must have the same sectors, each once, in rows and columns.")
    z = frame[names].to_numpy(dtype=np.float64)
    if not np.isfinite(z).all():
        raise EstimationError(f"{caller}: flows have missing or infinite values.")
    return z, names


def _vector(caller: str, what: str, values: pd.Series | ArrayLike, names: pd.Index) -> Floats:
    """One number a sector; a series is matched by name."""
    if isinstance(values, pd.Series):
        if not values.index.is_unique or set(values.index) != set(names):
            raise EstimationError(f"{caller}: {what} must have the sectors of the flows, each once.")
        values = values[names]
    x = np.asarray(values, dtype=np.float64)
    if x.shape != (len(names),) or not np.isfinite(x).all():
        raise EstimationError(f"{caller}: {what} must be {len(names)} finite numbers, one a sector.")
    return x


def _shares(caller: str, flows: Floats, total: Floats, names: pd.Index) -> Floats:
    """Rows of flows over their totals; a row of zeros stays zero."""
    used = (flows != 0).any(axis=1)
    lacking = used & (total <= 0)
    if lacking.any():
        raise EstimationError(f"{caller}: flows without a positive total: {', '.join(map(str, names[lacking]))}.")
    return np.asarray(flows / np.where(used, total, 1.0)[:, None])


def _inverse(caller: str, shares: Floats) -> Floats:
    """(I – shares)⁻¹, the limit of 1 + shares + shares² + …, where it has one."""
    radius = float(np.abs(np.linalg.eigvals(shares)).max())
    if not radius < 1:
        raise EstimationError(f"{caller}: the spectral radius is {radius:.4f}, not below 1: the series has no limit.")
    return np.asarray(np.linalg.inv(np.eye(len(shares)) - shares))
