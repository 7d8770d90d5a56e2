"""Where bytes that arrived in order lie until they are read, in the same turn of the loop. HOT.

All connections of a port share one buffer: what follows what a connection has there already grows
in place, so that many packets become one piece without being copied again.
"""

from __future__ import annotations


class Arena:
    """A buffer that is filled from its beginning and emptied at once."""

    __slots__ = ("at", "buffer")

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.at = 0

    def place(self, data: bytes | memoryview, behind: memoryview | None) -> memoryview | None:
        """Copy `data` in; return it with what lies `behind` it, if that ends where it begins.
        None: there is no room."""
        at = self.at
        end = at + len(data)
        if end > len(self.buffer):
            return None
        self.buffer[at:end] = data
        self.at = end
        return self.buffer[at - (len(behind) if behind is not None else 0) : end]

    def empty(self) -> None:
        """Must be called only when every connection has read or kept what it has here."""
        self.at = 0
