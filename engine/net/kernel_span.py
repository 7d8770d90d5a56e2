"""Bytes in a queue of what is to be sent which the kernel sends by itself, without a copy."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

_CANNOT = frozenset([errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
"""What a file system answers that does not let the kernel do this."""
_CHUNK_BYTES = 128 * 1024


class KernelSpan(Protocol):
    """Behaves as the memoryview of those bytes as far as a queue asks: it has a length, and its
    front can be cut off."""

    def __len__(self) -> int: ...

    def __getitem__(self, rest: slice) -> KernelSpan: ...

    def send_to(self, sock: socket.socket) -> int:
        """Hand as much as it takes to a socket that does not block; returns how many bytes, 0 if
        there are none of them any more. Raises OSError, of the socket or of where they are."""

    def lost(self) -> None:
        """Called when they turn out to be gone, or cannot be read."""


class FileSpan:
    """A KernelSpan of an open file; `lost` is called if that turns out to end before it."""

    __slots__ = ("_at", "_fd", "_length", "_lost")

    def __init__(self, fd: int, at: int, length: int, lost: Callable[[], None]) -> None:
        self._fd = fd
        self._at = at
        self._length = length
        self._lost = lost

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rest: slice) -> FileSpan:
        start: int = rest.start
        return FileSpan(self._fd, self._at + start, self._length - start, self._lost)

    def send_to(self, sock: socket.socket) -> int:
        """See KernelSpan. What is wrong with the file raises OSError too."""
        try:
            return os.sendfile(sock.fileno(), self._fd, self._at, self._length)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        return sock.send(os.pread(self._fd, min(self._length, _CHUNK_BYTES), self._at))

    def lost(self) -> None:
        self._lost()
