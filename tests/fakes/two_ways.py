"""A machine with two ways to another one: a tunnel that comes and goes, and a plain one.

The far machine is at FAR, which both ways lead to; the plain one is what the system prefers.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from engine.net.route import Route
from tests.fakes.lan import INTERFACE as PLAIN
from tests.fakes.lan import Flag, address, ip, run_on_lan

TUNNEL = "tun0"
FAR = "10.99.0.1"
_FAR_END = "10.88.0.200"
_FAR_TUNNEL = "tun0far"
_PATIENCE_S = 20.0

__all__ = ["FAR", "PLAIN", "TUNNEL", "Changes", "Tunnel", "run_with_two_ways"]


class Tunnel:
    """The tunnel, as the near machine makes it. Not there at first."""

    def __init__(self) -> None:
        self._far_thread = 0
        self.is_ready = Flag()
        """The far machine serves."""
        self.is_over = Flag()
        """It need not any more."""

    def up(self, number: int) -> str:
        """Make it, with the given address at our end; returns that address."""
        ours = f"10.88.0.{number}"
        ip(
            *("link", "add", TUNNEL, "type", "veth"),
            *("peer", "name", _FAR_TUNNEL, "netns", str(self._far_thread)),
        )
        self._on_far("address", "add", f"{_FAR_END}/24", "dev", _FAR_TUNNEL)
        self._on_far("link", "set", _FAR_TUNNEL, "up")
        ip("address", "add", f"{ours}/24", "dev", TUNNEL)
        ip("link", "set", TUNNEL, "up")
        self.lead()
        return ours

    def lead(self) -> None:
        """Tell the system that the far machine can be had through it, too."""
        ip("route", "add", f"{FAR}/32", "via", _FAR_END, "dev", TUNNEL, "metric", "500")

    def down(self) -> None:
        ip("link", "del", TUNNEL)

    def _on_far(self, *arguments: str) -> None:
        namespace = f"--net=/proc/{os.getpid()}/task/{self._far_thread}/ns/net"
        command = ["nsenter", namespace, "ip", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=10)

    def far_machine(self) -> None:
        """Called on the far machine, before anything else there."""
        self._far_thread = threading.get_native_id()
        ip("address", "add", f"{FAR}/32", "dev", "lo")


class Changes:
    """How often a route told of another way."""

    def __init__(self, route: Route) -> None:
        self._told = asyncio.Event()
        route.on_change.append(lambda _: self._told.set())

    async def one(self) -> None:
        """Wait for the next one. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S):
            await self._told.wait()
        self._told.clear()


Body = Callable[[Tunnel], Coroutine[Any, Any, None]]


def run_with_two_ways(near: Body, far: Body) -> None:
    """Run a coroutine on each machine; the near one begins when the far one is_ready."""
    tunnel = Tunnel()

    async def on_near() -> None:
        await tunnel.is_ready.wait()
        ip("route", "add", f"{FAR}/32", "via", address(1), "dev", PLAIN)
        try:
            await near(tunnel)
        finally:
            tunnel.is_over.set()

    async def on_far() -> None:
        tunnel.far_machine()
        await far(tunnel)

    run_on_lan(on_near, on_far)
