"""Structure of sectors, against reference values."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.errors import EstimationError
from pipeline.indices import advancement


def test_advancement_reference(evidence):
    got = advancement(pd.DataFrame([[8.0, 45.0, 47.0], [1.0, 2.0, 3.0]]))
    evidence(advancement, "Y3/Y2 by hand: 47/45, 3/2", "two economies", got, [47 / 45, 1.5], "exact", 12)


def test_wrong_sectors_are_refused():
    with pytest.raises(EstimationError, match="three sectors, found 2"):
        advancement(pd.DataFrame([[1.0, 2.0]]))
    with pytest.raises(EstimationError, match="negative"):
        advancement(pd.DataFrame([[1.0, -2.0, 3.0]]))
