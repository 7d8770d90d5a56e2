"""The files of a torrent of which some are skipped: those are not made (BEP 3, 47).

A piece that a skipped file shares with a wanted one goes to the wanted file, and as a whole to the
part file; the skipped file's bytes are read from there. A skipped file that is there all the same,
be it that it was wanted before or that somebody put it there, is used as itself. Invariant: one
lock is held from the question whether a skipped file is there until its bytes are in their place.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Final

from engine.core.identifiers import InfoHash
from engine.core.metainfo import Info
from engine.errors import StorageError, StorageMissingError
from engine.storage.backend import FileStamp, WritableView
from engine.storage.file_map import Span
from engine.storage.file_pool import FilePool
from engine.storage.filesystem import TorrentFiles
from engine.storage.part_file import PartFile, digest_of, part_file_name
from engine.storage.save_folder import SaveFolder

_LOCK: Final = threading.Lock()
"""For all torrents: what it guards is seldom, and a torrent may be seen through several objects."""


class ChosenFiles(TorrentFiles):
    """Implements Backend as TorrentFiles does, and is as quick where no file is skipped."""

    __slots__ = ("_parts", "skipped")

    def __init__(
        self,
        root: Path,
        info: Info,
        pool: FilePool,
        *,
        preallocate: bool = False,
        skipped: Set[int] = frozenset(),
    ) -> None:
        """`skipped` are the numbers of the files that are not wanted; it may be replaced at any
        time, and `gather` must then be called."""
        super().__init__(root, info, pool, preallocate=preallocate)
        self.skipped = skipped
        with _LOCK:
            self._parts = PartFile(self._folder, info)

    # ── Backend ─────────────────────────────────────────────────────────────────────────────────

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        """See Backend. While files are skipped these must be whole pieces. HOT."""
        absent = self._keep_apart(offset, views) if self.skipped else None
        if not absent:
            super().write(offset, views)
            return
        spans = self._cut(offset, views)
        self._write_spans(each for each in spans if each[0].file not in absent)

    def stamps(self) -> list[FileStamp | None]:
        """See Backend. While files are skipped there is one more, of the part file."""
        stamps = super().stamps()
        return [*stamps, self._parts.stamp()] if self.skipped else stamps

    def pieces_at(self, stamp: int) -> Iterable[int]:
        """Return the pieces that the stamp of this number speaks for."""
        if stamp < len(self._info.files):
            return self._map.pieces_of(stamp)
        borders = [self._map.pieces_of(file) for file in self.skipped]
        return {piece for pieces in borders for piece in (*pieces[:1], *pieces[-1:])}

    def flush(self) -> None:
        super().flush()
        with self._translating("flushing", self._parts.path), _LOCK:
            self._parts.flush()

    def delete(self) -> None:
        failed: StorageError | None = None
        try:
            with self._translating("removing", self._parts.path), _LOCK:
                self._parts.remove()
        except StorageError as error:
            failed = error
        super().delete()
        if failed is not None:
            raise failed

    # ── when other files are skipped than before ────────────────────────────────────────────────

    def gather(self) -> None:
        """Put what the part file has of files that are wanted now to where it belongs, and forget
        what is needed no more. Cheap where there is nothing to do. Raises StorageError."""
        digest = digest_of(self.skipped)
        with self._translating("reading", self._parts.path), _LOCK:
            if self._parts.is_settled(digest):
                return
            pieces = self._parts.pieces()
        for piece in pieces:
            with _LOCK:
                self._gather_piece(piece)
        with self._translating("writing", self._parts.path), _LOCK:
            self._parts.settled(digest)

    def _gather_piece(self, piece: int) -> None:
        start = piece * self._info.piece_length
        content = memoryview(bytearray(self._info.geometry.piece_size(piece)))
        with self._translating("reading", self._parts.path):
            self._parts.read(start, content)
        digest = hashlib.sha1(content, usedforsecurity=False).digest()
        is_needed = False
        if digest == self._info.piece_hash(piece):
            for span, parts in self._cut(start, (content,)):
                if span.is_pad:
                    continue
                if self._is_absent(span.file):
                    is_needed = True
                elif not self._has(span, b"".join(parts)):
                    self._write_spans([(span, parts)])
        if not is_needed:
            with self._translating("writing", self._parts.path):
                self._parts.forget(piece)

    def _has(self, span: Span, content: bytes) -> bool:
        """True if a file that is there has these bytes already."""
        found = bytearray(span.length)
        try:
            super()._read_span(span, [found])
        except StorageMissingError:
            return False
        return found == content

    # ── skipped files ───────────────────────────────────────────────────────────────────────────

    def _is_made(self, file: int) -> bool:
        return super()._is_made(file) and file not in self.skipped

    def _is_absent(self, file: int) -> bool:
        return file in self.skipped and self._stamp(file) is None

    def _keep_apart(self, offset: int, views: Sequence[WritableView]) -> Set[int]:
        """Keep pieces apart that have bytes of absent files; return those files."""
        touched = self._map.walk(offset, sum(map(len, views)))
        skipped = [span.file for span in touched if not span.is_pad and span.file in self.skipped]
        if not skipped:
            return frozenset()
        with _LOCK:
            absent = {file for file in skipped if self._is_absent(file)}
            if absent:
                with self._translating("writing", self._parts.path):
                    self._parts.write(offset, views, digest_of(self.skipped))
        return absent

    def _read_span(self, span: Span, parts: list[WritableView]) -> None:
        if self.skipped and self._is_absent(span.file) and self._read_apart(span, parts):
            return
        super()._read_span(span, parts)

    def _read_apart(self, span: Span, parts: list[WritableView]) -> bool:
        """Read a span of an absent file; False if it is there, or wanted, after all."""
        entry = self._info.files[span.file]
        with _LOCK, self._translating("reading", span.file):
            if not self._is_absent(span.file):
                return False
            offset = entry.offset + span.offset
            for part in parts:
                self._parts.read(offset, memoryview(part))
                offset += len(part)
        return True

    def _next_data_of(self, span: Span) -> int:
        if not self.skipped or not self._is_absent(span.file):
            return super()._next_data_of(span)
        start = self._info.files[span.file].offset + span.offset
        with _LOCK, self._translating("reading", self._parts.path):
            return self._parts.next_data(start, start + span.length) - start


def remove_part_file(root: Path, info_hash: InfoHash) -> None:
    """Remove the part file of a torrent that goes, if there is one. Raises StorageError."""
    folder, name = SaveFolder(os.fspath(root)), part_file_name(info_hash)
    try:
        with _LOCK:
            folder.remove_file((name,))
    except OSError as error:
        raise StorageError.from_os_error(error, f"removing {folder.full_path((name,))}") from error
