"""The .torrent of a link that is here already completes it; a second one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import DuplicateTorrentError, InputError
from engine.session.adding import chosen, usable
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until_state
from tests.storage.torrents import Layout, sample

CONTENT = sample([Layout("a", 40_000), Layout("b", 50_000)], 16384)
METAINFO = Metainfo(CONTENT.info, trackers=(("http://127.0.0.1:1/announce",),))
LINK = Magnet(CONTENT.info.info_hash, selected=(range(1, 2),))


async def test_a_torrent_completes_the_link_that_was_added_first(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    state = tmp_path / "state"
    async with running() as seeder:
        await seeding(seeder, METAINFO, tmp_path / "source")
        async with running(state_dir=state) as session:
            torrent = await session.add(LINK, save_path=tmp_path / "elsewhere")
            assert torrent.state is State.METADATA
            again = await session.add(
                METAINFO, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
            )
            assert again is torrent
            assert torrent.name == "t"
            assert list(torrent.announcer.trackers) == list(METAINFO.trackers[0])
            await until_state(session, torrent, State.SEEDING)
            assert torrent.choice is not None, "the link still selects"
            with pytest.raises(DuplicateTorrentError):
                await session.add(METAINFO)
            with pytest.raises(DuplicateTorrentError):
                await session.add(LINK)
        async with running(state_dir=state) as session:
            (torrent,) = session.torrents.values()
            await until_state(session, torrent, State.SEEDING)
    assert (tmp_path / "target/t/b").read_bytes() == CONTENT.content_of(1)
    assert not (tmp_path / "target/t/a").exists()


async def test_a_paused_link_is_completed_too(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(LINK, save_path=tmp_path, paused=True)
        await session.add(METAINFO, paused=True, wishes=FileWishes(only=("a",)))
        assert torrent.has_info
        assert torrent.state is State.PAUSED
        assert torrent.save_path == tmp_path
        torrent.start()
        await until_state(session, torrent, State.DOWNLOADING)
        assert torrent.choice is not None
        assert torrent.choice.skipped == {1}, "what is said last counts"


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        chosen(CONTENT.info, FileWishes(high=("c",)))
    with pytest.raises(InputError):
        usable(tmp_path / "\udcff")
    assert chosen(CONTENT.info, FileWishes()) is None
