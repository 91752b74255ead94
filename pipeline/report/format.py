"""From a stored number to the printed string, and nothing else.

Printed numbers are rounded half up from the stored decimal digits (not from the binary double), carry a true minus
sign and thousands separators, and never show a negative zero. Every format prints the same string.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

MINUS = "\N{MINUS SIGN}"
P_FLOOR = Decimal("0.001")


def number(value: float, decimals: int, scale: str = "1") -> str:
    """Print ``value × scale`` with a fixed number of decimals.

    Parameters
    ----------
    value : float
        Finite stored number.
    decimals : int
        Digits after the point.
    scale : str
        Decimal factor from the stored to the printed unit, such as ``"100"`` for per cent.
    """
    exact = Decimal(repr(float(value))) * Decimal(scale)
    rounded = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = f"{abs(rounded):,f}"
    return MINUS + text if rounded < 0 else text


def decimals(value: float) -> int:
    """Count the decimals of the shortest text of a number, which is how it was published."""
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def p_value(value: float) -> str:
    """Print a p-value with three decimals, or ``<0.001``."""
    return f"<{P_FLOOR}" if Decimal(repr(float(value))) < P_FLOOR else number(value, 3)


def stars(p: float) -> str:
    """Return the stars of the 10, 5 and 1 per cent levels."""
    return "*" * sum(p < bound for bound in (0.10, 0.05, 0.01))
