"""Reads that never wait for a disk: which files can be asked for them, and how."""

from __future__ import annotations

import os
from functools import lru_cache

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
