"""Messages of `ut_pex`: peers that the sender met and lost since its last one (BEP 11).

Payloads of extended messages ↔ values. Invariant: an address that exists is canonical and has a
port; whether it is to be believed is not known here.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, NamedTuple

from engine.core import bencode
from engine.core.compact import Endpoint, endpoint, pack
from engine.errors import BencodeError, ProtocolError

NAME: Final = "ut_pex"
"""In `m` of the extension handshake."""
MAX_BYTES: Final = 16 * 1024
"""Of a payload: more addresses than anybody would take from one message."""


class PexFlags(IntFlag):
    """What the sender knows of a peer; bits that BEP 11 does not name are dropped."""

    PREFERS_ENCRYPTION = 0x01
    SEED = 0x02
    """It wants nothing more: a seed, or a partial one."""
    UTP = 0x04
    HOLEPUNCH = 0x08
    REACHABLE = 0x10
    """The sender dialled it."""


_NO_FLAGS = PexFlags(0)
_ALL_FLAGS = sum(PexFlags)
_HOLEPUNCH = int(PexFlags.HOLEPUNCH)
_FLAGS = [PexFlags(value) for value in range(_ALL_FLAGS + 1)]


class PexPeer(NamedTuple):
    endpoint: Endpoint
    flags: PexFlags = _NO_FLAGS

    @property
    def punches(self) -> bool:
        """It speaks hole punching; asked of each whom a crowd tells of, hence by plain numbers."""
        return bool(int.__and__(self.flags, _HOLEPUNCH))


@dataclass(frozen=True, slots=True)
class PexMessage:
    added: tuple[PexPeer, ...] = ()
    dropped: tuple[Endpoint, ...] = ()


def encode(message: PexMessage) -> bytes:
    """Make the payload of an extended message. A family that is not spoken of is left out."""
    said: dict[str, bytes] = {}
    for suffix, is_ipv6 in (("", False), ("6", True)):
        added = [peer for peer in message.added if peer.endpoint.is_ipv6 == is_ipv6]
        if added:
            said[f"added{suffix}"] = pack(peer.endpoint for peer in added)[is_ipv6]
            said[f"added{suffix}.f"] = bytes(peer.flags for peer in added)
        dropped = pack(each for each in message.dropped if each.is_ipv6 == is_ipv6)[is_ipv6]
        if dropped:
            said[f"dropped{suffix}"] = dropped
    # Some programs read no message that lacks these two.
    return bencode.encode({"added": b"", "dropped": b"", **said})


def decode(payload: bytes) -> PexMessage:
    """Read the payload of an extended message; an address that is there twice counts once, and
    flags of the wrong number count as unsaid. Raises ProtocolError."""
    if len(payload) > MAX_BYTES:
        raise ProtocolError(f"{NAME}: message of {len(payload)} bytes")
    try:
        said = bencode.decode_dict(payload, strict=False)
    except BencodeError as error:
        raise ProtocolError(f"{NAME}: {error}") from error
    added: dict[Endpoint, PexFlags] = {}
    dropped: dict[Endpoint, None] = {}
    for suffix, family, width in (("", socket.AF_INET, 4), ("6", socket.AF_INET6, 16)):
        flags = _text(said, f"added{suffix}.f")
        contacts = _text(said, f"added{suffix}")
        if len(flags) * (width + 2) != len(contacts):
            flags = bytes(len(contacts) // (width + 2))
        for number, address in _unpack(contacts, family, width):
            added.setdefault(address, _FLAGS[flags[number] & _ALL_FLAGS])
        gone = _unpack(_text(said, f"dropped{suffix}"), family, width)
        dropped.update((address, None) for _, address in gone)
    return PexMessage(tuple(PexPeer(*each) for each in added.items()), tuple(dropped))


def _text(said: dict[bytes, bencode.Value], key: str) -> bytes:
    value = said.get(key.encode(), b"")
    if not isinstance(value, bytes):
        raise ProtocolError(f"{NAME}: {key} is no string")
    return value


def _unpack(data: bytes, family: int, width: int) -> Iterator[tuple[int, Endpoint]]:
    """Yield (number, address) of the compact addresses that have a port."""
    step = width + 2
    if len(data) % step:
        raise ProtocolError(f"{NAME}: addresses of {len(data)} bytes, not a multiple of {step}")
    # Of IPv4 that is the canonical text; a crowd tells each other of everybody at once.
    make = Endpoint if family == socket.AF_INET else endpoint
    for number, (packed, port) in enumerate(struct.iter_unpack(f"!{width}sH", data)):
        if port:
            yield number, make(socket.inet_ntop(family, packed), port)
