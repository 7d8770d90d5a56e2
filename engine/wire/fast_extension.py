"""The allowed fast set: pieces that a peer gets from us even while choked (BEP 6).

The set is canonical: every peer computes the same one for the same address, so that asking many
peers, or returning from the same network, does not make it grow.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final

from engine.errors import InputError

ALLOWED_FAST_COUNT: Final = 10
"""BEP 6's k."""


def allowed_fast_set(
    ip: str, info_hash: bytes, piece_count: int, k: int = ALLOWED_FAST_COUNT
) -> list[int]:
    """Compute `min(k, piece_count)` distinct piece indexes for the peer at the address `ip`.

    BEP 6 defines none for IPv6: empty then. Raises InputError if `ip` is no numeric address.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError as error:
        raise InputError(f"{ip!r} is no IP address") from error
    if address.version != 4:
        return []
    if piece_count <= k:
        return list(range(piece_count))
    digest = address.packed[:3] + b"\0" + info_hash[:20]
    allowed: dict[int, None] = {}
    while True:
        digest = hashlib.sha1(digest, usedforsecurity=False).digest()
        for at in range(0, 20, 4):
            if len(allowed) >= k:
                return list(allowed)
            allowed[int.from_bytes(digest[at : at + 4], "big") % piece_count] = None
