"""Some files of a torrent: from libtorrent and to it, over kills, rechecks and changes of mind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.control import schema
from engine.core.file_choice import FileChoice
from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.storage.part_file import part_file_name
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.end_to_end.test_kill import RATE, _daemon
from tests.fakes.late_gathering import hold_gathering
from tests.interop.driver import require
from tests.interop.driver import running as running_client
from tests.interop.libtorrent_client import LibtorrentClient
from tests.storage.torrents import Layout, Sample, sample

PIECE = 32 * 1024
CONTENT = sample(
    [
        Layout("a.mkv", 5 * PIECE + 100),
        Layout("notes/b.nfo", 700),
        Layout("c.mkv", 3 * PIECE - 300),
        Layout("notes/empty"),
        Layout("d.iso", 6 * PIECE + 1),
        Layout("e.txt", 9),
    ],
    PIECE,
    name="chosen",
)
METAINFO = Metainfo(CONTENT.info)
PART = part_file_name(CONTENT.info.info_hash)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def paths(*files: int, content: Sample = CONTENT) -> set[str]:
    return {"/".join(content.info.files[file].path) for file in files}


def assert_right(folder: Path, files: Iterable[int], content: Sample = CONTENT) -> None:
    for file in files:
        path = folder.joinpath(*content.info.files[file].path)
        assert path.read_bytes() == content.content_of(file), path


def choose(torrent: Torrent, **words: tuple[str, ...]) -> None:
    info = torrent.info
    levels = torrent.choice.priorities if torrent.choice else bytes([1]) * len(info.files)
    torrent.choose(FileChoice.of(info, FileWishes(**words).applied(info, levels)))  # type: ignore[arg-type]


def wanted_pieces(*files: int) -> set[int]:
    return {
        index
        for number in files
        for index in range(
            CONTENT.info.files[number].offset // PIECE, -(-CONTENT.info.files[number].end // PIECE)
        )
    }


async def test_some_files_from_libtorrent_and_then_the_rest(tmp_path: Path) -> None:
    require(LibtorrentClient)
    source, target = tmp_path / "source", tmp_path / "target"
    CONTENT.store(source)
    seeder = LibtorrentClient()
    async with running_client(seeder, tmp_path), running() as session:
        await seeder.add(METAINFO.encode(), source, seed=True)
        torrent = await session.add(
            METAINFO,
            save_path=target,
            peers=[seeder.endpoint],
            preallocate=True,
            wishes=FileWishes(only=("c.mkv", "e.txt")),
        )
        await until_state(session, torrent, State.SEEDING)
        assert names(target) == paths(2, 5) | {PART}
        assert_right(target, (2, 5))
        assert set(torrent.have) == wanted_pieces(2, 5), "nothing else was asked for"
        assert not torrent.is_complete
        assert torrent.progress == 1.0
        assert torrent.left > 0
        await torrent_settled(session, torrent)

        choose(torrent, normal=("a.mkv",))
        assert torrent.state is State.DOWNLOADING
        await until_state(session, torrent, State.SEEDING)
        assert names(target) == paths(0, 2, 5) | {PART}
        assert_right(target, (0, 2, 5))

        choose(torrent, normal=("*",))
        await until(session, lambda: torrent.is_complete and torrent.state is State.SEEDING)
        assert names(target) == paths(*range(6))
        assert_right(target, range(6))
        await torrent_settled(session, torrent)
        assert torrent.choice is None
        # Nothing was fetched twice but what the end game asks for twice.
        assert torrent.down_rate.total < CONTENT.info.total_length + 4 * PIECE


async def torrent_settled(session, torrent: Torrent) -> None:  # type: ignore[no-untyped-def]
    """Wait until what was chosen is in its place, and the record says so."""
    await until(session, lambda: bool(torrent.record and torrent.record.is_clean))


async def test_it_is_not_complete_before_all_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept apart takes longer to come to its file than the rest to be fetched."""
    CONTENT.store(tmp_path / "source")
    target = tmp_path / "target"
    async with running() as seeder, running() as session:
        await seeding(seeder, METAINFO, tmp_path / "source")
        torrent = await session.add(
            METAINFO,
            save_path=target,
            peers=[endpoint_of(seeder)],
            wishes=FileWishes(only=("c.mkv", "e.txt")),
        )
        await until_state(session, torrent, State.SEEDING)
        await torrent_settled(session, torrent)
        moves = hold_gathering(monkeypatch)
        choose(torrent, normal=("*",))
        await until(session, lambda: torrent.is_complete)
        assert torrent.state is State.DOWNLOADING
        moves.set()
        await until_state(session, torrent, State.SEEDING)
        assert names(target) == paths(*range(6))
        assert_right(target, range(6))
        await torrent_settled(session, torrent)


