"""Every test gives back what it took: tasks, threads and file descriptors; a pytest plugin.

An async test also fails on what its event loop could only log: an exception that no one awaited, a
task destroyed while pending.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.net.loop import new_event_loop

GRACE_S = 10.0
"""How long a thread may take to end, and a transport to close, after the test is over."""

new_event_loop().close()  # the first one opens a pipe that the whole process keeps
DESCRIPTORS = Path("/proc/self/fd")

T = TypeVar("T")


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _descriptors() -> set[tuple[int, str]]:
    """Open descriptors and what they lead to; empty where the system does not tell."""
    found = set()
    if DESCRIPTORS.exists():
        for name in os.listdir(DESCRIPTORS):
            try:
                found.add((int(name), os.readlink(DESCRIPTORS / name)))
            except FileNotFoundError:  # the descriptor that listed them
                continue
    return found


def _left(now: Callable[[], set[T]], before: set[T]) -> set[T]:
    deadline = time.monotonic() + GRACE_S
    while (left := now() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return left


@pytest.fixture(autouse=True)
def no_thread_or_descriptor_left() -> Iterator[None]:
    """The outermost fixture of a test: the event loop was closed before this looks."""
    threads, descriptors = _threads(), _descriptors()
    yield
    left = [thread.name for thread in _left(_threads, threads)]
    assert not left, f"threads left behind: {left}"
    opened = sorted(_left(_descriptors, descriptors))
    assert not opened, f"descriptors left behind: {opened}"


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """The outermost fixture on the event loop of an async test."""
    loop = asyncio.get_running_loop()
    unhandled: list[str] = []

    def remember(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        unhandled.append(f"{context['message']}: {error!r}" if error else context["message"])

    loop.set_exception_handler(remember)
    yield
    for _ in range(3):
        await asyncio.sleep(0)  # transports that were closed let go of their sockets
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=GRACE_S)
    left = [f"{task.get_name()} ({task.get_coro()})" for task in tasks]
    del tasks
    gc.collect(1)  # an exception that was not awaited is reported when its future dies
    assert not left, f"tasks left behind: {left}"
    assert not unhandled, f"the event loop had to log: {unhandled}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the checks around all other fixtures; `no_task_left` only where a test is async, since it
    brings an event loop along."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        checks = [no_thread_or_descriptor_left.__name__]
        inner = getattr(getattr(item.obj, "hypothesis", None), "inner_test", item.obj)
        if inspect.iscoroutinefunction(inner):
            checks.append(no_task_left.__name__)
        others = [name for name in item.fixturenames if name not in checks]
        item.fixturenames[:] = checks + others
