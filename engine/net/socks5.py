"""SOCKS5 without I/O: greeting, user name and password, requests, and the head that datagrams get
(RFC 1928, 1929).

Names are given to the proxy as they are: nobody else is asked for them.
"""

from __future__ import annotations

import ipaddress
import socket

from engine.core.compact import Endpoint, endpoint
from engine.core.proxy_address import ProxyAddress
from engine.errors import InputError, ProxyAuthError, ProxyError, ProxyRefusal
from engine.net.proxy_steps import Script, Step

CONNECT, UDP_ASSOCIATE = 1, 3
NOBODY = ("0.0.0.0", 0)
"""In an association: we do not say from which port datagrams come; a router may change it."""

_VERSION = 5
_NO_AUTH, _PASSWORD, _NOTHING_FITS = 0, 2, 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_WIDTHS = {_IPV4: 4, _IPV6: 16}
_MAX_NAME_BYTES = 255
_REFUSALS = {
    1: "the proxy cannot do that now",
    2: "the proxy's rules do not allow that",
    3: "network is unreachable from the proxy",
    4: "host is unreachable from the proxy",
    5: "connection refused, says the proxy",
    6: "the proxy got no answer in time",
    7: "the proxy does not do that",
    8: "the proxy does not speak that kind of address",
}
NOT_SUPPORTED = 7


def connect(host: str, port: int) -> Script[None]:
    """Have it connect to `host`, a numeric address or a name; it was greeted before."""
    yield from _request(CONNECT, host, port)


def associate() -> Script[Endpoint | None]:
    """Have it relay datagrams; returns where to send them, None if it does not say. It was greeted
    before."""
    return (yield from _request(UDP_ASSOCIATE, *NOBODY))


def greet(proxy: ProxyAddress) -> Script[None]:
    """Agree on a way to say who we are, and say it."""
    offered = bytes((_NO_AUTH, _PASSWORD) if proxy.user else (_NO_AUTH,))
    answer = yield Step(bytes((_VERSION, len(offered))) + offered, 2)
    version, method = answer
    if version != _VERSION:
        raise ProxyError("it does not speak SOCKS5")
    if method == _NOTHING_FITS:
        wanted = "another kind of login" if proxy.user else "a user name and password"
        raise ProxyAuthError(f"it wants {wanted}")
    if method not in offered:
        raise ProxyError("it chose a kind of login that was not offered")
    if method == _PASSWORD:
        user, password = proxy.user.encode(), proxy.password.encode()
        said = b"\1" + bytes((len(user),)) + user + bytes((len(password),)) + password
        _, status = yield Step(said, 2)
        if status:
            raise ProxyAuthError("it does not accept the user name or the password")


def _request(command: int, host: str, port: int) -> Script[Endpoint | None]:
    head = yield Step(bytes((_VERSION, command, 0)) + address(host, port), 4)
    version, status, _, kind = head
    if version != _VERSION:
        raise ProxyError("it does not speak SOCKS5")
    if status:
        raise ProxyRefusal(
            _REFUSALS.get(status, f"the proxy refuses, with status {status}"), status
        )
    if kind == _NAME:
        (length,) = yield Step(b"", 1)
        yield Step(b"", length + 2)
        return None
    if kind not in _WIDTHS:
        raise ProxyError("it answers with an unknown kind of address")
    bound = yield Step(b"", _WIDTHS[kind] + 2)
    return _endpoint(bound[:-2], int.from_bytes(bound[-2:], "big"))


def address(host: str, port: int) -> bytes:
    """Pack kind, address and port. Raises ProxyRefusal for what is no name of a host."""
    behind = port.to_bytes(2, "big")
    try:
        numeric = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return bytes((_NAME,)) + _packed_name(host) + behind
    return bytes((_IPV4 if numeric.version == 4 else _IPV6,)) + numeric.packed + behind


def _packed_name(host: str) -> bytes:
    try:
        name = host.encode() if host.isascii() else host.encode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= _MAX_NAME_BYTES or any(each <= 0x20 for each in name):
        raise ProxyRefusal(f"{host[:80]!r} is no name of a host")
    return bytes((len(name),)) + name


def _endpoint(packed: bytes, port: int) -> Endpoint | None:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    try:
        return endpoint(socket.inet_ntop(family, packed), port)
    except InputError:
        return None  # port 0


# ── datagrams (RFC 1928, section 7) ─────────────────────────────────────────────────────────────


def datagram_head(host: str, port: int) -> bytes:
    """What a datagram to `host` begins with, on its way to the relay. Raises ProxyRefusal."""
    return b"\0\0\0" + address(host, port)


def opened_datagram(data: memoryview) -> tuple[Endpoint, int] | None:
    """Tell who sent what a relay hands on, and where it begins; None for what cannot be used:
    fragments, senders without an address, and whatever else is no datagram of a relay."""
    if len(data) < 4 or data[2]:
        return None
    width = _WIDTHS.get(data[3], 0)
    begin = 4 + width + 2
    if not width or len(data) < begin:
        return None
    source = _endpoint(bytes(data[4 : 4 + width]), data[begin - 2] << 8 | data[begin - 1])
    return None if source is None else (source, begin)
