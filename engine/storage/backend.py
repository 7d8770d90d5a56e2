"""What the engine asks of the bytes of one torrent; filesystem.py is the real answer.

Contract of every backend: offsets count in the torrent, pad files (BEP 47) read as zeros and are
never written, all errors are StorageError, and every method may be called from any thread. Only
`read_into_nowait` and `lend_nowait` may be called on the loop; the others block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from engine.storage.file_stamps import FileStamps

WritableView: TypeAlias = memoryview | bytearray


class LentRange(NamedTuple):
    """Where bytes lie in an open file; whoever got it calls `give_back` once."""

    fd: int
    at: int
    give_back: Callable[[], None]


class Backend(Protocol):
    def prepare(self) -> None:
        """Make folders, files without bytes and links; must be called before the first write."""
        ...

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        """Write all of the views one after the other, or raise StorageError."""
        ...

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        """Fill all of the views. Raises StorageMissingError where a file is gone or too short."""
        ...

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        """Fill all of the views if that takes no waiting for a disk; False (and rubbish in the
        views) if it would, or if anything is wrong: `read_into` then says what."""
        ...

    def lend_nowait(self, offset: int, length: int) -> LentRange | None:
        """Lend the open file that holds a range, for the kernel to send it, if that takes no
        waiting for a disk; None if it would, or the range is not in one file."""
        ...

    def will_need(self, offset: int, length: int) -> None:
        """Hint that a range is read soon. Never raises."""
        ...

    def next_data(self, offset: int, end: int) -> int:
        """Return the first offset in [offset, end) with bytes that must be read, else `end`.

        What lies before it are holes and pads, which read as zeros, or is missing.
        """
        ...

    def stamps(self, *, strict: bool = False) -> FileStamps:
        """One for each file; None where nothing is stored, as for missing ones and pads. `strict`
        raises StorageError for what stands in the way of a file: a folder, a link."""
        ...

    def delete(self) -> None:
        """Remove the torrent's own files, and its folders if that leaves them empty."""
        ...

    def flush(self) -> None:
        """Return when all that was written has reached the disk."""
        ...

    def close(self) -> None:
        """Give back what is held open. What is asked of it later is done, but not held open."""
        ...
