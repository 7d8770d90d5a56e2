"""What must survive `kill -9`: torrents, progress, totals and dates, in one SQLite file (WAL).

All writes happen on one thread of their own, in the order in which they were asked for, so that the
loop never waits for a disk. A write that returned is durable against a kill of the process.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from engine.core.identifiers import InfoHash
from engine.errors import StorageError
from engine.torrent.unfinished import UnfinishedBlock

T = TypeVar("T")

SCHEMA_VERSION = 3
_LOCK_TIMEOUT_S = 1.0
"""A predecessor that is on its way out may hold the file so much longer."""
_REMOVALS = """
CREATE TABLE removals (          -- forgotten torrents with files that must still be deleted
    info_hash BLOB PRIMARY KEY,
    save_path TEXT NOT NULL,
    noted_at REAL NOT NULL,      -- seconds since the epoch
    metainfo BLOB                -- which files those are; NULL: none but the part file
) WITHOUT ROWID;
"""
_SCHEMA = f"""
CREATE TABLE torrents (
    info_hash BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    piece_length INTEGER NOT NULL,
    file_count INTEGER NOT NULL,
    is_private INTEGER NOT NULL,
    trackers TEXT NOT NULL,      -- JSON: tiers of URLs
    save_path TEXT NOT NULL,
    wants_to_run INTEGER NOT NULL,
    preallocate INTEGER NOT NULL,
    have BLOB,                   -- BEP 3 bitfield; NULL: not known, check
    stamps BLOB NOT NULL,        -- size and mtime of each file, 8 + 8 bytes little endian; -1: none
    is_clean INTEGER NOT NULL,   -- 0 while files were being written
    committed_at REAL NOT NULL,
    added_at REAL NOT NULL,
    completed_at REAL,
    downloaded INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    wasted INTEGER NOT NULL,
    active_s REAL NOT NULL,
    down_limit INTEGER NOT NULL,
    up_limit INTEGER NOT NULL,
    peers TEXT NOT NULL,         -- JSON: explicit peers
    priorities BLOB NOT NULL,    -- of each file, one byte: 0 skip, 1 normal, 2 high; empty: normal
    wanted BLOB NOT NULL,        -- BEP 3 bitfield that follows from them; empty: all
    wishes TEXT NOT NULL         -- JSON: what to choose once the files are known; empty: nothing
) WITHOUT ROWID;
CREATE TABLE metainfo (info_hash BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE unfinished (        -- received blocks of pieces that are not complete, not verified
    info_hash BLOB, piece INTEGER, block INTEGER, data BLOB NOT NULL,
    PRIMARY KEY (info_hash, piece, block)
);
CREATE TABLE session (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
{_REMOVALS}
"""
_MIGRATIONS = {
    1: """
ALTER TABLE torrents ADD COLUMN priorities BLOB NOT NULL DEFAULT x'';
ALTER TABLE torrents ADD COLUMN wanted BLOB NOT NULL DEFAULT x'';
ALTER TABLE torrents ADD COLUMN wishes TEXT NOT NULL DEFAULT '';
""",
    2: _REMOVALS,
}
"""What leads from a version to the next one."""


@dataclass(frozen=True, slots=True)
class StoredTorrent:
    """One row of `torrents`, column by column."""

    info_hash: bytes
    name: str
    size: int
    piece_length: int
    file_count: int
    is_private: bool
    trackers: str
    save_path: str
    wants_to_run: bool
    preallocate: bool
    have: bytes | None
    stamps: bytes
    is_clean: bool
    committed_at: float
    added_at: float
    completed_at: float | None
    downloaded: int
    uploaded: int
    wasted: int
    active_s: float
    down_limit: int
    up_limit: int
    peers: str
    priorities: bytes
    wanted: bytes
    wishes: str


@dataclass(frozen=True, slots=True)
class Removal:
    """One row of `removals`, column by column."""

    info_hash: bytes
    save_path: str
    noted_at: float
    """Seconds since the epoch."""
    metainfo: bytes | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit writes."""

    rows: list[StoredTorrent]
    totals: dict[str, int]
    blocks: list[tuple[bytes, int, int, bytes]] = field(default_factory=list)
    """(info-hash, piece, block, data) to keep of begun pieces."""
    ended: list[tuple[bytes, int]] = field(default_factory=list)
    """(info-hash, piece) of which nothing is kept any more."""


_values = attrgetter(*(column.name for column in fields(StoredTorrent)))
_COLUMNS = ", ".join(column.name for column in fields(StoredTorrent))
_MARKS = ", ".join("?" for _ in fields(StoredTorrent))
_PUT = f"INSERT OR REPLACE INTO torrents ({_COLUMNS}) VALUES ({_MARKS})"


class StateDb:
    """The state file of one engine. Close it; two engines cannot have it open at once."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises StorageError if it cannot be used, or is in use."""
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_LOCK_TIMEOUT_S, check_same_thread=False, isolation_level=None
            )
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown()
            why = getattr(error, "strerror", None) or error
            raise StorageError(f"state file {path}: {why}") from error
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
            self._opened = path.stat()
        except (sqlite3.Error, OSError) as error:
            self.close()
            why = "in use by another engine" if _is_locked(error) else str(error)
            raise StorageError(f"state file {path}: {why}") from error

    def _migrate(self) -> None:
        # Takes the lock that is never given back, and reads a page: two engines, or a file of
        # another kind, are found out now.
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("COMMIT")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"made by a newer version (schema {version})")
        if version == 0:
            self._db.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
            return
        while version < SCHEMA_VERSION:
            change = _MIGRATIONS[version]
            version += 1
            self._db.executescript(f"BEGIN; {change} PRAGMA user_version = {version}; COMMIT;")

    # Each method below is a plain function to be run on the state thread by `run`.

    def load(self) -> list[StoredTorrent]:
        """All torrents in the order in which they were added."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM torrents ORDER BY added_at, info_hash")
        return [StoredTorrent(*row) for row in rows]

    def metainfo(self, info_hash: InfoHash) -> bytes:
        """The .torrent as it was added. Raises StorageError."""
        row = self._db.execute(
            "SELECT data FROM metainfo WHERE info_hash = ?", (bytes(info_hash),)
        ).fetchone()
        if row is None:
            raise StorageError(f"the state file has no metainfo of {info_hash}")
        return bytes(row[0])

    def metainfos(self, info_hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """The .torrents of many at once; those that are missing are left out."""
        marks = ", ".join("?" for _ in info_hashes)
        return dict(
            self._db.execute(
                f"SELECT info_hash, data FROM metainfo WHERE info_hash IN ({marks})", info_hashes
            )
        )

    def add(self, row: StoredTorrent, metainfo: bytes) -> None:
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO metainfo VALUES (?, ?)", (row.info_hash, metainfo)
            )
            self._db.execute(_PUT, _values(row))
            # From now on its files are wanted.
            self._db.execute("DELETE FROM removals WHERE info_hash = ?", (row.info_hash,))

    def unfinished(self, info_hash: InfoHash) -> list[UnfinishedBlock]:
        """The blocks that are kept of a torrent's begun pieces."""
        rows = self._db.execute(
            "SELECT piece, block, data FROM unfinished WHERE info_hash = ?", (bytes(info_hash),)
        )
        return [UnfinishedBlock(*row) for row in rows]

    def save(self, changes: Changes) -> None:
        """Commit one batch of what has changed."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM unfinished WHERE info_hash = ? AND piece = ?", changes.ended
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO unfinished VALUES (?, ?, ?, ?)", changes.blocks
            )
            self._db.executemany(_PUT, map(_values, changes.rows))
            self._db.executemany(
                "INSERT OR REPLACE INTO session VALUES (?, ?)", changes.totals.items()
            )

    def remove(self, info_hash: InfoHash) -> None:
        """Forget a torrent, and that anything of it must still be deleted."""
        with self._transaction():
            self._forget(bytes(info_hash))
            self._db.execute("DELETE FROM removals WHERE info_hash = ?", (bytes(info_hash),))

    def begin_removal(self, info_hash: InfoHash, with_data: bool, now: float) -> None:
        """Forget a torrent, but for what of it must still be deleted until `remove`: its part file,
        and with its data all of its files. `now` is in seconds since the epoch."""
        metainfo = "metainfo.data" if with_data else "NULL"
        with self._transaction():
            self._db.execute(
                f"INSERT OR REPLACE INTO removals SELECT info_hash, save_path, ?, {metainfo} "
                "FROM torrents JOIN metainfo USING (info_hash) WHERE info_hash = ?",
                (now, bytes(info_hash)),
            )
            self._forget(bytes(info_hash))

    def _forget(self, info_hash: bytes) -> None:
        for table in ("torrents", "metainfo", "unfinished"):
            self._db.execute(f"DELETE FROM {table} WHERE info_hash = ?", (info_hash,))

    def removals(self) -> list[Removal]:
        """Those that were begun and have not ended."""
        return [Removal(*row) for row in self._db.execute("SELECT * FROM removals")]

    def totals(self) -> dict[str, int]:
        return {key: value for key, value in self._session() if not isinstance(value, bytes)}

    def kept(self) -> dict[str, bytes]:
        """What `keep` wrote, by its name."""
        return {key: value for key, value in self._session() if isinstance(value, bytes)}

    def _session(self) -> sqlite3.Cursor:
        return self._db.execute("SELECT key, value FROM session")

    def keep(self, values: dict[str, bytes]) -> None:
        """Keep bytes that belong to the session, such as whom its DHT node knew."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO session VALUES (?, ?)", values.items())

    def _transaction(self) -> _Transaction:
        """Raises StorageError if the file is not in its place: what SQLite wrote to it would be
        found by nobody."""
        try:
            is_ours = os.path.samestat(self._opened, self._path.stat())
        except OSError as error:
            raise StorageError(f"state file {self._path} was removed meanwhile") from error
        if not is_ours:
            raise StorageError(f"state file {self._path} was replaced by another meanwhile")
        return _Transaction(self._db)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run one of the methods above on the state thread. Raises StorageError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        except sqlite3.Error as error:
            raise StorageError(f"state file: {error}") from error

    def run_now(self, function: Callable[..., T], *args: object) -> T:
        """Run one of the small reads above and wait for it: tens of microseconds when warm."""
        try:
            return self._thread.submit(function, *args).result()
        except sqlite3.Error as error:
            raise StorageError(f"state file: {error}") from error

    def close(self) -> None:
        """Finish what was asked for, then close."""
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()


class _Transaction:
    """BEGIN … COMMIT, or ROLLBACK when left by an exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            # Also after a COMMIT that failed: else the next BEGIN would find itself inside of it.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _is_locked(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
