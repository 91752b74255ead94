"""A simulated panel of the shape of the published one: same series, years, gaps, rounding and noise, and no error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.clean.quality.jumps import moves
from pipeline.clean.quality.series import median


def panel(real, identities, seed):
    """Return clean figures ``variable, province_code, year, value`` shaped like ``real`` (a Published)."""
    rng = np.random.default_rng(seed)
    made = {name: _path(rng, series) for name, series in real.series.items()}
    made["gdp_2024_preliminary"] = made["gdp"][:, -1:] * 1.002
    _impose(rng, made, real, identities)
    frames = []
    for name, series in real.series.items():
        places = median(series.decimals, axis=0)
        values = np.column_stack([np.round(made[name][:, j], int(p)) for j, p in enumerate(places)])
        made[name] = np.where(np.isfinite(series.figures), values, np.nan)
    for entry in identities["identities"]:
        if entry["relation"] == "sum":  # totals of rounded parts, so that only the totals' own rounding is left
            _add_up(made, real, entry)
    for name, series in real.series.items():
        wide = pd.DataFrame(made[name], index=series.codes, columns=series.years)
        long = wide.rename_axis("province_code").melt(ignore_index=False, var_name="year").dropna().reset_index()
        frames.append(long.assign(variable=name))
    out = pd.concat(frames, ignore_index=True)[["variable", "province_code", "year", "value"]]
    return out.assign(year=out["year"].astype("int64"), value=[float(f"{v:.10g}") for v in out["value"]])


def _path(rng, series):
    """Log-normal levels, a growth of each province, common shocks, and persistent noise of the real series' size."""
    p, t = series.figures.shape
    if not series.ratios:  # growth rates and price indices
        centre = median(series.figures, axis=0)
        return centre + rng.normal(0, np.nanmedian(np.abs(series.figures - centre)) * 1.48, (p, t))
    logs = series.logs
    level = np.nan_to_num(median(logs, axis=1), nan=float(np.nanmedian(logs)))
    growth = median(np.diff(logs, axis=1), axis=0) if t > 1 else np.empty(0)
    noise = 1.4826 * float(np.nanmedian(np.abs(moves(series)))) if t > 1 else 0.0
    steps = np.nan_to_num(growth) + rng.normal(0, noise / 3, (p, 1)) + noise * rng.standard_t(6, (p, max(t - 1, 0)))
    start = rng.permutation(level)[:, None] + rng.normal(0, 0.05, (p, 1))
    path = np.concatenate([np.zeros((p, 1)), np.cumsum(steps, axis=1)], axis=1)
    return np.exp(start + path - path.mean(axis=1, keepdims=True))


def _impose(rng, made, real, identities):
    fixed = set()
    for entry in identities["identities"]:
        total, parts = entry["total"], entry["parts"]
        if entry["relation"] == "ratio":
            above, below = (_on(real, made, name, real.series[total].years) for name in parts)
            if entry.get("average"):
                before = _on(real, made, parts[1], real.series[total].years - 1)
                below = (below + np.where(np.isfinite(before), before, below)) / 2
            made[total] = above * entry["factor"] / below
        elif entry["relation"] == "growth":
            ratio = made[total][:, 1:] / made[total][:, :-1] / (1 + rng.normal(0.03, 0.01, made[total][:, 1:].shape))
            grown = np.concatenate([np.full((ratio.shape[0], 1), 1.07), ratio], axis=1)
            made[parts[0]] = 100 * (_aligned(real, grown, total, parts[0]) - 1)
        elif entry["relation"] == "within":
            _keep_within(rng, made, real, entry, fixed)
        else:
            _share_out(rng, made, real, entry, again=bool(set(parts) & fixed))
        fixed |= {total, *parts}


def _keep_within(rng, made, real, entry, fixed):
    """Scale whole paths, so that each keeps its noise: the parts below their total, or a total above fixed parts."""
    total, parts = entry["total"], entry["parts"]
    years = real.series[total].years
    for name in parts:
        ratio = _on(real, made, name, years) / made[total]
        room = rng.uniform(0.5, 0.9, (ratio.shape[0], 1)) / len(parts) / np.nanmax(ratio, axis=1, keepdims=True)
        if name in fixed:
            made[total] = made[total] / room
        else:
            made[name] = made[name] * room


def _share_out(rng, made, real, entry, *, again):
    total, parts = entry["total"], entry["parts"]
    weights = rng.dirichlet(np.full(len(parts), 8.0), size=made[total].shape[0])
    if again:  # the shares that the years before have
        weights = np.column_stack([made[name][:, -2] for name in parts])
        weights = weights / weights.sum(axis=1, keepdims=True)
    for k, name in enumerate(parts):
        years = real.series[name].years
        share = _on(real, made, total, years) * weights[:, k : k + 1]
        mine = np.isin(years, entry["years"]) if "years" in entry else np.isfinite(share).any(axis=0)
        made[name] = np.where(mine, share, made[name])


def _add_up(made, real, entry):
    total = entry["total"]
    years = real.series[total].years
    values = np.sum([_on(real, made, name, years) for name in entry["parts"]], axis=0)
    mine = np.isin(years, entry["years"]) if "years" in entry else np.ones(years.size, dtype=bool)
    if total != "gdp" or "years" not in entry:
        made[total] = np.where(mine & np.isfinite(values) & np.isfinite(made[total]), values, made[total])
        return
    last = entry["parts"][-1]  # GDP is given by its three sectors: the residual industry takes the rounding
    left = _on(real, made, total, real.series[last].years) - _on_sum(real, made, entry["parts"][:-1], last)
    kept = np.isin(real.series[last].years, entry["years"])
    made[last] = np.where(kept & np.isfinite(left), np.round(left, 1), made[last])


def _on_sum(real, made, names, like):
    return np.sum([_on(real, made, n, real.series[like].years) for n in names], axis=0)


def _on(real, made, name, years):
    return _columns(made[name], real.series[name].years, years)


def _aligned(real, values, of, to):
    return _columns(values, real.series[of].years, real.series[to].years)


def _columns(values, have, want):
    at = {int(y): j for j, y in enumerate(have)}
    blank = np.full(values.shape[0], np.nan)
    return np.column_stack([values[:, at[int(y)]] if int(y) in at else blank for y in want])
