"""Multiple testing: Romano–Wolf step-down p-values within the families of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.econometrics import TestResult, randomization_test, romano_wolf
from pipeline.estimate.battery import tidy_test
from pipeline.estimate.designs import CLUSTER, common

if TYPE_CHECKING:
    from pipeline.specs import Model


def members(models: Sequence[Model], family: Mapping[str, Any], adjustment: str) -> list[Model]:
    """Return the specifications of a family in one adjustment, without outcomes whose series is in X."""
    own = [m for m in models if m.model == family["model"] and m.adjustment.id == adjustment]
    return [m for m in own if not m.overlap and m.outcome not in family.get("without", ())]


def assignments(rows: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Draw hub status over the clusters, draws × clusters: the same draws for every member of a family."""
    status = rows.groupby(CLUSTER)["hubs"].first()
    drawn = np.random.default_rng(seed).permuted(np.tile(status.to_numpy(), (draws, 1)), axis=1)
    return pd.DataFrame(drawn, columns=status.index)


def adjusted(
    family: Sequence[Model], frames: Sequence[pd.DataFrame], drawn: pd.DataFrame, seed: int
) -> list[dict[str, object]]:
    """Return the rows of the ``tests`` file: method ``romano_wolf``, the step-down p of each member.

    Parameters
    ----------
    family : sequence of Model
    frames : sequence of DataFrame
        Their rows. A cluster that one of them lacks keeps its draws in the others.
    drawn : DataFrame
        Output of :func:`assignments`.
    seed : int
    """
    results: dict[str, TestResult] = {}
    for model, frame in zip(family, frames, strict=True):
        own = drawn[sorted(frame[CLUSTER].unique())]
        result = randomization_test(
            frame, model.outcome, model.treatments[0], assignment=own, statistic="t", seed=seed, **common(model)
        )
        # One draw is one row of `drawn` in every member, also where a cluster is absent and its column with it.
        results[model.spec_id] = replace(result, meta=result.meta | {"assignments": f"{len(drawn)} common draws"})
    table = romano_wolf(results).set_index("hypothesis").to_dict("index")
    rows = []
    for model in family:
        line, own_result = table[model.spec_id], results[model.spec_id]
        result = TestResult(
            statistic=float(line["statistic"]),
            p_value=float(line["p_adjusted"]),
            estimate=own_result.estimate,
            draws=own_result.draws,
        )
        rows.append(tidy_test(model.spec_id, model.treatments[0], "romano_wolf", result))
        unadjusted = TestResult(
            statistic=float(line["statistic"]),
            p_value=float(line["p_value"]),
            estimate=own_result.estimate,
            draws=own_result.draws,
        )
        rows.append(tidy_test(model.spec_id, model.treatments[0], "romano_wolf_unadjusted", unadjusted))
    return rows
