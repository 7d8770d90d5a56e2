"""A bounded, thread-safe pool of open files: a torrent of 10,000 files needs few descriptors.

Invariant: at most `limit` idle or leased descriptors are kept, the least recently used idle ones go
first, and a leased descriptor is never closed. Opening happens outside the lock. The pool does not
know what a torrent is: an owner opens its own files, and is asked to do so by number.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar
from weakref import WeakSet

LOOK_S = 1.0
"""Seconds between two looks at a file that is being written to."""

T = TypeVar("T")
P = ParamSpec("P")


class Opener(Protocol):
    """What the pool asks of the owner of files; owners are told apart by identity."""

    def open_file(self, file: int, *, writable: bool) -> int:
        """Open a file and return its descriptor. Raises OSError."""
        ...


def default_limit() -> int:
    """Return a quarter of what this process may open, 512 at most: sockets want the rest."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 512 if allowed == resource.RLIM_INFINITY else max(4, min(512, allowed // 4))


class _OpenFile:
    """A descriptor and its leases. As a context manager it gives one lease back at the end."""

    __slots__ = (
        "_looked_at",
        "fd",
        "is_kept",
        "is_writable",
        "leases",
        "pool",
        "read_flags",
        "writing",
    )

    def __init__(self, pool: FilePool, fd: int, is_writable: bool) -> None:
        self.pool = pool
        self.fd = fd
        self.is_writable = is_writable
        self.is_kept = True
        self.leases = 1
        self.read_flags: int | None = None
        """For whoever must not wait: flags of preadv that suit this file, None = not found out."""
        self.writing = threading.Lock()
        """Of who writes: the kernel lets one thread at a time write to a file, and the others spin
        meanwhile, which costs as much as the writing itself."""
        self._looked_at = -math.inf

    def must_be_looked_at(self) -> bool:
        """True now and then: what others do to a file is seen within a second or so. A look after
        each write costs a tenth of a download, as a thread waits for the interpreter after it."""
        now = time.monotonic()
        if now - self._looked_at < self.pool.look_s:
            return False
        self._looked_at = now
        return True

    def __enter__(self) -> int:
        return self.fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """End one lease."""
        with self.pool._lock:
            self.leases -= 1
            is_last = not self.leases and not self.is_kept
        if is_last:
            _close(self.fd)


class FilePool:
    """Descriptors of all torrents, least recently used first to go. Usable from any thread."""

    def __init__(self, limit: int | None = None, *, look_s: float = LOOK_S) -> None:
        self.limit = default_limit() if limit is None else limit
        self.look_s = look_s
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[Opener, int], _OpenFile] = OrderedDict()
        self._invalidations = 0
        self._parted: WeakSet[Opener] = WeakSet()
        """Owners that gave all back: jobs that come late find their files, and leave none open."""

    def __len__(self) -> int:
        return len(self._files)

    def lease(self, owner: Opener, file: int, *, writable: bool = False) -> _OpenFile:
        """Return a context manager that yields a descriptor, good until its end.

        A writable descriptor serves reading, too. Raises OSError if the file cannot be opened.
        """
        key = (owner, file)
        with self._lock:
            found = self._files.get(key)
            if found is not None and (found.is_writable or not writable):
                found.leases += 1
                self._files.move_to_end(key)
                return found
            seen = self._invalidations
        opened = _OpenFile(self, self.opened(owner.open_file, file, writable=writable), writable)
        with self._lock:
            if seen != self._invalidations or owner in self._parted:
                # The file may have been deleted since: use what we have, once.
                opened.is_kept = False
                idle = []
            else:
                idle = self._keep(key, opened)
        for fd in idle:
            _close(fd)
        return opened

    def has(self, owner: Opener, file: int) -> bool:
        """True if the file is open now; it may be closed, or opened, the moment after."""
        return (owner, file) in self._files

    def peek(self, owner: Opener, file: int) -> _OpenFile | None:
        """Lease a file only if it is open already, so that nothing can block."""
        key = (owner, file)
        with self._lock:
            found = self._files.get(key)
            if found is not None:
                found.leases += 1
                self._files.move_to_end(key)
            return found

    def invalidate(self, owner: Opener, file: int | None = None) -> None:
        """Close a file of an owner; or all of them, and keep none of it open from now on. Leased
        ones are closed when given back."""
        with self._lock:
            self._invalidations += 1
            if file is None:
                self._parted.add(owner)
            keys = [
                key for key in self._files if key[0] is owner and (file is None or key[1] == file)
            ]
            idle = [fd for key in keys if (fd := self._drop(key)) is not None]
        for fd in idle:
            _close(fd)

    def close(self) -> None:
        """Close everything; what is leased is closed when given back."""
        with self._lock:
            self._invalidations += 1
            idle = [fd for key in list(self._files) if (fd := self._drop(key)) is not None]
        for fd in idle:
            _close(fd)

    def opened(self, opening: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Open a descriptor that the pool will not keep. Raises OSError."""
        try:
            return opening(*args, **kwargs)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        # Somebody else used up the process's descriptors: give back ours and try once more.
        with self._lock:
            keys = [key for key, item in self._files.items() if not item.leases]
            idle = [fd for key in keys if (fd := self._drop(key)) is not None]
        for fd in idle:
            _close(fd)
        return opening(*args, **kwargs)

    def _keep(self, key: tuple[Opener, int], opened: _OpenFile) -> list[int]:
        """Put a file in; return the descriptors to close. The lock is held."""
        idle: list[int] = []
        if key in self._files and (fd := self._drop(key)) is not None:
            idle.append(fd)
        self._files[key] = opened
        while len(self._files) > self.limit:
            oldest = next((old for old, item in self._files.items() if not item.leases), None)
            if oldest is None:
                break
            if (fd := self._drop(oldest)) is not None:
                idle.append(fd)
        return idle

    def _drop(self, key: tuple[Opener, int]) -> int | None:
        """Take a file out; return its descriptor if nobody leases it. The lock is held."""
        item = self._files.pop(key)
        item.is_kept = False
        return None if item.leases else item.fd


def _close(fd: int) -> None:
    # What was written is safe or lost already: `flush` is where that is asked.
    with contextlib.suppress(OSError):
        os.close(fd)
