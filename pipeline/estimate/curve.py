"""The specification curve: the headline under every combination of index, adjustment and sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.econometrics import Specification, specification_curve
from pipeline.estimate.battery import tidy_test
from pipeline.estimate.designs import CLUSTER, TIME, UNIT, Settings
from pipeline.estimate.samples import standardised_means

if TYPE_CHECKING:
    from pipeline.specs import Adjustment

REGION = (UNIT, ("region", TIME))
SAMPLES = ("all", "without_tibet", "without_2020", "from_2018", "without_forerunners")
ADJUSTMENTS = ("none", "x", "region", "x_region", "lagged", "gdp", "tertiary", "population")


def panel(
    rows: pd.DataFrame, variants: pd.DataFrame, x: Adjustment, years: Sequence[int], event_year: int
) -> pd.DataFrame:
    """Return province-years with treatment, covariates, lagged levels, every index variant and the samples.

    Parameters
    ----------
    rows : DataFrame
        Output of :func:`pipeline.estimate.samples.merge`.
    variants : DataFrame
        province_code, year and one column a variant of the index.
    x : Adjustment
        The covariates X.
    years : sequence of int
        Those of the headline.
    event_year : int
    """
    names = [c for c in variants.columns if c not in (UNIT, TIME)]
    kept = rows.loc[rows[TIME].isin(years), [UNIT, TIME, CLUSTER, "region", "hubs"]]
    frame = kept.merge(variants, on=[UNIT, TIME], how="left", validate="one_to_one")
    means = standardised_means(rows, x.by_time, x.by_time_years)
    early = variants[variants[TIME].between(2013, 2016)].groupby(UNIT)[names].mean()
    lagged = ((early - early.mean()) / early.std(ddof=1)).add_prefix("lagged|")
    frame = frame.merge(means, on=UNIT, validate="many_to_one").merge(lagged, on=UNIT, validate="many_to_one")
    samples = {
        "all": pd.Series(True, index=frame.index),
        "without_tibet": frame[UNIT] != "540000",
        "without_2020": frame[TIME] != 2020,
        "from_2018": frame[TIME] >= 2018,
        "without_forerunners": ~frame[CLUSTER].isin(["GZ", "NM"]),
    }
    treated = (frame["hubs"] * (frame[TIME] >= event_year)).rename("hub_post")
    return pd.concat([frame, treated, pd.DataFrame(samples)], axis=1)


def specifications(variants: Sequence[str], x: Adjustment) -> list[Specification]:
    """Return every combination of variant, adjustment and sample, named ``<variant>|<adjustment>|<sample>``."""
    gdp, tertiary, population = x.by_time

    def by_time(adjustment: str, variant: str) -> tuple[str, ...]:
        return {
            "x": x.by_time,
            "x_region": x.by_time,
            "lagged": (f"lagged|{variant}",),
            "gdp": (gdp,),
            "tertiary": (tertiary,),
            "population": (population,),
        }.get(adjustment, ())

    return [
        Specification(
            name=f"{variant}|{adjustment}|{sample}",
            outcome=variant,
            by_time=by_time(adjustment, variant),
            effects=REGION if adjustment in ("region", "x_region") else None,
            sample=sample,
        )
        for variant, adjustment, sample in product(variants, ADJUSTMENTS, SAMPLES)
    ]


def estimate(
    frame: pd.DataFrame, declared: Sequence[Specification], settings: Settings, *, draws: int, seed: int
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Return the view ``specification_curve`` and the rows of its joint tests.

    Row the specification; column ``estimate`` with its interval (CRV3) and, in ``x``, its place in the order of the
    estimates; columns ``p_value`` (CRV3) and ``p_randomization``.
    """
    result = specification_curve(
        frame, "hub_post", declared, unit=UNIT, time=TIME, cluster=CLUSTER, draws=draws, seed=seed, level=settings.level
    )
    table = result.table.assign(rounded=result.table["estimate"].round(8)).sort_values(["rounded", "name"])
    table["place"] = range(1, len(table) + 1)
    shared = {"row": table["name"], "x": table["place"].astype(float)}
    view = pd.concat(
        [
            pd.DataFrame(
                shared
                | {"value": table["estimate"], "low": table["ci_low"], "high": table["ci_high"], "column": "estimate"}
            ),
            *(pd.DataFrame(shared | {"value": table[name], "column": name}) for name in ("p_value", "p_randomization")),
        ]
    )
    tests = [tidy_test("specification_curve", "hub_post", name, test) for name, test in result.tests.items()]
    return view.assign(view_id="specification_curve"), tests
