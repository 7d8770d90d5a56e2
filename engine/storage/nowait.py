"""Reads that never wait for a disk: which files can be asked for them, and how."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import lru_cache
from struct import Struct

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_MEMORY_FILE_SYSTEMS = frozenset(["tmpfs", "ramfs", "hugetlbfs"])


def nowait_flags(fd: int) -> int:
    """Return the flags with which reading `fd` never waits for a disk; -1 if there are none."""
    try:
        os.preadv(fd, (bytearray(1),), 0, _NOWAIT)
    except BlockingIOError:
        return _NOWAIT
    except OSError:
        return 0 if _is_in_memory(os.fstat(fd).st_dev) else -1
    return _NOWAIT or -1


_CACHESTAT = 451
"""The number of the system call since Linux 6.5. Where it has another, there is none of this."""
_range = Struct("=QQ")
_pages = Struct("=Q")
_asked = ctypes.create_string_buffer(_range.size)
_told = ctypes.create_string_buffer(5 * _pages.size)
_syscall = ctypes.PyDLL(None).syscall if sys.platform == "linux" else None
"""PyDLL, as it takes less time than giving the interpreter away and getting it back."""


def is_cached(fd: int, at: int, length: int) -> bool:
    """Tell whether a range of a file is in the page cache now; False as well if the kernel does not
    say. On the loop's thread only. HOT."""
    if _syscall is None:
        return False
    _range.pack_into(_asked, 0, at, length)
    if _syscall(_CACHESTAT, fd, _asked, _told, 0):
        return False
    first, last = at // mmap.PAGESIZE, (at + length - 1) // mmap.PAGESIZE
    if _pages.unpack_from(_told)[0] <= last - first:
        return False
    try:
        # It counts pages that are still being read, too; they come in the order of the file.
        return os.preadv(fd, (bytearray(1),), at + length - 1, _NOWAIT) == 1
    except OSError:
        return False


@lru_cache(maxsize=64)
def _is_in_memory(device: int) -> bool:
    """Tell whether a device is a file system without a disk: there, reading never waits.

    These refuse RWF_NOWAIT on many kernels though nothing is ever cold.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                fields = line.split()
                if fields[2] == wanted:
                    return fields[fields.index("-") + 1] in _MEMORY_FILE_SYSTEMS
    except (OSError, ValueError, IndexError):
        pass
    return False
