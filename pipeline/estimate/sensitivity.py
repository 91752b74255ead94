"""What the event study would say if trends had differed: HonestDiD by bound, and the power of its pre-trend tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import TestResult, breakdown_value, honest_did, power, pretrend_power, randomization_test
from pipeline.estimate.battery import tidy_test
from pipeline.estimate.designs import Settings, common, fit

if TYPE_CHECKING:
    from pipeline.specs import Model

RELATIVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SMOOTH = (0.0, 0.01, 0.02, 0.05, 0.1)  # change of the slope a year, in units of the outcome
POWERS = (0.5, 0.8)


def path_of(model: Model, frame: pd.DataFrame, settings: Settings) -> tuple[np.ndarray, np.ndarray, list[int], int]:
    """Return coefficients without reference and announcement, their CRV3, years, and how many of them are pre."""
    estimate = fit(model, frame, settings, "CRV3")
    times = estimate.table["event_time"].to_numpy(dtype=int)
    kept = ~np.isin(times, [settings.reference, settings.announced])
    years = [int(t) + settings.event_year for t in times[kept]]
    coefficients = estimate.table["estimate"].to_numpy()[kept]
    return coefficients, estimate.vcov[np.ix_(kept, kept)], years, sum(y <= settings.reference_year for y in years)


def targets(years: list[int], pre: int) -> dict[str, np.ndarray]:
    """Return the weights over the post years: their average, and each."""
    post = years[pre:]
    return {"average": np.full(len(post), 1 / len(post))} | {
        str(y): e for y, e in zip(post, np.eye(len(post)), strict=True)
    }


def honest(
    model: Model, frame: pd.DataFrame, settings: Settings, target: str, restriction: str
) -> list[dict[str, object]]:
    """Return the robust interval of one target under each bound of one restriction, and the breakdown value.

    Rows of the ``tests`` file: term the target, methods ``honest_<restriction>_<bound>`` and
    ``breakdown_<restriction>``; ``statistic`` is the bound.
    """
    coefficients, vcov, years, pre = path_of(model, frame, settings)
    shared: dict[str, Any] = {
        "pre_periods": pre,
        "times": years,
        "reference_time": settings.reference_year,
        "restriction": restriction,
        "level": settings.level,
        "target": targets(years, pre)[target],
    }
    bounds = RELATIVE if restriction == "relative_magnitude" else SMOOTH
    rows = []
    for row in honest_did(coefficients, vcov, bounds=bounds, **shared).to_dict("records"):
        result = TestResult(
            statistic=float(row["bound"]),
            p_value=float("nan"),
            estimate=float(row["estimate"]),
            ci=(float(row["ci_low"]), float(row["ci_high"])),
        )
        rows.append(tidy_test(model.spec_id, target, f"honest_{restriction}_{row['bound']:g}", result))
    value = breakdown_value(coefficients, vcov, **shared)
    result = TestResult(statistic=value, p_value=float("nan"))
    return [*rows, tidy_test(model.spec_id, target, f"breakdown_{restriction}", result)]


def pretrends(model: Model, frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the view ``pretrend_power``: linear trends that the pre-trend tests find, and the bias they leave.

    Row ``<spec_id>|<test>|<power>``; columns slope (a year), bayes_factor, likelihood_ratio, and by post year the trend
    and the mean of what passes.
    """
    coefficients, vcov, years, pre = path_of(model, frame, settings)
    rows = []
    for test in ("individual", "joint"):
        table = pretrend_power(
            vcov,
            pre_periods=pre,
            times=years,
            reference_time=settings.reference_year,
            power=POWERS,
            coefficients=coefficients,
            test=test,
            level=settings.level,
            df=frame["cluster"].nunique() - 1,
        )
        for wanted, part in table.groupby("target_power"):
            first = part.iloc[0]
            numbers = {name: float(first[name]) for name in ("slope", "size", "bayes_factor", "likelihood_ratio")}
            for line in part[part["time"] > settings.reference_year].to_dict("records"):
                numbers |= {
                    f"trend_{line['time']:.0f}": line["trend"],
                    f"passed_{line['time']:.0f}": line["mean_if_passed"],
                }
            row = f"{model.spec_id}|{test}|{wanted:.1f}"
            rows += [{"row": row, "column": name, "value": float(value)} for name, value in numbers.items()]
    return pd.DataFrame(rows).assign(view_id="pretrend_power")


def distribution(model: Model, frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the view ``randomization_distribution``: shares of all assignments by their t, row the specification.

    Bins are a tenth wide, ``x`` their middle; what lies beyond ±6 counts in the outermost. Column ``observed`` is the t
    of the assignment that took place.
    """
    shared = common(model) | {"draws": None, "seed": 0, "statistic": "t", "level": settings.level}
    result = randomization_test(frame, model.outcome, model.treatments[0], **shared)
    edges = np.round(np.linspace(-6, 6, 121), 1)
    assert result.distribution is not None
    counts = np.histogram(np.clip(result.distribution, -6, 6), edges)[0]
    rows = [
        {"row": model.spec_id, "column": f"{low:+.1f}", "x": float(low + 0.05), "value": float(count / counts.sum())}
        for low, count in zip(edges, counts, strict=False)
    ]
    rows.append({"row": model.spec_id, "column": "observed", "value": result.statistic})
    return pd.DataFrame(rows).assign(view_id="randomization_distribution")


def power_curve(spec_id: str, std_error: float, df: float, level: float) -> pd.DataFrame:
    """Return the view ``power_curve``: power of the two-sided test by true effect, row the specification."""
    effects = np.round(np.arange(0, 0.505, 0.01), 2)
    rows = [
        {
            "row": spec_id,
            "column": f"{effect:.2f}",
            "x": float(effect),
            "value": power(effect, std_error, df, level=level),
        }
        for effect in effects
    ]
    return pd.DataFrame(rows).assign(view_id="power_curve")
