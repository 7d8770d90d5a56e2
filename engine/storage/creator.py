"""Make a torrent from a file or a folder (BEP 3, 27, 47), hashing with one thread per core.

Invariant: what is described is what was read. A file that changes while it is hashed is an error,
and the result is parsed like anybody's torrent, so that no name goes out which nobody would take.
Blocks: call it from a thread of your own, never on the loop.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

from engine.core import bencode
from engine.core.geometry import Geometry
from engine.core.metainfo import MAX_PIECE_LENGTH, Info, Metainfo
from engine.errors import InputError, SourceError
from engine.storage.file_pool import FilePool
from engine.storage.source_tree import SourceFile, SourceTree, scan

MIN_PIECE_LENGTH = 16 * 1024
MAX_AUTOMATIC_PIECE_LENGTH = 16 * 1024 * 1024
_PIECES_WANTED = 2048
"""About 40 KiB of hashes: small to publish, and still many pieces to trade."""
_CLAIM_BYTES = 4 * 1024 * 1024
_READ_BYTES = 512 * 1024
_REPORT_S = 0.1

Progress = Callable[[int, int], None]
"""(bytes hashed, bytes in all): at the beginning, ten times a second, and at the end; called in the
thread that called `create`."""


def automatic_piece_length(total_bytes: int) -> int:
    """Return the smallest power of two from 16 KiB to 16 MiB that gives at most 2,048 pieces."""
    length = MIN_PIECE_LENGTH
    while length * _PIECES_WANTED < total_bytes and length < MAX_AUTOMATIC_PIECE_LENGTH:
        length *= 2
    return length


def create(
    path: str | os.PathLike[str],
    *,
    piece_length: int | None = None,
    trackers: Sequence[Sequence[str]] = (),
    web_seeds: Sequence[str] = (),
    private: bool = False,
    source: str = "",
    comment: str = "",
    created_by: str = "",
    created_at: int | None = None,
    include_hidden: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Metainfo:
    """Describe `path`. `trackers` are tiers (BEP 12), `created_at` seconds since the epoch.

    Raises SourceError for what cannot be read or shared, or changed meanwhile; InputError for an
    impossible piece length; MetainfoError for names that others would refuse; CancelledError
    (concurrent.futures) once `is_cancelled` says so, which is asked ten times a second.
    """
    tree = scan(os.fspath(path), include_hidden=include_hidden)
    total = tree.total_length
    length = automatic_piece_length(total) if piece_length is None else piece_length
    if not MIN_PIECE_LENGTH <= length <= MAX_PIECE_LENGTH or length & (length - 1):
        raise InputError(
            f"a piece length of {length} bytes: it must be a power of two from"
            f" {MIN_PIECE_LENGTH} to {MAX_PIECE_LENGTH}"
        )
    hashing = _Hashing(tree, Geometry(total, length))
    pieces = hashing.run(threads or os.cpu_count() or 1, progress, is_cancelled)
    tree.check_unchanged()
    info: dict[str, bencode.Encodable] = {
        "name": tree.name,
        "piece length": length,
        "pieces": pieces,
        **tree.layout(),
    }
    if private:
        info["private"] = 1
    if source:
        info["source"] = source
    return Metainfo(
        info=Info.parse(bencode.encode(info)),
        trackers=tuple(tuple(tier) for tier in trackers if tier),
        web_seeds=tuple(web_seeds),
        comment=comment,
        created_by=created_by,
        created_at=created_at,
    )


class _Hashing:
    """The pieces of one tree, claimed by threads in order and hashed side by side."""

    def __init__(self, tree: SourceTree, geometry: Geometry) -> None:
        self._tree = tree
        self._geometry = geometry
        self._pool = FilePool()
        self._digests: list[bytes] = [b""] * geometry.piece_count
        self._change = threading.Condition()
        # The lock of `_change` guards what follows.
        self._next_piece = 0
        self._hashed_bytes = 0
        self._running = 0
        self._error: BaseException | None = None
        self._is_stopped = False

    def run(
        self, threads: int, progress: Progress | None, is_cancelled: Callable[[], bool]
    ) -> bytes:
        total = self._geometry.total_length
        report = progress or (lambda done, of: None)
        report(0, total)
        self._running = threads
        workers = [threading.Thread(target=self._work, name="create") for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            is_over = False
            while not is_over:
                if is_cancelled():
                    raise CancelledError
                with self._change:
                    is_over = self._change.wait_for(lambda: not self._running, _REPORT_S)
                    done = self._hashed_bytes
                report(done, total)
        finally:
            self._is_stopped = True
            for worker in workers:
                worker.join()
            self._pool.close()
        if self._error is not None:
            raise self._error
        report(total, total)
        return b"".join(self._digests)

    def _work(self) -> None:
        buffer = memoryview(bytearray(_READ_BYTES))
        try:
            while pieces := self._claim():
                for index in pieces:
                    self._digests[index] = self._digest(index, buffer)
        except Exception as error:
            self._error = error
            self._is_stopped = True
        finally:
            with self._change:
                self._running -= 1
                if not self._running:
                    self._change.notify()

    def _claim(self) -> range:
        """Take the next pieces, several if they are small; none when all are taken."""
        geometry = self._geometry
        with self._change:
            if self._is_stopped:
                return range(0)
            start = self._next_piece
            count = max(1, _CLAIM_BYTES // geometry.piece_length)
            end = min(start + count, geometry.piece_count)
            self._next_piece = end
            self._hashed_bytes = min(start * geometry.piece_length, geometry.total_length)
            return range(start, end)

    def _digest(self, index: int, buffer: memoryview) -> bytes:
        offset = self._geometry.piece_offset(index)
        end = offset + self._geometry.piece_size(index)
        sha1 = hashlib.sha1(usedforsecurity=False)
        file = self._tree.file_at(offset)
        while offset < end:
            entry = self._tree.files[file]
            if offset >= entry.end:
                file += 1
                continue
            view = buffer[: min(_READ_BYTES, end - offset, entry.end - offset)]
            self._read(file, entry, offset, view)
            sha1.update(view)
            offset += len(view)
        return sha1.digest()

    def _read(self, file: int, entry: SourceFile, offset: int, view: memoryview) -> None:
        try:
            with self._pool.lease(self._tree, file) as fd:
                count = os.preadv(fd, (view,), offset - entry.offset)
        except OSError as error:
            raise SourceError(f"reading {entry.real_path}: {error.strerror}") from error
        if count == len(view):
            return
        if not count:
            raise SourceError(f"{entry.real_path} changed while it was read")
        self._read(file, entry, offset + count, view[count:])
