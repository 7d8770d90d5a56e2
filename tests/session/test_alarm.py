from __future__ import annotations

import asyncio
import math

from engine.session.alarm import Alarm


async def test_it_rings_once_at_the_earliest_and_is_off_then() -> None:
    loop = asyncio.get_running_loop()
    rung: asyncio.Queue[tuple[float, float]] = asyncio.Queue()
    alarm = Alarm(loop, lambda now: rung.put_nowait((now, alarm.at)))
    began = loop.time()
    alarm.no_later_than(began + 60)
    alarm.no_later_than(began + 0.01)
    alarm.no_later_than(began + 30)
    async with asyncio.timeout(20):
        now, at = await rung.get()
    assert began + 0.01 <= now
    assert at == math.inf
    assert rung.empty()


async def test_it_is_put_off_and_turned_off() -> None:
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    off = Alarm(loop, lambda _: rung.set())
    off.set(loop.time())
    off.set(math.inf)
    later = asyncio.Event()
    put_off = Alarm(loop, lambda _: later.set())
    put_off.set(loop.time())
    put_off.set(loop.time() + 0.01)
    async with asyncio.timeout(20):
        await later.wait()
    assert not rung.is_set()
    assert off.at == math.inf
