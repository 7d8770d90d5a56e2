"""A bounded pool of reused piece buffers: the back-pressure of all downloads.

Invariant: the buffers in use exceed `limit_bytes` only by what `at_least` and the two that anybody
may always have allow. Buffers are reused, since fresh memory costs a page fault every 4 KiB. Loop
thread only: a disk thread reads a buffer, it does not release it.
"""

from __future__ import annotations

LIMIT_BYTES = 20 * 1024 * 1024
"""Eight to 24 MiB gave the best speeds measured; more only costs memory."""
_ALWAYS = 2
MOST = 768
"""Buffers in use, however small: what is kept about a begun piece costs as much as 16 KiB of it."""


class PieceBuffers:
    """Hands out buffers of any size, several sizes at a time."""

    __slots__ = ("_idle", "_idle_bytes", "count", "in_use_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.in_use_bytes = 0
        self.count = 0
        """Buffers in use."""
        self._idle: dict[int, list[bytearray]] = {}
        self._idle_bytes = 0

    def acquire(self, size: int, *, at_least: int = 0) -> bytearray | None:
        """Return a buffer of exactly `size` bytes with old contents, or None if the pool is empty.

        A caller that must get on whatever others hold says so with `at_least` > 0, the number of
        buffers it still may demand.
        """
        is_full = self.in_use_bytes + size > self.limit_bytes or self.count >= MOST
        if is_full and self.count >= _ALWAYS and at_least <= 0:
            return None
        self.in_use_bytes += size
        self.count += 1
        same = self._idle.get(size)
        if same:
            self._idle_bytes -= size
            return same.pop()
        self._trim()
        return bytearray(size)

    def release(self, buffer: bytearray) -> None:
        """Take a buffer back."""
        size = len(buffer)
        self.in_use_bytes -= size
        self.count -= 1
        self._idle.setdefault(size, []).append(buffer)
        self._idle_bytes += size
        self._trim()

    def _trim(self) -> None:
        """Forget idle buffers that would burst the limit, the oldest size first."""
        while self._idle_bytes and self._idle_bytes + self.in_use_bytes > self.limit_bytes:
            size = next(iter(self._idle))
            same = self._idle[size]
            if same:
                same.pop()
                self._idle_bytes -= size
            if not same:
                del self._idle[size]
