"""Reading a small file that somebody else writes, whatever it turns out to be.

Invariant: a read never waits for a writer and never takes more memory than it was told: a FIFO, a
device or a file without an end is an error, not a thread that hangs.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.errors import SourceError

# A FIFO opens at once and a terminal does not become ours.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read_small_file(path: str | Path, limit_bytes: int) -> bytes:
    """Return what a regular file of at most `limit_bytes` holds; links are followed. For a thread.
    Raises SourceError, which does not name the file."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SourceError("not a regular file")
            data = b""
            # In /proc a read may give less than is there.
            while len(data) <= limit_bytes and (
                more := os.read(descriptor, limit_bytes + 1 - len(data))
            ):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error
    except ValueError as error:  # a path that no system could have
        raise SourceError(str(error)) from error
    if len(data) > limit_bytes:
        raise SourceError(f"larger than {limit_bytes} bytes")
    return data
