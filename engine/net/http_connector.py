"""How aiohttp leaves: its sockets and look-ups of names are those of a route.

Through a proxy each connection is a tunnel of our own making, for http as for https: aiohttp knows
of no proxy, and gives names to it unseen.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from engine.net.proxied_route import ProxiedRoute
from engine.net.route import Route

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

_MAX_HEADS = 16
"""Of an answer: its own, and those of `100 Continue` and the like that may come before it."""
_PARSED_BYTES = 4096
"""At a time. A head is 25 bytes for a server and 0.1 ms for us."""


class _Answer(ResponseHandler):
    """Hangs up on a server that never comes to the point: aiohttp would listen for ever, and parse
    as many heads as fit into a read before anything else has its turn."""

    _heads = 0

    def set_response_params(self, **params: Any) -> None:
        self._heads = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), _PARSED_BYTES):
            super().data_received(data[at : at + _PARSED_BYTES])
            if self._heads > _MAX_HEADS:
                if self.transport is not None:
                    self.transport.close()
                self.set_exception(HttpProcessingError(message="a head follows the other"))
                return

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._heads += 1
        super().feed_data(data, size)


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
    made = _connector(route, tls, name_cache_s, options)
    made._factory = functools.partial(_Answer, loop=made._loop)  # type: ignore[assignment]
    return made


def _connector(
    route: Route, tls: ssl.SSLContext | None, name_cache_s: int | None, options: dict[str, Any]
) -> aiohttp.BaseConnector:
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
