"""Speaking with a proxy: connections through it to others, and having it relay datagrams.

Whose fault a failure is matters: of ProxyError all suffer, of ProxyRefusal one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from engine.core.compact import Endpoint
from engine.core.proxy_address import ProxyAddress, Scheme
from engine.core.scope import is_unicast, scope_of
from engine.errors import NoRouteError, ProxyError, ProxyRefusal
from engine.net import http_tunnel, socks5
from engine.net.proxy_steps import Script, Step

CONNECT_TIMEOUT_S = 8.0
"""Until the proxy itself is connected to, and takes us; less than dialling a peer is given."""
ANSWER_TIMEOUT_S = 60.0
"""Whoever waits for a connection through it has a time-out of his own, mostly shorter."""
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A proxy that vanished without a word is noticed after a minute."""

Reach = Callable[[str, int], Awaitable[socket.socket]]
"""Connects to a host, which may be a name, by the way that is forced. Raises OSError."""

T = TypeVar("T")


class Proxy:
    """One proxy. `reach` connects to it and to nobody else."""

    def __init__(self, address: ProxyAddress, reach: Reach) -> None:
        self.address = address
        self._reach = reach

    @property
    def relays(self) -> bool:
        """True if its protocol has datagrams."""
        return self.address.scheme is Scheme.SOCKS5

    async def open(self, host: str, port: int) -> socket.socket:
        """Connect to `host`, a name or a numeric address, through it. Raises ProxyError,
        ProxyRefusal; the socket is the caller's."""
        script = (
            socks5.connect(host, port)
            if self.relays
            else http_tunnel.connect(self.address, host, port)
        )
        sock = await self._greeted()
        await _asked(script, sock)
        return sock

    async def probe(self) -> None:
        """See whether it is there and takes us, as far as that can be told without a target.
        Raises ProxyError."""
        (await self.hold()).close()

    async def hold(self) -> socket.socket:
        """As `probe`; the connection stays open, and ends when the proxy does or likes to."""
        sock = await self._greeted()
        _keep_alive(sock)
        return sock

    async def associate(self) -> tuple[socket.socket, Endpoint]:
        """Have it relay datagrams, as long as the socket that is returned lives; they go to the
        endpoint beside it. Raises ProxyError, and ProxyRefusal from one that does not relay."""
        sock = await self._greeted()
        try:
            told = await _asked(socks5.associate(), sock)
            if told is None:
                raise ProxyRefusal("the proxy does not say where its relay is")
            _keep_alive(sock)
            return sock, _from_here(told, str(sock.getpeername()[0]))
        except ProxyRefusal as refusal:
            sock.close()
            if refusal.status == socks5.NOT_SUPPORTED:
                raise ProxyRefusal("the proxy relays no datagrams") from refusal
            raise
        except OSError as error:
            sock.close()
            # It took us a moment ago; what it does not know it may just hang up on.
            raise ProxyRefusal(f"the proxy relays no datagrams: {_own_fault(error)}") from error

    async def _greeted(self) -> socket.socket:
        """Connect to it, and say who we are where that comes before what we want."""
        sock = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                sock = await self._reach(self.address.host, self.address.port)
                if self.relays:
                    await follow(socks5.greet(self.address), sock)
                return sock
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, TimeoutError):
                raise ProxyError(f"no answer within {CONNECT_TIMEOUT_S:.0f} s") from None
            if isinstance(error, OSError | UnicodeError):
                raise _own_fault(error) from error
            raise


async def _asked(script: Script[T], sock: socket.socket) -> T:
    """Play a script; without its end the socket is closed. Raises ProxyError, ProxyRefusal."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await follow(script, sock)
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise ProxyError(f"no answer within {ANSWER_TIMEOUT_S:.0f} s") from None
        if isinstance(error, OSError) and not isinstance(error, NoRouteError):
            raise _own_fault(error) from error
        raise


def _keep_alive(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _own_fault(error: OSError | UnicodeError) -> ProxyError:
    if isinstance(error, ProxyError):
        return error
    if not isinstance(error, OSError):
        return ProxyError("its name is none")
    # asyncio puts its own words in place of the system's; below zero: of the look-up of names.
    code = error.errno or 0
    return ProxyError(os.strerror(code) if code > 0 else error.strerror or str(error))


def _from_here(told: Endpoint, proxy_host: str) -> Endpoint:
    """Where the relay is for us. A proxy that does not know its address, or knows the one that it
    has in a network of its own, means the one that we reached it at; and none has us send to a
    group, or to machines of our network that it cannot know."""
    reached = scope_of(proxy_host.partition("%")[0])
    if is_unicast(told.host) and scope_of(told.host) >= reached:
        return told
    return told._replace(host=proxy_host)


async def follow(script: Script[T], sock: socket.socket) -> T:
    """Play a script on a connected socket. Raises what the script raises, and OSError."""
    loop = asyncio.get_running_loop()
    try:
        step = next(script)
        while True:
            if step.says:
                await loop.sock_sendall(sock, step.says)
            answer = await (_until if step.until else _exactly)(loop, sock, step)
            step = script.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        script.close()


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, step: Step) -> bytes:
    received = b""
    while len(received) < step.wants:
        more = await loop.sock_recv(sock, step.wants - len(received))
        if not more:
            raise ProxyError("it hung up")
        received += more
    return received


async def _until(loop: asyncio.AbstractEventLoop, sock: socket.socket, step: Step) -> bytes:
    """Take the answer and nothing behind it: that belongs to the far end."""
    received = b""
    while True:
        seen = await _peek(loop, sock, step.most)
        if not seen:
            raise ProxyError("it hung up")
        before = len(received)
        at = (received + seen).find(step.until)
        taken = len(seen) if at < 0 else at + len(step.until) - before
        received += sock.recv(taken)
        if at >= 0:
            return received
        if len(received) >= step.most:
            raise ProxyError("its answer has no end")


async def _peek(loop: asyncio.AbstractEventLoop, sock: socket.socket, most: int) -> bytes:
    while True:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            return sock.recv(most, socket.MSG_PEEK)
        ready = asyncio.Event()
        loop.add_reader(sock.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sock.fileno())
