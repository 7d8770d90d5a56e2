"""The part file itself: slots, their heads, what a kill leaves, and files that are not ours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.core.safe_path import safe_torrent_name
from engine.errors import UnsafePathError
from engine.storage.part_file import PartFile, digest_of, part_file_name
from engine.storage.save_folder import SaveFolder
from tests.storage.torrents import sample

CONTENT = sample(16384 * 9 + 5, 16384)
DIGEST = digest_of([1])


@pytest.fixture
def parts(tmp_path: Path) -> PartFile:
    return PartFile(SaveFolder(str(tmp_path)), CONTENT.info)


def keep(parts: PartFile, piece: int) -> None:
    parts.write(piece * 16384, [bytearray(CONTENT.piece(piece))], DIGEST)


def read(parts: PartFile, piece: int, begin: int = 0, length: int | None = None) -> bytes:
    whole = CONTENT.info.geometry.piece_size(piece) - begin
    view = memoryview(bytearray(whole if length is None else length))
    parts.read(piece * 16384 + begin, view)
    return bytes(view)


def on_disk(folder: Path) -> Path:
    return folder / part_file_name(CONTENT.info.info_hash)


def test_pieces_come_and_go_and_with_the_last_one_the_file(parts: PartFile, tmp_path: Path) -> None:
    rng = random.Random(3)
    kept: set[int] = set()
    for _ in range(200):
        piece = rng.randrange(CONTENT.info.geometry.piece_count)
        if piece in kept and rng.random() < 0.6:
            parts.forget(piece)
            kept.discard(piece)
        else:
            keep(parts, piece)
            kept.add(piece)
        assert parts.pieces() == sorted(kept)
        assert on_disk(tmp_path).exists() == bool(kept)
        for each in kept:
            assert read(parts, each) == CONTENT.piece(each)
        if kept:
            slots = on_disk(tmp_path).stat().st_size / (16384 + 8)
            assert slots < 10.1, "free slots are used again"
    assert read(parts, min(kept), 5, 7) == CONTENT.piece(min(kept))[5:12] if kept else True


def test_another_object_and_another_life_see_the_same(parts: PartFile, tmp_path: Path) -> None:
    keep(parts, 3)
    twin = PartFile(SaveFolder(str(tmp_path)), CONTENT.info)
    keep(twin, 9)
    assert parts.pieces() == [3, 9]
    copy = tmp_path / "later"
    copy.mkdir()
    on_disk(copy).write_bytes(on_disk(tmp_path).read_bytes())
    later = PartFile(SaveFolder(str(copy)), CONTENT.info)
    assert later.pieces() == [3, 9]
    assert read(later, 9) == CONTENT.piece(9)
    assert later.is_settled(DIGEST)
    assert not later.is_settled(digest_of([2]))
    later.settled(digest_of([2]))
    assert later.is_settled(digest_of([2]))


def test_a_file_that_was_taken_away_is_forgotten(parts: PartFile, tmp_path: Path) -> None:
    keep(parts, 3)
    on_disk(tmp_path).unlink()
    assert parts.pieces() == []
    with pytest.raises(FileNotFoundError):
        read(parts, 3)
    keep(parts, 5)
    assert parts.pieces() == [5], "even if the new file has the number of the old one"
    with pytest.raises(FileNotFoundError):
        read(parts, 3)


def test_what_a_kill_leaves_is_no_piece(parts: PartFile, tmp_path: Path) -> None:
    keep(parts, 1)
    whole = on_disk(tmp_path).read_bytes()
    for cut in (0, 24, 24 + 8 + 16384 + 8, 24 + 8 + 16384 + 8 + 99):
        other = tmp_path / str(cut)
        other.mkdir()
        on_disk(other).write_bytes(whole.ljust(cut, b"\0")[:cut])
        again = PartFile(SaveFolder(str(other)), CONTENT.info)
        assert again.pieces() == ([1] if cut > 100 else [])
        keep(again, 2)
        assert read(again, 2) == CONTENT.piece(2)
        assert again.is_settled(DIGEST) is (cut != 24 or True)


def test_a_file_that_is_no_part_file_is_left_alone(parts: PartFile, tmp_path: Path) -> None:
    on_disk(tmp_path).write_bytes(b"something else of somebody else, longer than a head")
    with pytest.raises(OSError, match="not a part file"):
        keep(parts, 1)
    assert on_disk(tmp_path).read_bytes().startswith(b"something")


def test_a_link_is_not_followed(parts: PartFile, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    on_disk(tmp_path).symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        keep(parts, 1)
    assert outside.read_bytes() == b""


def test_the_next_data(parts: PartFile) -> None:
    assert parts.next_data(0, 99) == 99
    keep(parts, 3)
    assert parts.next_data(0, 4 * 16384) == 3 * 16384
    assert parts.next_data(3 * 16384 + 7, 4 * 16384) == 3 * 16384 + 7
    assert parts.next_data(4 * 16384, 5 * 16384) == 5 * 16384
    assert parts.next_data(0, 16384) == 16384


def test_no_torrent_can_have_its_name() -> None:
    with pytest.raises(UnsafePathError):
        safe_torrent_name(part_file_name(CONTENT.info.info_hash).encode())
