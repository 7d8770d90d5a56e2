"""Pieces that skipped files share with wanted ones, kept until those files are wanted (BEP 3).

A piece at the border of a skipped file is fetched whole, since only whole it can be verified and
served; but the skipped file must not be made for it. So the whole piece is kept in
`.INFOHASH.parts` in the save path, on the disk where its bytes may belong one day:

    header: magic, piece length, digest │ slot │ slot │ …      slot: piece + 1 (0 = free), piece

The digest is that of the skipped files for which all that is kept here was put in its place; none
while that is under way. Invariants: the head of a slot is written after its bytes, so that a kill
loses a piece at most; the file goes away with its last slot. It is opened anew each time, since
that is seldom. Raises bare OSError: chosen_files.py translates, and decides what goes here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakValueDictionary

from engine.core.identifiers import InfoHash
from engine.core.metainfo import Info
from engine.storage.backend import WritableView
from engine.storage.file_stamps import FileStamp
from engine.storage.save_folder import SaveFolder
from engine.storage.views import write_all

_HEADER = struct.Struct("<8sQ8s")
_SLOT = struct.Struct("<Q")
_MAGIC = b"SWparts1"
_DIGEST_BYTES = 8
NOT_SETTLED = bytes(_DIGEST_BYTES)
"""Stands for a digest while something that is kept here may belong elsewhere."""


class _Index:
    """Which slot holds which piece, shared by all who use the same file."""

    __slots__ = ("__weakref__", "inode", "slots")

    def __init__(self) -> None:
        self.inode = 0
        """Of the file that was read; another one is read anew."""
        self.slots: dict[int, int] = {}


_INDEXES: WeakValueDictionary[str, _Index] = WeakValueDictionary()
_INDEXES_LOCK = threading.Lock()


def part_file_name(info_hash: InfoHash) -> str:
    """The name below the save path. It is short enough for every file system."""
    return f".{info_hash.hex()}.parts"


def digest_of(skipped: Iterable[int]) -> bytes:
    """What tells one set of skipped files from another."""
    text = ",".join(map(str, sorted(skipped))).encode()
    return hashlib.sha1(text, usedforsecurity=False).digest()[:_DIGEST_BYTES]


class PartFile:
    """The part file of one torrent; cheap to make, touches nothing by itself.

    All offsets count in the torrent. One thread at a time: whoever calls holds a lock.
    """

    __slots__ = ("_folder", "_geometry", "_index", "_path")

    def __init__(self, folder: SaveFolder, info: Info) -> None:
        self._folder = folder
        self._geometry = info.geometry
        self._path = (part_file_name(info.info_hash),)
        with _INDEXES_LOCK:
            self._index = _INDEXES.setdefault(folder.full_path(self._path), _Index())

    @property
    def _slots(self) -> dict[int, int]:
        return self._index.slots

    @property
    def path(self) -> tuple[str, ...]:
        return self._path

    def stamp(self) -> FileStamp | None:
        try:
            found = self._folder.lstat(self._path)
        except OSError:
            return None
        return FileStamp(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

    def pieces(self) -> list[int]:
        """The pieces of which something is kept here, rising."""
        with contextlib.suppress(FileNotFoundError), self._open(writable=False):
            return sorted(self._slots)
        return []

    def keeps(self, piece: int) -> bool:
        """True if this piece is here."""
        with contextlib.suppress(FileNotFoundError), self._open(writable=False):
            return piece in self._slots
        return False

    def is_settled(self, digest: bytes) -> bool:
        """True if there is nothing to put in its place for these skipped files."""
        with contextlib.suppress(FileNotFoundError), self._open(writable=False) as fd:
            return os.pread(fd, _HEADER.size, 0) == self._header(digest)
        return True

    def settled(self, digest: bytes) -> None:
        """Note that all is in its place for these skipped files; with NOT_SETTLED for none."""
        with contextlib.suppress(FileNotFoundError):
            self._folder.lstat(self._path)
            with self._open(writable=True) as fd:
                write_all(fd, 0, [memoryview(self._header(digest))])

    def write(self, offset: int, views: Sequence[WritableView], digest: bytes) -> None:
        """Keep whole pieces. `digest` is that of the skipped files if for them all else that is
        here is in its place, else NOT_SETTLED."""
        stamp = self.stamp()
        if is_new := stamp is None or not stamp.size_bytes:
            self._index.inode = 0  # a new file may get the number of the one that was here
        with self._open(writable=True) as fd:
            header = self._header(digest)
            if is_new:
                write_all(fd, 0, [memoryview(header)])
            elif os.pread(fd, _HEADER.size, 0) != header:
                write_all(fd, 0, [memoryview(self._header(NOT_SETTLED))])
            for view in views:
                for piece, begin, part in self.by_piece(offset, memoryview(view)):
                    self._keep(fd, piece, begin, part)
                offset += len(view)

    def _keep(self, fd: int, piece: int, begin: int, part: memoryview) -> None:
        slot = self._slots.get(piece, -1)
        at = self._start(slot if slot >= 0 else self._free_slot())
        write_all(fd, at + _SLOT.size + begin, [part])
        if slot < 0:
            write_all(fd, at, [memoryview(_SLOT.pack(piece + 1))])
            self._slots[piece] = (at - _HEADER.size) // self._slot_size

    def read(self, offset: int, view: memoryview) -> None:
        """Fill the view. Raises FileNotFoundError where a piece is not kept here."""
        with self._open(writable=False) as fd:
            for piece, begin, part in self.by_piece(offset, view):
                if piece not in self._slots:
                    raise FileNotFoundError(errno.ENOENT, "it is skipped, and was not kept")
                at = self._start(self._slots[piece]) + _SLOT.size + begin
                if os.preadv(fd, (part,), at) != len(part):
                    raise OSError(errno.ENXIO, "the part file was cut short")

    def forget(self, piece: int) -> None:
        """Free the slot of a piece; with the last one the file goes."""
        with self._open(writable=True) as fd:
            slot = self._slots.pop(piece, None)
            if slot is not None and self._slots:
                write_all(fd, self._start(slot), [memoryview(_SLOT.pack(0))])
                end = self._start(max(self._slots.values()) + 1)
                if os.fstat(fd).st_size > end:
                    os.ftruncate(fd, end)
        if not self._slots:
            self.remove()

    def next_data(self, offset: int, end: int) -> int:
        """Return the first offset in [offset, end) of which something is kept, else `end`."""
        length = self._geometry.piece_length
        kept = (piece for piece in self.pieces() if (piece + 1) * length > offset)
        return min(end, max(offset, next(kept, end) * length))

    def remove(self) -> None:
        self._index.slots = {}
        self._index.inode = 0
        self._folder.remove_file(self._path)

    def flush(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._open(writable=False) as fd:
            os.fdatasync(fd)

    def by_piece(self, offset: int, view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
        """Cut a view at the borders of pieces: (piece, begin in it, view)."""
        while view:
            piece, begin = divmod(offset, self._geometry.piece_length)
            part = view[: self._geometry.piece_length - begin]
            yield piece, begin, part
            offset += len(part)
            view = view[len(part) :]

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _header(self, digest: bytes) -> bytes:
        return _HEADER.pack(_MAGIC, self._geometry.piece_length, digest)

    def _free_slot(self) -> int:
        if not self._slots:
            return 0
        taken = self._slots.values()
        last = max(taken)
        if len(taken) > last:
            return last + 1
        used = set(taken)
        return next(number for number in range(last) if number not in used)

    @property
    def _slot_size(self) -> int:
        return _SLOT.size + self._geometry.piece_length

    def _start(self, slot: int) -> int:
        return _HEADER.size + slot * self._slot_size

    @contextlib.contextmanager
    def _open(self, *, writable: bool) -> Iterator[int]:
        """Open it and read which slots there are; for writing it is made if it is missing."""
        fd = self._folder.open_file(self._path, writable=writable)
        try:
            status = os.fstat(fd)
            if status.st_ino != self._index.inode:
                self._index.slots = self._read_slots(fd, status.st_size)
                self._index.inode = status.st_ino
            yield fd
        finally:
            os.close(fd)

    def _read_slots(self, fd: int, size: int) -> dict[int, int]:
        if not size:
            return {}  # new, or made by a process that was killed at once
        known = self._header(b"")[:-_DIGEST_BYTES]
        if os.pread(fd, len(known), 0) != known:
            raise OSError(errno.EINVAL, "not a part file of this torrent; move it away")
        slots: dict[int, int] = {}
        number = 0
        while (at := self._start(number)) + _SLOT.size <= size:
            (head,) = _SLOT.unpack(os.pread(fd, _SLOT.size, at))
            if 0 < head <= self._geometry.piece_count:
                slots.setdefault(head - 1, number)
            number += 1
        return slots
