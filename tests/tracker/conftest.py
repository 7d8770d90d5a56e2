"""A tracker on loopback for each test that asks for one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from engine.core.compact import Endpoint
from engine.tracker.app import TrackerApp, TrackerSettings
from tests.tracker.asking import UdpAsker, VirtualClock

Starter = Callable[..., Awaitable[TrackerApp]]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def start(clock: VirtualClock) -> AsyncIterator[Starter]:
    """Start trackers with the given settings; loopback and any port unless said."""
    async with AsyncExitStack() as stack:

        async def starter(**changes: object) -> TrackerApp:
            settings = TrackerSettings(
                **{"http": "127.0.0.1:0", "udp": "127.0.0.1:0", **changes}  # type: ignore[arg-type]
            )
            app = TrackerApp(settings, clock=clock, rng=random.Random(3))
            return await stack.enter_async_context(app)

        yield starter


@pytest.fixture
def udp_asker() -> Iterator[Callable[[Endpoint], UdpAsker]]:
    made: list[UdpAsker] = []

    def make(at: Endpoint) -> UdpAsker:
        made.append(UdpAsker(at))
        return made[-1]

    yield make
    for asker in made:
        asker.close()
