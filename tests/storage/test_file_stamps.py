from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.file_stamps import FileStamp, FileStamps

STAMPS = st.lists(
    st.none()
    | st.builds(FileStamp, st.integers(0, 1 << 50), st.integers(-(1 << 62), (1 << 63) - 1))
)


@given(STAMPS)
def test_stamps_come_back_as_they_were(stamps: list[FileStamp | None]) -> None:
    kept = FileStamps.of(iter(stamps))
    assert list(kept) == stamps
    assert [kept[number] for number in range(len(kept))] == stamps
    assert kept == stamps
    assert kept[1:-1] == tuple(stamps[1:-1])
    assert kept.has_any == any(stamps)
    assert list(kept.sizes) == [stamp.size_bytes if stamp else -1 for stamp in stamps]
    assert FileStamps.of(kept) is kept


@given(STAMPS)
def test_their_bytes_are_pairs_of_little_endian_numbers(stamps: list[FileStamp | None]) -> None:
    data = FileStamps.of(stamps).to_bytes()
    assert data == b"".join(
        struct.pack("<qq", stamp.size_bytes, stamp.mtime_ns) if stamp else struct.pack("<qq", -1, 0)
        for stamp in stamps
    )
    assert FileStamps.from_bytes(data) == stamps
    with pytest.raises(struct.error):
        FileStamps.from_bytes(data + bytes(8))


@given(STAMPS, st.none() | st.builds(FileStamp, st.integers(0, 9), st.integers(0, 9)))
def test_one_more_stamp_leaves_the_others(
    stamps: list[FileStamp | None], more: FileStamp | None
) -> None:
    kept = FileStamps.of(stamps)
    assert kept.followed_by(more) == [*stamps, more]
    assert kept == stamps


def test_of_files_of_which_nothing_is_known_one_is_seen() -> None:
    stamps = FileStamps(3)
    assert stamps == [None, None, None]
    assert not stamps.has_any
    stamps.put(1, 0, 7)
    assert stamps == (None, FileStamp(0, 7), None)
    assert stamps.has_any
    assert stamps != FileStamps(3)
    assert stamps != 3
    with pytest.raises(IndexError):
        stamps[3]
