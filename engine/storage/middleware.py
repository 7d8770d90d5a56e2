"""Backends that wrap another one and make it slow, failing or full, for tests and for diagnosis.

They stack: `Slow(Full(TorrentFiles(…), 1 << 20), delay_s=0.01)`. Everything that a wrapper does not
spoil goes through unchanged.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Collection, Sequence

from engine.errors import StorageError
from engine.storage.backend import Backend, LentRange, WritableView
from engine.storage.file_stamps import FileStamps


class Middleware:
    """Implements Backend by passing everything on."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def prepare(self) -> None:
        self.inner.prepare()

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        self.inner.write(offset, views)

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        self.inner.read_into(offset, views)

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        return self.inner.read_into_nowait(offset, views)

    def lend_nowait(self, offset: int, length: int) -> LentRange | None:
        """Nothing: what the kernel sends by itself passes us by."""
        return None

    def will_need(self, offset: int, length: int) -> None:
        self.inner.will_need(offset, length)

    def next_data(self, offset: int, end: int) -> int:
        return self.inner.next_data(offset, end)

    def stamps(self, *, strict: bool = False) -> FileStamps:
        return self.inner.stamps(strict=strict)

    def delete(self) -> None:
        self.inner.delete()

    def flush(self) -> None:
        self.inner.flush()

    def close(self) -> None:
        self.inner.close()


class Slow(Middleware):
    """A disk that takes `delay_s` for every read and write, and has nothing in its cache."""

    def __init__(self, inner: Backend, delay_s: float) -> None:
        super().__init__(inner)
        self.delay_s = delay_s

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        time.sleep(self.delay_s)
        super().write(offset, views)

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        time.sleep(self.delay_s)
        super().read_into(offset, views)

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        return False


class Full(Middleware):
    """A disk with room for `capacity_bytes`; raise it to make room. Overwriting counts as well."""

    def __init__(self, inner: Backend, capacity_bytes: int) -> None:
        super().__init__(inner)
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self._lock = threading.Lock()

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        length = sum(map(len, views))
        with self._lock:
            if self.used_bytes + length > self.capacity_bytes:
                raise _error(errno.ENOSPC, f"writing {length} bytes at {offset}")
            self.used_bytes += length
        super().write(offset, views)


class Failing(Middleware):
    """A disk on which some pieces cannot be read or written: `errno_` for any touch of them."""

    def __init__(
        self,
        inner: Backend,
        piece_length: int,
        pieces: Collection[int],
        *,
        errno_: int = errno.EIO,
        reads: bool = True,
        writes: bool = True,
    ) -> None:
        super().__init__(inner)
        self.pieces = set(pieces)
        self._piece_length = piece_length
        self._errno = errno_
        self._reads = reads
        self._writes = writes

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        if self._writes:
            self._check("writing", offset, views)
        super().write(offset, views)

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        if self._reads:
            self._check("reading", offset, views)
        super().read_into(offset, views)

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        if self._reads and self._touches(offset, views):
            return False
        return super().read_into_nowait(offset, views)

    def _touches(self, offset: int, views: Sequence[WritableView]) -> bool:
        end = offset + sum(map(len, views))
        first, last = offset // self._piece_length, -(-end // self._piece_length)
        return any(piece in self.pieces for piece in range(first, last))

    def _check(self, doing: str, offset: int, views: Sequence[WritableView]) -> None:
        if self._touches(offset, views):
            raise _error(self._errno, f"{doing} at {offset}")


def _error(code: int, doing: str) -> StorageError:
    return StorageError.from_os_error(OSError(code, os.strerror(code)), doing)
