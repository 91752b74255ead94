"""The triple difference over industries: hub × post × exposure to IT services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import (
    Estimate,
    TestResult,
    permute_exposures,
    randomization_test,
    triple_difference,
    triple_event_study,
    two_way_fe,
    wald,
    wild_cluster_bootstrap,
)
from pipeline.estimate.battery import coefficient_test, tidy_test
from pipeline.estimate.designs import CLUSTER, TIME, UNIT, Settings
from pipeline.estimate.run import tidy_rows
from pipeline.estimate.samples import standardised_means

if TYPE_CHECKING:
    from pipeline.specs import Adjustment

TERM = "hub_post × exposure"
GROUPS = {"it_services": "it_employment", "manufacturing": "manufacturing_employment"}


@dataclass(frozen=True)
class Triple:
    """One triple difference.

    Attributes
    ----------
    spec_id, outcome : str
    exposure : str
        Column of the frame.
    by_time : tuple of str
        Covariates whose products with the exposure have a coefficient in every period.
    tests : bool
        Whether its resampling tests are printed.
    """

    spec_id: str
    outcome: str
    exposure: str
    by_time: tuple[str, ...] = ()
    tests: bool = False

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords that every version shares."""
        return {"unit": UNIT, "industry": "industry", "time": TIME, "by_time": self.by_time, "cluster": CLUSTER}


def panel(
    values: pd.DataFrame, exposures: pd.DataFrame, rows: pd.DataFrame, x: Adjustment, settings: Settings
) -> pd.DataFrame:
    """Return the rows of the triple difference, one a (province_code, industry, year).

    Parameters
    ----------
    values : DataFrame
        ``province_code, industry, year`` and the outcome.
    exposures : DataFrame
        ``industry`` and the exposures.
    rows : DataFrame
        Output of :func:`pipeline.estimate.samples.merge`.
    x : Adjustment
        Its ``by_time`` variables become standardised province means.
    settings : Settings
    """
    units = rows.drop_duplicates(UNIT)[[UNIT, CLUSTER, "hubs"]]
    means = standardised_means(rows, x.by_time, x.by_time_years).reset_index()
    frame = values.merge(units, on=UNIT, validate="many_to_one").merge(means, on=UNIT, validate="many_to_one")
    frame = frame.merge(exposures, on="industry", validate="many_to_one")
    frame["hub_post"] = frame["hubs"] * (frame[TIME] >= settings.event_year)
    frame["cohort"] = np.where(frame["hubs"] == 1, float(settings.event_year), np.inf)
    frame["cell"] = frame[UNIT] + "|" + frame["industry"]
    return frame.sort_values([UNIT, "industry", TIME], ignore_index=True)


