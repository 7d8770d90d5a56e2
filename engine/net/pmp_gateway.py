"""Speaking PCP or NAT-PMP with a router, whichever it knows (RFC 6886, 6887)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TypeVar

from engine.discovery import port_mapping
from engine.discovery.port_mapping import GATEWAY_PORT, Mapped, MapRequest
from engine.errors import GatewayError
from engine.net.gateway import received
from engine.net.route import Route

_FIRST_WAIT_S = 0.25
_TRIES = 4
"""Each waits twice as long as the one before: four seconds in all."""

_T = TypeVar("_T")


class PmpGateway:
    """One router. Must be closed."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is connected to the router."""
        self._sock = sock
        self._client = str(sock.getsockname()[0])
        self._nonce = os.urandom(port_mapping.NONCE_BYTES)
        self._speaks_pcp = True
        self._external_host: str | None = None
        self._asking = asyncio.Lock()

    @classmethod
    def at(cls, host: str, route: Route, port: int = GATEWAY_PORT) -> PmpGateway:
        """Raises GatewayError: there is no way to it."""
        try:
            sock = route.datagram(socket.AF_INET)
            try:
                sock.connect((host, port))
                return cls(sock)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            raise GatewayError(f"{host}: {error.strerror or error}") from error

    @property
    def our_host(self) -> str:
        """The address by which the router reaches us."""
        return self._client

    @property
    def name(self) -> str:
        return "PCP" if self._speaks_pcp else "NAT-PMP"

    @property
    def external_host(self) -> str | None:
        return self._external_host

    async def map(self, request: MapRequest) -> Mapped:
        """Raises GatewayError: it does not answer, or not so."""
        async with self._asking:
            if self._speaks_pcp:
                mapped = await self._map_by_pcp(request)
                if mapped is not None:
                    return mapped
            if self._external_host is None and request.lifetime_s:
                self._external_host = await self._ask(
                    port_mapping.encode_pmp_address_request(), port_mapping.decode_pmp_address
                )
                self._speaks_pcp = False
            return await self._ask(
                port_mapping.encode_pmp(request),
                lambda data: port_mapping.decode_pmp(data, request),
            )

    async def _map_by_pcp(self, request: MapRequest) -> Mapped | None:
        """None: it may know NAT-PMP."""

        def decode(data: bytes) -> tuple[Mapped | None] | None:
            if port_mapping.speaks_pmp_only(data):
                return (None,)
            mapped = port_mapping.decode_pcp(data, request, nonce=self._nonce)
            return None if mapped is None else (mapped,)

        asked = port_mapping.encode_pcp(request, client=self._client, nonce=self._nonce)
        try:
            (mapped,) = await self._ask(asked, decode)
        except _SilentError:
            if self._external_host is not None:
                raise
            return None  # some that know NAT-PMP only say nothing to anything else
        if mapped is not None:
            self._external_host = mapped.external_host or self._external_host
        return mapped

    async def _ask(self, request: bytes, decode: Callable[[bytes], _T | None]) -> _T:
        """Ask until there is an answer that can be read. Raises GatewayError."""
        wait_s = _FIRST_WAIT_S
        try:
            for _ in range(_TRIES):
                self._sock.send(request)
                try:
                    async with asyncio.timeout(wait_s):
                        while True:
                            data, _ = await received(self._sock)
                            if (said := decode(data)) is not None:
                                return said
                except TimeoutError:
                    wait_s *= 2
        except OSError as error:
            raise _SilentError(error.strerror or str(error)) from error
        raise _SilentError("it does not answer")

    async def close(self) -> None:
        self._sock.close()


class _SilentError(GatewayError):
    """Nothing came back."""
