"""Accepting peers: listening TCP sockets on IPv4 and IPv6, of one port where it can be had."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from engine.core.compact import Endpoint, endpoint
from engine.net.route import Route

_ACCEPTS_PER_TURN = 32
_OUT_OF_DESCRIPTORS_PAUSE_S = 1.0


class Listener:
    """Listens until closed; each accepted socket goes to `accepted`, non-blocking."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        accepted: Callable[[socket.socket], None],
        route: Route,
    ) -> None:
        self._loop = loop
        self._route = route
        self._accepted = accepted
        self._sockets: list[socket.socket] = []
        self._port = 0
        self.endpoints: list[Endpoint] = []
        """Where it listens now; asked for each address that anybody tells us of."""

    @property
    def port(self) -> int:
        """The port to announce; 0 before the first `open`. A closed listener still has one: the
        last announce names the peer by it."""
        return self._port

    def open(self, port: int) -> None:
        """Listen on `port` wherever the route lets us be reached, and nowhere else any more; 0 is
        any free one. Raises InputError, and then nothing changed."""
        sockets = self._route.listening(port)
        self.close()
        self._sockets = sockets
        self.endpoints = [endpoint(*sock.getsockname()[:2]) for sock in sockets]
        self._port = self.endpoints[0].port
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def _on_readable(self, sock: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                accepted, _address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # Without a pause the loop would spin on the connection it cannot take.
                    self._loop.remove_reader(sock.fileno())
                    self._loop.call_later(_OUT_OF_DESCRIPTORS_PAUSE_S, self._listen_again, sock)
                return
            accepted.setblocking(False)
            self._route.accepted(accepted)
            self._accepted(accepted)

    def _listen_again(self, sock: socket.socket) -> None:
        if sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets = []
        self.endpoints = []
