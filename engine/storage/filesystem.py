"""The files of one torrent on a real file system (BEP 3, 47). HOT: write, read_into_nowait.

Invariant: nothing outside the save path is touched (save_folder.py), and OSError leaves this room
only as StorageError. A file is given its exact length when it is first opened for writing: sparse,
or really reserved with `preallocate`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.core.metainfo import FileEntry, Info
from engine.errors import StorageError, StorageMissingError
from engine.storage.backend import FileStamp, WritableView
from engine.storage.file_map import FileMap, Span
from engine.storage.file_pool import FilePool
from engine.storage.nowait import nowait_flags
from engine.storage.save_folder import FileMaker, SaveFolder, refuse_irregular
from engine.storage.views import MAX_VIEWS, cut, fill_with_zeros, rest_of, write_all

CUT_SHORT = "the file was cut short by somebody else meanwhile"
REMOVED = "the file was removed meanwhile"
_SMALL_FILE_BYTES = 256 * 1024
"""Files that come in one piece and are no larger are opened for that one write."""


class TorrentFiles:
    """Implements Backend below `root`, the save path. Cheap to make: opens nothing by itself."""

    __slots__ = (
        "__weakref__",
        "_folder",
        "_info",
        "_map",
        "_pool",
        "_preallocate",
        "_unflushed",
    )

    def __init__(
        self, root: Path, info: Info, pool: FilePool, *, preallocate: bool = False
    ) -> None:
        self._folder = SaveFolder(os.fspath(root))
        self._info = info
        self._map = FileMap(info)
        self._pool = pool
        self._preallocate = preallocate
        self._unflushed: set[int] = set()

    @property
    def root(self) -> Path:
        return Path(self._folder.path)

    @property
    def file_map(self) -> FileMap:
        return self._map

    # ── Opener, for the pool ────────────────────────────────────────────────────────────────────

    def open_file(self, file: int, *, writable: bool) -> int:
        entry = self._info.files[file]
        fd = self._folder.open_file(entry.path, writable=writable, mode=_mode(entry))
        if writable:
            try:
                if os.fstat(fd).st_size != entry.length:
                    os.ftruncate(fd, entry.length)
            except OSError:
                os.close(fd)
                raise
        return fd

    # ── Backend ─────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """See Backend. Existing files are left as they are; with `preallocate` space is taken."""
        with self._translating("preparing", ()):
            try:
                os.makedirs(self._folder.path, exist_ok=True)
            except FileExistsError as error:  # what is there is no folder
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        made: set[tuple[str, ...]] = {()}
        for number, entry in enumerate(self._info.files):
            if not self._is_made(number):
                continue
            with self._translating("preparing", number):
                parent = entry.path[:-1]
                if parent not in made:
                    self._folder.make_folder(parent)
                    made.add(parent)
                if entry.symlink is not None:
                    self._folder.make_symlink(entry.path, entry.symlink)
                elif not entry.length:
                    self._make_empty(number)
                elif self._preallocate:
                    self._reserve(number)

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        self._write_spans(self._cut(offset, views))

    def read_into(self, offset: int, views: Sequence[WritableView]) -> None:
        for span, parts in self._cut(offset, views):
            if span.is_pad:
                fill_with_zeros(parts)
            else:
                self._read_span(span, parts)

    def read_into_nowait(self, offset: int, views: Sequence[WritableView]) -> bool:
        length = sum(map(len, views))
        place = self._map.locate(offset, length)
        if place is not None:
            return self._read_nowait(place[0], place[1], views, length)
        for span, parts in self._cut(offset, views):
            if span.is_pad:
                fill_with_zeros(parts)
            elif not self._read_nowait(span.file, span.offset, parts, span.length):
                return False
        return True

    def will_need(self, offset: int, length: int) -> None:
        end = min(offset + length, self._map.total_length)
        for span in self._map.spans(offset, max(0, end - offset)):
            if not span.is_pad:
                with contextlib.suppress(OSError), self._pool.lease(self, span.file) as fd:
                    os.posix_fadvise(fd, span.offset, span.length, os.POSIX_FADV_WILLNEED)

    def next_data(self, offset: int, end: int) -> int:
        for span in self._map.walk(offset, end - offset):
            if not span.is_pad:
                ahead = self._next_data_of(span)
                if ahead < span.length:
                    return offset + ahead
            offset += span.length
        return end

    def stamps(self, *, strict: bool = False) -> list[FileStamp | None]:
        files = self._info.files
        found = self._folder.lstat_all([entry.path for entry in files])
        stamps: list[FileStamp | None] = []
        for entry, look in zip(files, found, strict=True):
            stamp = _stamp(entry, look)
            if strict and stamp is None and look is not None:
                self._refuse_obstacle(len(stamps), look.st_mode)
            stamps.append(stamp)
        return stamps

    def delete(self) -> None:
        """See Backend. Goes on past what cannot be removed and raises the first reason."""
        self.close()
        failed: StorageError | None = None
        folders: set[tuple[str, ...]] = set()
        for number, entry in enumerate(self._info.files):
            if entry.is_pad:
                continue
            folders.update(entry.path[:depth] for depth in range(1, len(entry.path)))
            try:
                with self._translating("removing", number):
                    self._folder.remove_file(entry.path, is_symlink=entry.symlink is not None)
            except StorageMissingError:
                pass
            except StorageError as error:
                failed = failed or error
        for folder in sorted(folders, key=len, reverse=True):
            try:
                self._folder.remove_folder(folder)
            except OSError as error:
                doing = f"removing {self._folder.full_path(folder)}"
                failed = failed or StorageError.from_os_error(error, doing)
        self._unflushed.clear()
        if failed is not None:
            raise failed

    def flush(self) -> None:
        while self._unflushed:
            number = self._unflushed.pop()
            with (
                self._translating("flushing", number),
                self._pool.lease(self, number) as fd,
            ):
                os.fdatasync(fd)

    def close(self) -> None:
        self._pool.invalidate(self)

    def _refuse_obstacle(self, file: int, mode: int) -> None:
        """Raise StorageError for what stands in the place of a file that is to be written."""
        entry = self._info.files[file]
        if entry.symlink is None and self._is_made(file):
            with self._translating("looking at", file):
                refuse_irregular(mode, entry.path[-1])

    def _is_made(self, file: int) -> bool:
        """True if a file is made before the first write."""
        return not self._info.files[file].is_pad

    # ── one file ────────────────────────────────────────────────────────────────────────────────

    def _write_spans(self, spans: Iterable[tuple[Span, list[WritableView]]]) -> None:
        """Write what belongs to each span; pads are left out, small files come last."""
        files, is_open, unflushed = self._info.files, self._pool.has, self._unflushed
        small: dict[tuple[str, ...], list[tuple[FileEntry, list[WritableView]]]] = {}
        for span, parts in spans:
            number, _, length, is_pad = span
            if is_pad:
                continue
            entry = files[number]
            unflushed.add(number)
            if length == entry.length <= _SMALL_FILE_BYTES and not is_open(self, number):
                small.setdefault(entry.path[:-1], []).append((entry, parts))
            else:
                with self._translating("writing", number):
                    self._write_part(span, parts, entry.length)
        for folder, contents in small.items():
            self._write_small_files(folder, contents)

    def _write_part(self, span: Span, parts: list[WritableView], length: int) -> None:
        opened = self._pool.lease(self, span.file, writable=True)
        with opened as fd:
            with opened.writing:
                write_all(fd, span.offset, parts)
            if not opened.must_be_looked_at():
                return
            status = os.fstat(fd)
            if status.st_size < length:
                raise OSError(errno.ENOENT, CUT_SHORT)
            if not status.st_nlink:
                # Somebody deleted the file; what we write to our descriptor is lost with it.
                self._pool.invalidate(self, span.file)
                raise FileNotFoundError(errno.ENOENT, REMOVED)

    def _write_small_files(
        self, folder: tuple[str, ...], contents: list[tuple[FileEntry, list[WritableView]]]
    ) -> None:
        """Write files of one folder, each all at once, by a descriptor of its own: of thousands of
        them none would stay in the pool, and none is written to again. What is new needs no looking
        at. Between the system calls next to nothing is done: each lets go of the interpreter, and
        who then has to wait for it waits longer than the call takes. HOT."""
        entry, opened = contents[0][0], self._pool.opened
        try:
            with opened(FileMaker, self._folder, folder) as maker:
                for entry, parts in contents:
                    fd = opened(maker.make, entry.path[-1], _mode(entry))
                    if fd is None:
                        self._write_over(entry, parts)
                        continue
                    try:
                        write_all(fd, 0, parts)
                    finally:
                        os.close(fd)
        except OSError as error:
            doing = f"writing {self._folder.full_path(entry.path)}"
            raise StorageError.from_os_error(error, doing) from error

    def _write_over(self, entry: FileEntry, parts: list[WritableView]) -> None:
        """Write all of a file that may be there already."""
        path, mode = entry.path, _mode(entry)
        fd = self._pool.opened(self._folder.open_file, path, writable=True, mode=mode)
        try:
            write_all(fd, 0, parts)
            if os.fstat(fd).st_size > entry.length:
                os.ftruncate(fd, entry.length)
        finally:
            os.close(fd)

    def _read_span(self, span: Span, parts: list[WritableView]) -> None:
        with self._translating("reading", span.file), self._pool.lease(self, span.file) as fd:
            at = span.offset
            while parts:
                count = os.preadv(fd, parts[:MAX_VIEWS], at)
                if not count:
                    wanted = span.offset + span.length
                    raise OSError(errno.ENXIO, f"ends at {at}, {wanted} bytes are needed")
                at += count
                parts = rest_of(parts, count)

    def _read_nowait(self, file: int, at: int, views: Sequence[WritableView], length: int) -> bool:
        found = self._pool.peek(self, file)
        if found is None:
            return False
        with found as fd:
            flags = found.read_flags
            if flags is None:
                flags = found.read_flags = nowait_flags(fd)
            try:
                return flags >= 0 and os.preadv(fd, views, at, flags) == length
            except OSError:
                # Cold, most likely; if there is more to it, `read_into` will meet it again.
                return False

    def _next_data_of(self, span: Span) -> int:
        """Return the bytes from the start of a span to what must be read; its length if nothing."""
        try:
            with (
                self._translating("reading", span.file),
                self._pool.lease(self, span.file) as fd,
            ):
                return max(0, os.lseek(fd, span.offset, os.SEEK_DATA) - span.offset)
        except StorageMissingError:
            # No such file, or ENXIO: no data up to its end.
            return span.length
        except StorageError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EINVAL:
                return 0
            raise

    def _stamp(self, file: int) -> FileStamp | None:
        entry = self._info.files[file]
        with contextlib.suppress(OSError):
            return _stamp(entry, self._folder.lstat(entry.path))
        return None

    def _make_empty(self, file: int) -> None:
        """Make a file without bytes; one that is there already stays, on read-only media too."""
        try:
            os.close(self.open_file(file, writable=False))
        except FileNotFoundError:
            os.close(self.open_file(file, writable=True))

    def _reserve(self, file: int) -> None:
        entry = self._info.files[file]
        length = entry.length
        with contextlib.suppress(OSError):
            found = self._folder.lstat(entry.path)
            is_there = stat.S_ISREG(found.st_mode) and found.st_size >= length
            if is_there and found.st_blocks * 512 >= length:
                return
        with self._pool.lease(self, file, writable=True) as fd:
            try:
                os.posix_fallocate(fd, 0, length)
            except OSError as error:
                # A file system that cannot reserve gives a sparse file: slower, not wrong.
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise

    def _cut(
        self, offset: int, views: Sequence[WritableView]
    ) -> Iterator[tuple[Span, list[WritableView]]]:
        """Share views out to the spans they belong to."""
        return cut(self._map.spans(offset, sum(map(len, views))), views)

    def _translating(self, doing: str, at: int | tuple[str, ...]) -> _Translating:
        """`at` is the number of a file, or a path below the save path."""
        path = self._info.files[at].path if isinstance(at, int) else at
        return _Translating(self._folder, doing, path)


class _Translating:
    """Context manager that turns OSError into StorageError; a plain class, since it is HOT."""

    __slots__ = ("_doing", "_folder", "_path")

    def __init__(self, folder: SaveFolder, doing: str, path: tuple[str, ...]) -> None:
        self._folder = folder
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            doing = f"{self._doing} {self._folder.culprit(self._path, error)}"
            raise StorageError.from_os_error(error, doing) from error


def _mode(entry: FileEntry) -> int:
    return 0o777 if entry.is_executable else 0o666


def _stamp(entry: FileEntry, found: os.stat_result | None) -> FileStamp | None:
    if found is None or entry.is_pad or entry.symlink is not None:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileStamp(found.st_size, found.st_mtime_ns)
