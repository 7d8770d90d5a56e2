"""How far an address reaches: this machine, a local network, or the world.

Who is told or believed an address depends on it: nobody outside of a network knows what is in it.
"""

from __future__ import annotations

import socket
from enum import IntEnum
from functools import lru_cache


class Scope(IntEnum):
    MACHINE = 0
    """Loopback."""
    SITE = 1
    """A local network: private, shared or link-local."""
    WORLD = 2


@lru_cache(4096)
def scope_of(host: str) -> Scope:
    """Return the scope of an address in canonical text."""
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
        if packed == bytes(15) + b"\x01":
            return Scope.MACHINE
        is_link_local = packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
        return Scope.SITE if is_link_local or packed[0] & 0xFE == 0xFC else Scope.WORLD
    packed = socket.inet_pton(socket.AF_INET, host)
    if packed[0] == 127:
        return Scope.MACHINE
    is_local = (
        packed[0] == 10
        or (packed[0] == 172 and packed[1] & 0xF0 == 16)
        or (packed[0] == 100 and packed[1] & 0xC0 == 64)
        or packed[:2] in {b"\xa9\xfe", b"\xc0\xa8"}
    )
    return Scope.SITE if is_local else Scope.WORLD


def is_local(host: str) -> bool:
    """Say whether an address means nothing outside of a machine or a local network."""
    return scope_of(host) < Scope.WORLD


@lru_cache(4096)
def is_unicast(host: str) -> bool:
    """Say whether one machine can have this address: no group, and not none at all."""
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
        return packed[0] != 0xFF and packed != bytes(16)
    return 0 < socket.inet_pton(socket.AF_INET, host)[0] < 224


def household_of(host: str) -> str | bytes:
    """What one owner has at least: an address, or its /64 of IPv6."""
    return network_of(host) if ":" in host else host


@lru_cache(4096)
def network_of(host: str) -> bytes:
    """The network that one owner has of an address: its /24, or its /64 of IPv6."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host)[:8]
    return socket.inet_pton(socket.AF_INET, host)[:3]
