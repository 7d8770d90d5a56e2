"""The event loop: uvloop where it is installed, the standard one elsewhere."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_GC_THRESHOLD = 20_000


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make the fastest loop there is here."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a new loop, as asyncio.run does."""
    # Nearly all dies by its reference count. What is imported stays for good, and a long torrent
    # or list being read is no garbage, which looking for cycles every 700 objects supposes.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
