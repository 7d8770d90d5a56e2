"""Looking up names by the way that is forced: own queries to name servers, through dnspython.

The system's resolver cannot be held to an interface. A query here leaves by a socket that the route
made, or not at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from engine.errors import NoRouteError

if TYPE_CHECKING:
    import dns.asyncresolver

    from engine.net.name_sockets import MakeSocket

_LIFETIME_S = 10.0
_PORT = 53
_SYSTEM_FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
"""The second one names the servers behind the resolver of systemd."""


class Names:
    """Asks name servers over sockets of `make`."""

    def __init__(
        self,
        make: MakeSocket,
        servers: tuple[str, ...],
        *,
        takes_loopback: bool = False,
        uses_tcp: bool = False,
    ) -> None:
        """`servers` are ADDRESS or ADDRESS:PORT as the user wrote them; none: those of the
        system, but for loopback unless that can be reached."""
        self._make = make
        self._servers = servers
        self._takes_loopback = takes_loopback
        self._uses_tcp = uses_tcp

    async def look_up(self, host: str, families: tuple[int, ...]) -> list[str]:
        """Find the addresses of a name. Raises OSError, UnicodeError."""
        import dns.asyncresolver
        import dns.exception
        import dns.resolver

        from engine.net.name_sockets import NameSockets

        if (numeric := literal(host)) is not None:
            return [numeric]
        host.encode("idna")
        resolver = await asyncio.to_thread(self._resolver)
        backend = NameSockets(self._make)
        found: list[str] = []
        failure: Exception | None = None
        for family in families:
            try:
                answer = await resolver.resolve(
                    host,
                    "AAAA" if family == socket.AF_INET6 else "A",
                    tcp=self._uses_tcp,
                    lifetime=_LIFETIME_S,
                    backend=backend,
                )
            except dns.resolver.NoAnswer:
                continue
            except dns.resolver.NXDOMAIN:
                break
            except (dns.exception.DNSException, ValueError) as error:
                failure = error
                continue
            found += [record.address for record in answer]
        if not found and failure is not None:
            raise socket.gaierror(socket.EAI_AGAIN, "no name server answers") from failure
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found

    def _resolver(self) -> dns.asyncresolver.Resolver:
        import dns.asyncresolver
        import dns.exception

        resolver = dns.asyncresolver.Resolver(configure=False)
        if self._servers:
            resolver.nameservers = [_server(each) for each in self._servers]
            return resolver
        for path in _SYSTEM_FILES:
            try:
                resolver.read_resolv_conf(path)
            except (OSError, dns.exception.DNSException):
                continue
            usable = [
                each
                for each in resolver.nameservers
                if isinstance(each, str) and (self._takes_loopback or not _is_loopback(each))
            ]
            if usable:
                resolver.nameservers = list(usable)
                return resolver
        raise NoRouteError("no name server can be reached by this way: set network.dns")


def _server(text: str) -> Any:
    import dns.nameserver

    from engine.core.compact import split_host_port

    if literal(text) is not None:
        return dns.nameserver.Do53Nameserver(text, _PORT)
    return dns.nameserver.Do53Nameserver(*split_host_port(text))


def literal(host: str) -> str | None:
    """A numeric address as it is usually written; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
