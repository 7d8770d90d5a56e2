"""`seedwright wait`: until torrents are complete, told by a subscription, not by asking again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from engine.commands import options
from engine.commands.acting import all_option, named, torrents_argument
from engine.commands.connection import engine_at
from engine.commands.help import command, option
from engine.commands.output import say, say_json
from engine.control.client import ControlClient
from engine.control.schema import (
    GetTorrent,
    ListTorrents,
    Snapshot,
    Subscribe,
    TorrentInfo,
    TorrentRow,
    TorrentState,
    Unsubscribe,
    View,
)
from engine.errors import EngineUnreachable, SeedwrightError, StorageError, UnknownTorrentError
from engine.setting_kinds import Seconds
from tui.format import plural

EVERYTHING: Final = 1 << 30
_INTERVAL_S: Final = 0.2
_QUICK_INTERVAL_S: Final = 0.05
"""While somebody waits for a command to end."""


class WaitedTooLong(SeedwrightError):  # noqa: N818 - says what happened
    """`--timeout` passed; as timeout(1) does."""

    exit_code = 124


@command(
    "wait",
    examples=(
        ("seedwright add debian.torrent && seedwright wait debian.iso", "Until it is there"),
        ("seedwright wait --all --timeout 2h || echo not yet", "All of them, at most two hours"),
    ),
)
@torrents_argument
@options.together(
    all_option,
    option(
        "--timeout",
        type=options.Parsed(Seconds(0.0, 365 * 86_400.0)),
        metavar="TIME",
        default_text="for ever",
        help="Give up after this long, such as 90s, 5min or 2h.",
    ),
    options.engine_option,
    options.json_option,
)
def wait(
    torrents: tuple[str, ...],
    is_all: bool,
    timeout: float | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Wait until torrents are complete.

    Exits with 0 then, with 5 as soon as one of them fails, with 124 when the time is up.
    """
    wanted = named(torrents, is_all)
    rows = asyncio.run(_wait(wanted, timeout, engine))
    if as_json:
        say_json(rows)
    else:
        for row in rows:
            say(f"{row.name} is complete")


async def _wait(
    wanted: list[str] | None, timeout_s: float | None, engine: str | None
) -> list[TorrentRow]:
    waiting: Waiting | None = None
    try:
        async with asyncio.timeout(timeout_s), engine_at(engine) as client:
            waiting = Waiting(client, await _find(client, wanted))
            return await waiting.run()
    except TimeoutError as error:
        left = plural(len(waiting.left), "torrent") if waiting is not None else "the engine"
        raise WaitedTooLong(f"the time is up; still waiting for {left}") from error


async def _find(client: ControlClient, wanted: list[str] | None) -> list[TorrentRow]:
    if wanted is None:
        everything: list[TorrentRow] = await client.call(ListTorrents())
        return everything
    found = []
    for torrent in wanted:
        info: TorrentInfo = await client.call(GetTorrent(torrent=torrent))
        found.append(info.row)
    return found


class Waiting:
    """Follows a view until every torrent asked for was seen complete."""

    def __init__(self, client: ControlClient, rows: list[TorrentRow]) -> None:
        self._client = client
        self._names = {row.info_hash: row.name for row in rows}
        self._complete: dict[str, TorrentRow] = {}
        # A view of one name is told nothing about the others; that of a magnet link will change.
        name = rows[0].name if len(rows) == 1 and rows[0].size else ""
        self._view = View(text=name, limit=EVERYTHING)

    @property
    def left(self) -> list[str]:
        """Info-hashes that are still waited for."""
        return [each for each in self._names if each not in self._complete]

    async def run(self) -> list[TorrentRow]:
        """Return the rows as they were when complete. Raises StorageError for a torrent that
        failed, UnknownTorrentError for one that was removed, EngineUnreachable."""
        if not self._names:
            return []
        await self._subscribe(None)
        seq: int | None = None  # None: nothing counts before the next snapshot
        async for note in self._client.notifications():
            if isinstance(note, Snapshot):
                self._look(note.rows, [row.info_hash for row in note.rows])
            elif seq is None:
                continue
            elif note.seq == seq + 1:
                self._look(note.rows, note.order)
            else:
                await self._subscribe(note.id)
                seq = None
                continue
            seq = note.seq
            if not self.left:
                return [self._complete[each] for each in self._names]
        raise EngineUnreachable("the connection to the engine is closed")

    async def _subscribe(self, subscription_id: int | None) -> None:
        request = Subscribe(view=self._view, interval_s=_INTERVAL_S, id=subscription_id)
        await self._client.call(request)

    def _look(self, rows: list[TorrentRow], order: list[str] | None) -> None:
        for row in rows:
            if row.info_hash not in self._names:
                continue
            if row.state is TorrentState.ERROR:
                raise StorageError(f"{row.name}: {row.error}")
            if is_complete(row):
                self._complete[row.info_hash] = row
        if order is not None:
            for gone in set(self.left) - set(order):
                raise UnknownTorrentError(f"{self._names[gone]} was removed")


async def first_state(client: ControlClient, row: TorrentRow, *, timeout_s: float) -> TorrentRow:
    """Return what a new torrent does once it is checked, or what is known when the time is up."""
    if row.state is not TorrentState.CHECKING:
        return row
    subscribed: Subscribe.Reply | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            view = View(text=row.name, limit=EVERYTHING)
            subscribed = await client.call(Subscribe(view=view, interval_s=_QUICK_INTERVAL_S))
            async for note in client.notifications():
                for told in note.rows:
                    if told.info_hash == row.info_hash:
                        row = told
                if row.state is not TorrentState.CHECKING:
                    break
    if subscribed is not None:
        await client.call(Unsubscribe(id=subscribed.id))
    return row


def is_complete(row: TorrentRow) -> bool:
    """True if all of it is verified; a torrent under check may turn out not to be."""
    if row.state is TorrentState.SEEDING:
        return True
    return row.state is TorrentState.PAUSED and row.have == row.size and row.size > 0
