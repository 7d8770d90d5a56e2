"""Files of which some are skipped: every byte in its place, and nothing that was not asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.file_choice import FileChoice
from engine.errors import StorageMissingError
from engine.storage.chosen_files import ChosenFiles, remove_part_file
from engine.storage.file_pool import FilePool
from engine.storage.part_file import part_file_name
from tests.storage.torrents import Layout, Sample, sample

PIECE = 1000
CONTENT = sample(
    [Layout("a", 1500), Layout("pad", 100, "p"), Layout("b", 900), Layout("sub/c", 2700)], PIECE
)
PART = part_file_name(CONTENT.info.info_hash)


@pytest.fixture
def pool() -> Iterator[FilePool]:
    pool = FilePool(4)
    yield pool
    pool.close()


def put(files: ChosenFiles, content: Sample, piece: int) -> None:
    files.write(piece * content.info.piece_length, [bytearray(content.piece(piece))])


def get(files: ChosenFiles, content: Sample, piece: int) -> bytes:
    buffer = bytearray(content.info.geometry.piece_size(piece))
    files.read_into(piece * content.info.piece_length, [buffer])
    return bytes(buffer)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_skipped_file_is_not_made_and_its_piece_is_whole(tmp_path: Path, pool: FilePool) -> None:
    files = ChosenFiles(tmp_path, CONTENT.info, pool, preallocate=True, skipped={2})
    files.prepare()
    for piece in range(CONTENT.info.geometry.piece_count):
        put(files, CONTENT, piece)
        assert get(files, CONTENT, piece) == CONTENT.piece(piece)
    assert names(tmp_path) == {"t/a", "t/sub/c", PART}
    assert (tmp_path / "t/a").read_bytes() == CONTENT.content_of(0)
    assert (tmp_path / "t/sub/c").read_bytes() == CONTENT.content_of(3)
    assert files.stamps()[2] is None
    assert files.stamps()[4] is not None, "the part file has a stamp"
    assert set(files.pieces_at(4)) == {1, 2}
    files.skipped = frozenset()
    files.gather()
    assert names(tmp_path) == {"t/a", "t/b", "t/sub/c"}
    assert (tmp_path / "t/b").read_bytes() == CONTENT.content_of(2)


def test_a_skipped_file_that_is_there_is_used_as_itself(tmp_path: Path, pool: FilePool) -> None:
    CONTENT.store(tmp_path)
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0, 3})
    put(files, CONTENT, 1)
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert PART not in names(tmp_path)
    (tmp_path / "t/a").unlink()
    files.close()
    with pytest.raises(StorageMissingError):
        get(files, CONTENT, 0)
    put(files, CONTENT, 1)
    assert "t/a" not in names(tmp_path)
    assert get(files, CONTENT, 1) == CONTENT.piece(1)


def test_a_damaged_part_file_spoils_nothing(tmp_path: Path, pool: FilePool) -> None:
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0})
    put(files, CONTENT, 1)
    before = (tmp_path / "t/b").read_bytes()
    raw = bytearray((tmp_path / PART).read_bytes())
    raw[-10] ^= 1
    (tmp_path / PART).write_bytes(raw)
    files.skipped = frozenset()
    files.gather()
    assert names(tmp_path) == {"t/b"}, "its piece is fetched again"
    assert (tmp_path / "t/b").read_bytes() == before


def test_a_gathering_that_was_cut_short_is_done_by_the_next(tmp_path: Path, pool: FilePool) -> None:
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0, 3})
    for piece in (1, 2):
        put(files, CONTENT, piece)
    later = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={3})
    later._gather_piece(1)  # … and then a kill
    third = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={3})
    third.gather()
    a = (tmp_path / "t/a").read_bytes()
    assert a[1000:] == CONTENT.content_of(0)[1000:]
    assert get(third, CONTENT, 2) == CONTENT.piece(2)
    stamps = third.stamps()
    third.gather()
    assert third.stamps() == stamps, "with nothing to do nothing is touched"


def test_deleting_takes_the_part_file_along(tmp_path: Path, pool: FilePool) -> None:
    for skipped in ({0}, set[int]()):
        files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0})
        put(files, CONTENT, 1)
        assert PART in names(tmp_path)
        ChosenFiles(tmp_path, CONTENT.info, pool, skipped=skipped).delete()
        assert names(tmp_path) == set()
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0})
    put(files, CONTENT, 1)
    files.flush()
    remove_part_file(tmp_path, CONTENT.info.info_hash)
    assert names(tmp_path) == {"t/b"}
    remove_part_file(tmp_path, CONTENT.info.info_hash)


@st.composite
def stories(draw: st.DrawFn) -> tuple[Sample, list[tuple[str, object]]]:
    lengths = draw(st.lists(st.integers(0, 50), min_size=2, max_size=7).filter(any))
    pads = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    files = [
        Layout(f"d{number % 2}/{number}", length, "p" if is_pad and number % 3 == 1 else "")
        for number, (length, is_pad) in enumerate(zip(lengths, pads, strict=True))
    ]
    content = sample(files, draw(st.integers(4, 40)))
    pieces = st.integers(0, content.info.geometry.piece_count - 1)
    levels = st.lists(st.integers(0, 1), min_size=len(files), max_size=len(files))
    step = st.one_of(
        st.tuples(st.just("write"), pieces),
        st.tuples(st.just("write"), pieces),
        st.tuples(st.just("choose"), levels.map(bytes)),
        st.tuples(st.just("restart"), st.none()),
    )
    return content, draw(st.lists(step, max_size=25))


@settings(deadline=None)
@given(stories())
def test_whatever_is_chosen_when_what_was_written_is_read(
    story: tuple[Sample, list[tuple[str, object]]],
) -> None:
    content, steps = story
    info = content.info
    real = [n for n, file in enumerate(info.files) if not file.is_pad and file.length]
    with tempfile.TemporaryDirectory() as name:
        folder, pool = Path(name), FilePool(3)
        skipped: frozenset[int] = frozenset()
        ever_wanted: set[int] = set(real)
        files = ChosenFiles(folder, info, pool, skipped=skipped)
        have: set[int] = set()
        made: set[int] = set()
        for what, value in steps:
            if what == "write":
                assert isinstance(value, int)
                put(files, content, value)
                have.add(value)
                touched = files.file_map.files_of(value)
                made |= {n for n in touched if n in real and n not in skipped}
            elif what == "choose":
                assert isinstance(value, bytes)
                choice = FileChoice.of(info, value)
                skipped = choice.skipped if choice else frozenset()
                files.skipped = skipped
                files.gather()
                made |= {n for p in have for n in files.file_map.files_of(p) if n in real} - skipped
                ever_wanted |= set(real) - skipped
            else:
                pool.invalidate(files)
                files = ChosenFiles(folder, info, pool, skipped=skipped)
                files.gather()
            for piece in have:
                assert get(files, content, piece) == content.piece(piece)
            on_disk = {n for n in real if folder.joinpath(*info.files[n].path).exists()}
            assert on_disk == made
            part = folder / part_file_name(info.info_hash)
            if not skipped:
                assert not part.exists()
        pool.close()
