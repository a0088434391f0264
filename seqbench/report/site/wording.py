"""Numbers, times and settings as a page words them."""

from __future__ import annotations

import json
from typing import Any

from seqbench.report.numbers import MISSING

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Whole numbers in full, with commas; others to five digits."""
    if value is None:
        return MISSING
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.5g}" if abs(value) < 1e5 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Two units at most: 1 h 40 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours / 24:.1f} days"


def setting(value: Any) -> str:
    """As JSON writes it, which YAML reads alike; text without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tick(value: float) -> str:
    """At an axis: plain where that is short, otherwise by a power of ten."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.10g}"
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    digits = f"{float(mantissa):g}"
    return power if digits == "1" else f"{digits}·{power}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
