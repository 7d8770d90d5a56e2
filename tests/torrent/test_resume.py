"""Which files a record vouches for: those that nobody touched, as far as can be seen."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from engine.storage.file_stamps import FileStamp
from engine.torrent.resume import COMMIT_GRACE_S, Record, suspicious_files, written_later

SIZES = st.integers(0, 1 << 40)
COMMITTED = st.floats(1e9, 4e9)
TIMES_NS = st.integers(0, 5 * 10**18)
STAMPS = st.builds(FileStamp, SIZES, TIMES_NS)
MAYBE = st.none() | STAMPS
RECORDS = st.builds(Record, st.lists(MAYBE, max_size=8).map(tuple), COMMITTED, st.booleans())


@given(RECORDS)
def test_files_as_they_were_are_trusted(record: Record) -> None:
    assert suspicious_files(record, record.stamps) == []


@given(RECORDS, st.data())
def test_after_a_clean_stop_any_difference_is_suspicious(
    record: Record, data: st.DataObject
) -> None:
    record = replace(record, is_clean=True)
    now = [data.draw(st.just(then) | MAYBE) for then in record.stamps]
    assert suspicious_files(record, now) == [
        number
        for number, (then, seen) in enumerate(zip(record.stamps, now, strict=True))
        if then != seen
    ]


@given(RECORDS, st.data())
def test_every_file_is_judged_by_itself(record: Record, data: st.DataObject) -> None:
    now = [data.draw(st.just(then) | MAYBE) for then in record.stamps]
    alone = [
        number
        for number, (then, seen) in enumerate(zip(record.stamps, now, strict=True))
        if suspicious_files(replace(record, stamps=(then,)), [seen])
    ]
    assert suspicious_files(record, now) == alone


@given(STAMPS, COMMITTED, SIZES, st.floats(0, 1))
def test_after_a_kill_our_own_last_writes_are_explained(
    then: FileStamp, committed_at: float, grown: int, share: float
) -> None:
    """The file grew or not, and was written between the stamp and a little after the commit."""
    latest = int((committed_at + COMMIT_GRACE_S) * 1e9)
    assume(then.mtime_ns <= latest)
    written = then.mtime_ns + int((latest - then.mtime_ns) * share)
    seen = FileStamp(then.size_bytes + grown, min(written, latest))
    assert suspicious_files(Record((then,), committed_at, False), [seen]) == []
    assert suspicious_files(Record((None,), committed_at, False), [seen]) == []


@given(STAMPS, COMMITTED, st.integers(1, 10**18))
def test_what_we_cannot_have_written_is_suspicious(
    then: FileStamp, committed_at: float, by: int
) -> None:
    record = Record((then,), committed_at, is_clean=False)
    latest = int((committed_at + COMMIT_GRACE_S) * 1e9)
    after_us = FileStamp(then.size_bytes, max(latest, then.mtime_ns) + by)
    older = FileStamp(then.size_bytes, then.mtime_ns - by)
    shorter = FileStamp(then.size_bytes - by, then.mtime_ns)
    for seen in (after_us, older, shorter, None):
        assert suspicious_files(record, [seen]) == [0]


@given(RECORDS, st.lists(MAYBE, max_size=8))
def test_a_record_of_other_files_vouches_for_none(
    record: Record, now: list[FileStamp | None]
) -> None:
    assume(len(now) != len(record.stamps))
    assert suspicious_files(record, now) == list(range(len(now)))


def test_files_written_to_after_the_last_commit_may_have_more_than_recorded() -> None:
    late = FileStamp(100, int((1000.0 + COMMIT_GRACE_S + 1) * 1e9))
    early = FileStamp(100, int(1000.0 * 1e9))
    record = Record([early, early, None, early], 1000.0, is_clean=False)
    assert written_later(record, [late, early, late, None]) == [0, 2]
    assert written_later(replace(record, is_clean=True), [late, late, late, late]) == []
