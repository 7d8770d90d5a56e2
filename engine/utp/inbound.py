"""The receiving half of a uTP connection: packets in any order become bytes in order (BEP 29). HOT.

What comes early waits in a bounded buffer; bit n of `early` is packet `next + 1 + n`, which is what
a selective ack says. Sequence numbers do not wrap here.
"""

from __future__ import annotations

from collections import deque

from engine.utp.arena import Arena
from engine.utp.packet import nearest

MIN_WINDOW_BYTES = 256 * 1024
MAX_WINDOW_BYTES = 4 * 1024 * 1024
_WINDOW_FILLS_S = 1.0
"""A window that is read in less than this is too small for its path: it is doubled."""
_MAX_EARLY_PACKETS = 8_000
_LEAST_COST_BYTES = 256
"""What a packet that came early costs us however little is in it; it counts as so many."""
_SLACK_BYTES = 64 * 1024
"""What may come beyond the window: probes of a window that was full, and rounding."""
_GAP_BYTES = _SLACK_BYTES // 2
"""Of that, what is kept free for the packet that everything early waits for."""


def _cost(payload: bytes | memoryview) -> int:
    return max(len(payload), _LEAST_COST_BYTES)


class Inbound:
    """Packets of one connection until somebody reads their bytes."""

    __slots__ = (
        "_arena",
        "_arena_end",
        "_early_bytes",
        "_read",
        "_read_from",
        "_ready",
        "_waiting",
        "early",
        "end",
        "limit",
        "next",
        "ready_bytes",
    )

    def __init__(self, first: int, arena: Arena, now: float) -> None:
        self._arena = arena
        self._arena_end = -1
        """Where the last piece ends, if it lies in the arena."""
        self.next = first
        """Number of the packet that is read next."""
        self.early = 0
        self.end: int | None = None
        """Number of the FIN."""
        self.ready_bytes = 0
        self.limit = MIN_WINDOW_BYTES
        self._waiting: dict[int, bytes] = {}
        self._early_bytes = 0
        self._ready: deque[memoryview] = deque()
        self._read = 0
        self._read_from = now
        """Bytes that were read since then; a window that nobody reads need not grow."""

    @property
    def window(self) -> int:
        """Bytes that may come."""
        return max(0, self.limit - self.ready_bytes - self._early_bytes)

    @property
    def is_at_end(self) -> bool:
        """All bytes that there will be were read."""
        return self.end is not None and self.next > self.end and not self.ready_bytes

    def take_run(self, data: bytes | memoryview, count: int, now: float) -> bool:
        """Take `count` packets that continue what is there. False: they are more than may come."""
        if not self._is_room(len(data)) or (self.end is not None and self.next + count > self.end):
            return False
        self._append(data, now)
        self.next += count
        if self.early:
            self.early >>= count - 1
            self._forget_before(count)
            self._advance(now)
        return True

    def _forget_before(self, count: int) -> None:
        for number in range(self.next - count, self.next):
            if (known := self._waiting.pop(number, None)) is not None:
                self._early_bytes -= _cost(known)

    def take(self, number: int, payload: memoryview, now: float) -> bool | None:
        """Take one packet. None: it is here already; False: it cannot be, or does not fit."""
        offset = number - self.next
        if offset < 0 or (offset and self.early >> (offset - 1) & 1):
            return None
        needed = _cost(payload) + _GAP_BYTES if offset else len(payload)
        if offset > _MAX_EARLY_PACKETS or not self._is_room(needed):
            return False
        if self.end is not None and number >= self.end:
            return False
        if offset:
            self._waiting[number] = bytes(payload)
            self._early_bytes += _cost(payload)
            self.early |= 1 << (offset - 1)
            return True
        self._append(payload, now)
        self.next += 1
        self._advance(now)
        return True

    def take_fin(self, number: int, now: float) -> bool:
        """The stream ends before packet `number`. False: it cannot."""
        offset = number - self.next
        if self.end is not None or offset < 0:
            return self.end == number
        if offset > _MAX_EARLY_PACKETS or self.early >> max(0, offset - 1):
            return False
        self.end = number
        if offset:
            self.early |= 1 << (offset - 1)
        else:
            self.next += 1
        return True

    def _advance(self, now: float) -> None:
        """Read on from `next`, whose place in `early` is the lowest bit."""
        waiting = self._waiting
        while self.early & 1:
            payload = waiting.pop(self.next, None)
            if payload is not None:
                self._early_bytes -= _cost(payload)
                self._append(payload, now)
            self.next += 1
            self.early >>= 1
        self.early >>= 1

    def _is_room(self, count: int) -> bool:
        return self.ready_bytes + self._early_bytes + count <= self.limit + _SLACK_BYTES

    def _append(self, data: bytes | memoryview, now: float) -> None:
        ready, arena = self._ready, self._arena
        # What was placed last in the arena, and by us, can grow.
        behind = ready[-1] if ready and self._arena_end == arena.at else None
        placed = arena.place(data, behind)
        if placed is None:
            ready.append(memoryview(bytearray(data)))
            self._arena_end = -1
        else:
            if behind is None:
                ready.append(placed)
            else:
                ready[-1] = placed
            self._arena_end = arena.at
        self.ready_bytes += len(data)
        if self._read >= self.limit:
            if now - self._read_from < _WINDOW_FILLS_S:
                self.limit = min(2 * self.limit, MAX_WINDOW_BYTES)
            self._read, self._read_from = 0, now

    def read(self, most: int) -> memoryview:
        """Take bytes that came, `most` of them at most; they may be changed, and hold until the
        arena is emptied."""
        ready = self._ready
        piece = ready[0]
        if len(piece) <= most:
            ready.popleft()
            if not ready:
                self._arena_end = -1
        else:
            ready[0] = piece[most:]
            piece = piece[:most]
        self.ready_bytes -= len(piece)
        self._read += len(piece)
        return piece

    def keep(self) -> None:
        """Copy what was not read out of the arena, which is about to be emptied."""
        if self._ready:
            self._ready = deque((memoryview(bytearray(b"".join(self._ready))),))
        self._arena_end = -1

    def drop(self) -> None:
        """Throw away what nobody will read."""
        self._ready.clear()
        self._waiting.clear()
        self._arena_end = -1
        self.ready_bytes = self._early_bytes = 0

    def unwrap(self, wire: int) -> int:
        """Return the number that the wire's 16 bits stand for."""
        return nearest(wire, self.next)
