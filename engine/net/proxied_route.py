"""The way out through a proxy: everything goes to it, and nothing anywhere else.

Fails closed: what makes a socket that would leave beside the proxy raises instead, also while the
proxy is not there, and nobody is let in. Only the name of the proxy itself is looked up by us.
"""

from __future__ import annotations

import socket

from engine.core.compact import Endpoint
from engine.core.proxy_address import ProxyAddress
from engine.errors import InputError, NoRouteError, ProxyError
from engine.net.names import Names, literal
from engine.net.proxy import Proxy
from engine.net.proxy_link import ProxyLink
from engine.net.route import Address, Route, addresses, connected


class ProxiedRoute(Route):
    """A route whose only way is a proxy; to that it leaves as a Route does."""

    def __init__(
        self,
        proxy: ProxyAddress,
        host: str | None = None,
        *,
        interface: str = "",
        name_servers: tuple[str, ...] = (),
    ) -> None:
        """Name servers, if there are any, are asked through the proxy, over TCP. Raises
        SettingsError."""
        super().__init__(host, interface=interface, name_servers=name_servers)
        self.link = self.proxy = ProxyLink(Proxy(proxy, self._reach))

    @property
    def way_out(self) -> str:
        """As "socks5://host:1080, TCP only: the proxy relays no datagrams, through tun0"; has no
        user name and no password."""
        proxy = self.link.proxy.address
        why = "" if self.waiting else self.link.why_no_relay
        shown = f"{proxy.scheme}://{proxy.place}"
        limits = f" for TCP only ({why})" if why else ""
        return f"{shown}{limits}{f' through {self._interface}' if self._interface else ''}"

    @property
    def looks_up_names(self) -> bool:
        """True if there are name servers to ask."""
        return bool(self._name_servers)

    @property
    def waiting(self) -> str:
        """As of a Route; also "waiting for the proxy HOST:PORT: connection refused"."""
        return self._waiting_for_interface() or self.link.waiting

    def can_reach(self, peer: Endpoint) -> bool:
        """True: which families it has, only the proxy knows."""
        return True

    async def connect(self, to: Endpoint) -> socket.socket:
        """Connect over TCP through the proxy. Raises OSError; the socket is the caller's."""
        return await self.connect_to_name(to.host, to.port)

    async def connect_to_name(self, host: str, port: int) -> socket.socket:
        """Connect to a host that the proxy looks up if it is a name. Raises OSError; the socket
        is the caller's."""
        if waiting := self._waiting_for_interface():
            raise NoRouteError(waiting)
        proxy = self.link.proxy
        try:
            return await proxy.open(host, port)
        except ProxyError as error:
            self.link.failed(error)
            raise type(error)(f"the proxy {proxy.address.place}: {error}") from error

    async def _reach(self, host: str, port: int) -> socket.socket:
        """Connect to the proxy itself."""
        failure: OSError | None = None
        for address in await super().look_up(host, port, socket.SOCK_STREAM):
            try:
                return await connected(self._stream(address.family), address.sockaddr)
            except OSError as error:
                failure = failure or error
        raise failure or NoRouteError(f"{host} has no address that can be reached")

    async def look_up(self, host: str, port: int, kind: socket.SocketKind) -> list[Address]:
        """Find the addresses of a name through the proxy, which SOCKS and HTTP cannot be asked
        for; name servers can. Raises OSError, UnicodeError."""
        if literal(host) is None and not self.looks_up_names:
            raise NoRouteError("only the proxy looks up names: use an address, or set network.dns")
        names = Names(
            lambda _family, _kind, server: self.connect_to_name(server[0], server[1]),
            self._name_servers,
            uses_tcp=True,
        )
        return addresses(await names.look_up(host, (socket.AF_INET, socket.AF_INET6)), port)

    def to_relay(self, relay: Endpoint) -> socket.socket:
        """Make a UDP socket for datagrams to and from the relay of the proxy. Raises OSError."""
        return self._datagram(socket.AF_INET6 if relay.is_ipv6 else socket.AF_INET)

    # ── what would leave beside it ──────────────────────────────────────────────────────────────

    def stream(self, family: int) -> socket.socket:
        """Raises NoRouteError."""
        raise _beside()

    def datagram(self, family: int) -> socket.socket:
        """Raises NoRouteError."""
        raise _beside()

    def unbound(self, family: int) -> socket.socket:
        """Raises NoRouteError."""
        raise _beside()

    def _on_port(self, port: int, kind: socket.SocketKind) -> list[socket.socket]:
        raise InputError("cannot listen: nobody is let in beside the proxy")


def _beside() -> NoRouteError:
    return NoRouteError("nothing leaves but through the proxy")
