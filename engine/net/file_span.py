"""Bytes of an open file in a queue of what is to be sent: the kernel sends them by itself."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

_CANNOT = frozenset([errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
"""What a file system answers that does not let the kernel do this."""
_CHUNK_BYTES = 128 * 1024


class FileSpan:
    """Behaves as the memoryview of those bytes as far as a queue asks: it has a length, and its
    front can be cut off. `lost` is called if the file turns out to end before them."""

    __slots__ = ("_at", "_fd", "_length", "lost")

    def __init__(self, fd: int, at: int, length: int, lost: Callable[[], None]) -> None:
        self._fd = fd
        self._at = at
        self._length = length
        self.lost = lost

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rest: slice) -> FileSpan:
        start: int = rest.start
        return FileSpan(self._fd, self._at + start, self._length - start, self.lost)

    def send_to(self, sock: socket.socket) -> int:
        """Hand as much as it takes to a socket that does not block; returns how many bytes, 0 if
        the file has none of them. Raises OSError, of the socket or, as EIO, of the file."""
        try:
            return os.sendfile(sock.fileno(), self._fd, self._at, self._length)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        return sock.send(os.pread(self._fd, min(self._length, _CHUNK_BYTES), self._at))
