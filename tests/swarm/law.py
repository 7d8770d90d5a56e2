"""How quickly a swarm could be served at best, and what became of that. Pure.

T_min = max(F/u_s, F/d_min, N F/(u_s + Σu_i)) on the rates of the wire, headers for free; u_s is the
rate of all who have everything from the start. For a run in which nobody comes late or goes early
T_last/T_min = overhead / utilisation exactly, so that the two tell where the time went.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def least_time_s(
    size: int, publishers: Sequence[float], ups: Sequence[float], downs: Sequence[float]
) -> float:
    """Seconds that N = len(downs) peers need at least. Rates are bits a second, 0 is no limit;
    `ups` are of those peers who give. 0 = no bound."""
    bits = size * 8
    source = _sum(publishers)
    everything = _sum([*publishers, *ups])
    slowest = min((rate for rate in downs if rate), default=math.inf)
    return max(bits / source, bits / slowest, len(downs) * bits / everything)


def overhead(wire_bytes: int, size: int, peers: int) -> float:
    """Bytes on the wire over those that had to get there: headers, acknowledgements, duplicates."""
    return wire_bytes / (size * peers) if size and peers else 0.0


def utilisation(wire_bytes: int, capacity: Sequence[float], seconds: float) -> float:
    """Share of what all uplinks together could have sent in that time; 0 if one has no limit."""
    able = _sum(capacity) * seconds / 8
    return wire_bytes / able if 0 < able < math.inf else 0.0


def _sum(rates: Sequence[float]) -> float:
    return sum(rate or math.inf for rate in rates) or math.inf