def employment(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ln urban employment in IT services, manufacturing and the rest, where all three are published."""
    wide = (
        rows[[UNIT, TIME, *GROUPS.values(), "urban_employment"]]
        .dropna()
        .rename(columns={v: k for k, v in GROUPS.items()})
    )
    wide["rest"] = wide["urban_employment"] - wide[list(GROUPS)].sum(axis=1)
    long = wide.melt([UNIT, TIME], [*GROUPS, "rest"], var_name="industry", value_name="employment")
    return long.assign(ln_employment=np.log(long["employment"])).drop(columns="employment")


def estimate(
    triple: Triple, frame: pd.DataFrame, settings: Settings, seed: int
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Return the tidy row of a triple difference and its tests."""
    fitted = {
        kind: triple_difference(
            frame, triple.outcome, "hub_post", triple.exposure, covariance=kind, level=settings.level, **triple.keywords
        )
        for kind in ("CRV3", "CRV1")
    }
    main, crv1 = fitted["CRV3"], fitted["CRV1"]
    table = main.table.head(1).assign(term=TERM, std_error_crv1=crv1.table["std_error"].iloc[0])
    tests = [tidy_test(triple.spec_id, TERM, "crv1", coefficient_test(crv1))]
    if triple.tests:
        results = resampled(triple, frame, settings, seed)
        tests += [tidy_test(triple.spec_id, TERM, method, result) for method, result in results.items()]
    return _tidy(triple, "triple_difference", table, main, frame, settings), tests


def event_study(
    triple: Triple, frame: pd.DataFrame, settings: Settings
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Return the event study of a triple difference and the joint test of its pre years."""
    fitted = triple_event_study(
        frame,
        triple.outcome,
        triple.exposure,
        cohort="cohort",
        reference=settings.reference,
        exclude=(settings.announced,),
        covariance="CRV3",
        level=settings.level,
        term="hub × exposure",
        **triple.keywords,
    )
    tests = [tidy_test(triple.spec_id, "pre", "joint", wald(fitted, "pre"))]
    return _tidy(triple, "triple_event_study", fitted.table, fitted, frame, settings), tests


def gradient(triple: Triple, frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the tidy rows of equation 1 industry by industry, the outcome relative to its mean over the industries.

    On a panel where every province has every industry in every year, the coefficients of the industries (the terms)
    sum to zero, and the slope of their line on the exposure is the triple difference, with X and without.
    """
    relative = f"{triple.outcome}_relative"
    mean = frame.groupby([UNIT, TIME])[triple.outcome].transform("mean")
    frame = frame.assign(**{relative: frame[triple.outcome] - mean})
    shared: dict[str, Any] = {"unit": UNIT, "time": TIME, "by_time": triple.by_time, "cluster": CLUSTER}
    texts = {
        "spec_id": triple.spec_id,
        "estimator": "two_way_fe",
        "outcome": relative,
        "fixed_effects": "province + year",
        "controls": "X×year" if triple.by_time else "",
        "covariance": "CRV3",
    }
    tables = []
    for industry, own in frame.groupby("industry"):
        fitted = {
            kind: two_way_fe(own, relative, "hub_post", covariance=kind, level=settings.level, **shared)
            for kind in ("CRV3", "CRV1")
        }
        table = fitted["CRV3"].table.head(1)
        table = table.assign(term=industry, std_error_crv1=fitted["CRV1"].table["std_error"].iloc[0])
        tables.append(tidy_rows(table, fitted["CRV3"], own, settings, texts))
    return pd.concat(tables)


def _tidy(
    triple: Triple, estimator: str, table: pd.DataFrame, main: Estimate, frame: pd.DataFrame, settings: Settings
) -> pd.DataFrame:
    texts = {
        "spec_id": triple.spec_id,
        "estimator": estimator,
        "outcome": triple.outcome,
        "fixed_effects": "province×industry + industry×year + province×year",
        "controls": "X×exposure×year" if triple.by_time else "",
        "covariance": "CRV3",
    }
    return tidy_rows(table, main, frame, settings, texts)


def resampled(triple: Triple, frame: pd.DataFrame, settings: Settings, seed: int) -> dict[str, TestResult]:
    """Return the wild bootstrap, hub status over the clusters, and every order of the exposures over the industries."""
    effects = ("cell", ("industry", TIME), (UNIT, TIME))
    product = {f"{name}_exposed": frame[name] * frame[triple.exposure] for name in triple.by_time}
    exposed = frame.assign(**product, product=frame["hub_post"] * frame[triple.exposure])
    shared: dict[str, Any] = {"unit": "cell", "time": TIME, "cluster": CLUSTER, "effects": effects, "seed": seed}
    controls: dict[str, Any] = {"by_time": tuple(product)}
    return {
        "wild_webb": wild_cluster_bootstrap(
            exposed, triple.outcome, "product", draws=settings.wild_draws, distribution="webb", **shared, **controls
        ),
        "randomization_hub": randomization_test(
            exposed,
            triple.outcome,
            "hub_post",
            exposure=triple.exposure,
            draws=None,
            **shared,
            **controls,
        ),
        "permutation_exposure": permute_exposures(
            frame,
            triple.outcome,
            "hub_post",
            triple.exposure,
            exposure_by="industry",
            exposed_by_time=triple.by_time,
            statistic="coefficient",
            draws=None,
            **shared,
        ),
    }
