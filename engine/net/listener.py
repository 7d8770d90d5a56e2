"""Accepting peers: listening TCP sockets on IPv4 and IPv6, of one port where it can be had."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

from engine.core.compact import Endpoint, endpoint
from engine.errors import InputError

_BACKLOG = 512
_ACCEPTS_PER_TURN = 32
_ANY = ("", "0.0.0.0", "*")
_OUT_OF_DESCRIPTORS_PAUSE_S = 1.0


class Listener:
    """Listens until closed; each accepted socket goes to `accepted`, non-blocking."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: Callable[[socket.socket], None]
    ) -> None:
        self._loop = loop
        self._accepted = accepted
        self._sockets: list[socket.socket] = []
        self._port = 0

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint(*sock.getsockname()[:2]) for sock in self._sockets]

    @property
    def port(self) -> int:
        """The port to announce; 0 before the first `open`. A closed listener still has one: the
        last announce names the peer by it."""
        return self._port

    def open(self, host: str, port: int) -> None:
        """Listen on `host`:`port`; an empty host or 0.0.0.0 means every address of both families,
        port 0 any free one. Raises InputError."""
        if host in _ANY:
            first = self._bind(socket.AF_INET, "0.0.0.0", port)
            self._sockets = [first]
            # A machine without IPv6, or with the port taken there, still listens on IPv4.
            with contextlib.suppress(InputError):
                self._sockets.append(self._bind(socket.AF_INET6, "::", first.getsockname()[1]))
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._sockets = [self._bind(family, host, port)]
        self._port = int(self._sockets[0].getsockname()[1])
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def _bind(self, family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise InputError(f"cannot listen on {host}: {error.strerror}") from error
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise InputError(
                f"cannot listen on {host} port {port}: {error.strerror or error}"
            ) from error
        return sock

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
            self._accepted(accepted)

    def _listen_again(self, sock: socket.socket) -> None:
        if sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets = []
