"""Disk threads: a job goes in, its result comes out on the loop. HOT: once per piece or batch.

    loop ─ submit ─► traffic lane ─┐                          one call_soon_threadsafe per batch
                     check lane ───┴─► thread: job() ─► finished ────────► loop: done(result)

Invariant: every submitted job calls its `done` exactly once, on the loop, with what the job
returned or raised; a job touches no engine state. Traffic goes before checks, which get every
sixteenth turn under load, so that neither waits for ever. Every producer of traffic is bounded by
what it needs to ask at all (a piece buffer, a slab), and `run` waits while the lanes are long.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, TypeAlias, TypeVar

from engine.errors import StorageError
from engine.storage.backend import Backend

T = TypeVar("T")

_CHECK_TURN = 16
_SMALL_PIECE_BYTES = 32 * 1024
"""Up to here a piece is hashed on the loop: that takes microseconds, less than it takes a thread to
get the interpreter back after each."""
_MAX_WAITING = 256
"""Jobs in the lanes above which `run` waits."""


class Priority(IntEnum):
    TRAFFIC = 0
    """Reads and writes that peers or users wait for; first come, first served."""
    CHECK = 1


@dataclass(frozen=True, slots=True)
class WrittenPiece:
    """The piece had the right hash and is in its files."""


@dataclass(frozen=True, slots=True)
class HashMismatch:
    """The piece is not what the metainfo promised; nothing was written."""

    digest: bytes


PieceResult: TypeAlias = WrittenPiece | HashMismatch | StorageError | Exception
_Job: TypeAlias = tuple[Callable[[], Any], Callable[[Any], None], int]
Piece: TypeAlias = tuple[int, memoryview, bytes]
"""Offset in the torrent, contents, what their SHA-1 should be."""
_Finished: TypeAlias = tuple[Callable[[Any], None], Any, int]
_WRITTEN = WrittenPiece()


class Disk:
    """`threads` disk threads. Made and used on the loop thread; close it with `await close()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int = 2) -> None:
        self.threads = threads
        self._loop = loop
        self._wake = threading.Condition(threading.Lock())
        # The lock of `_wake` guards everything from here …
        self._lanes: tuple[deque[_Job], deque[_Job]] = (deque(), deque())
        self._turn = 0
        self._idle = 0
        self._finished: list[_Finished] = []
        self._drain_is_due = False
        self._is_closing = False
        # … to here; the rest belongs to the loop thread.
        self.unfinished = 0
        """Jobs whose `done` was not called yet."""
        self._room: deque[asyncio.Future[None]] = deque()
        self._era = 0
        self._unfinished_of: dict[int, int] = {0: 0}
        """Jobs by the era they were submitted in; every `settle` begins a new one."""
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        self._threads = [
            threading.Thread(target=self._work, name=f"disk-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queue_length(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._lanes[0]) + len(self._lanes[1])

    @property
    def has_traffic(self) -> bool:
        """True if something that comes before checks waits for a thread; may be asked in any."""
        return bool(self._lanes[Priority.TRAFFIC])

    def submit(
        self,
        job: Callable[[], T],
        done: Callable[[T | Exception], None],
        *,
        priority: Priority = Priority.TRAFFIC,
    ) -> None:
        """Run `job` in a thread, then `done` on the loop with its result or its exception.

        Raises RuntimeError after `close`.
        """
        with self._wake:
            if self._is_closing:
                raise RuntimeError("the disk threads are closed")
            self._lanes[priority].append((job, done, self._era))
            if self._idle:
                self._wake.notify()
        self.unfinished += 1
        self._unfinished_of[self._era] += 1

    def write_pieces(
        self,
        files: Backend,
        pieces: Sequence[Piece],
        done: Callable[[list[PieceResult] | Exception], None],
    ) -> None:
        """Verify each piece, then write those that are sound, neighbours in one go.

        Their bytes must be left alone until `done`, which gets a result for each piece:
        WrittenPiece, HashMismatch, or the exception. For a job each, threads would spend more time
        on handing small pieces over than on the work.
        """
        results: list[PieceResult] | None = None
        if max(len(data) for _, data, _ in pieces) <= _SMALL_PIECE_BYTES:
            results = _verify(pieces)
        self.submit(partial(_verify_and_write, files, pieces, results), done)

    async def run(self, job: Callable[[], T], *, priority: Priority = Priority.TRAFFIC) -> T:
        """Run `job` in a thread and return its result. If cancelled, the job still runs."""
        while self.unfinished >= _MAX_WAITING:
            room = self._loop.create_future()
            self._room.append(room)
            try:
                await room
            except asyncio.CancelledError:
                self._make_room()
                raise
        answer: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | Exception) -> None:
            if answer.done():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self.submit(job, done, priority=priority)
        return await answer

    async def settle(self) -> None:
        """Return when every job that was submitted before is done; for what must come after them,
        as deleting files comes after writing them."""
        if not self.unfinished:
            return
        settled: asyncio.Future[None] = self._loop.create_future()
        self._settling.append((self._era, settled))
        self._era += 1
        self._unfinished_of[self._era] = 0
        await settled

    async def close(self) -> None:
        """Take no more jobs, wait until all that were taken are done, and end the threads."""
        with self._wake:
            self._is_closing = True
            self._wake.notify_all()
        await self.settle()
        for thread in self._threads:
            thread.join()

    # ── in the threads ──────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, done, era = taken
            result: object
            try:
                result = job()
            except Exception as error:
                result = error
            self._finish(done, result, era)
            # An idle thread must not keep buffers, slabs or tracebacks alive.
            del taken, job, done, result

    def _take(self) -> _Job | None:
        traffic, checks = self._lanes
        with self._wake:
            while not traffic and not checks:
                if self._is_closing:
                    return None
                self._idle += 1
                self._wake.wait()
                self._idle -= 1
            self._turn = (self._turn + 1) % _CHECK_TURN
            if checks and (not traffic or not self._turn):
                return checks.popleft()
            return traffic.popleft()

    def _finish(self, done: Callable[[Any], None], result: object, era: int) -> None:
        with self._wake:
            self._finished.append((done, result, era))
            if self._drain_is_due:
                return
            self._drain_is_due = True
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            # The loop is closed, so nobody is left to tell.
            return

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────

    def _drain(self) -> None:
        with self._wake:
            finished, self._finished = self._finished, []
            self._drain_is_due = False
        for done, result, era in finished:
            self.unfinished -= 1
            self._unfinished_of[era] -= 1
            self._tell(done, result)
        for _ in range(min(len(self._room), len(finished))):
            self._make_room()
        if self._settling:
            self._tell_settled()

    def _tell(self, done: Callable[[Any], None], result: object) -> None:
        try:
            done(result)
        except Exception as error:
            # One bad callback must not eat the others.
            self._loop.call_exception_handler(
                {"message": "a disk completion failed", "exception": error}
            )

    def _tell_settled(self) -> None:
        for era in list(self._unfinished_of):
            if era == self._era or self._unfinished_of[era]:
                break
            del self._unfinished_of[era]
        oldest = min(self._unfinished_of)
        for era, settled in self._settling:
            if era < oldest and not settled.done():
                settled.set_result(None)
        self._settling = [entry for entry in self._settling if entry[0] >= oldest]

    def _make_room(self) -> None:
        while self._room:
            room = self._room.popleft()
            if not room.done():
                room.set_result(None)
                return


def _verify(pieces: Sequence[Piece]) -> list[PieceResult]:
    results: list[PieceResult] = []
    for _, data, sha1 in pieces:
        digest = hashlib.sha1(data, usedforsecurity=False).digest()
        results.append(_WRITTEN if digest == sha1 else HashMismatch(digest))
    return results


def _verify_and_write(
    files: Backend, pieces: Sequence[Piece], results: list[PieceResult] | None
) -> list[PieceResult]:
    """`results` is what verifying said, if that was done."""
    if results is None:
        results = _verify(pieces)
    start = 0
    while start < len(pieces):
        end = start + 1
        if results[start] is _WRITTEN:
            offset, data, _ = pieces[start]
            at = offset + len(data)
            while end < len(pieces) and results[end] is _WRITTEN and pieces[end][0] == at:
                at += len(pieces[end][1])
                end += 1
            try:
                files.write(offset, [piece[1] for piece in pieces[start:end]])
            except Exception as error:
                # What fails for all of them may go for some: a disk fills up at one of them.
                failed = pieces[start:end]
                results[start:end] = [_write(files, p) for p in failed] if failed[1:] else [error]
        start = end
    return results


def _write(files: Backend, piece: Piece) -> PieceResult:
    try:
        files.write(piece[0], [piece[1]])
    except Exception as error:
        return error
    return _WRITTEN
