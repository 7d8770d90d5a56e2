"""Verify what is on disk against the piece hashes (BEP 3), with all disk threads.

Invariant: a piece is reported only if its bytes, read now, have its hash. Holes are not read: they
are zeros, which is right for a piece of zeros and wrong for any other; a missing or short file is
no hole. Pieces that cannot be read because a file is not there are missing, not an error.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from engine.core.bitfield import Bitfield
from engine.core.metainfo import Info
from engine.errors import StorageMissingError
from engine.storage.backend import Backend
from engine.storage.disk import Disk, Priority
from engine.storage.file_map import FileMap

_RANGE_BYTES = 64 * 1024 * 1024
"""Pieces handed to a thread; holes in them cost nothing."""
_TURN_BYTES = 4 * 1024 * 1024
"""Bytes hashed before a thread turns to more urgent work that waits: some 2 ms."""
_MOST_BYTES = 16 * 1024 * 1024
"""Bytes hashed before a thread tells what it found though nobody waits: the loop would have a core
for it that hashes."""
_READ_BYTES = 512 * 1024
"""One read; it must still be in the processor's cache when it is hashed."""


@dataclass(slots=True)
class _Turn:
    """What one job found, and what it left for the next."""

    good: list[int]
    rest: Sequence[int]


class Checker:
    """One check of one torrent: `await run()` once. Belongs to the loop thread.

    `pieces` limits it to some pieces; `progress` is told (pieces done, pieces in all) every few
    megabytes.
    """

    def __init__(
        self,
        disk: Disk,
        files: Backend,
        info: Info,
        *,
        pieces: Iterable[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        geometry = info.geometry
        self._disk = disk
        self._job = _PieceVerifier(files, info, disk)
        self._pieces: Sequence[int] = (
            range(geometry.piece_count) if pieces is None else sorted(set(pieces))
        )
        self._range = max(1, min(8192, _RANGE_BYTES // info.piece_length))
        self._begun = 0
        self._active = 0
        self._progress = progress or (lambda done, of: None)
        self._is_cancelled = False
        self._error: Exception | None = None
        self._over: asyncio.Future[None] | None = None
        self.done = 0
        """Pieces looked at so far."""
        self.found = Bitfield(geometry.piece_count)
        """Pieces that are good."""

    async def run(self) -> Bitfield:
        """Return `found` when all was looked at. Raises StorageError, and CancelledError after
        `cancel`; what was found until then stays in `found`."""
        self._over = asyncio.get_running_loop().create_future()
        try:
            for _ in range(2 * self._disk.threads):
                self._submit_next()
            if self._active:
                await self._over
        finally:
            self._job.is_stopped = True
            # Nothing may touch the files after this: the caller closes or deletes them.
            while self._active:
                self._over = asyncio.get_running_loop().create_future()
                await self._over
        if self._is_cancelled:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        return self.found

    def cancel(self) -> None:
        """End the check soon: `run` raises CancelledError."""
        self._is_cancelled = True
        self._job.is_stopped = True

    def _submit_next(self) -> None:
        if self._begun < len(self._pieces) and not self._job.is_stopped:
            taken = self._pieces[self._begun : self._begun + self._range]
            self._begun += len(taken)
            self._submit(taken)

    def _submit(self, pieces: Sequence[int]) -> None:
        self._active += 1
        self._disk.submit(
            lambda: self._job.verify(pieces),
            lambda result: self._finished(pieces, result),
            priority=Priority.CHECK,
        )

    def _finished(self, pieces: Sequence[int], result: _Turn | Exception) -> None:
        self._active -= 1
        if isinstance(result, Exception):
            self._error = self._error or result
            self._job.is_stopped = True
        else:
            for index in result.good:
                self.found.add(index)
            self.done += len(pieces) - len(result.rest)
            self._progress(self.done, len(self._pieces))
            if result.rest and not self._job.is_stopped:
                self._submit(result.rest)
            else:
                self._submit_next()
        if not self._active and self._over is not None and not self._over.done():
            self._over.set_result(None)


class _PieceVerifier:
    """The half that runs in the disk threads."""

    def __init__(self, files: Backend, info: Info, disk: Disk) -> None:
        self.is_stopped = False
        self._disk = disk
        self._files = files
        self._info = info
        self._geometry = info.geometry
        self._map = FileMap(info)
        self._sizes: Sequence[int] | None = None
        self._buffers: list[bytearray] = []
        self._zero_hashes: dict[int, bytes] = {}

    def verify(self, pieces: Sequence[int]) -> _Turn:
        """Look at pieces, rising, until the turn is over. Raises StorageError."""
        geometry = self._geometry
        good: list[int] = []
        hashed = 0
        place = 0
        data_at = -1
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = bytearray(_READ_BYTES)
        last_end = geometry.piece_offset(pieces[-1]) + geometry.piece_size(pieces[-1])
        while place < len(pieces) and not self._is_over(hashed):
            index = pieces[place]
            start = geometry.piece_offset(index)
            end = start + geometry.piece_size(index)
            if data_at < start:
                data_at = self._files.next_data(start, last_end)
            if data_at >= end:
                if self._is_zeros(index):
                    good.append(index)
                place += 1
                continue
            run = self._run_of(pieces, place)
            good += self._hash_run(run, memoryview(buffer))
            hashed += len(run) * geometry.piece_length
            place += len(run)
        self._buffers.append(buffer)
        return _Turn(good, pieces[place:])

    def _is_over(self, hashed: int) -> bool:
        if hashed < _TURN_BYTES:
            return self.is_stopped
        return self.is_stopped or hashed >= _MOST_BYTES or self._disk.has_traffic

    def _run_of(self, pieces: Sequence[int], place: int) -> Sequence[int]:
        """Return adjoining pieces from `place` on that one read can take, or one large piece."""
        most = max(1, _READ_BYTES // self._geometry.piece_length)
        run = pieces[place : place + most]
        count = 1
        while count < len(run) and run[count] == run[0] + count:
            count += 1
        return run[:count]

    def _hash_run(self, run: Sequence[int], buffer: memoryview) -> list[int]:
        geometry = self._geometry
        info = self._info
        start = geometry.piece_offset(run[0])
        size = geometry.piece_offset(run[-1]) + geometry.piece_size(run[-1]) - start
        try:
            if len(run) == 1:
                return (
                    [run[0]] if self._digest(start, size, buffer) == info.piece_hash(run[0]) else []
                )
            self._files.read_into(start, (buffer[:size],))
        except StorageMissingError:
            if len(run) == 1:
                return []
            return [good for index in run for good in self._hash_run((index,), buffer)]
        good = []
        at = 0
        for index in run:
            length = geometry.piece_size(index)
            digest = hashlib.sha1(buffer[at : at + length], usedforsecurity=False).digest()
            if digest == info.piece_hash(index):
                good.append(index)
            at += length
        return good

    def _digest(self, offset: int, length: int, buffer: memoryview) -> bytes:
        sha1 = hashlib.sha1(usedforsecurity=False)
        end = offset + length
        while offset < end:
            view = buffer[: min(_READ_BYTES, end - offset)]
            self._files.read_into(offset, (view,))
            sha1.update(view)
            offset += len(view)
        return sha1.digest()

    def _is_zeros(self, index: int) -> bool:
        """Tell whether a piece without data on disk is right: zeros, all of them stored."""
        size = self._geometry.piece_size(index)
        zero_hash = self._zero_hashes.get(size)
        if zero_hash is None:
            zero_hash = hashlib.sha1(bytes(size), usedforsecurity=False).digest()
            self._zero_hashes[size] = zero_hash
        if self._info.piece_hash(index) != zero_hash:
            return False
        if self._sizes is None:
            self._sizes = self._files.stamps().sizes
        sizes = self._sizes
        return all(
            span.is_pad or span.offset + span.length <= sizes[span.file]
            for span in self._map.spans(self._geometry.piece_offset(index), size)
        )
