"""Before the swarm: a link whose files are to be chosen first, and wishes that name no file."""

from __future__ import annotations

from pathlib import Path

from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import Layout, sample

CONTENT = sample([Layout("a.txt", 40_000), Layout("b.mkv", 50_000)], 16384)
METAINFO = Metainfo(CONTENT.info)
LINK = Magnet(CONTENT.info.info_hash)


async def test_a_link_waits_for_a_choice(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    async with running() as seeder, running(state_dir=tmp_path / "state") as session:
        await seeding(seeder, METAINFO, tmp_path / "source")
        torrent = await session.add(
            LINK,
            save_path=tmp_path / "target",
            peers=[endpoint_of(seeder)],
            wishes=FileWishes(waits=True, skip=("*.txt",)),
        )
        await until(session, lambda: torrent.has_info and torrent.state is State.PAUSED)
        assert torrent.choice is not None
        assert torrent.choice.skipped == {0}, "what was said with it is proposed"
        assert not torrent.wants_to_run
        assert not (tmp_path / "target").exists(), "and nothing is fetched"
        torrent.start()
        await until_state(session, torrent, State.SEEDING)
        assert (tmp_path / "target/t/b.mkv").read_bytes() == CONTENT.content_of(1)
        assert not (tmp_path / "target/t/a.txt").exists()


async def test_who_resumes_meanwhile_does_not_wait(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    async with running() as seeder, running() as session:
        await seeding(seeder, METAINFO, tmp_path / "source")
        torrent = await session.add(
            LINK, save_path=tmp_path / "target", wishes=FileWishes(waits=True)
        )
        assert torrent.state is State.METADATA
        torrent.start()
        torrent.add_peer(endpoint_of(seeder))
        await until_state(session, torrent, State.SEEDING)


async def test_a_wish_that_names_no_file_is_an_error_until_somebody_chooses(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    state = tmp_path / "state"
    async with running() as seeder:
        await seeding(seeder, METAINFO, tmp_path / "source")
        async with running(state_dir=state) as session:
            torrent = await session.add(
                LINK,
                save_path=tmp_path / "target",
                peers=[endpoint_of(seeder)],
                wishes=FileWishes(only=("*.avi",)),
            )
            await until_state(session, torrent, State.ERROR)
            assert "no file matches '*.avi'" in torrent.error
        async with running(state_dir=state) as session:
            (torrent,) = session.torrents.values()
            await until_state(session, torrent, State.ERROR)
            torrent.choose(None)
            torrent.start()
            await until_state(session, torrent, State.SEEDING)
    assert (tmp_path / "target/t/a.txt").read_bytes() == CONTENT.content_of(0)
