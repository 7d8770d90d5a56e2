"""One network interface by its name: is it up, which addresses has it, and when that changes.

Asked of the kernel over rtnetlink (man 7 rtnetlink), which also tells of every change; Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

from engine.errors import SettingsError

_HEADER = Struct("=IHHII")
"""Length, type, flags, number, port (struct nlmsghdr)."""
_ADDRESS = Struct("=BBBBi")
"""Family, prefix, flags, scope, index of the interface (struct ifaddrmsg)."""
_LINK = Struct("=BBHiII")
"""Family, -, type, index, flags, change (struct ifinfomsg)."""
_ATTRIBUTE = Struct("=HH")

_ERROR, _DONE = 2, 3
_NEW_LINK, _GET_LINK, _NEW_ADDRESS, _GET_ADDRESS = 16, 18, 20, 22
_REQUEST, _DUMP = 0x1, 0x300
_GROUPS = 0x1 | 0x10 | 0x100
"""Changes of links, of IPv4 addresses and of IPv6 addresses."""
_IFF_UP = 0x1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_UNFIT = 0x08 | 0x40
"""Addresses that another machine has, or that are not ours yet: duplicate, tentative."""
_DEPRECATED = 0x20
_RECEIVE_BYTES = 1 << 16
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """What an interface is now."""

    index: int = 0
    is_up: bool = False
    addresses: tuple[str, ...] = ()
    """Those that packets can leave from, the best of each family first."""

    def address(self, *, ipv6: bool, rather: str | None = None) -> str | None:
        """The address of a family to use: `rather` that one if it is still there."""
        if not self.is_up:
            return None
        fitting = [each for each in self.addresses if (":" in each) == ipv6]
        return rather if rather in fitting else next(iter(fitting), None)


def look(name: str) -> Found:
    """Ask the kernel. An interface that is not there is not up. Raises OSError."""
    # This first, since it says so when there is no descriptor left; a name is then just not there.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
        asked.settimeout(_PATIENCE_S)
        asked.bind((0, 0))
        links = b"".join(_dump(asked, _GET_LINK, _LINK.pack(0, 0, 0, 0, 0, 0)))
        addresses = b"".join(_dump(asked, _GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0)))
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return Found()
    return Found(index, _is_up(links, index), tuple(_addresses(addresses, index)))


def _dump(asked: socket.socket, what: int, body: bytes) -> Iterator[bytes]:
    length = _HEADER.size + len(body)
    asked.send(_HEADER.pack(length, what, _REQUEST | _DUMP, 1, 0) + body)
    while True:
        data = asked.recv(_RECEIVE_BYTES)
        yield data
        if any(kind in {_DONE, _ERROR} for kind, _ in _messages(data)):
            return


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _is_up(data: bytes, index: int) -> bool:
    for kind, body in _messages(data):
        if kind == _NEW_LINK and len(body) >= _LINK.size:
            _, _, _, link, flags, _ = _LINK.unpack_from(body)
            if link == index:
                return bool(flags & _IFF_UP)
    return False


def _addresses(data: bytes, index: int) -> list[str]:
    found: list[tuple[bool, bool, int, str]] = []
    for kind, body in _messages(data):
        if kind != _NEW_ADDRESS or len(body) < _ADDRESS.size:
            continue
        _, _, flags, _, link = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        with contextlib.suppress(ValueError):
            flags = int.from_bytes(attributes.get(_IFA_FLAGS, bytes([flags])), sys.byteorder)
            # Of a tunnel, IFA_ADDRESS is the other end.
            raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS) or b""
            address = ipaddress.ip_address(raw)
            if link == index and not flags & _UNFIT and not _is_link_only(address):
                is_old = bool(flags & _DEPRECATED)
                found.append((is_old, address.is_private, len(found), str(address)))
    return [address for *_, address in sorted(found)]


def _is_link_only(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True for an IPv6 address that means something only together with an interface."""
    return address.version == 6 and address.is_link_local


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


class InterfaceBell:
    """Rings whenever some interface or address of the machine changed. Loop thread only."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """Raises OSError."""
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, _GROUPS))
        except BaseException:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        # Only that there is news: what it is we ask for, since news can be lost.
        with contextlib.suppress(OSError):
            while self._socket.recv(_RECEIVE_BYTES):
                pass
        self._ring()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


def check_name(name: str) -> None:
    """Raises SettingsError for what can be no interface here, now or later."""
    if sys.platform != "linux":
        raise SettingsError(
            "network.interface works on Linux only; give network.listen an address of the "
            "interface instead"
        )
    if len(name.encode()) > 15 or "/" in name or any(each.isspace() for each in name):
        raise SettingsError(f"network.interface: {name!r} cannot be the name of an interface")
