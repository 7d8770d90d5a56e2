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
from itertools import filterfalse, groupby
from pathlib import Path

from engine.core.metainfo import Info
from engine.errors import StorageError, StorageMissingError
from engine.storage.backend import LentRange, WritableView
from engine.storage.file_map import SMALL_FILE_BYTES, FileMap, Span
from engine.storage.file_pool import FilePool
from engine.storage.file_stamps import FileStamps
from engine.storage.nowait import is_cached, nowait_flags
from engine.storage.save_folder import SaveFolder, refuse_irregular
from engine.storage.views import MAX_VIEWS, cut, fill_with_zeros, rest_of, write_all
from engine.storage.whole_files import WholeFiles, file_mode

CUT_SHORT = "the file was cut short by somebody else meanwhile"
REMOVED = "the file was removed meanwhile"


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
        "_whole_files",
    )

    def __init__(
        self, root: Path, info: Info, pool: FilePool, *, preallocate: bool = False
    ) -> None:
        self._folder = SaveFolder(os.fspath(root))
        self._info = info
        self._map = FileMap(info)
        self._pool = pool
        self._preallocate = preallocate
        self._unflushed = bytearray(len(info.files))
        """One byte for each file: 1 if something was written since it was flushed."""
        self._whole_files = WholeFiles(self._folder, info.files, pool)

    @property
    def root(self) -> Path:
        return Path(self._folder.path)

    @property
    def file_map(self) -> FileMap:
        return self._map

    # ── Opener, for the pool ────────────────────────────────────────────────────────────────────

    def open_file(self, file: int, *, writable: bool) -> int:
        files = self._info.files
        path, length = files.path(file), files.length(file)
        fd = self._folder.open_file(path, writable=writable, mode=file_mode(files, file))
        if writable:
            try:
                if os.fstat(fd).st_size != length:
                    os.ftruncate(fd, length)
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
        files = self._info.files
        made: set[int] = set()
        for number in self._made():
            folder = files.folder_numbers[number]
            is_empty = not files.length(number)
            if folder in made and not is_empty and not self._preallocate:
                continue
            with self._translating("preparing", number):
                if folder not in made:
                    if files.folders[folder]:
                        self._folder.make_folder(files.folders[folder])
                    made.add(folder)
                if (target := files.symlink(number)) is not None:
                    self._folder.make_symlink(files.path(number), target)
                elif is_empty:
                    self._make_empty(number)
                elif self._preallocate:
                    self._reserve(number)

    def write(self, offset: int, views: Sequence[WritableView]) -> None:
        """See Backend. HOT."""
        if len(views) == 1:
            length = len(views[0])
            numbers = self._map.small_files(offset, length)
            if numbers and not self._is_any_open(numbers):
                self._write_around(numbers, offset, memoryview(views[0]))
                return
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

    def lend_nowait(self, offset: int, length: int) -> LentRange | None:
        place = self._map.locate(offset, length)
        found = None if place is None else self._pool.peek(self, place[0])
        if place is None or found is None:
            return None
        flags = found.read_flags
        if flags is None:
            flags = found.read_flags = nowait_flags(found.fd)
        if flags == 0 or (flags > 0 and is_cached(found.fd, place[1], length)):
            return LentRange(found.fd, place[1], found.give_back)
        found.give_back()
        return None

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

    def stamps(self, *, strict: bool = False) -> FileStamps:
        files = self._info.files
        stamps = FileStamps(len(files))
        # One folder at a time: what the system says of ten thousand files takes megabytes.
        folder_of = files.folder_numbers.__getitem__
        for folder, group in groupby(sorted(range(len(files)), key=folder_of), folder_of):
            numbers = list(group)
            names = [files.name(number) for number in numbers]
            with contextlib.closing(self._folder.lstat_in(files.folders[folder], names)) as looks:
                for number, look in zip(numbers, looks, strict=True):
                    if look is None or files.is_pad(number):
                        continue
                    if stat.S_ISREG(look.st_mode) and files.symlink(number) is None:
                        stamps.put(number, look.st_size, look.st_mtime_ns)
                    elif strict:
                        self._refuse_obstacle(number, look.st_mode)
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
        self._unflushed[:] = bytes(len(self._unflushed))
        if failed is not None:
            raise failed

    def flush(self) -> None:
        number = -1
        while (number := self._unflushed.find(1, number + 1)) >= 0:
            self._unflushed[number] = 0
            if not self._info.files.length(number):
                continue  # maybe not there at all
            with (
                self._translating("flushing", number),
                self._pool.lease(self, number) as fd,
            ):
                os.fdatasync(fd)

    def close(self) -> None:
        self._pool.invalidate(self)

    def _refuse_obstacle(self, file: int, mode: int) -> None:
        """Raise StorageError for what stands in the place of a file that is to be written."""
        if self._info.files.symlink(file) is None and self._is_made(file):
            with self._translating("looking at", file):
                refuse_irregular(mode, self._info.files.path(file)[-1])

    def _is_made(self, file: int) -> bool:
        """True if a file is made before the first write."""
        return not self._info.files.is_pad(file)

    def _made(self) -> Iterable[int]:
        """The files that are made before the first write, in their order."""
        return filterfalse(self._info.files.is_pad, range(len(self._info.files)))

    # ── one file ────────────────────────────────────────────────────────────────────────────────

    def _is_any_open(self, numbers: range) -> bool:
        return bool(len(self._pool)) and any(self._pool.has(self, each) for each in numbers)

    def _write_around(self, numbers: range, offset: int, view: memoryview) -> None:
        """Write small files in a row, which lie wholly in the view, and what else is in it. HOT."""
        starts = self._info.files.starts
        begin, end = starts[numbers.start] - offset, starts[numbers.stop] - offset
        self._unflushed[numbers.start : numbers.stop] = b"\1" * len(numbers)
        for at, part in (0, view[:begin]), (end, view[end:]):
            if part:
                self._write_spans(self._cut(offset + at, (part,)))
        self._whole_files.write_row(numbers, view[begin:end])

    def _write_spans(self, spans: Iterable[tuple[Span, list[WritableView]]]) -> None:
        """Write what belongs to each span; pads are left out, small files come last."""
        length_of, is_open = self._info.files.length, self._pool.has
        small: list[tuple[int, list[WritableView]]] = []
        for span, parts in spans:
            number, _, length, is_pad = span
            if is_pad:
                continue
            whole = length_of(number)
            self._unflushed[number] = 1
            if length == whole <= SMALL_FILE_BYTES and not is_open(self, number):
                small.append((number, parts))
            else:
                with self._translating("writing", number):
                    self._write_part(span, parts, whole)
        if small:
            self._whole_files.write(small)

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

    def _is_there(self, file: int) -> bool:
        """True if the file is in its place, however long it is."""
        files = self._info.files
        if files.is_pad(file) or files.symlink(file) is not None:
            return False
        with contextlib.suppress(OSError):
            return stat.S_ISREG(self._folder.lstat(files.path(file)).st_mode)
        return False

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
        return _Translating(self, doing, at)

    def _failed(self, doing: str, at: int | tuple[str, ...], error: OSError) -> StorageError:
        path = self._info.files.path(at) if isinstance(at, int) else at
        return StorageError.from_os_error(error, f"{doing} {self._folder.culprit(path, error)}")


class _Translating:
    """Context manager that turns OSError into StorageError; a plain class, since it is HOT."""

    __slots__ = ("_at", "_doing", "_files")

    def __init__(self, files: TorrentFiles, doing: str, at: int | tuple[str, ...]) -> None:
        self._files = files
        self._doing = doing
        self._at = at

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise self._files._failed(self._doing, self._at, error) from error