async def test_two_halves_make_a_whole_for_libtorrent(tmp_path: Path) -> None:
    """Who has some files serves them, with the pieces at their borders."""
    require(LibtorrentClient)
    CONTENT.store(tmp_path / "source")
    async with running() as seeder, running() as first, running() as second:
        await seeding(seeder, METAINFO, tmp_path / "source")
        halves = []
        for session, only in ((first, ("0-1",)), (second, ("2-5",))):
            folder = tmp_path / only[0]
            torrent = await session.add(
                METAINFO,
                save_path=folder,
                peers=[endpoint_of(seeder)],
                wishes=FileWishes(only=only),
            )
            await until_state(session, torrent, State.SEEDING)
            halves.append(torrent)
        assert set(halves[0].have) | set(halves[1].have) == set(
            range(CONTENT.info.geometry.piece_count)
        )
        assert not any(half.is_complete for half in halves)
        leecher = LibtorrentClient()
        async with running_client(leecher, tmp_path):
            info_hash = await leecher.add(
                METAINFO.encode(),
                tmp_path / "leecher",
                peers=[endpoint_of(first), endpoint_of(second)],
            )
            await leecher.wait_complete(info_hash, 30.0)
        assert_right(tmp_path / "leecher", range(6))


async def test_a_link_that_selects_files(tmp_path: Path) -> None:
    require(LibtorrentClient)
    CONTENT.store(tmp_path / "source")
    seeder = LibtorrentClient()
    async with running_client(seeder, tmp_path), running() as session:
        await seeder.add(METAINFO.encode(), tmp_path / "source", seed=True)
        link = Magnet.parse(f"magnet:?xt=urn:btih:{CONTENT.info.info_hash}&so=1-2,5,99")
        torrent = await session.add(link, save_path=tmp_path / "t", peers=[seeder.endpoint])
        await until_state(session, torrent, State.SEEDING)
        assert names(tmp_path / "t") == paths(1, 2, 5) | {PART}
        assert_right(tmp_path / "t", (1, 2, 5))


