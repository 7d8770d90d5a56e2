"""The files of a torrent of which some are skipped: those are not made (BEP 3, 47).

A piece that a skipped file shares with a wanted one goes to the wanted file, and as a whole to the
part file; the skipped file's bytes are read from there. A skipped file that is there all the same,
be it that it was wanted before or that somebody put it there, is used as itself. Invariants: one
lock is held from the question whether a skipped file is there until its bytes are in their place;
from the moment on that other files are skipped until `gather` has done its work, what was kept
apart is read from where it was kept, since the files have holes there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from engine.core.identifiers import InfoHash
from engine.core.metainfo import Info
from engine.errors import StorageError, StorageMissingError
from engine.storage.backend import LentRange, WritableView
from engine.storage.file_map import Span
from engine.storage.file_pool import FilePool
from engine.storage.file_stamps import FileStamps
from engine.storage.filesystem import TorrentFiles
from engine.storage.part_file import NOT_SETTLED, PartFile, digest_of, part_file_name
from engine.storage.placement import placement_at
from engine.storage.save_folder import SaveFolder


class ChosenFiles(TorrentFiles):
    """Implements Backend as TorrentFiles does, and is as quick where no file is skipped."""

    __slots__ = ("_parts", "_placement")

    def __init__(
        self,
        root: Path,
        info: Info,
        pool: FilePool,
        *,
        preallocate: bool = False,
        skipped: Set[int] = frozenset(),
    ) -> None:
        """`skipped` are the numbers of the files that are not wanted."""
        super().__init__(root, info, pool, preallocate=preallocate)
        self._parts = PartFile(self._folder, info)
        self._placement = placement_at(self._folder.full_path(self._parts.path))
        self.skipped = skipped

    @property
    def skipped(self) -> Set[int]:
        """May be replaced at any time, for all objects of this torrent at once; `gather` must then
        be called, when all is written that was handed to a thread before."""
        return self._placement.choice[1]

    @skipped.setter
    def skipped(self, files: Set[int]) -> None:
        self._placement.choose(files)

    # ── Backend ─────────────────────────────────────────────────────────────────────────────────

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        """See Backend. While files are skipped these must be whole pieces. HOT."""
        era, skipped = self._placement.begin()
        try:
            absent = self._keep_apart(offset, views, era, skipped) if skipped else None
            if not absent:
                super().write(offset, views)
                return
            spans = self._cut(offset, views)
            self._write_spans(each for each in spans if each[0].file not in absent)
        finally:
            self._placement.end(era)

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        """See Backend. HOT."""
        # Where the bytes are must be looked up first, and that waits.
        return self._placement.is_settled and super().read_into_nowait(offset, views)

    def lend_nowait(self, offset: int, length: int) -> LentRange | None:
        """See Backend. HOT."""
        return super().lend_nowait(offset, length) if self._placement.is_settled else None

    def stamps(self, *, strict: bool = False) -> FileStamps:
        """See Backend. While files are skipped there is one more, of the part file."""
        stamps = super().stamps(strict=strict)
        return stamps.followed_by(self._parts.stamp()) if self.skipped else stamps

    def pieces_at(self, stamp: int) -> Iterable[int]:
        """Return the pieces that the stamp of this number speaks for."""
        if stamp < len(self._info.files):
            return self._map.pieces_of(stamp)
        borders = [self._map.pieces_of(file) for file in self.skipped]
        return {piece for pieces in borders for piece in (*pieces[:1], *pieces[-1:])}

    def flush(self) -> None:
        super().flush()
        with self._translating("flushing", self._parts.path), self._placement.moving:
            self._parts.flush()

    def delete(self) -> None:
        failed: StorageError | None = None
        try:
            with self._translating("removing", self._parts.path), self._placement.moving:
                self._parts.remove()
        except StorageError as error:
            failed = error
        super().delete()
        if failed is not None:
            raise failed

    # ── when other files are skipped than before ────────────────────────────────────────────────

    def gather(self) -> list[int]:
        """Put what the part file has of files that are wanted now to where it belongs, and forget
        what is needed no more. Returns the pieces that were damaged there, and so are lost. Cheap
        where there is nothing to do. If something else is chosen meanwhile it ends: what that needs
        is done by its own. Raises StorageError."""
        era, skipped = self._placement.choice
        damaged: list[int] = []
        with self._translating("reading", self._parts.path), self._placement.moving:
            if self._is_settled(era, skipped):
                return damaged
            pieces = self._parts.pieces()
            self._parts.settled(NOT_SETTLED)
        for piece in pieces:
            with self._placement.moving:
                if self._placement.choice[0] != era:
                    break
                if not self._gather_piece(piece):
                    damaged.append(piece)
        with self._translating("writing", self._parts.path), self._placement.moving:
            if self._placement.settle(era):
                self._parts.settled(digest_of(skipped))
        return damaged

    def _is_settled(self, era: int, skipped: Set[int]) -> bool:
        """True if all is in its place for these files; the lock is held. Raises bare OSError."""
        placement = self._placement
        if placement.is_settled:
            return placement.choice[0] == era
        return self._parts.is_settled(digest_of(skipped)) and placement.settle(era)

    def _gather_piece(self, piece: int) -> bool:
        """False if it was damaged."""
        start = piece * self._info.piece_length
        content = memoryview(bytearray(self._info.geometry.piece_size(piece)))
        with self._translating("reading", self._parts.path):
            if not self._parts.keeps(piece):
                return True  # another gathering was here
            self._parts.read(start, content)
        digest = hashlib.sha1(content, usedforsecurity=False).digest()
        is_sound = digest == self._info.piece_hash(piece)
        is_needed = False
        if is_sound:
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
        return is_sound

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

    def _made(self) -> Iterable[int]:
        skipped = self.skipped
        return (file for file in super()._made() if file not in skipped)

    def _is_absent(self, file: int) -> bool:
        return file in self.skipped and not self._is_there(file)

    def _keep_apart(
        self, offset: int, views: Sequence[WritableView], era: int, skipped: Set[int]
    ) -> Set[int]:
        """Keep pieces apart that have bytes of absent files; return those files."""
        places: list[tuple[int, Span]] = []
        at = offset
        for span in self._map.walk(offset, sum(map(len, views))):
            if not span.is_pad and span.file in skipped:
                places.append((at, span))
            at += span.length
        if not places:
            return frozenset()
        with self._placement.moving:
            asked = {span.file for _, span in places}
            absent = {file for file in asked if not self._is_there(file)}
            if absent:
                pieces = {
                    piece
                    for at, span in places
                    if span.file in absent
                    for piece in self._pieces_in(at, span.length)
                }
                with self._translating("writing", self._parts.path):
                    digest = digest_of(skipped) if self._is_settled(era, skipped) else NOT_SETTLED
                    for view in views:
                        if not pieces.isdisjoint(self._pieces_in(offset, len(view))):
                            self._parts.write(offset, [view], digest)
                        offset += len(view)
        return absent

    def _pieces_in(self, offset: int, size: int) -> range:
        length = self._info.piece_length
        return range(offset // length, (offset + size - 1) // length + 1)

    def _read_span(self, span: Span, parts: list[WritableView]) -> None:
        placement = self._placement
        if (placement.choice[1] or not placement.is_settled) and self._read_apart(span, parts):
            return
        super()._read_span(span, parts)

    def _read_apart(self, span: Span, parts: list[WritableView]) -> bool:
        """Read a span of which something may be kept apart; False if it is in its file."""
        era, skipped = self._placement.choice
        entry = self._info.files[span.file]
        with self._placement.moving, self._translating("reading", span.file):
            is_absent = self._is_absent(span.file)
            if self._is_settled(era, skipped) and not is_absent:
                return False
            offset = entry.offset + span.offset
            for part in parts:
                for piece, begin, view in self._parts.by_piece(offset, memoryview(part)):
                    at = piece * self._info.piece_length + begin
                    if is_absent or self._parts.keeps(piece):
                        self._parts.read(at, view)
                    else:
                        place = Span(span.file, at - entry.offset, len(view), False)
                        super()._read_span(place, [view])
                offset += len(part)
        return True

    def _next_data_of(self, span: Span) -> int:
        if not self._placement.is_settled:
            return 0
        if not self.skipped or not self._is_absent(span.file):
            return super()._next_data_of(span)
        start = self._info.files[span.file].offset + span.offset
        with self._placement.moving, self._translating("reading", self._parts.path):
            return self._parts.next_data(start, start + span.length) - start


def remove_part_file(root: Path, info_hash: InfoHash) -> None:
    """Remove the part file of a torrent that goes, if there is one. Raises StorageError."""
    folder, name = SaveFolder(os.fspath(root)), part_file_name(info_hash)
    path = folder.full_path((name,))
    try:
        with placement_at(path).moving:
            folder.remove_file((name,))
    except OSError as error:
        raise StorageError.from_os_error(error, f"removing {path}") from error
