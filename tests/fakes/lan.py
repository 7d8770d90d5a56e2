"""Two machines in a network that only one test sees: namespaces, joined by a cable.

What is sent to the network by multicast reaches the other machine and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

INTERFACE = "lan0"
HAS_IPV6 = Path("/proc/net/if_inet6").exists()
_CLONE_NEWNET = 0x40000000
_READY_S = 20.0
_OVER_S = 100.0
_LOOK_AGAIN_S = 0.02


def address(number: int) -> str:
    """The address of machine 0 or 1."""
    return f"10.77.0.{number + 1}"


def address6(number: int) -> str:
    return f"fd77::{number + 1}"


class Flag:
    """Something that one machine tells the other, outside of their network."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Wait for it. Raises TimeoutError."""
        async with asyncio.timeout(_OVER_S):
            while not self._event.is_set():
                await asyncio.sleep(_LOOK_AGAIN_S)


Body = Callable[[], Coroutine[Any, Any, None]]


def run_on_lan(first: Body, second: Body) -> None:
    """Run a coroutine on each of two machines, each in a thread with a loop of its own; what it
    starts is on that machine. The second begins when both are joined, as does the first. Skips the
    test where namespaces are denied.
    """
    if shutil.which("ip") is None:
        pytest.skip("the command ip is not installed (apt install iproute2)")
    failures: list[BaseException] = []
    threads: dict[int, int] = {}
    entered, joined = threading.Barrier(2), threading.Barrier(2)

    def machine(number: int, body: Body) -> None:
        try:
            _enter()
            threads[number] = threading.get_native_id()
            entered.wait(_READY_S)
            if number == 0:
                ip(
                    *("link", "add", INTERFACE, "type", "veth"),
                    *("peer", "name", INTERFACE, "netns", str(threads[1])),
                )
            joined.wait(_READY_S)
            _configure(number)
            entered.wait(_READY_S)
            _until_connected()
            joined.wait(_READY_S)
            asyncio.run(body())
            entered.wait(_OVER_S)  # with its last thread a machine takes the cable away
        except BaseException as error:
            failures.append(error)
            entered.abort()
            joined.abort()

    both = [
        threading.Thread(target=machine, args=each, name=f"machine-{each[0]}")
        for each in enumerate((first, second))
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    # A barrier that broke is what the other machine's failure did to this one.
    real = [each for each in failures if not isinstance(each, threading.BrokenBarrierError)]
    for failure in [*real, *failures]:
        raise failure


def _enter() -> None:
    """Leave the machine's network: this thread alone, and whatever it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        pytest.skip(f"no network namespace of its own ({reason}): this needs root")
    with contextlib.suppress(OSError):  # else its IPv6 addresses are not usable for two seconds
        Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")


def ip(*arguments: str) -> str:
    """Run `ip` on the machine that calls it; returns what it says."""
    command = ["ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def _configure(number: int) -> None:
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{address(number)}/24", "dev", INTERFACE)
    if HAS_IPV6:
        ip("-6", "address", "add", f"{address6(number)}/64", "dev", INTERFACE, "nodad")
    ip("link", "set", INTERFACE, "up")


def _until_connected() -> None:
    """IPv6 is ready a moment after the cable is."""
    deadline = time.monotonic() + _READY_S
    while HAS_IPV6 and "ff00::/8" not in ip("-6", "route", "show", "table", "local"):
        assert time.monotonic() < deadline, "the network of the test is not ready"
        time.sleep(_LOOK_AGAIN_S)
