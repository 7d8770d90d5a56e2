"""How a scenario writes quantities: "10mbit", "32MiB", "1.5s", "2%". Pure.

Rates are of the wire, in bits a second as links are sold (kbit, mbit, gbit: powers of ten). Sizes
are bytes; times seconds.
"""

from __future__ import annotations

import re
from typing import Final

from engine.setting_kinds import Seconds, Size, parse_setting

_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)bit", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SECONDS: Final = Seconds(0.0, 86_400.0)
_MILLISECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*ms")
_SIZE: Final = Size(0, 1 << 40)


def bits_per_s(given: object) -> float:
    """Read a rate; "unlimited" is 0. Raises ValueError saying what is expected."""
    if given == "unlimited":
        return 0.0
    found = _RATE.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        raise ValueError('expected a rate as "10mbit", or "unlimited"')
    return float(found[1]) * _UNITS[found[2].lower()]


def size_bytes(given: object) -> int:
    """Read a size, as "32MiB". Raises ValueError."""
    return int(parse_setting(_SIZE, given))


def seconds(given: object) -> float:
    """Read a time, as "90s", "15ms" or "2min". Raises ValueError."""
    found = _MILLISECONDS.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is not None:
        return float(found[1]) / 1000
    return float(parse_setting(_SECONDS, given))


def share(given: object) -> float:
    """Read a share, "2%" or 0.02, as 0 to 1. Raises ValueError."""
    value = -1.0
    if isinstance(given, str) and (found := _SHARE.fullmatch(given.strip())):
        value = float(found[1]) / 100
    elif isinstance(given, int | float) and not isinstance(given, bool):
        value = float(given)
    if not 0 <= value <= 1:
        raise ValueError('expected a share from 0 to 1, or as "2%"')
    return value


def rate_text(rate: float) -> str:
    """Say a rate in bits a second as `bits_per_s` reads it."""
    for unit in ("g", "m", "k"):
        if rate >= _UNITS[unit]:
            return f"{rate / _UNITS[unit]:g}{unit}bit"
    return f"{rate:g}bit" if rate else "unlimited"
