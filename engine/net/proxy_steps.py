"""A conversation with a proxy as steps, without I/O: what to say, and how much of an answer to wait
for before the next one.

A script is a generator: it yields a Step, is sent the bytes that the step asked for, and ends when
the proxy does what it was asked. It raises ProxyError or ProxyRefusal.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Step(NamedTuple):
    """Either `wants` or `until`: the script never gets a byte that is behind the answer, since that
    is the far end's."""

    says: bytes
    wants: int = 0
    """Bytes to wait for, exactly."""
    until: bytes = b""
    """What the answer ends with."""
    most: int = 0
    """Bytes that an answer with an end may have."""


Script = Generator[Step, bytes, T]