async def test_a_recheck_and_a_restart_read_the_part_file(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    target, state = tmp_path / "target", tmp_path / "state"
    async with running() as seeder:
        await seeding(seeder, METAINFO, tmp_path / "source")
        async with running(state_dir=state) as session:
            torrent = await session.add(
                METAINFO,
                save_path=target,
                peers=[endpoint_of(seeder)],
                wishes=FileWishes(only=("c.mkv",)),
            )
            await until_state(session, torrent, State.SEEDING)
            have = set(torrent.have)
            torrent.recheck()
            await until_state(session, torrent, State.SEEDING)
            assert set(torrent.have) == have
            await torrent_settled(session, torrent)
    async with running(state_dir=state) as session:
        (torrent,) = session.torrents.values()
        await until_state(session, torrent, State.SEEDING)
        assert torrent.choice is not None
        assert set(torrent.have) == have
        assert not [text for _, _, text in torrent.log_lines if "check" in text]
    (target / PART).unlink()
    async with running(state_dir=state) as session:
        (torrent,) = session.torrents.values()
        await until_state(session, torrent, State.DOWNLOADING)
        assert set(torrent.have) < have, "pieces at the borders are gone, and it was noticed"
        assert torrent.have.count > 0


@pytest.mark.parametrize("delete", [True, False])
async def test_removing_leaves_no_part_file(tmp_path: Path, delete: bool) -> None:
    CONTENT.store(tmp_path / "source")
    async with running() as seeder, running() as session:
        await seeding(seeder, METAINFO, tmp_path / "source")
        torrent = await session.add(
            METAINFO,
            save_path=tmp_path / "target",
            peers=[endpoint_of(seeder)],
            wishes=FileWishes(only=("c.mkv",)),
        )
        await until_state(session, torrent, State.SEEDING)
        await session.remove(torrent, delete_data=delete)
        assert names(tmp_path / "target") == (set() if delete else paths(2))


async def test_minds_change_in_the_middle(tmp_path: Path) -> None:
    """Files come and go while pieces are under way; in the end all is there and right."""
    rng = random.Random(5)
    content = sample(
        [Layout(f"{number:02}", rng.randrange(1, 3 * PIECE)) for number in range(30)],
        PIECE,
        name="many",
    )
    content.store(tmp_path / "source")
    metainfo, target = Metainfo(content.info), tmp_path / "target"
    options = LOOPBACK
    async with running() as seeder, running(options) as session:
        await seeding(seeder, metainfo, tmp_path / "source")
        seeder.set_limits(up=2_000_000)
        torrent = await session.add(metainfo, save_path=target, peers=[endpoint_of(seeder)])
        ever_wanted = set(range(30))
        for _ in range(12):
            before = torrent.have.count
            levels = bytes(rng.choices((0, 1, 2), (3, 2, 1), k=30))
            torrent.choose(FileChoice.of(content.info, levels))
            await until(
                session,
                lambda: torrent.have.count > before or torrent.state is State.SEEDING,  # noqa: B023
            )
        assert ever_wanted
        seeder.set_limits(up=0)
        torrent.choose(None)
        await until(session, lambda: torrent.is_complete and torrent.state is State.SEEDING)
        await torrent_settled(session, torrent)
        assert_right(target, range(30), content)
        assert names(target) == paths(*range(30), content=content)


async def test_kills_in_the_middle_of_choices(tmp_path: Path) -> None:
    rng = random.Random(11)
    content = sample(
        [Layout(f"{number:02}", rng.randrange(1, 5 * PIECE)) for number in range(40)],
        PIECE,
        name="killed",
    )
    content.store(tmp_path / "source")
    metainfo, target = Metainfo(content.info), tmp_path / "target"
    name = metainfo.info_hash.hex()
    chosen = set(range(0, 40, 3))
    async with running() as seeder:
        await seeding(seeder, metainfo, tmp_path / "source")
        for number in range(8):
            async with (
                _daemon(tmp_path, RATE) as daemon,
                await daemon.until_ready() as client,
            ):
                if not number:
                    await client.call(
                        schema.AddTorrent(
                            metainfo=metainfo.encode(),
                            save_path=str(target),
                            peers=[str(endpoint_of(seeder))],
                            only=[",".join(map(str, sorted(chosen)))],
                        )
                    )
                else:
                    added = rng.randrange(40)
                    chosen.add(added)
                    await client.call(schema.SetFiles(torrent=name, normal=[str(added)]))
                files = await client.call(schema.GetFiles(torrent=name))
                assert {file.index for file in files if file.priority != "skip"} == chosen
                await asyncio.sleep(rng.uniform(0, 0.3))
                await daemon.kill()
        async with _daemon(tmp_path, 0) as daemon, await daemon.until_ready() as client:
            row = None
            async with asyncio.timeout(20):
                while row is None or row.state is not schema.TorrentState.SEEDING:
                    row = (await client.call(schema.GetTorrent(torrent=name))).row
            assert row.have == row.size
            assert_right(target, chosen, content)
            assert names(target) - {part_file_name(content.info.info_hash)} == paths(
                *chosen, content=content
            )
            await client.call(schema.Recheck(torrents=[name]))
            row = None
            async with asyncio.timeout(20):
                while row is None or row.state is not schema.TorrentState.SEEDING:
                    row = (await client.call(schema.GetTorrent(torrent=name))).row
            await client.call(schema.SetFiles(torrent=name, normal=["*"]))
            row = None
            async with asyncio.timeout(20):
                while row is None or row.state is not schema.TorrentState.SEEDING:
                    row = (await client.call(schema.GetTorrent(torrent=name))).row
    assert_right(target, range(40), content)
