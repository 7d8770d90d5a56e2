"""A router that sessions find on loopback."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from engine.core.scope import Scope
from engine.net import port_mapper
from engine.net.gateway import Gateway
from engine.net.pmp_gateway import PmpGateway
from engine.net.route import Route
from engine.session import reaching
from tests.fakes.router import PmpRouter


@pytest.fixture
async def router(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PmpRouter, None]:
    """One that a session finds, though it is on loopback."""
    made = await PmpRouter().start()

    async def routers(route: Route) -> AsyncGenerator[Gateway, None]:
        yield PmpGateway.at("127.0.0.1", route, made.port)

    def init(self: port_mapper.PortMapper, *arguments: object) -> None:
        real(self, *arguments, gateways=routers)  # type: ignore[arg-type]

    real = port_mapper.PortMapper.__init__
    monkeypatch.setattr(port_mapper.PortMapper, "__init__", init)
    monkeypatch.setattr(reaching, "scope_of", lambda _: Scope.SITE)
    yield made
    made.stop()
