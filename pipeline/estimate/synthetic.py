"""Synthetic difference-in-differences in full, and a synthetic control for every hub, as views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pipeline.econometrics import synthetic_control
from pipeline.estimate.designs import TIME, UNIT, Settings, fit
from pipeline.estimate.run import sample_of

if TYPE_CHECKING:
    from pipeline.specs import Model, Treatment


def views(model: Model, rows: pd.DataFrame, treatments: dict[str, Treatment], settings: Settings) -> list[pd.DataFrame]:
    """Return weights and paths of synthetic DiD; effects, paths, gaps and donors of a synthetic control for each hub.

    The gaps are those of the hubs, and of every control province among the other control provinces: the placebos of
    each hub.

    Parameters
    ----------
    model : Model
        The specification of synthetic difference-in-differences: outcome, years, provinces.
    rows, treatments, settings
        As everywhere.
    """
    frame = sample_of(model, rows, treatments, settings)
    names = rows.drop_duplicates(UNIT).set_index(UNIT)[["name_zh", "name_en"]]
    out = _sdid(model, frame, settings)
    for hub in [h for h in sorted(frame["hub"].unique()) if h]:
        out += _control(hub, model.outcome, frame, names, settings)
    return [*out, _placebos(model.outcome, frame[frame["hubs"] == 0], settings)]


def _sdid(model: Model, frame: pd.DataFrame, settings: Settings) -> list[pd.DataFrame]:
    estimate = fit(model, frame, settings, "CRV3")
    assert estimate.weights is not None
    weights = estimate.weights.rename(columns={"kind": "row", "label": "column", "weight": "value"})
    weights["column"] = weights["column"].astype(str)
    omega = estimate.weights[estimate.weights["kind"] == "unit"].set_index("label")["weight"]
    wide = frame.pivot_table(index=UNIT, columns=TIME, values=model.outcome)
    treated = frame.groupby(UNIT)["hubs"].first() == 1
    paths = {"treated": wide[treated].mean(), "synthetic": omega @ wide.loc[omega.index]}
    when = estimate.weights[estimate.weights["kind"] == "time"].set_index("label")["weight"]
    before = ((paths["treated"] - paths["synthetic"]).loc[when.index] * when).sum()
    paths["counterfactual"] = paths["synthetic"] + before  # what the estimate compares the treated with
    return [weights.assign(view_id="sdid_weights"), _long(paths, "sdid_path")]


def _long(paths: dict[str, pd.Series], view: str) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"row": name, "column": path.index.astype(str), "x": path.index.astype(float), "value": path.to_numpy()}
        )
        for name, path in paths.items()
    ]
    return pd.concat(parts).assign(view_id=view)


def _control(
    hub: str, outcome: str, frame: pd.DataFrame, names: pd.DataFrame, settings: Settings
) -> list[pd.DataFrame]:
    """One hub, the mean of its provinces, against the control provinces."""
    own = frame[frame["hub"] == hub].groupby(TIME, as_index=False)[outcome].mean().assign(**{UNIT: hub})
    panel = pd.concat([own, frame.loc[frame["hubs"] == 0, [UNIT, TIME, outcome]]], ignore_index=True)
    estimate = synthetic_control(
        panel,
        outcome,
        unit=UNIT,
        time=TIME,
        treated_unit=hub,
        treatment_start=settings.event_year,
        level=settings.level,
    )
    assert estimate.weights is not None and estimate.placebos is not None
    line = estimate.placebos[estimate.placebos["unit"] == hub].iloc[0]
    numbers = {"estimate": estimate.att, "p_value": estimate.p_value, "placebos": float(len(estimate.placebos) - 1)}
    numbers |= {name: float(line[name]) for name in ("pre_rmspe", "post_rmspe", "ratio", "rank")}
    table = [{"row": hub, "column": name, "value": value} for name, value in numbers.items()]
    donors = estimate.weights[estimate.weights["kind"] == "unit"].sort_values("weight", ascending=False)
    donors = donors[donors["weight"] >= 0.005]
    for lang, join in (("zh", "、"), ("en", ", ")):
        said = names[f"name_{lang}"]
        texts = [f"{said[label]} {weight:.2f}" for label, weight in zip(donors["label"], donors["weight"], strict=True)]
        table.append({"row": hub, "column": f"donors_{lang}", "text": join.join(texts)})
    wide = panel.pivot_table(index=UNIT, columns=TIME, values=outcome)
    weight = estimate.weights[estimate.weights["kind"] == "unit"].set_index("label")["weight"]
    actual, synthetic = wide.loc[hub], weight @ wide.loc[weight.index]
    paths = {f"{hub}|actual": actual, f"{hub}|synthetic": synthetic}
    shares = pd.DataFrame({"row": hub, "column": weight.index.astype(str), "value": weight.to_numpy()})
    return [
        pd.DataFrame(table).assign(view_id="synthetic_control"),
        _long(paths, "synthetic_path"),
        _long({hub: actual - synthetic}, "synthetic_gaps"),
        shares.assign(view_id="synthetic_donors"),
    ]


def _placebos(outcome: str, controls: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Every control province against the other control provinces."""
    wide = controls.pivot_table(index=UNIT, columns=TIME, values=outcome)
    gaps = {}
    for province in wide.index:
        estimate = synthetic_control(
            controls,
            outcome,
            unit=UNIT,
            time=TIME,
            treated_unit=province,
            treatment_start=settings.event_year,
            placebos=False,
            level=settings.level,
        )
        assert estimate.weights is not None
        weight = estimate.weights[estimate.weights["kind"] == "unit"].set_index("label")["weight"]
        gaps[str(province)] = wide.loc[province] - weight @ wide.loc[weight.index]
    return _long(gaps, "synthetic_gaps")
