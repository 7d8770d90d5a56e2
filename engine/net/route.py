"""By which way everything leaves: an address, an interface, or as the system likes.

Every socket of the engine is made here and every name looked up here, and nowhere else
(tests/architecture/test_sockets.py), so that no feature speaks by another way by mistake. It fails
closed: what cannot leave by the way that it is held to does not, and what was open by a way that is
gone is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from engine.core.compact import Endpoint
from engine.errors import InputError, NoRouteError
from engine.net.interface import Found, InterfaceBell, check_name, look
from engine.net.names import Names

if TYPE_CHECKING:
    from engine.net.proxy_link import ProxyLink

log = logging.getLogger(__name__)

_BACKLOG = 512
_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
_LOOK_S = 1.0
"""Between two looks at an interface where the kernel does not tell of changes."""

OnChange = Callable[[frozenset[bool]], None]
"""Is told by which families nothing leaves as before: True for IPv6, False for IPv4."""


class Address(NamedTuple):
    """Where a name leads: what `connect` and `sendto` of a socket of `family` take."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]


class Route:
    """The way out of one engine, shared by all that it sends. Loop thread only; must be closed if
    it was watched."""

    def __init__(
        self,
        host: str | None = None,
        *,
        interface: str = "",
        name_servers: tuple[str, ...] = (),
    ) -> None:
        """With a `host` everything leaves from that address or not at all; 0.0.0.0 and :: hold it
        to one family. With an `interface` everything leaves through it or not at all; `host` is
        then one of its addresses. `name_servers` (ADDRESS or ADDRESS:PORT) are asked for names;
        with none, the system is, and those that it names when there is an interface. Raises
        SettingsError."""
        self.on_change: list[OnChange] = []
        self.proxy: ProxyLink | None = None
        """Nothing leaves but through it (net/proxied_route.py)."""
        self._host = host
        self._interface = interface
        self._name_servers = name_servers
        self._found = Found()
        self._addresses: dict[bool, str] = {}
        """By whether it is of IPv6; of the interface."""
        self._made: WeakSet[socket.socket] = WeakSet()
        self._is_watched = False
        self._is_blind = False
        """The kernel could not be asked the last time."""
        self._bell: InterfaceBell | None = None
        self._timer: asyncio.TimerHandle | None = None
        if interface:
            check_name(interface)
            self._look()

    @property
    def interface(self) -> str:
        return self._interface

    @property
    def way_out(self) -> str:
        """What everything leaves by, for people; empty: as the system likes."""
        return self._interface

    @property
    def looks_up_names(self) -> bool:
        """False if names can be said to others only, and `look_up` takes none."""
        return True

    @property
    def waiting(self) -> str:
        """What must come before anything leaves, as "waiting for tun0"; else empty."""
        return self._waiting_for_interface()

    def _waiting_for_interface(self) -> str:
        if not self._interface:
            return ""
        self._look_unless_watched()
        if self._addresses:
            return ""
        if self._found.is_up and self._host is not None:
            return f"waiting for {self._host} on {self._interface}"
        if self._found.is_up:
            return f"waiting for an address on {self._interface}"
        return f"waiting for {self._interface}"

    @property
    def host(self) -> str | None:
        """The only address that anything leaves from, if there is but one."""
        if self._interface and len(self._addresses) == 1:
            return next(iter(self._addresses.values()))
        return self._host

    @property
    def family(self) -> socket.AddressFamily:
        """The only family that can leave, or AF_UNSPEC."""
        host = self.host
        if host is None:
            return socket.AF_UNSPEC
        return socket.AF_INET6 if ":" in host else socket.AF_INET

    def can_reach(self, peer: Endpoint) -> bool:
        """False if nothing leaves to addresses of its family, now or ever."""
        if self._interface:
            self._look_unless_watched()
            return peer.is_ipv6 in self._addresses
        return self._host is None or (":" in self._host) == peer.is_ipv6

    # ── the interface ───────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """Follow the interface from now on, until `close`."""
        if not self._interface or self._is_watched:
            return
        self._is_watched = True
        try:
            self._bell = InterfaceBell(self._on_bell)
        except OSError as error:
            log.debug("the kernel does not tell of changes: %s", error)
            self._on_timer()
        self._look()

    def close(self) -> None:
        if self._bell is not None:
            self._bell.close()
        if self._timer is not None:
            self._timer.cancel()
        self._is_watched = False
        self._bell = self._timer = None

    def _on_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._on_timer)
        self._on_bell()

    def _look_again(self) -> None:
        self._timer = None
        self._on_bell()

    def _on_bell(self) -> None:
        index, before = self._found.index, self._addresses
        self._look()
        changed = frozenset(
            is_ipv6
            for is_ipv6 in (False, True)
            # An interface that was made anew is another one, whatever its name and address.
            if before.get(is_ipv6) != self._addresses.get(is_ipv6)
            or (is_ipv6 in before and index != self._found.index)
        )
        if not changed:
            return
        for sock in list(self._made):
            if (sock.family == socket.AF_INET6) in changed:
                # Its owner sees it end; what the kernel still holds of it goes nowhere else.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for told in self.on_change:
            told(changed)

    def _look_unless_watched(self) -> None:
        if not self._is_watched:
            self._look()

    def _look(self) -> None:
        try:
            self._found = look(self._interface)
        except OSError as error:
            # As without a descriptor. Sockets are held to what was there, so that stays true
            # enough to keep; what the bell told of is lost, though.
            if not self._is_blind:
                log.warning("cannot look at %s: %s", self._interface, error.strerror or error)
            self._is_blind = True
            if self._is_watched and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)
            return
        self._is_blind = False
        found = {}
        for is_ipv6 in (False, True):
            address = self._found.address(
                ipv6=is_ipv6, rather=self._host or self._addresses.get(is_ipv6)
            )
            if address is not None and self._host in (None, _ANY_OF[is_ipv6], address):
                found[is_ipv6] = address
        self._addresses = found

    # ── leaving ─────────────────────────────────────────────────────────────────────────────────

    async def connect(self, to: Endpoint) -> socket.socket:
        """Connect over TCP. Raises OSError; the socket is the caller's."""
        family = socket.AF_INET6 if to.is_ipv6 else socket.AF_INET
        return await connected(self._stream(family), (to.host, to.port))

    def stream(self, family: int) -> socket.socket:
        """Make a TCP socket that is to connect. Raises OSError."""
        return self._stream(family)

    def datagram(self, family: int) -> socket.socket:
        """Make a UDP socket with a port of its own. Raises OSError."""
        return self._datagram(family)

    def _stream(self, family: int) -> socket.socket:
        host = self._leaving_from(family)
        return self._socket(family, socket.SOCK_STREAM, None if host is None else (host, 0))

    def _datagram(self, family: int) -> socket.socket:
        host = self._leaving_from(family) or _ANY[socket.AddressFamily(family)]
        return self._socket(family, socket.SOCK_DGRAM, (host, 0))

    def unbound(self, family: int) -> socket.socket:
        """Make a UDP socket that is yet to be bound, for a multicast group. Raises OSError."""
        self._leaving_from(family)
        return self._socket(family, socket.SOCK_DGRAM, None)

    def accepted(self, sock: socket.socket) -> None:
        """A listening socket of ours gave this one: it ends with the way that it came by."""
        if self._interface:
            self._made.add(sock)

    def _leaving_from(self, family: int) -> str | None:
        """The address to bind to, or None for any. Raises NoRouteError."""
        is_ipv6 = family == socket.AF_INET6
        if self._interface:
            self._look_unless_watched()
            if (address := self._addresses.get(is_ipv6)) is not None:
                return address
            kind = "IPv6" if is_ipv6 else "IPv4"
            raise NoRouteError(
                self._waiting_for_interface() or f"{self._interface} has no {kind} address"
            )
        if self._host is not None and (":" in self._host) != is_ipv6:
            raise NoRouteError(f"not reachable from {self._host}")
        return self._host

    async def look_up(self, host: str, port: int, kind: socket.SocketKind) -> list[Address]:
        """Find the addresses of a name, in families that can leave. Raises OSError, UnicodeError.

        Where nothing is forced the system's resolver is asked; else name servers are, by the way
        that is forced.
        """
        if not self._interface and not self._name_servers:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, family=self.family, type=kind
            )
            return [
                Address(family, sockaddr)
                for family, _, _, _, sockaddr in found
                if family in (socket.AF_INET, socket.AF_INET6)
            ]
        if waiting := self._waiting_for_interface():
            raise NoRouteError(waiting)
        families = (socket.AF_INET, socket.AF_INET6)
        if self.family != socket.AF_UNSPEC:
            families = (self.family,)  # type: ignore[assignment]
        takes_loopback = not self._interface or "127.0.0.1" in self._found.addresses
        names = Names(self._to_name_server, self._name_servers, takes_loopback=takes_loopback)
        found_hosts = addresses(await names.look_up(host, families), port)
        return [each for each in found_hosts if each.family in families]

    async def _to_name_server(
        self, family: int, kind: int, server: tuple[Any, ...]
    ) -> socket.socket:
        is_stream = kind == socket.SOCK_STREAM
        return await connected(
            self._stream(family) if is_stream else self._datagram(family), server
        )

    # ── being reached ───────────────────────────────────────────────────────────────────────────

    def listening(self, port: int) -> list[socket.socket]:
        """Listen over TCP, in every family that can leave; port 0 is any free one. Raises
        InputError."""
        return self._on_port(port, socket.SOCK_STREAM)

    def datagrams(self, port: int) -> list[socket.socket]:
        """Open a UDP port, as `listening` does. Raises InputError."""
        return self._on_port(port, socket.SOCK_DGRAM)

    def _on_port(self, port: int, kind: socket.SocketKind) -> list[socket.socket]:
        if self._interface:
            self._look_unless_watched()
            hosts = list(self._addresses.values())
            if not hosts:
                raise InputError(f"cannot listen: {self.waiting}")
        else:
            hosts = list(_ANY.values()) if self._host is None else [self._host]
        first = self._bound(hosts[0], port, kind)
        found = [first]
        for host in hosts[1:]:
            # A machine without IPv6, or with the port taken there, still has it in IPv4.
            with contextlib.suppress(InputError):
                found.append(self._bound(host, first.getsockname()[1], kind))
        return found

    def _bound(self, host: str, port: int, kind: socket.SocketKind) -> socket.socket:
        is_stream = kind == socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = self._socket(family, kind, (host, port), is_listening=is_stream)
        except OSError as error:
            where = f"{host} port {port}"
            what = f"listen on {where}" if is_stream else f"open UDP port {port} on {host}"
            raise InputError(f"cannot {what}: {error.strerror or error}") from error
        return sock

    def _socket(
        self,
        family: int,
        kind: socket.SocketKind,
        bind_to: tuple[str, int] | None,
        *,
        is_listening: bool = False,
    ) -> socket.socket:
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            if self._interface:
                self._hold_to_interface(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if is_listening:
                # A port whose last connections have not faded is ours again at once.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bind_to is not None:
                sock.bind(bind_to)
            if is_listening:
                sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        return sock

    def _hold_to_interface(self, sock: socket.socket) -> None:
        """An address alone would not do: routes decide by where a packet goes."""
        try:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode() + b"\0"
            )
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise NoRouteError(f"waiting for {self._interface}") from error
            raise NoRouteError(f"cannot be held to {self._interface}: {error.strerror}") from error
        self._made.add(sock)


_ANY_OF = {False: _ANY[socket.AF_INET], True: _ANY[socket.AF_INET6]}


async def connected(sock: socket.socket, to: tuple[Any, ...]) -> socket.socket:
    """Connect a socket, or close it. Raises OSError."""
    try:
        await asyncio.get_running_loop().sock_connect(sock, to)
    except BaseException:
        sock.close()
        raise
    return sock


def addresses(hosts: list[str], port: int) -> list[Address]:
    return [
        Address(socket.AF_INET6 if ":" in each else socket.AF_INET, (each, port)) for each in hosts
    ]
