import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import format as fmt


@pytest.mark.parametrize(
    ("value", "decimals", "scale", "printed"),
    [
        (0.0125, 3, "1", "0.013"),  # half up in the stored digits; the binary double lies below the half
        (-0.0672, 3, "1", "−0.067"),
        (-0.0004, 3, "1", "0.000"),  # no negative zero
        (1081575, 0, "1", "1,081,575"),
        (-2300.099, 2, "1", "−2,300.10"),
        (0.65, 0, "100", "65"),
        (8.1, 0, "100", "810"),
        (1e-9, 3, "1", "0.000"),
        (1.2345678e21, 0, "1", "1,234,567,800,000,000,000,000"),
    ],
)
def test_number(value: float, decimals: int, scale: str, printed: str) -> None:
    assert fmt.number(value, decimals, scale) == printed


@pytest.mark.parametrize(
    ("p", "printed"), [(0.0009999, "<0.001"), (0.001, "0.001"), (0.04951, "0.050"), (1.0, "1.000"), (0.0, "<0.001")]
)
def test_p_value(p: float, printed: str) -> None:
    assert fmt.p_value(p) == printed


@pytest.mark.parametrize(("p", "shown"), [(0.1, ""), (0.0999, "*"), (0.05, "*"), (0.049, "**"), (0.0099, "***")])
def test_stars(p: float, shown: str) -> None:
    assert fmt.stars(p) == shown


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_a_printed_number_is_within_half_a_last_digit(value: float, decimals: int) -> None:
    printed = float(fmt.number(value, decimals).replace("−", "-").replace(",", ""))
    assert abs(printed - value) <= 0.5 * 10**-decimals * (1 + 1e-9) + abs(value) * 1e-15


@pytest.mark.parametrize(("value", "count"), [(10.0, 0), (1234.5678, 4), (0.1512, 4), (-0.5, 1), (1e8, 0), (0.0, 0)])
def test_decimals_of_a_stored_number(value: float, count: int) -> None:
    assert fmt.decimals(value) == count
