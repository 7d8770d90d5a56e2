"""Dialling a peer by TCP and by uTP: the better bet gets a head start, the first to connect wins.

Which way an address was reached by is remembered, so that a peer behind a router that lets only UDP
through is not waited for each time. The loser is closed before a byte was said on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from engine.core.compact import Endpoint
from engine.errors import PeerError
from engine.net.connection import Connection, Transport

HEAD_START_S = 0.4
SECOND_TIMEOUT_S = 2.5
"""For the second way when the first one failed: most peers that one cannot reach are not there."""
_MAX_REMEMBERED = 4096

Dial = Callable[[Endpoint, float], Awaitable[Connection]]
"""Connects within so many seconds, or raises PeerError."""


class DialRace:
    """Dials by all `ways` that there are; the first of them is the better bet with strangers."""

    def __init__(self, ways: Mapping[Transport, Dial]) -> None:
        self._ways = ways
        self._reached_by: dict[Endpoint, Transport] = {}

    async def dial(self, peer: Endpoint, timeout_s: float) -> Connection:
        """Connect. Raises PeerError: the way that had the head start says why."""
        waiting = list(self._ways)
        if (known := self._reached_by.get(peer)) in waiting:
            waiting.sort(key=lambda way: way is not known)
        running: set[asyncio.Task[Connection]] = set()
        failure: PeerError | None = None
        try:
            while waiting or running:
                if waiting:
                    within_s = timeout_s if failure is None else min(timeout_s, SECOND_TIMEOUT_S)
                    dialling = self._ways[waiting.pop(0)](peer, within_s)
                    running.add(asyncio.ensure_future(dialling))
                done, running = await asyncio.wait(
                    running,
                    timeout=HEAD_START_S if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                while done:
                    try:
                        connection = done.pop().result()
                    except PeerError as error:
                        failure = failure or error
                    else:
                        running |= done
                        self._remember(peer, connection.transport)
                        return connection
            raise failure or PeerError(f"{peer}: no way there")
        finally:
            await _call_off(running)

    def is_useless(self, peer: Endpoint, way: Transport) -> None:
        """A connection was made and led to nothing: next time the other way goes first."""
        for other in self._ways:
            if other is not way:
                self._remember(peer, other)

    def _remember(self, peer: Endpoint, way: Transport) -> None:
        if len(self._ways) < 2:
            return
        if len(self._reached_by) >= _MAX_REMEMBERED:
            del self._reached_by[next(iter(self._reached_by))]
        self._reached_by[peer] = way


async def _call_off(running: set[asyncio.Task[Connection]]) -> None:
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if not isinstance(result, BaseException):
            result.close()
