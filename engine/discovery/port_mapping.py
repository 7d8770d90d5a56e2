"""Asking a router to lead a port to us: NAT-PMP (RFC 6886) and its successor PCP (RFC 6887).

One datagram of ours, one of the router's. Which of the two it speaks shows in the first byte of the
answer: who knows NAT-PMP only answers PCP in NAT-PMP, with the result "unsupported version".
"""

from __future__ import annotations

import enum
import socket
import struct
from dataclasses import dataclass

from engine.errors import GatewayError

GATEWAY_PORT = 5351
NONCE_BYTES = 12
_PMP, _PCP = 0, 2
_MAP_OPCODE = 1
_REPLY = 0x80
_PMP_ADDRESS = struct.Struct(">BBHI4s")
_PMP_MAP = struct.Struct(">BBHHHI")
_PMP_MAPPED = struct.Struct(">BBHIHHI")
_PCP_HEAD = struct.Struct(">BBHI16s")
_PCP_HEAD_BACK = struct.Struct(">BBBBII12x")
_PCP_MAP = struct.Struct(f">{NONCE_BYTES}sB3xHH16s")
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
_NOBODY = _MAPPED_PREFIX + bytes(4)

_PMP_RESULTS = {
    1: "it does not speak this version",
    2: "it refuses: port mapping is switched off there",
    3: "it has no address of its own yet",
    4: "it has no room for more",
    5: "it does not know the request",
}
_PCP_RESULTS = {
    1: "it does not speak this version",
    2: "it refuses: not authorized",
    3: "it took the request for malformed",
    4: "it does not know the request",
    5: "it does not know an option",
    6: "it took an option for malformed",
    7: "it is not connected itself",
    8: "it has no room for more",
    9: "it does not map this protocol",
    10: "it lets us have no more ports",
    11: "it cannot give that address or port",
    12: "another router between us changes our address",
    13: "it knows too many peers",
}
_UNSUPPORTED_VERSION = 1


class Carrier(enum.IntEnum):
    """What a mapping is for; the value is IP's number of the protocol."""

    TCP = 6
    UDP = 17


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Lead `external_port`, or another one if that is taken, to `internal_port` of the asker."""

    carrier: Carrier
    internal_port: int
    external_port: int
    """What we would like; 0 is any."""
    lifetime_s: int
    """0 takes the mapping away."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the router has done."""

    carrier: Carrier
    internal_port: int
    external_port: int
    lifetime_s: int
    external_host: str | None = None
    """PCP says it with each mapping; NAT-PMP is asked by itself."""


def encode_pmp_address_request() -> bytes:
    """Ask for the router's own address, in NAT-PMP."""
    return bytes((_PMP, 0))


def encode_pmp(request: MapRequest) -> bytes:
    opcode = 1 if request.carrier is Carrier.UDP else 2
    # To take one away the RFC wants 0 for the external port.
    external = request.external_port if request.lifetime_s else 0
    return _PMP_MAP.pack(_PMP, opcode, 0, request.internal_port, external, request.lifetime_s)


def encode_pcp(request: MapRequest, *, client: str, nonce: bytes) -> bytes:
    """`client` is our address as the router sees it, `nonce` the same as when it was mapped."""
    head = _PCP_HEAD.pack(_PCP, _MAP_OPCODE, 0, request.lifetime_s, _packed(client))
    return head + _PCP_MAP.pack(
        nonce, request.carrier, request.internal_port, request.external_port, _NOBODY
    )


def speaks_pmp_only(data: bytes) -> bool:
    """Say whether this answer to PCP comes from a router that knows NAT-PMP only."""
    return (
        len(data) >= 4
        and data[0] == _PMP
        and int.from_bytes(data[2:4], "big") == _UNSUPPORTED_VERSION
    )


def decode_pmp_address(data: bytes) -> str | None:
    """Read the router's own address; None: this is no such answer. Raises GatewayError."""
    if len(data) < 4 or data[:2] != bytes((_PMP, _REPLY)):
        return None
    _check(int.from_bytes(data[2:4], "big"), _PMP_RESULTS)
    if len(data) < _PMP_ADDRESS.size:
        return None
    return socket.inet_ntop(socket.AF_INET, data[8:12])


def decode_pmp(data: bytes, request: MapRequest) -> Mapped | None:
    """Read what was done; None: this is no answer to `request`. Raises GatewayError."""
    opcode = 1 if request.carrier is Carrier.UDP else 2
    if len(data) < 4 or data[:2] != bytes((_PMP, _REPLY | opcode)):
        return None
    _check(int.from_bytes(data[2:4], "big"), _PMP_RESULTS)
    if len(data) < _PMP_MAPPED.size:
        return None
    _, _, _, _, internal, external, lifetime_s = _PMP_MAPPED.unpack_from(data)
    if internal != request.internal_port:
        return None
    return _mapped(request, external, lifetime_s, None)


def decode_pcp(data: bytes, request: MapRequest, *, nonce: bytes) -> Mapped | None:
    """Read what was done; None: this is no answer to `request`. Raises GatewayError."""
    if len(data) < _PCP_HEAD_BACK.size + _PCP_MAP.size or data[0] != _PCP:
        return None
    _, opcode, _, result, lifetime_s, _ = _PCP_HEAD_BACK.unpack_from(data)
    its_nonce, carrier, internal, external, host = _PCP_MAP.unpack_from(data, _PCP_HEAD_BACK.size)
    asked = (_REPLY | _MAP_OPCODE, nonce, request.carrier, request.internal_port)
    if (opcode, its_nonce, carrier, internal) != asked:
        return None
    _check(result, _PCP_RESULTS)
    return _mapped(request, external, lifetime_s, _host(host))


def _mapped(request: MapRequest, external: int, lifetime_s: int, host: str | None) -> Mapped | None:
    if request.lifetime_s and not (external and lifetime_s):
        raise GatewayError("it mapped nothing")
    return Mapped(request.carrier, request.internal_port, external, lifetime_s, host)


def _check(result: int, meanings: dict[int, str]) -> None:
    if result:
        raise GatewayError(meanings.get(result, f"it answered with the result {result}"))


def _packed(host: str) -> bytes:
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host)
    return _MAPPED_PREFIX + socket.inet_pton(socket.AF_INET, host)


def _host(packed: bytes) -> str | None:
    if packed in (_NOBODY, bytes(16)):
        return None
    if packed.startswith(_MAPPED_PREFIX):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)
