"""Lists of blocked addresses at rest: read, unpacked and understood; and the copy that is kept.

All of it is for a thread: a million lines take seconds. Invariant: the kept copy is the old one or
the new one, never half of one, and says of which source it is.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from engine.core.filter_lists import P2B_MAGIC, ListReader, read_p2b
from engine.core.ip_filter import IpFilter
from engine.errors import InputError, SourceError, StorageError

MAX_LIST_BYTES = 128 * 1024 * 1024
"""As it is fetched or lies there, packed or not."""
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
_MAX_P2B_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class ReadList:
    """What a list said."""

    ranges: IpFilter
    nonsense: int = 0
    """Lines that could not be read."""
    first_nonsense: str = ""


@dataclass(frozen=True, slots=True)
class KeptList:
    """The copy of a list that was read before."""

    ranges: IpFilter
    read_at: float
    """Seconds since the epoch."""


def read_file(path: str) -> bytes:
    """Read a list from a file. Raises SourceError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_LIST_BYTES:
        raise SourceError(f"{path}: larger than {MAX_LIST_BYTES} bytes")
    return data


def read_list(data: bytes) -> ReadList:
    """Unpack a list and read it. Raises InputError: damaged, too large, or with no range in it, as
    the page that a portal shows instead."""
    import zipfile

    try:
        with _unpacked(data) as file:
            beginning = file.read(len(P2B_MAGIC))
            if beginning == P2B_MAGIC:
                rest = file.read(_MAX_P2B_BYTES)
                read = ReadList(read_p2b(beginning + rest))
            else:
                read = _read_text(beginning, file)
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"it cannot be unpacked: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: a password, a rare method
        raise InputError(f"it cannot be unpacked: {error}") from error
    if not len(read.ranges):
        raise InputError("no range of addresses is in it")
    return read


@contextlib.contextmanager
def _unpacked(data: bytes) -> Iterator[IO[bytes]]:
    import gzip
    import zipfile

    if data.startswith(_GZIP_MAGIC):
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            yield cast(IO[bytes], file)
    elif data.startswith(_ZIP_MAGIC):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
            with archive.open(largest) as member:
                yield member
    else:
        yield io.BytesIO(data)


def _read_text(beginning: bytes, file: IO[bytes]) -> ReadList:
    reader = ListReader()
    chunk, size = beginning, 0
    while chunk:
        size += len(chunk)
        if size > MAX_UNPACKED_BYTES:
            raise InputError(f"larger than {MAX_UNPACKED_BYTES} bytes when it is unpacked")
        reader.feed(chunk.decode("latin-1"))
        time.sleep(0)  # lets the loop's thread run
        chunk = file.read(_CHUNK_BYTES)
    return ReadList(reader.build(), reader.nonsense, reader.first_nonsense)


def keep(path: Path, ranges: IpFilter, *, source: str, read_at: float) -> None:
    """Keep a copy of what a source said. Raises StorageError."""
    head = json.dumps({"source": source, "read_at": read_at}).encode() + b"\n"
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(new, "wb") as file:
                file.write(head)
                file.write(ranges.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
    except OSError as error:
        raise StorageError.from_os_error(error, f"writing {path}") from error


def kept(path: Path, *, source: str) -> KeptList | None:
    """The copy that is kept of a source; None if there is none, or it is not whole."""
    try:
        with open(path, "rb") as file:
            head = json.loads(file.readline(_MAX_HEAD_BYTES))
            if head["source"] != source:
                return None
            return KeptList(IpFilter.from_bytes(file.read()), float(head["read_at"]))
    except (OSError, ValueError, TypeError, KeyError, InputError):
        return None
