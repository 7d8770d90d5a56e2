"""When datagrams are read: at once, or several together a moment later. Pure. HOT.

On slow lines packets come one by one, a millisecond or two apart, from many peers. Each would wake
the process, and a program that was just woken is slow. So at such rates it sleeps for a few
milliseconds, and answers in one turn what came meanwhile. Where little comes it may be what
somebody waits for, and is read at once; where much is moved it comes together anyhow.
"""

from __future__ import annotations

REST_S = 0.008
"""How long a datagram may lie before it is read: little beside the delay that uTP aims at."""
_LEAST_PER_S = 150
_MOST_BYTES_PER_S = 4_000_000
"""Both ways together."""
_WINDOW_S = 0.05
_BURST_BYTES = int(2 * REST_S * _MOST_BYTES_PER_S)


class ReadingPace:
    """Knows how much comes and goes."""

    __slots__ = ("_bytes", "_datagrams", "_is_steady", "_since", "sent_bytes")

    def __init__(self) -> None:
        self.sent_bytes = 0
        """To be counted by whoever sends."""
        self._bytes = 0
        self._datagrams = 0
        self._since = 0.0
        self._is_steady = False

    def came(self, datagrams: int, size: int, now: float) -> bool:
        """So many were read, of `size` bytes together. True: rest before the next reading."""
        self._datagrams += datagrams
        self._bytes += size
        passed_s = now - self._since
        if passed_s >= _WINDOW_S:
            moved = self._bytes + self.sent_bytes
            is_slow = moved <= _MOST_BYTES_PER_S * passed_s
            self._is_steady = is_slow and self._datagrams >= _LEAST_PER_S * passed_s
            self._datagrams = self._bytes = self.sent_bytes = 0
            self._since = now
        elif size > _BURST_BYTES:
            self._is_steady = False
        return self._is_steady and datagrams > 0
