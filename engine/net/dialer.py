"""Dialling peers: TCP connections from the right local address, with a time-out."""

from __future__ import annotations

import asyncio
import os
import socket

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError

CONNECT_TIMEOUT_S = 10.0


class Dialer:
    """Opens sockets to peers. With a `local_host` it uses that address or none: it fails closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, local_host: str | None = None) -> None:
        self._loop = loop
        self._local_host = local_host

    def can_reach(self, peer: Endpoint) -> bool:
        """False if the local address we are held to is of the other family."""
        return self._local_host is None or (":" in self._local_host) == peer.is_ipv6

    async def dial(self, peer: Endpoint, timeout_s: float = CONNECT_TIMEOUT_S) -> socket.socket:
        """Connect. Raises PeerError; the socket returned is non-blocking and the caller's."""
        if not self.can_reach(peer):
            raise PeerError(f"{peer}: not reachable from {self._local_host}")
        family = socket.AF_INET6 if peer.is_ipv6 else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise PeerError(f"{peer}: {error.strerror}") from error
        try:
            sock.setblocking(False)
            if self._local_host is not None:
                sock.bind((self._local_host, 0))
            async with asyncio.timeout(timeout_s):
                await self._loop.sock_connect(sock, (peer.host, peer.port))
        except TimeoutError as error:
            sock.close()
            raise PeerTimeoutError(f"{peer}: no connection within {timeout_s:.0f} s") from error
        except OSError as error:
            sock.close()
            # asyncio puts its own words in place of the system's.
            why = os.strerror(error.errno) if error.errno else str(error)
            raise PeerError(f"{peer}: {why}") from error
        except BaseException:
            sock.close()
            raise
        return sock
