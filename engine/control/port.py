"""What the control room asks of an engine: the one interface between front ends and torrents.

Invariant: by the time a method is called its parameters are sound: every `info_hash` is 40 lower
case digits of a torrent that was there a moment ago, every Endpoint is numeric. Methods raise only
types of engine/errors.py; anything else is reported to the client as our bug. All calls come from
the loop thread; the plain methods answer at once and must not block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from engine.control import schema
from engine.control.change_log import Changes
from engine.core.compact import Endpoint


class Brief(Protocol):
    """What filter and order of a view read of a torrent. May be a live object whose properties
    count only when they are asked; it is read at once and never kept. A TorrentRow is one too."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> schema.TorrentState: ...
    @property
    def size(self) -> int: ...
    @property
    def progress(self) -> float: ...
    @property
    def down_rate(self) -> int: ...
    @property
    def up_rate(self) -> int: ...
    @property
    def peers(self) -> int: ...
    @property
    def eta_s(self) -> int | None: ...
    @property
    def ratio(self) -> float: ...
    @property
    def added_at(self) -> float: ...


class ViewSource(Protocol):
    """What subscriptions ask; see change_log.py for a ready way to answer `changes`."""

    def info_hashes(self) -> Collection[str]:
        """Every torrent, in any order."""

    @property
    def revision(self) -> int:
        """Rises with every change that a row would show."""

    def changes(self, since: int) -> Changes:
        """Everything that changed after the revision `since`."""

    def brief(self, info_hash: str) -> Brief | None:
        """None when there is no such torrent. Asked of each changed one at each update."""

    def row(self, info_hash: str) -> schema.TorrentRow | None:
        """None when there is no such torrent. All floats finite. Asked only for rows on show."""

    def status(self) -> schema.SessionStatus: ...


class EnginePort(ViewSource, Protocol):
    """An engine as the dispatcher sees it; FakeEngine in the tests is a complete example."""

    def info(self, info_hash: str) -> schema.TorrentInfo: ...

    def files(self, info_hash: str) -> list[schema.FileRow]: ...

    def peers(self, info_hash: str) -> list[schema.PeerRow]: ...

    def trackers(self, info_hash: str) -> list[schema.TrackerRow]: ...

    def log(self, info_hash: str) -> list[schema.LogLine]: ...

    async def add(self, request: schema.AddTorrent) -> str:
        """Add a torrent and return its info-hash. `metainfo` is the decoded bytes; exactly one of
        it and `source` is set; `save_path`, when set, is absolute. Raises DuplicateTorrentError,
        MetainfoError, SourceError, StorageError."""

    async def set_files(self, info_hash: str, request: schema.SetFiles) -> schema.SetFiles.Reply:
        """Choose files. Raises InputError for a word that names none, UnknownTorrentError, and
        StorageError where the files are not known yet."""

    async def pause(self, info_hashes: Sequence[str]) -> None: ...

    async def resume(self, info_hashes: Sequence[str]) -> None: ...

    async def recheck(self, info_hashes: Sequence[str]) -> None: ...

    async def announce(self, info_hashes: Sequence[str]) -> None: ...

    async def remove(self, info_hashes: Sequence[str], *, delete_data: bool) -> None: ...

    async def find_peers(self, text: str) -> list[Endpoint]:
        """Turn HOST:PORT into addresses; a name is looked up. Raises InputError."""

    async def add_peer(self, info_hashes: Sequence[str], peer: Endpoint) -> None: ...

    async def set_limits(
        self, info_hash: str | None, *, down: int | None, up: int | None
    ) -> schema.SetLimits.Reply:
        """Set limits in bytes a second (0 = none, None = as it is) of one torrent, or with None of
        the session; answers with what now holds."""

    async def health(self) -> list[schema.HealthCheck]: ...

    async def dht(self, request: schema.DhtRequest) -> object:
        """Serve what the DHT is asked, and check it. Raises BadRequestError, InputError, and
        SeedwrightError for what nobody answered."""

    def filter_status(self) -> schema.FilterStatus: ...

    async def reload_filter(self) -> None:
        """Read the list of blocked addresses now. Raises InputError, StorageError."""

    def test_address(self, host: str) -> schema.IsBlocked.Reply:
        """`host` is canonical."""

    def shut_down(self) -> None:
        """Begin to shut down and return at once; the daemon then stops the server."""
