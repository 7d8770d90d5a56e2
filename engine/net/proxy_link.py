"""How it stands with the proxy: is it there, does it relay datagrams, and since when not.

While it is not there it is asked again, ever more seldom, and whoever wants to leave waits. A relay
lives as long as the connection that it was asked for on; when that ends it is asked for anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from engine.core.compact import Endpoint
from engine.errors import ProxyAuthError, ProxyError, ProxyRefusal
from engine.net.proxy import Proxy

log = logging.getLogger(__name__)

FIRST_AGAIN_S = 1.0
LAST_AGAIN_S = 60.0
RELAY_AGAIN_S = 300.0
"""To a proxy that relays no datagrams, until it is asked again."""
_IS_STEADY_S = 30.0
"""After being there so long, the proxy is asked again at once when it goes."""
_MOST_WORDS, _WORD_BYTES = 64, 256
"""Of a proxy that has nothing more to say, but may bid farewell."""


class ProxyLink:
    """One for a route. Loop thread only; `close` must be awaited if it was started."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.on_change: list[Callable[[], None]] = []
        """Called when `waiting` or `relay` is another."""
        self.waiting = ""
        """What must come before anything leaves; empty while it is there, or nobody looks."""
        self.relay: Endpoint | None = None
        """Where datagrams are to be sent now."""
        self.why_no_relay = "" if proxy.relays else "an HTTP proxy carries no datagrams"
        self._task: asyncio.Task[None] | None = None
        self._again_s = FIRST_AGAIN_S
        self._knock = asyncio.Event()

    def start(self) -> None:
        """Look after the proxy from now on."""
        if self._task is None:
            self.waiting = self._waiting_for("")
            self._task = asyncio.get_running_loop().create_task(self._look_after())

    async def close(self) -> None:
        """Let go of the relay, and look no more."""
        self.on_change.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def look_now(self) -> None:
        """The way to it may be another."""
        self._again_s = FIRST_AGAIN_S
        self._knock.set()

    def failed(self, error: ProxyError) -> None:
        """Somebody who wanted to leave through it could not."""
        if self._task is None or self.waiting:
            return
        if isinstance(error, ProxyAuthError) and not self.proxy.relays:
            # A look would not find it: this proxy says it only to who wants to leave.
            self._is_gone(error)
        self._knock.set()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    async def _look_after(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._knock.clear()
            try:
                await (self._with_relay() if self.proxy.relays else self._without_relay())
            except ProxyError as error:
                self._is_gone(error)
            if loop.time() - began >= _IS_STEADY_S:
                self._again_s = FIRST_AGAIN_S
            self._knock.clear()
            await self._knocked(self._again_s)
            self._again_s = min(2 * self._again_s, LAST_AGAIN_S)

    async def _without_relay(self) -> None:
        """Return when the proxy does not take us any more. Raises ProxyError."""
        await self._hold(None)

    async def _with_relay(self) -> None:
        """Return when the relay has ended, or is to be asked for again. Raises ProxyError."""
        try:
            sock, relay = await self.proxy.associate()
        except ProxyRefusal as refusal:
            self.why_no_relay = str(refusal)
            await self._hold(RELAY_AGAIN_S)
            return
        try:
            self.why_no_relay = ""
            self._is_there(relay)
            await self._mind(sock)
        finally:
            sock.close()
            self.relay = None
            self.why_no_relay = "the proxy ended its relay"
        self._tell()
        await self.proxy.probe()

    async def _hold(self, for_s: float | None) -> None:
        """Hold a connection to it, by whose end we hear of its own. Raises ProxyError."""
        sock = await self.proxy.hold()
        try:
            self._is_there(None)
            await self._mind(sock, for_s)
        finally:
            sock.close()
        if not self.waiting:
            await self.proxy.probe()

    async def _mind(self, sock: socket.socket, for_s: float | None = None) -> None:
        """Wait until `for_s` are over or the proxy hangs up on `sock`, and meanwhile look whenever
        somebody could not leave. Raises ProxyError."""
        ended = asyncio.ensure_future(_ended(asyncio.get_running_loop(), sock))
        try:
            async with asyncio.timeout(for_s):
                while not self.waiting:
                    knock = asyncio.ensure_future(self._knock.wait())
                    try:
                        await asyncio.wait((knock, ended), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        knock.cancel()
                    if ended.done():
                        return
                    self._knock.clear()
                    if not self.waiting:
                        await self.proxy.probe()
        except TimeoutError:
            return
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _knocked(self, for_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self._knock.wait()

    def _is_there(self, relay: Endpoint | None) -> None:
        if self.waiting:
            log.info("the proxy %s is there", self.proxy.address)
        self.waiting = ""
        self.relay = relay
        self._tell()

    def _is_gone(self, error: ProxyError) -> None:
        waiting = self._waiting_for(str(error))
        if waiting != self.waiting:
            log.warning("%s: nothing leaves before", waiting)
            self.waiting = waiting
            self._tell()

    def _waiting_for(self, why: str) -> str:
        what = f"waiting for the proxy {self.proxy.address.place}"
        return f"{what}: {why}" if why else what

    def _tell(self) -> None:
        for told in list(self.on_change):
            told()


async def _ended(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bool:
    """Wait until the other end hangs up. What it says before means nothing, and who does not stop
    saying it is hung up on: reading would never give the loop a turn."""
    with contextlib.suppress(OSError):
        for _ in range(_MOST_WORDS):
            if not await loop.sock_recv(sock, _WORD_BYTES):
                break
    return True
