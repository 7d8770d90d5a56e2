"""Addresses of peers, and their compact form: 6 bytes for IPv4 (BEP 23), 18 for IPv6 (BEP 7)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import NamedTuple

from engine.errors import InputError


class Endpoint(NamedTuple):
    """An IP address in canonical text and a port; equal addresses compare equal."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    def packed_host(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6 if ":" in self.host else socket.AF_INET, self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(host: str, port: int) -> Endpoint:
    """Canonicalise a numeric address; IPv4 mapped into IPv6 becomes IPv4. Raises InputError."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError as error:
        raise InputError(f"{host!r} is no IP address") from error
    if not 0 < port < 65536:
        raise InputError(f"{port} is no port")
    mapped = getattr(address, "ipv4_mapped", None)
    return Endpoint(str(mapped or address), port)


def split_host_port(text: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port"; the host may be a name, the port 0. Raises InputError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InputError(f"{text!r}: write an IPv6 address as [address]:port")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not host or not is_number or int(port) > 65535:
        raise InputError(f"{text[:80]!r} is not HOST:PORT")
    return host, int(port)


def pack(peers: Iterable[Endpoint]) -> tuple[bytes, bytes]:
    """Pack peers into their (IPv4, IPv6) compact strings."""
    v4, v6 = bytearray(), bytearray()
    for peer in peers:
        (v6 if peer.is_ipv6 else v4).extend(peer.packed_host() + peer.port.to_bytes(2, "big"))
    return bytes(v4), bytes(v6)


def unpack_ipv4(data: bytes) -> list[Endpoint]:
    """Unpack BEP 23's 6-byte entries, leaving out port 0. Raises InputError on a torn entry."""
    return _unpack(data, socket.AF_INET, 4)


def unpack_ipv6(data: bytes) -> list[Endpoint]:
    """Unpack BEP 7's 18-byte entries, leaving out port 0. Raises InputError on a torn entry."""
    return _unpack(data, socket.AF_INET6, 16)


def _unpack(data: bytes, family: int, width: int) -> list[Endpoint]:
    step = width + 2
    if len(data) % step:
        raise InputError(f"compact peers of {len(data)} bytes, not a multiple of {step}")
    peers = []
    for at in range(0, len(data), step):
        port = int.from_bytes(data[at + width : at + step], "big")
        if port:
            peers.append(endpoint(socket.inet_ntop(family, data[at : at + width]), port))
    return peers
