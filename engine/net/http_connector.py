"""How aiohttp leaves: its sockets and look-ups of names are those of a route.

Through a proxy each connection is a tunnel of our own making, for http as for https: aiohttp knows
of no proxy, and gives names to it unseen.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from engine.net.proxied_route import ProxiedRoute
from engine.net.route import Route

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace


class _Names(AbstractResolver):
    """Names, as the route looks them up."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._route.look_up(host, port, socket.SOCK_STREAM)
        return [
            ResolveResult(
                hostname=host,
                host=str(address.sockaddr[0]),
                port=port,
                family=address.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
            if family in (socket.AF_UNSPEC, address.family)
        ]

    async def close(self) -> None:
        pass


class _TunnelConnector(aiohttp.BaseConnector):
    """Connects through the proxy of a route."""

    def __init__(self, route: ProxiedRoute, tls: ssl.SSLContext | None, **options: Any) -> None:
        super().__init__(**options)
        self._route = route
        self._tls = tls

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the argument is aiohttp's
    ) -> ResponseHandler:
        host, port = (req.url.raw_host or "").rstrip("."), req.port
        sock: socket.socket | None = None
        try:
            async with asyncio.timeout(timeout.sock_connect):
                sock = await self._route.connect_to_name(host, port or 0)
                tls = await self._context(req) if req.is_ssl() else None
                _, protocol = await self._loop.create_connection(
                    self._factory, sock=sock, ssl=tls, server_hostname=host if tls else None
                )
                return protocol
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
            if isinstance(error, ssl.SSLError):
                raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise aiohttp.ClientConnectorError(req.connection_key, error) from error
            raise

    async def _context(self, req: ClientRequest) -> ssl.SSLContext:
        if isinstance(req.ssl, ssl.SSLContext):
            return req.ssl
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls


def connector(
    route: Route,
    *,
    tls: ssl.SSLContext | None = None,
    name_cache_s: int | None = None,
    **options: Any,
) -> aiohttp.BaseConnector:
    """Make a connector. `tls` replaces the system's certificates, names are remembered for
    `name_cache_s`; `options` are those of aiohttp's BaseConnector."""
    if isinstance(route, ProxiedRoute):
        return _TunnelConnector(route, tls, **options)
    if name_cache_s is not None:
        options["ttl_dns_cache"] = name_cache_s
    return aiohttp.TCPConnector(
        resolver=_Names(route),
        socket_factory=lambda address: route.stream(address[0]),
        ssl=True if tls is None else tls,
        **options,
    )
