"""Magnet links in the state file: they come back as links, or as torrents once that is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.magnet import MAX_LINK_CHARS, Magnet
from engine.core.metainfo import Metainfo
from engine.errors import InputError, SeedwrightError
from engine.session.persistence import from_row, to_row
from engine.session.state_db import StateDb
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import running, until_state
from tests.fakes.metadata_giver import giving
from tests.fakes.scripted_peer import listening
from tests.storage.torrents import sample

CONTENT = sample(100_000, 16384)
LINK = Magnet(
    CONTENT.info.info_hash,
    name="from a link",
    trackers=("http://127.0.0.1:1/announce", "udp://127.0.0.1:1"),
    peers=(("::1", 7), ("host.invalid", 8)),
    web_seeds=("http://w.example/",),
    selected=(range(1),),
)


async def test_a_link_comes_back_as_it_was(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(LINK, save_path=tmp_path, paused=True)
        row = to_row(torrent, now=5.0)
        assert (row.piece_length, row.size, row.have) == (0, 0, None)
        again = from_row(row, session, session.facilities, LINK.encode())
        assert (again.magnet, again.has_info, again.name) == (LINK, False, "from a link")
        assert to_row(again, now=5.0) == row


async def test_metadata_that_was_kept_last_is_taken(tmp_path: Path) -> None:
    """We were killed between that and the next commit, which tells it to the row."""
    metainfo = Metainfo(CONTENT.info, trackers=LINK.tiers)
    async with running() as session:
        torrent = await session.add(LINK, save_path=tmp_path, paused=True)
        row = to_row(torrent, now=5.0)
        again = from_row(row, session, session.facilities, metainfo.encode())
        assert (again.magnet, again.has_info, again.needs_check) == (None, True, True)
        assert (again.name, again.left) == (CONTENT.info.name, CONTENT.info.total_length)


@pytest.mark.parametrize("origin", [None, b"", b"de", b"magnet:", b"magnet:?xt=\xff", b"\xff"])
async def test_a_row_that_came_from_nowhere_is_refused(
    origin: bytes | None, tmp_path: Path
) -> None:
    async with running() as session:
        row = to_row(await session.add(LINK, save_path=tmp_path, paused=True), now=5.0)
        with pytest.raises((ValueError, SeedwrightError)):
            from_row(row, session, session.facilities, origin)


async def test_metadata_is_kept_before_the_torrent_takes_it_over(tmp_path: Path) -> None:
    """Whenever we are killed, the row is never ahead of what is kept beside it."""
    async with listening(giving(CONTENT.info.raw)) as peer:
        async with running(state_dir=tmp_path) as session:
            link = replace(LINK, peers=(peer,))
            torrent = await session.add(link, save_path=tmp_path / "to")
            state = session._state
            assert state is not None
            kept: list[bytes] = []
            session.on_change.append(
                lambda torrent: kept.append(
                    state.run_now(state.metainfo, torrent.info_hash) if torrent.has_info else b""
                )
            )
            await until_state(session, torrent, State.DOWNLOADING)
            assert kept[-1].startswith(b"d")
            assert not any(each.startswith(b"magnet") for each in kept)
        database = StateDb(tmp_path / "state.db")
        (row,) = database.load()
        metainfo = Metainfo.parse(database.metainfo(CONTENT.info.info_hash))
        database.close()
        assert (row.name, row.piece_length) == (CONTENT.info.name, 16384)
        assert metainfo == Metainfo(CONTENT.info, trackers=link.tiers, web_seeds=link.web_seeds)


async def test_a_link_that_could_not_be_read_back_is_refused(tmp_path: Path) -> None:
    """Written in the canonical way it is longer than what anybody may paste."""
    async with running() as session:
        urls = tuple(f"http://{number}.example/{'ü' * 200}" for number in range(100))
        link = Magnet(CONTENT.info.info_hash, trackers=urls)
        assert len(str(link)) > MAX_LINK_CHARS
        with pytest.raises(InputError):
            await session.add(link, save_path=tmp_path)
        assert not session.torrents
