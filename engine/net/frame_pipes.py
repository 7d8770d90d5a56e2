"""Frames of blocks, each behind its head, which leave for a socket without a copy (Linux). HOT.

    heads ──► a page of our own ─────────┐ vmsplice: references to pages, in the order of the frames
    file ──► mapped for as long as that ─┴──► pipe ──► splice: the same, to the socket

Of 16 KiB each `sendfile` would be two system calls; so it is two for a whole batch. Nothing of a
file is ever read through the mapping by ourselves, so that one which was cut short meanwhile raises
no SIGBUS: the kernel says EFAULT. Invariant: what the kernel holds a reference to is never changed
by us. The page of heads is dropped after each use and comes back as another one; who still has to
send the old one, or to receive it on this machine, keeps it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import socket
import sys
from array import array
from collections.abc import Callable
from typing import Any

from engine.core.geometry import BLOCK_LENGTH

MAX_FRAMES = 32
"""In one pipe: of each block five pages at most, and one of its head."""
_PAGE = mmap.PAGESIZE
_PIPE_BYTES = 256 * _PAGE
_MAX_PIPES = 16
"""That may be in use. A user may have 64 of this size (/proc/sys/fs/pipe-user-pages-soft)."""
_SHARE = 64
"""And of the descriptors that this process may have one in so many, each pipe being two of them:
what is over must do for files, and for whoever controls us."""
_REFUSED = frozenset([errno.EINVAL, errno.ENOSYS, errno.EPERM])
"""What a kernel answers that does not let a pipe be sent; none of them is said of a connection."""
_WINDOW_BYTES = MAX_FRAMES * BLOCK_LENGTH + _PAGE
_NOWHERE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_MAP_FIXED = 0x10
_FAILED = ctypes.c_void_p(-1).value
_IS_LINUX = sys.platform == "linux" and sys.maxsize > 1 << 32


def _most_pipes() -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_PIPES if allowed == resource.RLIM_INFINITY else min(_MAX_PIPES, allowed // _SHARE)


def _call(library: Callable[..., Any], name: str, result: Any, *arguments: Any) -> Any:
    """A function of the C library; None where that has none of this name."""
    found = getattr(library(None, use_errno=True), name, None) if _IS_LINUX else None
    if found is not None:
        found.restype, found.argtypes = result, arguments
    return found


_address, _size, _int = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
# PyDLL, as they take less time than giving the interpreter away and getting it back.
_mmap = _call(ctypes.PyDLL, "mmap", _address, _address, _size, _int, _int, _int, ctypes.c_long)
_munmap = _call(ctypes.PyDLL, "munmap", _int, _address, _size)
_vmsplice = _call(
    ctypes.CDLL, "vmsplice", ctypes.c_ssize_t, _int, _address, ctypes.c_ulong, ctypes.c_uint
)


class Pipe:
    """One pipe of the most bytes that a pipe may have without a privilege."""

    __slots__ = ("read_end", "write_end")

    def __init__(self) -> None:
        """Raises OSError if there are too many, of descriptors or of pages in pipes."""
        self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


class PipedFrames:
    """A KernelSpan of what is in a pipe. Whoever got it calls `give_back` once."""

    __slots__ = ("_in_pipe", "_length", "_pipe", "_pipes")

    def __init__(self, pipes: FramePipes, pipe: Pipe, length: int) -> None:
        self._pipes = pipes
        self._pipe = pipe
        self._length = length
        self._in_pipe = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rest: slice) -> PipedFrames:
        """Of a pipe there is nothing left but the rest."""
        self._length -= rest.start
        return self

    def send_to(self, sock: socket.socket) -> int:
        """See KernelSpan. Where it is forbidden nothing is tried so again."""
        try:
            count = os.splice(
                self._pipe.read_end, sock.fileno(), self._length, flags=os.SPLICE_F_NONBLOCK
            )
        except OSError as error:
            if error.errno in _REFUSED:
                self._pipes.close()
            raise
        self._in_pipe -= count
        return count

    def lost(self) -> None:
        """A pipe keeps what it has."""

    def give_back(self) -> None:
        """All is sent, or nobody is left to send it to."""
        self._pipes.take_back(self._pipe, is_empty=not self._in_pipe)


class FramePipes:
    """The pipes of a session, and the window through which they are filled. Loop thread only."""

    __slots__ = ("_free", "_heads", "_heads_at", "_most", "_places", "_shift", "_window", "in_use")

    def __init__(self) -> None:
        self._free: list[Pipe] = []
        self.in_use = 0
        self._most = _most_pipes() if _vmsplice else 0
        self._heads: mmap.mmap | None = None
        self._heads_at = 0
        self._window = 0
        self._places = array("Q")
        """Of heads and blocks in turn, each its address and length: `struct iovec`."""
        self._shift = -1
        """From the start of the window to the first block, in `_places`."""

    def fill(self, heads: bytes, fd: int, at: int, count: int) -> PipedFrames | None:
        """Put `count` frames into a pipe: `heads`, all of one length, each before its block of
        those that lie in an open file from `at` on, which must be in the page cache. None if that
        cannot be done, or not now."""
        pipe = self._take() if count <= MAX_FRAMES else None
        if pipe is None:
            return None
        length = self._splice(pipe, heads, fd, at, count)
        if length == len(heads) + count * BLOCK_LENGTH:
            return PipedFrames(self, pipe, length)
        self.take_back(pipe, is_empty=length <= 0)
        return None

    def take_back(self, pipe: Pipe, *, is_empty: bool) -> None:
        """For PipedFrames. What is in a pipe goes with it."""
        self.in_use -= 1
        if is_empty and self._most:
            self._free.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the pipes; those that are in use when they are given back."""
        self._most = 0
        while self._free:
            self._free.pop().close()
        if self._heads is not None:
            _munmap(self._window, _WINDOW_BYTES)
            self._heads = None

    def _take(self) -> Pipe | None:
        if self._free:
            self.in_use += 1
            return self._free.pop()
        if self.in_use >= self._most:
            return None
        try:
            if self._heads is None:
                self._heads = self._open_window()
            pipe = Pipe()
        except OSError:
            self._most = self.in_use
            return None
        self.in_use += 1
        return pipe

    def _open_window(self) -> mmap.mmap:
        """Reserve addresses, and return the page of heads. Raises OSError."""
        heads = mmap.mmap(-1, _PAGE, _NOWHERE)
        heads.madvise(mmap.MADV_DONTNEED)  # is refused where all memory is locked
        window = _mmap(None, _WINDOW_BYTES, 0, _NOWHERE, -1, 0)
        if window == _FAILED:
            raise OSError(ctypes.get_errno(), "no addresses are left")
        self._window = window
        self._heads_at = ctypes.addressof(ctypes.c_char.from_buffer(heads))
        return heads

    def _splice(self, pipe: Pipe, heads: bytes, fd: int, at: int, count: int) -> int:
        """Return how many bytes are in the pipe now; -1 if it did not come to that."""
        assert self._heads is not None
        shift = at % _PAGE
        if shift != self._shift:
            self._lay_out(shift, len(heads) // count)
        mapped = shift + count * BLOCK_LENGTH
        flags = mmap.MAP_SHARED | _MAP_FIXED
        if _mmap(self._window, mapped, mmap.PROT_READ, flags, fd, at - shift) == _FAILED:
            self._abandon()
            return -1
        self._heads[: len(heads)] = heads
        places, _ = self._places.buffer_info()
        length: int = _vmsplice(pipe.write_end, places, 2 * count, os.SPLICE_F_NONBLOCK)
        if length < 0 and ctypes.get_errno() != errno.EFAULT:
            self._most = 0  # not on this machine: no such call, or it is forbidden
        self._heads.madvise(mmap.MADV_DONTNEED)
        if _mmap(self._window, _WINDOW_BYTES, 0, _NOWHERE | _MAP_FIXED, -1, 0) == _FAILED:
            self._abandon()
        return length

    def _abandon(self) -> None:
        """Touch the window no more, and be done: where the kernel failed to map something it leaves
        a gap, which another thread may fill with its own memory at any moment."""
        self._heads = None
        self.close()

    def _lay_out(self, shift: int, head_length: int) -> None:
        self._places = array("Q")
        for number in range(MAX_FRAMES):
            head_at = self._heads_at + number * head_length
            block_at = self._window + shift + number * BLOCK_LENGTH
            self._places.extend((head_at, head_length, block_at, BLOCK_LENGTH))
        self._shift = shift
