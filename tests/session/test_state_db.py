"""The state file: what was written comes back; what cannot be used is refused and left alone."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.identifiers import InfoHash
from engine.errors import StorageError
from engine.session.state_db import SCHEMA_VERSION, Changes, Removal, StateDb, StoredTorrent
from engine.torrent.unfinished import UnfinishedBlock

ROOT = Path(__file__).parents[2]


def row(number: int, **changes: object) -> StoredTorrent:
    base = StoredTorrent(
        info_hash=bytes([number]) * 20,
        name=f"torrent {number} – ünïcode",
        size=1 << 50,
        piece_length=1 << 18,
        file_count=3,
        is_private=True,
        trackers='[["http://t/announce"]]',
        save_path="/srv/ä b",
        wants_to_run=True,
        preallocate=False,
        have=b"\x80\x00",
        stamps=bytes(48),
        is_clean=False,
        committed_at=1.5,
        added_at=100.25 + number,
        completed_at=None,
        downloaded=1 << 62,
        uploaded=0,
        wasted=7,
        active_s=0.5,
        down_limit=0,
        up_limit=1 << 40,
        peers="[]",
        priorities=b"",
        wanted=b"",
        wishes="",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def db(path: Path) -> Iterator[StateDb]:
    db = StateDb(path)
    yield db
    db.close()


async def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    first, second = row(2, completed_at=3.25, have=None), row(1)
    db = StateDb(path)
    await db.run(db.add, first, b"metainfo of 2")
    await db.run(db.add, second, b"metainfo of 1")
    await db.run(db.save, Changes([], {"downloaded": 5, "uploaded": 1 << 60}))
    db.close()
    db = StateDb(path)
    assert await db.run(db.load) == [second, first]  # in the order in which they were added
    assert await db.run(db.totals) == {"downloaded": 5, "uploaded": 1 << 60}
    assert await db.run(db.metainfo, InfoHash(first.info_hash)) == b"metainfo of 2"
    assert db.run_now(db.metainfo, InfoHash(second.info_hash)) == b"metainfo of 1"
    db.close()


async def test_a_write_survives_a_kill(path: Path) -> None:
    """It is durable when it returned, without a close."""
    script = f"""
import asyncio, os
from tests.session.test_state_db import row, StateDb, Path
async def main():
    db = StateDb(Path({str(path)!r}))
    await db.run(db.add, row(1), b"meta")
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    db = StateDb(path)
    assert db.load() == [row(1)]
    db.close()


async def test_rows_are_replaced_and_removed(db: StateDb) -> None:
    one, other = row(1), row(2)
    for each in (one, other):
        await db.run(db.add, each, b"meta")
    changed = replace(one, name="new", uploaded=9)
    await db.run(db.save, Changes([changed], {}))
    await db.run(db.remove, InfoHash(other.info_hash))
    assert await db.run(db.load) == [changed]
    assert await db.run(db.metainfo, InfoHash(one.info_hash)) == b"meta"
    with pytest.raises(StorageError, match=other.info_hash.hex()):
        await db.run(db.metainfo, InfoHash(other.info_hash))
    with pytest.raises(StorageError):
        db.run_now(db.metainfo, InfoHash(other.info_hash))


async def test_what_must_still_be_deleted_is_noted_until_it_is_gone_or_wanted_again(
    db: StateDb,
) -> None:
    one, two, other = row(1), row(2), row(3)
    for each in (one, two, other):
        await db.run(db.add, each, b"meta")
    await db.run(db.begin_removal, InfoHash(one.info_hash), True, 5.5)
    await db.run(db.begin_removal, InfoHash(two.info_hash), False, 6.0)
    assert await db.run(db.load) == [other]
    with pytest.raises(StorageError):
        await db.run(db.metainfo, InfoHash(one.info_hash))
    notes = [
        Removal(one.info_hash, one.save_path, 5.5, b"meta"),
        Removal(two.info_hash, two.save_path, 6.0, None),
    ]
    assert await db.run(db.removals) == notes
    await db.run(db.remove, InfoHash(one.info_hash))
    assert await db.run(db.removals) == notes[1:]
    await db.run(db.add, two, b"meta")
    assert await db.run(db.removals) == []
    assert await db.run(db.load) == [two, other]


async def test_blocks_are_kept_until_their_piece_ends(db: StateDb) -> None:
    one, other = row(1), row(2)
    blocks = [(each.info_hash, 3, n, bytes([n])) for each in (one, other) for n in range(3)]
    blocks.append((one.info_hash, 4, 0, b"x"))
    await db.run(db.save, Changes([], {}, blocks))
    await db.run(db.save, Changes([], {}, [(one.info_hash, 4, 0, b"y")], [(one.info_hash, 3)]))
    kept = UnfinishedBlock(4, 0, b"y")
    assert await db.run(db.unfinished, InfoHash(one.info_hash)) == [kept]
    await db.run(db.remove, InfoHash(one.info_hash))
    assert await db.run(db.unfinished, InfoHash(one.info_hash)) == []
    assert len(await db.run(db.unfinished, InfoHash(other.info_hash))) == 3


