"""Names of bootstrap nodes: looked up late, not too often, and harmless when they lead nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from engine.core.compact import Endpoint
from engine.net.route import Route
from engine.session import dht_bootstrap
from engine.session.dht_bootstrap import Bootstrap, by_route

NOWHERE = ("..:1", "not even a port", "127.0.0.1:0")


class Asking:
    """A Bootstrap, and its tasks."""

    def __init__(self, *names: str) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.found = 0
        self.bootstrap = Bootstrap(
            asyncio.get_running_loop(), by_route(Route()), names, self._spawn, self._on_found
        )

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.ensure_future(coroutine))
        return self.tasks[-1]

    def _on_found(self) -> None:
        self.found += 1

    async def need(self) -> None:
        self.bootstrap.need()
        await asyncio.gather(*self.tasks)


async def test_nothing_is_looked_up_before_it_is_needed() -> None:
    asking = Asking("localhost:6881")
    assert asking.bootstrap.endpoints == ()
    await asking.need()
    assert Endpoint("127.0.0.1", 6881) in asking.bootstrap.endpoints
    assert asking.found == 1


async def test_names_that_lead_nowhere_cost_nothing() -> None:
    asking = Asking(*NOWHERE)
    await asking.need()
    assert asking.bootstrap.endpoints == ()


async def test_it_is_not_asked_again_at_once(monkeypatch: Any) -> None:
    asking = Asking("localhost:1")
    for _ in range(3):
        await asking.need()
    assert len(asking.tasks) == 1
    monkeypatch.setattr(dht_bootstrap, "FIRST_AGAIN_S", -1.0)
    other = Asking("localhost:1")
    other.bootstrap.joined()
    await other.need()
    await other.need()
    assert len(other.tasks) == 2


async def test_without_names_nothing_is_done() -> None:
    asking = Asking()
    await asking.need()
    assert not asking.tasks


async def test_what_the_user_names_comes_first() -> None:
    asking = Asking("localhost:1")
    await asking.need()
    asking.bootstrap.add(Endpoint("127.0.0.9", 2))
    assert asking.bootstrap.endpoints[0] == Endpoint("127.0.0.9", 2)
