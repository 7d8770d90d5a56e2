"""Finding out where a name leads when only the relay of a proxy looks it up: ask whoever is there a
question by UDP, and see where the answer comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.core.compact import Endpoint
from engine.errors import NoRouteError
from engine.net.udp_endpoint import UdpEndpoint

WAITS_S = (2.0, 4.0, 8.0)
"""For an answer, before the question is repeated."""


async def find(
    udp: UdpEndpoint,
    host: str,
    port: int,
    question: bytes,
    is_answer: Callable[[memoryview], bool],
) -> Endpoint:
    """Return who answers at the name `host`. `is_answer` must not be fooled by a stranger's guess.
    Raises NoRouteError."""
    answered: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()

    def seek(datagram: memoryview, source: Endpoint) -> bool:
        if answered.done():
            return True
        if not is_answer(datagram):
            return False
        answered.set_result(source)
        return True

    udp.seekers.append(seek)
    try:
        for wait_s in WAITS_S:
            if not udp.send_to_name(question, host, port):
                break
            await asyncio.wait((answered,), timeout=wait_s)
            if answered.done():
                return answered.result()
    finally:
        answered.cancel()
        if seek in udp.seekers:
            udp.seekers.remove(seek)
    raise NoRouteError(f"nobody answers at {host} through the proxy")
