"""Having the router lead our port to us: asked for in the background, renewed, given back.

PCP or NAT-PMP first, since that is one datagram; else UPnP. Nothing waits for it, and what a router
cannot do costs nothing but being reachable.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from engine.core.scope import is_local
from engine.discovery.port_mapping import Carrier, Mapped, MapRequest
from engine.errors import GatewayError
from engine.net import upnp_gateway
from engine.net.gateway import Gateway, default_gateway
from engine.net.pmp_gateway import PmpGateway
from engine.net.route import Route
from engine.net.upnp_gateway import UpnpGateway

log = logging.getLogger(__name__)

LIFETIME_S = 3600
_MOST_S = 900.0
"""A router that was switched off and on has forgotten us for no longer than this."""
_LEAST_S = 30.0
_RETRY_S = 600.0
STOP_TIMEOUT_S = 2.0

Gateways = Callable[[Route], AsyncGenerator[Gateway, None]]
"""Finds routers, the likeliest first; raises GatewayError where none is."""


class MappingState(enum.StrEnum):
    OFF = "off"
    LOOKING = "looking"
    MAPPED = "mapped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Mapping:
    """How it stands."""

    state: MappingState = MappingState.OFF
    protocol: str = ""
    """What the router speaks."""
    external_host: str | None = None
    """The router's own address, as it says."""
    external_port: int = 0
    """Where TCP is led to us from; 0 = nowhere."""
    error: str = ""

    def __str__(self) -> str:
        match self.state:
            case MappingState.OFF:
                return ""
            case MappingState.LOOKING:
                return "looking for the router"
            case MappingState.MAPPED:
                return f"port {self.external_port} by {self.protocol}"
            case MappingState.FAILED:
                return f"none: {self.error}"


async def routers(route: Route) -> AsyncGenerator[Gateway, None]:
    """Find those of this machine's networks."""
    host = default_gateway(route.interface)
    gateway = None
    if host is not None:
        with contextlib.suppress(GatewayError):
            gateway = PmpGateway.at(host, route)
    if gateway is not None:
        if not is_local(gateway.our_host):
            await gateway.close()
            raise GatewayError("this machine has a public address and needs none")
        yield gateway
    for url in await upnp_gateway.find(route):
        described = None
        with contextlib.suppress(GatewayError):
            described = await UpnpGateway.at(url, route)
        if described is not None:
            yield described


class PortMapper:
    """Keeps the port of one engine mapped, for TCP and UDP."""

    def __init__(
        self,
        route: Route,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        port: Callable[[], int],
        *,
        gateways: Gateways = routers,
    ) -> None:
        """`port` is the one that we listen on now."""
        self.mapping = Mapping()
        self.on_change: list[Callable[[], None]] = []
        """Called with each change of `mapping`."""
        self._route = route
        self._spawn = spawn
        self._port = port
        self._gateways = gateways
        self._gateway: Gateway | None = None
        self._mapped: dict[Carrier, Mapped] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = self._spawn(self._run())

    def look_again(self) -> None:
        """The way to the router is another one now: look for it anew."""
        if self._task is not None:
            self._task.cancel()
            self._mapped.clear()
            self._task = self._spawn(self._run(self._forget_gateway))

    def port_changed(self) -> None:
        """We listen on another port now: have that one mapped in place of the one before."""
        if self._task is not None:
            self._task.cancel()
            self._tell(Mapping(MappingState.LOOKING))
            self._task = self._spawn(self._run())

    async def stop(self) -> None:
        """Give back what was mapped, within a bounded time."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._give_back()
        await self._forget_gateway()
        self._tell(Mapping())

    async def _run(self, first: Callable[[], Awaitable[None]] | None = None) -> None:
        if first is not None:
            await first()
        while True:
            try:
                wait_s = await self._map()
            except GatewayError as error:
                log.info("no port is mapped: %s", error)
                self._mapped.clear()
                await self._forget_gateway()
                self._tell(Mapping(MappingState.FAILED, error=str(error)))
                wait_s = _RETRY_S
            await asyncio.sleep(wait_s)

    async def _map(self) -> float:
        """Map or renew; returns seconds until the next time. Raises GatewayError."""
        if self._gateway is not None:
            with contextlib.suppress(GatewayError):
                return await self._map_by(self._gateway)
            self._mapped.clear()
            await self._forget_gateway()
        self._tell(Mapping(MappingState.LOOKING))
        why = GatewayError("no router answers")
        async with contextlib.aclosing(self._gateways(self._route)) as found:
            async for gateway in found:
                self._gateway = gateway
                try:
                    return await self._map_by(gateway)
                except GatewayError as error:
                    why = GatewayError(f"{gateway.name}: {error}")
                    with contextlib.suppress(GatewayError):
                        await self._give_back()
                    self._mapped.clear()
                    await self._forget_gateway()
        raise why

    async def _map_by(self, gateway: Gateway) -> float:
        port = self._port()
        if any(mapped.internal_port != port for mapped in self._mapped.values()):
            with contextlib.suppress(GatewayError):
                await self._give_back()
        wished = port
        for carrier in Carrier:
            if carrier in self._mapped:
                wished = self._mapped[carrier].external_port
            mapped = await gateway.map(MapRequest(carrier, port, wished, LIFETIME_S))
            self._mapped[carrier] = mapped
            wished = mapped.external_port
        tcp = self._mapped[Carrier.TCP]
        self._tell(
            Mapping(MappingState.MAPPED, gateway.name, gateway.external_host, tcp.external_port)
        )
        shortest = min(mapped.lifetime_s for mapped in self._mapped.values())
        return max(_LEAST_S, min(_MOST_S, shortest / 2))

    async def _give_back(self) -> None:
        while self._mapped and self._gateway is not None:
            carrier, mapped = self._mapped.popitem()
            taken = MapRequest(carrier, mapped.internal_port, mapped.external_port, 0)
            await self._gateway.map(taken)

    async def _forget_gateway(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.close()

    def _tell(self, mapping: Mapping) -> None:
        if mapping == self.mapping:
            return
        self.mapping = mapping
        if mapping.state is MappingState.MAPPED:
            log.info(
                "port %d of %s is mapped to us by %s",
                *(mapping.external_port, mapping.external_host or "the router", mapping.protocol),
            )
        for listener in self.on_change:
            listener()