async def test_a_batch_is_written_whole_or_not_at_all(db: StateDb) -> None:
    await db.run(db.add, row(1), b"meta")
    broken = replace(row(2), name=None)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="NOT NULL"):
        await db.run(db.save, Changes([replace(row(1), uploaded=5), broken], {"uploaded": 5}))
    assert await db.run(db.load) == [row(1)]
    assert await db.run(db.totals) == {}
    await db.run(db.save, Changes([row(3)], {}))  # and the next one works
    assert len(await db.run(db.load)) == 2


class _FullOnce:
    """A database whose first COMMIT finds the disk full."""

    def __init__(self, inner: sqlite3.Connection) -> None:
        self._inner, self.left = inner, 1

    def execute(self, statement: str, *args: object) -> sqlite3.Cursor:
        if statement == "COMMIT" and self.left:
            self.left = 0
            raise sqlite3.OperationalError("database or disk is full")
        return self._inner.execute(statement, *args)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_a_commit_that_failed_does_not_spoil_the_next(db: StateDb) -> None:
    db._db = _FullOnce(db._db)  # type: ignore[assignment]
    with pytest.raises(StorageError, match="full"):
        await db.run(db.save, Changes([row(1)], {}))
    assert await db.run(db.load) == []
    await db.run(db.save, Changes([row(1)], {}))
    assert await db.run(db.load) == [row(1)]


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_counts_as_kept_once_the_file_is_not_in_its_place(
    db: StateDb, path: Path, replaced: bool
) -> None:
    """SQLite would go on writing to the file that nobody can open any more."""
    await db.run(db.save, Changes([row(1)], {}))
    moved = path.rename(path.with_name("moved"))
    if replaced:
        path.write_bytes(moved.read_bytes())
    with pytest.raises(StorageError, match=r"state\.db was (removed|replaced)"):
        await db.run(db.save, Changes([row(2)], {}))
    moved.rename(path)
    await db.run(db.save, Changes([row(2)], {}))
    assert await db.run(db.load) == [row(1), row(2)]


# ── what cannot be used ─────────────────────────────────────────────────────────────────────────


def test_a_file_in_use_is_refused_in_this_process(db: StateDb, path: Path) -> None:
    with pytest.raises(StorageError, match="in use by another engine") as caught:
        StateDb(path)
    assert str(path) in str(caught.value)


def test_a_file_in_use_is_refused_in_another_process(db: StateDb, path: Path) -> None:
    script = f"from engine.session.state_db import *; StateDb(Path({str(path)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "in use by another engine" in ended.stderr.splitlines()[-1]


def test_a_file_is_free_again_after_close(path: Path) -> None:
    for _ in range(3):
        StateDb(path).close()


def test_a_newer_schema_is_refused_and_untouched(path: Path) -> None:
    StateDb(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        raw.execute("CREATE TABLE future (x)")
    raw.close()
    for _ in range(2):
        with pytest.raises(StorageError, match="newer version"):
            StateDb(path)
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT * FROM future").fetchall() == []
    raw.close()


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_of_another_kind_is_refused_and_untouched(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"state\.db"):
        StateDb(path)
    assert path.read_bytes() == content


async def test_a_torn_file_is_refused_or_says_so_when_read(path: Path) -> None:
    db = StateDb(path)
    for number in range(50):
        await db.run(db.add, row(number), bytes(10_000))
    db.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError):
        db = StateDb(path)
        try:
            await db.run(db.load)
            for number in range(50):
                await db.run(db.metainfo, InfoHash(row(number).info_hash))
        finally:
            db.close()


@pytest.mark.parametrize("where", ["a file/state.db", "a folder"])
def test_a_place_that_cannot_hold_it_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "a file").write_bytes(b"")
    (tmp_path / "a folder").mkdir()
    with pytest.raises(StorageError) as caught:
        StateDb(tmp_path / where)
    assert str(tmp_path / where) in str(caught.value)


async def test_a_file_of_the_first_version_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    StateDb(path).close()
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE removals")
    for column in ("priorities", "wanted", "wishes"):
        raw.execute(f"ALTER TABLE torrents DROP COLUMN {column}")
    raw.execute("PRAGMA user_version = 1")
    columns = [told[1] for told in raw.execute("PRAGMA table_info(torrents)")]
    values = [getattr(row(1), column) for column in columns]
    marks = ", ".join("?" for _ in values)
    raw.execute(f"INSERT INTO torrents ({', '.join(columns)}) VALUES ({marks})", values)
    raw.commit()
    raw.close()
    for _ in range(2):
        state = StateDb(path)
        assert [bytes(each.info_hash) for each in state.load()] == [row(1).info_hash]
        assert state.load()[0].priorities == b""
        assert state.load()[0].wishes == ""
        assert state.removals() == []
        state.close()
