"""Datagrams to all of the local networks that this machine is in (BEP 14), and from them.

Only interfaces with an address of a network are used: never loopback, and with a specific address
to use only the interface that has it. Errors end here: a network that cannot be used is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

from engine.core.compact import Endpoint
from engine.core.scope import Scope, scope_of
from engine.net.route import Route

log = logging.getLogger(__name__)

_DATAGRAM_BYTES = 2048
_READS_PER_TURN = 32
_HOPS = 1
"""Our own network, and none behind its routers."""
_MAX_INTERFACES = 16
"""Linux lets a socket join 20 groups; a machine full of containers has hundreds of interfaces."""
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
"""Linux: also take what other programs joined. Python knows the names from 3.13 on."""

Address = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Interface:
    """A place where neighbours can be."""

    index: int
    addresses: frozenset[Address]
    """Without those of loopback."""

    def speaks(self, *, ipv6: bool) -> bool:
        return any((address.version == 6) == ipv6 for address in self.addresses)


def interfaces(only_host: str | None = None) -> list[Interface]:
    """List what can be used, or with `only_host` the one interface that has this address."""
    import ifaddr

    try:
        adapters = list(ifaddr.get_adapters())
    except OSError as error:
        log.debug("the interfaces cannot be listed: %s", error)
        return []
    found = []
    for adapter in adapters:
        addresses = frozenset(
            ipaddress.ip_interface(f"{ip.ip if ip.is_IPv4 else ip.ip[0]}/{ip.network_prefix}")
            for ip in adapter.ips
        )
        if only_host is not None:
            addresses = frozenset(each for each in addresses if str(each.ip) == only_host)
        addresses = frozenset(each for each in addresses if not each.ip.is_loopback)
        if addresses and adapter.index is not None:
            found.append(Interface(adapter.index, addresses))
    return found[:_MAX_INTERFACES]


class Multicast:
    """One group of each family, on all interfaces. Loop thread only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        groups: tuple[Endpoint, ...],
        received: Callable[[bytes, str], None],
        route: Route,
    ) -> None:
        """`received` takes a datagram and the address of the neighbour that it came from."""
        self._loop = loop
        self._groups = groups
        self._received = received
        self._route = route
        self._interfaces: list[Interface] = []
        self._sockets: dict[Endpoint, socket.socket] = {}
        route.on_change.append(self._on_another_way)

    def _on_another_way(self, _: frozenset[bool]) -> None:
        """What is held to a way that is gone hears nothing by the next one: `look` joins anew."""
        self._leave()

    def look(self) -> bool:
        """Join where we are now; True if there is a network in which we were not before."""
        before, self._interfaces = self._interfaces, interfaces(self._route.host)
        news = [each for each in self._interfaces if each not in before]
        for group in self._groups:
            joining = [each for each in news if each.speaks(ipv6=group.is_ipv6)]
            if joining and group not in self._sockets:
                self._open(group)
            if group in self._sockets:
                for interface in joining:
                    self._join(group, interface)
        return bool(news)

    def _open(self, group: Endpoint) -> None:
        try:
            sock = self._route.unbound(socket.AF_INET6 if group.is_ipv6 else socket.AF_INET)
        except OSError as error:
            log.debug("no socket for %s: %s", group, error)
            return
        try:
            # Every program of this machine that looks for neighbours has this port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if group.is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
            if sys.platform == "linux":
                level = socket.IPPROTO_IPV6 if group.is_ipv6 else socket.IPPROTO_IP
                option = _IPV6_MULTICAST_ALL if group.is_ipv6 else _IP_MULTICAST_ALL
                with contextlib.suppress(OSError):
                    sock.setsockopt(level, option, 0)
            # Bound to the group itself: what is sent to this machine alone does not come in.
            sock.bind(tuple(group))
        except OSError as error:
            log.debug("cannot listen to %s: %s", group, error)
            sock.close()
            return
        self._sockets[group] = sock
        self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def _join(self, group: Endpoint, interface: Interface) -> None:
        # It may be joined already, or have gone while we looked.
        with contextlib.suppress(OSError):
            if group.is_ipv6:
                where = struct.pack("=16sI", group.packed_host(), interface.index)
                self._sockets[group].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, where)
            else:
                where = struct.pack("=4s4si", group.packed_host(), bytes(4), interface.index)
                self._sockets[group].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where)

    def send(self, group: Endpoint, datagram: bytes) -> int:
        """Send to a group on every interface; returns on how many it left."""
        sock = self._sockets.get(group)
        if sock is None:
            return 0
        sent = 0
        for interface in self._interfaces:
            if not interface.speaks(ipv6=group.is_ipv6):
                continue
            with contextlib.suppress(OSError):
                if group.is_ipv6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
                else:
                    where = struct.pack("=4s4si", bytes(4), bytes(4), interface.index)
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
                sock.sendto(datagram, tuple(group))
                sent += 1
        return sent

    def _on_readable(self, sock: socket.socket) -> None:
        for _ in range(_READS_PER_TURN):
            if sock.fileno() < 0:
                return  # the receiver closed us
            try:
                datagram, address = sock.recvfrom(_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # what an earlier send met
            # An address that means something on one interface only cannot be dialled.
            is_link_local = len(address) == 4 and address[3]
            if not is_link_local and self.is_neighbour(address[0]):
                self._received(datagram, address[0])

    def is_neighbour(self, host: str) -> bool:
        """Say whether an address is of a local network, or of a network that we are in."""
        if scope_of(host) is not Scope.WORLD:
            return scope_of(host) is Scope.SITE
        address = ipaddress.ip_address(host)
        return any(address in own.network for each in self._interfaces for own in each.addresses)

    def close(self) -> None:
        if self._on_another_way in self._route.on_change:
            self._route.on_change.remove(self._on_another_way)
        self._leave()

    def _leave(self) -> None:
        for sock in self._sockets.values():
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self._interfaces.clear()
