"""Which connections a swarm keeps when places are short: the same order for both ends (BEP 40)."""

from __future__ import annotations

from engine.core.compact import Endpoint
from engine.core.crc32c import crc32c


def canonical_priority(a: Endpoint, b: Endpoint) -> int:
    """Return the priority of a connection between two addresses of one family; higher is better.

    The order of the two does not matter.
    """
    one, other = a.packed_host(), b.packed_host()
    if len(one) != len(other):
        raise ValueError(f"{a} and {b} are of different families")
    if one == other:
        low, high = sorted((a.port, b.port))
        return crc32c(low.to_bytes(2, "big") + high.to_bytes(2, "big"))
    common = next(n for n, (x, y) in enumerate(zip(one, other, strict=True)) if x != y)
    always = 2 if len(one) == 4 else 6
    kept = always if common < always else min(common + 1, len(one))
    mask = b"\xff" * kept + b"\x55" * (len(one) - kept)
    return crc32c(b"".join(sorted(_masked(address, mask) for address in (one, other))))


def _masked(address: bytes, mask: bytes) -> bytes:
    return bytes(x & y for x, y in zip(address, mask, strict=True))
