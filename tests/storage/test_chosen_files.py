"""Files of which some are skipped: every byte in its place, and nothing that was not asked for."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.file_choice import FileChoice
from engine.errors import StorageMissingError
from engine.storage.chosen_files import ChosenFiles, remove_part_file
from engine.storage.file_pool import FilePool
from engine.storage.part_file import PartFile, part_file_name
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
    assert files.gather() == [1], "it is lost"
    assert files.gather() == []
    assert names(tmp_path) == {"t/b"}
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


def kept_apart(folder: Path, pool: FilePool, skipped: set[int]) -> ChosenFiles:
    """Files of which all pieces were written but the first."""
    files = ChosenFiles(folder, CONTENT.info, pool, skipped=skipped)
    for piece in range(1, CONTENT.info.geometry.piece_count):
        put(files, CONTENT, piece)
    return files


def test_until_it_is_gathered_what_was_kept_apart_is_read_from_there(
    tmp_path: Path, pool: FilePool
) -> None:
    """Also where the file that it belongs to is made by what is written meanwhile."""
    files = kept_apart(tmp_path, pool, {0})
    files.skipped = frozenset()
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    put(files, CONTENT, 0)
    assert (tmp_path / "t/a").stat().st_size == 1500, "it has a hole now"
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert not files.read_into_nowait(1000, [bytearray(500)]), "that would be the hole"
    assert files.lend_nowait(1000, 500) is None
    whole = bytearray(len(CONTENT.data))
    files.read_into(0, [whole])
    assert whole == CONTENT.data
    assert get(ChosenFiles(tmp_path, CONTENT.info, pool), CONTENT, 1) == CONTENT.piece(1)
    files.gather()
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert files.read_into_nowait(1000, [bytearray(500)])
    assert PART not in names(tmp_path)


class _Turns:
    """A lock; somebody else does `meanwhile`, all of it, before it is taken the `turn`th time."""

    def __init__(self, turn: int, meanwhile: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._left = turn
        self._meanwhile = meanwhile

    def __enter__(self) -> None:
        self._left -= 1
        if not self._left:
            self._meanwhile()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("turn", range(1, 5))
def test_two_may_gather_at_once(
    turn: int, tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do when files are chosen several times quickly."""
    files = kept_apart(tmp_path, pool, {0, 3})
    files.skipped = frozenset()
    monkeypatch.setattr(files._placement, "moving", _Turns(turn, files.gather))
    files.gather()
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert PART not in names(tmp_path)


def test_a_slow_disk_under_one_holds_up_no_other(
    tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow", "other"):
        (tmp_path / name).mkdir()
    slow = kept_apart(tmp_path / "slow", pool, {0, 3})
    other = kept_apart(tmp_path / "other", pool, {0, 3})
    is_flushing, may_go_on = threading.Event(), threading.Event()

    def flush(_: PartFile) -> None:
        is_flushing.set()
        may_go_on.wait(60)

    monkeypatch.setattr(PartFile, "flush", flush)
    flushing = threading.Thread(target=slow.flush)
    gathering = threading.Thread(target=other.gather)
    other.skipped = frozenset()
    flushing.start()
    try:
        assert is_flushing.wait(20)
        gathering.start()
        gathering.join(20)
        assert not gathering.is_alive()
    finally:
        may_go_on.set()
        flushing.join()
    assert PART not in names(tmp_path / "other")


@pytest.mark.parametrize("turn", range(1, 5))
def test_to_and_fro_while_it_is_gathered(
    turn: int, tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is chosen last holds, also when it is what was chosen before the last."""
    content = sample([Layout("a", 1500), Layout("b", 1000), Layout("c", 1600)], PIECE)
    part = tmp_path / part_file_name(content.info.info_hash)
    files = ChosenFiles(tmp_path, content.info, pool, skipped={0})
    put(files, content, 1)
    files.skipped = {0, 2}
    files.gather()
    put(files, content, 2)

    def change() -> None:
        files.skipped = {0}

    files.skipped = {2}
    monkeypatch.setattr(files._placement, "moving", _Turns(turn, change))
    files.gather()
    for skipped in ({2}, {0, 2}, {2}, {0}, frozenset[int]()):
        for piece in (1, 2):
            assert get(files, content, piece) == content.piece(piece)
        files.skipped = skipped
        for piece in (1, 2):
            assert get(files, content, piece) == content.piece(piece)
        files.gather()
    assert not part.exists()


def test_who_writes_by_an_earlier_choice_spoils_nothing(
    tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was wanted when a write began, is skipped now, and what it shares is kept apart."""
    files = ChosenFiles(tmp_path, CONTENT.info, pool)
    write_spans = ChosenFiles._write_spans

    def late(self: ChosenFiles, spans: object) -> None:
        monkeypatch.setattr(ChosenFiles, "_write_spans", write_spans)
        files.skipped = {0}
        put(files, CONTENT, 1)
        files.gather()
        self._write_spans(spans)  # type: ignore[arg-type]
        assert (tmp_path / "t/a").exists()
        assert get(files, CONTENT, 1) == CONTENT.piece(1)

    monkeypatch.setattr(ChosenFiles, "_write_spans", late)
    put(files, CONTENT, 0)
    files.gather()
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert (tmp_path / "t/a").read_bytes() == CONTENT.content_of(0)


def test_a_choice_in_the_middle_of_a_write_loses_no_bytes(
    tmp_path: Path, pool: FilePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept apart for the choice before is put in its place for the one that holds."""
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0})
    write = PartFile.write

    def late(self: PartFile, *what: object) -> None:
        files.skipped = frozenset()
        write(self, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(PartFile, "write", late)
    put(files, CONTENT, 1)
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    files.gather()
    assert get(files, CONTENT, 1) == CONTENT.piece(1)
    assert names(tmp_path) == {"t/a", "t/b"}


def test_of_many_pieces_those_are_kept_apart_that_are_shared(
    tmp_path: Path, pool: FilePool
) -> None:
    content = sample([Layout("a", 20_000), Layout("b", 100)], PIECE)
    files = ChosenFiles(tmp_path, content.info, pool, skipped={1})
    files.write(0, [bytearray(content.piece(piece)) for piece in range(21)])
    part = tmp_path / part_file_name(content.info.info_hash)
    assert part.stat().st_size < 2 * PIECE
    assert get(files, content, 20) == content.piece(20)
    assert (tmp_path / "t/a").read_bytes() == content.content_of(0)


def test_a_part_file_that_others_cut_short_gives_no_zeros(tmp_path: Path, pool: FilePool) -> None:
    files = ChosenFiles(tmp_path, CONTENT.info, pool, skipped={0})
    put(files, CONTENT, 1)
    os.truncate(tmp_path / PART, 500)
    with pytest.raises(StorageMissingError, match="cut short"):
        get(files, CONTENT, 1)


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
        st.tuples(st.just("gather"), st.none()),
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
        files = ChosenFiles(folder, info, pool, skipped=skipped)
        have: set[int] = set()
        made: set[int] = set()
        is_gathered = True
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
                is_gathered = False
            else:
                if what == "restart":
                    pool.invalidate(files)
                    files = ChosenFiles(folder, info, pool, skipped=skipped)
                files.gather()
                is_gathered = True
                made |= {n for p in have for n in files.file_map.files_of(p) if n in real} - skipped
            for piece in have:
                assert get(files, content, piece) == content.piece(piece)
            on_disk = {n for n in real if folder.joinpath(*info.files[n].path).exists()}
            assert on_disk == made
            part = folder / part_file_name(info.info_hash)
            if is_gathered and not skipped:
                assert not part.exists()
        pool.close()
