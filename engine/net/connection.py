"""What a connection to a peer is, whatever carries it: TCP, uTP, either of them encrypted.

The parts of a torrent know connections by this Protocol only. Everything happens on the loop's
thread, and nothing waits: writes are queued, reads are told to a handler.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from engine.core.compact import Endpoint
from engine.net.kernel_span import KernelSpan

RECEIVE_BUFFER_BYTES = 1024 * 1024
"""Of the buffer that all connections of a loop share, and so the most that one read brings."""

LOW_WATERMARK_BYTES = 256 * 1024
"""Below this the handler is asked for more to send."""


class Transport(enum.StrEnum):
    """What carries a connection."""

    TCP = "tcp"
    UTP = "utp"


class Encryption(enum.StrEnum):
    """What of a connection is encrypted."""

    NONE = "none"
    HANDSHAKE = "handshake"
    """How it began; what follows is plain."""
    ALL = "all"


class ConnectionHandler(Protocol):
    """What a connection tells its owner. A PeerError raised in `on_data` closes the connection."""

    def on_data(self, data: memoryview) -> None:
        """Take all of `data`; it may be changed in place, and is reused after the return."""

    def on_writable(self) -> None:
        """Send more: what waits has fallen below LOW_WATERMARK_BYTES."""

    def on_closed(self, error: Exception | None) -> None:
        """The connection is gone; None: closed in good order. Called once."""

    def read_quota(self) -> int:
        """Bytes that may be read now; 0 leaves the rest where it is until `resume_reading`."""


@runtime_checkable
class LandingHandler(ConnectionHandler, Protocol):
    """A handler that may know where bytes belong before they are there."""

    def landing(self) -> memoryview | None:
        """Where the next bytes belong, to be received right there; None if there are few of them,
        or that is not known. Asked before each read, and `on_data` or `on_landed` comes next."""

    def on_landed(self, count: int, data: memoryview) -> None:
        """`count` bytes are in the landing, and `data` came behind them; else as `on_data`."""


class Connection(Protocol):
    """An open connection to one peer."""

    @property
    def remote(self) -> Endpoint: ...

    @property
    def transport(self) -> Transport: ...

    @property
    def encryption(self) -> Encryption: ...

    @property
    def is_closed(self) -> bool: ...

    @property
    def pending_bytes(self) -> int:
        """Written and not yet taken by what carries it."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def bytes_sent(self) -> int: ...

    @property
    def pending_writes(self) -> int:
        """How many pieces of data wait; each costs memory beyond its bytes."""

    def start(self, handler: ConnectionHandler) -> None:
        """Begin to read for `handler`, or go on reading for another one."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def expect(self, count: int) -> None:
        """The next `count` bytes are of no use before all are there: a read may wait for so many,
        though not for ever. Holds until it is said anew; 0 = any are welcome."""

    def write(
        self, data: bytes | bytearray | memoryview, sent: Callable[[], None] | None = None
    ) -> None:
        """Queue bytes; they leave at the next `flush`, at the latest when the loop turns.

        `data` is the connection's until `sent` is called (also when it closes first): nobody else
        may change it, and one that can be written to may be enciphered in place.
        """

    @property
    def sends_spans(self) -> bool:
        """True if bytes can leave which the kernel sends by itself."""

    def write_span(self, span: KernelSpan, sent: Callable[[], None]) -> None:
        """Queue bytes that the kernel sends by itself; only where `sends_spans`.

        They are the connection's until `sent` is called (also when it closes first). If they are
        gone, or cannot be read, they are told that they are `lost`, and the connection closes.
        """

    def flush(self) -> None:
        """Send now as much as can be sent."""

    def close(self, error: Exception | None = None) -> None:
        """Close at once; what was not yet taken is lost. Idempotent."""
