"""A bounded pool of reused piece buffers: the back-pressure of all downloads.

A piece is promised its room when it is begun, and lent the memory when its first block is there.
Much is promised, so that peers always have something to send, but little is lent: the memory that
came back last is lent first, and so the same few pieces' worth goes round within the CPU's caches.
How much is promised follows the disk: where pieces wait for it, more of them would only wait, too.

Invariant: what is promised exceeds `limit_bytes` only by what `at_least` and the two that anybody
may always have allow, and the memory here and lent out by no more. Memory is reused, since fresh
memory costs a page fault every 4 KiB. Loop thread only: a disk thread reads a buffer, it does not
release it.
"""

from __future__ import annotations

LIMIT_BYTES = 20 * 1024 * 1024
"""Eight to 24 MiB gave the best speeds measured; more only costs memory."""
_ALWAYS = 2
MOST = 768
"""Pieces promised room, however small: what is kept about one costs as much as 16 KiB of it."""
_FIRST_BYTES = 6 * 1024 * 1024
"""Promised at first, and to a disk that does not keep up."""
_FIRST_PIECES = 5
"""Of large pieces so many all the same: with fewer, peers wait."""
_KEPT_UP_BYTES = 4 * 1024 * 1024
"""A disk keeps up with no more than this in hand; or two pieces, one for each of its threads."""


class PieceBuffers:
    """Has room for pieces of any size, several sizes at a time."""

    __slots__ = (
        "_idle",
        "_open_bytes",
        "_writing_bytes",
        "count",
        "in_use_bytes",
        "limit_bytes",
        "memory_bytes",
    )

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.in_use_bytes = 0
        """Promised."""
        self.count = 0
        """Pieces that room is promised to."""
        self._idle: dict[int, list[memoryview]] = {}
        self.memory_bytes = 0
        """Idle and lent."""
        self._open_bytes = _FIRST_BYTES
        """What may be promised now, if the limit is not less."""
        self._writing_bytes = 0

    def reserve(self, size: int, *, at_least: int = 0) -> bool:
        """Promise room for `size` bytes, if there is any; `release` ends the promise.

        A caller that must get on whatever others hold says so with `at_least` > 0, the number of
        pieces it still may demand.
        """
        # For all: or those of a torrent with small pieces would find what is open taken for ever.
        self._open_bytes = max(self._open_bytes, _FIRST_PIECES * size)
        limit = min(self.limit_bytes, self._open_bytes)
        is_full = self.in_use_bytes + size > limit or self.count >= MOST
        if is_full and self.count >= _ALWAYS and at_least <= 0:
            return False
        self.in_use_bytes += size
        self.count += 1
        return True

    def lend(self, size: int) -> memoryview:
        """Return memory of exactly `size` bytes, with old contents, for a piece that has room.

        A view, since one copies into a part of it directly: a bytearray makes itself a copy first.
        """
        same = self._idle.get(size)
        if same:
            return same.pop()
        self.memory_bytes += size
        self._trim()
        return memoryview(bytearray(size))

    def handed_over(self, count: int, size: int) -> None:
        """The disk has `count` pieces of `size` bytes in hand; `taken` must tell when it is done
        with them, whatever came of it."""
        self._writing_bytes += count * size

    def taken(self, count: int, size: int) -> None:
        """The disk is done with pieces: promise more from now on if it keeps up, less if not."""
        keeps_up = self._writing_bytes <= max(_KEPT_UP_BYTES, 2 * size)
        self._writing_bytes -= count * size
        if keeps_up:
            most = max(_FIRST_BYTES, self.limit_bytes)
            self._open_bytes = min(most, self._open_bytes + count * size)
        else:
            self._open_bytes = max(_FIRST_BYTES, self._open_bytes - 2 * count * size)

    def release(self, size: int, buffer: memoryview | None) -> None:
        """End a promise, and take the memory back if it was lent."""
        self.in_use_bytes -= size
        self.count -= 1
        if buffer is not None:
            self._idle.setdefault(size, []).append(buffer)
            self._trim()

    def _trim(self) -> None:
        """Forget idle memory that would burst the limit, the oldest size first."""
        while self._idle and self.memory_bytes > self.limit_bytes:
            size = next(iter(self._idle))
            same = self._idle[size]
            if same:
                same.pop()
                self.memory_bytes -= size
            if not same:
                del self._idle[size]
