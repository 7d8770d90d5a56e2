"""Which recorded progress can be trusted after a stop, clean or not; pure.

A record says what the files looked like (size, mtime) when progress was last committed. After a
clean stop they must look the same. After a kill our own writes may be younger than the record: they
explain a later mtime as long as it is not later than we can have lived, so that progress is trusted
and only what was not recorded is fetched or checked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.storage.file_stamps import FileStamp

COMMIT_GRACE_S = 15.0
"""A write of ours comes at most this long after the last commit."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was committed about a torrent's files."""

    stamps: Sequence[FileStamp | None]
    """One per file; None where there was no file."""
    committed_at: float
    """Seconds since the epoch."""
    is_clean: bool
    """False while the torrent was being written to."""


def suspicious_files(record: Record, now: Sequence[FileStamp | None]) -> list[int]:
    """The numbers of the files that do not look as recorded: their pieces must be checked."""
    if now == record.stamps:
        return []
    if len(now) != len(record.stamps):
        return list(range(len(now)))
    return [
        number
        for number, (then, seen) in enumerate(zip(record.stamps, now, strict=True))
        if not _looks_right(record, then, seen)
    ]


def _looks_right(record: Record, then: FileStamp | None, seen: FileStamp | None) -> bool:
    if then == seen:
        return True
    if record.is_clean or seen is None:
        return False
    if then is None:
        return seen.mtime_ns <= _latest_ns(record)
    is_grown = seen.size_bytes >= then.size_bytes
    return is_grown and then.mtime_ns <= seen.mtime_ns <= _latest_ns(record)


def written_later(record: Record, now: Sequence[FileStamp | None]) -> list[int]:
    """The numbers of the files that were written to when the record was out of date: they may have
    more than it says, as after a time in which nothing could be committed."""
    if record.is_clean:
        return []
    latest_ns = _latest_ns(record)
    return [number for number, seen in enumerate(now) if seen and seen.mtime_ns > latest_ns]


def _latest_ns(record: Record) -> int:
    """The latest time of a write of ours that the record explains."""
    return int((record.committed_at + COMMIT_GRACE_S) * 1e9)
