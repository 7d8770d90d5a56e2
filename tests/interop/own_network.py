"""A network that only one test sees, with addresses that no client takes for loopback.

Transmission refuses peers in 127/8 that a tracker names. In a network namespace of its own a test
gives each client an address of 198.18.0.0/15, which is reserved for such benchmarks (RFC 2544), and
nothing of the product has to look away.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Coroutine

import pytest

_CLONE_NEWNET = 0x40000000


def address(number: int) -> str:
    """The address of the n-th host, 1 to 250."""
    return f"198.18.0.{number}"


def run_in_own_network(test: Callable[[], Coroutine[None, None, None]], *, hosts: int) -> None:
    """Run a coroutine in a thread with a network of its own; skips the test where that is denied.

    Sockets, threads and programs that the coroutine makes are in that network, in which the hosts
    `address(1)` to `address(hosts)` and 127.0.0.1 are all on one machine.
    """
    if shutil.which("ip") is None:
        pytest.skip("the command ip is not installed (apt install iproute2)")
    failures: list[BaseException] = []

    def body() -> None:
        try:
            _enter()
            _configure(hosts)
            asyncio.run(test())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=body, name="own-network")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _enter() -> None:
    """Leave the machine's network: this thread alone, and whatever it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        pytest.skip(f"no network namespace of its own ({reason}): this leg needs root")


def _configure(hosts: int) -> None:
    commands = [["link", "set", "lo", "up"]]
    commands += [["address", "add", f"{address(n)}/32", "dev", "lo"] for n in range(1, hosts + 1)]
    for command in commands:
        subprocess.run(["ip", *command], check=True, capture_output=True, timeout=10)
