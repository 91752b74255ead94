"""Long to panel and panel to industries, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.clean import panel


def test_panel_has_every_province_and_year_and_keeps_figures():
    figures = pd.DataFrame(
        {
            "variable": ["w", "v", "v"],
            "province_code": ["b", "a", "a"],
            "year": [2012, 2010, 2012],
            "value": [7.0, 1.0, 3.0],
        }
    )
    got = panel.wide(figures, ["v", "w", "empty"], ["b", "a"])
    assert got.columns.tolist() == ["province_code", "year", "v", "w", "empty"]
    assert list(zip(got["province_code"], got["year"], strict=True)) == [
        (p, y) for p in "ab" for y in (2010, 2011, 2012)
    ]
    np.testing.assert_array_equal(got["v"], [1, np.nan, 3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(got["w"], [np.nan] * 5 + [7])
    assert got["empty"].isna().all() and got["empty"].dtype == float


def test_industries_hold_published_cells_only():
    frame = pd.DataFrame({"province_code": ["a", "b"], "year": [2016, 2016]})
    for number, name in enumerate(panel.INDUSTRIES):
        frame[f"va_{name}_census5"] = [float(number), np.nan if name == "finance" else 1.0]
    got = panel.industries(frame)
    assert len(got) == 17
    assert got.columns.tolist() == ["province_code", "industry", "year", "value_added"]
    assert got[(got["province_code"] == "a") & (got["industry"] == "other_services")]["value_added"].tolist() == [8.0]
    assert "finance" not in set(got.loc[got["province_code"] == "b", "industry"])
