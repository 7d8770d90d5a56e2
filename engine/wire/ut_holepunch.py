"""Messages of `ut_holepunch`: two peers who cannot reach each other are introduced (BEP 55).

Payloads of extended messages ↔ values. Nothing is judged here: an address may be of any kind, and
its port 0, since an error has to repeat it as it was.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from engine.core.compact import Endpoint
from engine.errors import ProtocolError

NAME: Final = "ut_holepunch"
"""In `m` of the extension handshake."""

_HEAD_BYTES = 2
_PORT_BYTES = 2
_ERROR_BYTES = 4
_FAMILIES = {0: (socket.AF_INET, 4), 1: (socket.AF_INET6, 16)}


class Kind(IntEnum):
    RENDEZVOUS = 0
    """Introduce us to the peer at this address."""
    CONNECT = 1
    """Dial this address by uTP."""
    ERROR = 2
    """There is no introduction to this address."""


class ErrorCode(IntEnum):
    """Why there is none."""

    NO_SUCH_PEER = 1
    """That is no address of a peer."""
    NOT_CONNECTED = 2
    NO_SUPPORT = 3
    """The peer at the address does not speak this extension."""
    NO_SELF = 4
    """The address is that of the relay."""


@dataclass(frozen=True, slots=True)
class HolepunchMessage:
    kind: Kind
    address: Endpoint
    """Not canonical."""
    error: int = 0
    """An ErrorCode, or one of the future; 0 unless it is an error."""


def encode(message: HolepunchMessage) -> bytes:
    """Make the payload of an extended message."""
    address = message.address
    return (
        bytes((message.kind, address.is_ipv6))
        + address.packed_host()
        + address.port.to_bytes(_PORT_BYTES, "big")
        + message.error.to_bytes(_ERROR_BYTES, "big")
    )


def decode(payload: bytes) -> HolepunchMessage | None:
    """Read the payload of an extended message; None for a kind of message that BEP 55 does not
    know, which is to be ignored. Raises ProtocolError.

    Some programs send no error code where there is no error.
    """
    if len(payload) < _HEAD_BYTES:
        raise ProtocolError(f"{NAME}: message of {len(payload)} bytes")
    try:
        kind = Kind(payload[0])
    except ValueError:
        return None
    if payload[1] not in _FAMILIES:
        raise ProtocolError(f"{NAME}: address of the unknown type {payload[1]}")
    family, width = _FAMILIES[payload[1]]
    port_at = _HEAD_BYTES + width
    end = port_at + _PORT_BYTES
    if len(payload) not in (end, end + _ERROR_BYTES) or (
        kind is Kind.ERROR and len(payload) == end
    ):
        raise ProtocolError(f"{NAME}: message of {len(payload)} bytes")
    host = socket.inet_ntop(family, payload[_HEAD_BYTES:port_at])
    address = Endpoint(host, int.from_bytes(payload[port_at:end], "big"))
    error = int.from_bytes(payload[end:], "big") if kind is Kind.ERROR else 0
    return HolepunchMessage(kind, address, error)
