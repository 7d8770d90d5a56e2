"""Enter the network namespace of another for a moment. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NEWNET: Final = 0x40000000
_OWN: Final = "/proc/thread-self/ns/net"


@contextlib.contextmanager
def inside(namespace: Path) -> Iterator[None]:
    """Let this thread be in a namespace: what it opens meanwhile stays there. Raises OSError."""
    before, other = os.open(_OWN, os.O_RDONLY), os.open(namespace, os.O_RDONLY)
    try:
        _enter(other)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)
        os.close(other)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
