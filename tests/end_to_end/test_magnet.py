"""Magnet links over real sockets: the metadata comes from peers, then the torrent as any other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.control.why import reason_for
from engine.core import bencode
from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import DuplicateTorrentError
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from engine.tracker.app import TrackerApp, TrackerSettings
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes.metadata_giver import (
    PIECE_BYTES,
    Script,
    giving,
    reject_of,
)
from tests.fakes.scripted_peer import HungUpError, ScriptedPeer, listening
from tests.storage.torrents import Sample, sample

SMALL = sample(100_000, 16384)
LARGE = sample(1_000_000, 256, name="many pieces")
"""Its info dictionary has five metadata pieces."""
QUICK = replace(LOOPBACK, limits=Limits(min_announce_interval_s=0.2))


def link_to(content: Sample, *peers: Endpoint, trackers: tuple[str, ...] = ()) -> Magnet:
    return Magnet(content.info.info_hash, peers=tuple(peers), trackers=trackers)


@dataclass
class Place:
    """A seeder and a leecher without anything."""

    content: Sample
    folder: Path
    seeder: Session
    leecher: Session

    @property
    def seed(self) -> Endpoint:
        return endpoint_of(self.seeder)

    async def arrives(self, torrent: Torrent) -> None:
        await until_state(self.leecher, torrent, State.SEEDING)
        info = self.content.info
        assert torrent.info.raw == info.raw
        assert (torrent.name, torrent.size, torrent.left) == (info.name, info.total_length, 0)
        assert (self.folder / info.name).read_bytes() == self.content.data

    async def add(self, magnet: Magnet, *peers: Endpoint) -> Torrent:
        return await self.leecher.add(magnet, save_path=self.folder, peers=list(peers))


@contextlib.asynccontextmanager
async def place(content: Sample, tmp_path: Path) -> AsyncIterator[Place]:
    content.store(tmp_path / "source")
    async with running(QUICK) as seeder, running(QUICK) as leecher:
        await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        yield Place(content, tmp_path / "target", seeder, leecher)


def log_of(torrent: Torrent) -> str:
    return "\n".join(text for _, _, text in torrent.log_lines)


# ── it arrives ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one metadata piece", "several"])
async def test_a_peer_that_the_link_names_is_enough(content: Sample, tmp_path: Path) -> None:
    assert (len(LARGE.info.raw) - 1) // PIECE_BYTES == 4
    async with place(content, tmp_path) as there:
        torrent = await there.add(link_to(content, there.seed))
        assert torrent.state is State.METADATA
        assert torrent.left > 0  # else trackers would take us for a seed
        assert not torrent.is_complete
        assert torrent.name == str(content.info.info_hash)
        await there.arrives(torrent)
        states = log_of(torrent)
        assert states.index("fetching metadata") < states.index("metadata is here")
        assert states.index("metadata is here") < states.index("downloading")


async def test_a_peer_that_the_user_names_is_enough(tmp_path: Path) -> None:
    async with place(SMALL, tmp_path) as there:
        torrent = await there.add(replace(link_to(SMALL), name="as the link says"), there.seed)
        assert torrent.name == "as the link says"
        await there.arrives(torrent)


async def test_a_peer_may_be_named_by_a_host_name(tmp_path: Path) -> None:
    async with place(SMALL, tmp_path) as there:
        names = (("no-such-host.invalid", 1), ("localhost", there.seed.port))
        await there.arrives(await there.add(Magnet(SMALL.info.info_hash, peers=names)))


async def test_a_tracker_is_enough(tmp_path: Path) -> None:
    """The tracker is asked once: what it said of peers serves the download, too."""
    app = TrackerApp(TrackerSettings(http="127.0.0.1:0", udp="127.0.0.1:0", interval_s=600))
    await app.start()
    try:
        urls = app.addresses.announce_urls
        SMALL.store(tmp_path / "source")
        async with running() as seeder, running() as leecher:
            metainfo = Metainfo(SMALL.info, trackers=((urls[0],),))
            await seeding(seeder, metainfo, tmp_path / "source")
            await until(seeder, lambda: app.table.count(SMALL.info.info_hash).seeds == 1)
            link = link_to(SMALL, trackers=tuple(urls))
            torrent = await leecher.add(link, save_path=tmp_path / "target")
            await until(leecher, lambda: app.table.count(SMALL.info.info_hash).leechers == 1)
            await until_state(leecher, torrent, State.SEEDING)
            assert list(torrent.summary.trackers) == [(url,) for url in urls]
    finally:
        await app.stop()


async def test_what_is_on_disk_already_is_not_fetched_again(tmp_path: Path) -> None:
    async with place(SMALL, tmp_path) as there:
        SMALL.store(there.folder)
        torrent = await there.add(link_to(SMALL, there.seed))
        await there.arrives(torrent)
        assert torrent.down_rate.total == 0


async def test_hints_of_the_link_become_those_of_the_torrent(tmp_path: Path) -> None:
    async with place(SMALL, tmp_path) as there:
        seeds = ("https://w.example/x",)
        torrent = await there.add(replace(link_to(SMALL, there.seed), web_seeds=seeds))
        await there.arrives(torrent)
        assert there.leecher.load_metainfo(torrent.info_hash).web_seeds == seeds


# ── those who do not help ───────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def beside(*scripts: Script) -> AsyncIterator[list[Endpoint]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(listening(script)) for script in scripts]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one metadata piece", "several"])
async def test_a_liar_beside_an_honest_peer_is_banned(content: Sample, tmp_path: Path) -> None:
    false = bytes(len(content.info.raw))
    async with place(content, tmp_path) as there, beside(giving(false)) as liars:
        torrent = await there.add(link_to(content, *liars))
        await until(there.leecher, lambda: "sent false metadata" in log_of(torrent))
        torrent.add_peer(there.seed)
        await there.arrives(torrent)
        assert torrent.live is None or torrent.live.peers.known.is_banned(liars[0])


async def test_liars_who_mix_with_the_honest_do_not_win(tmp_path: Path) -> None:
    raw = LARGE.info.raw
    half = raw[: 2 * PIECE_BYTES] + bytes(len(raw) - 2 * PIECE_BYTES)
    scripts = [
        giving(bytes(len(raw)), peer_id=b"-XX0000-liar-number1"),
        giving(half, peer_id=b"-XX0000-liar-number2"),
        giving(bytes(len(raw) + 1), peer_id=b"-XX0000-liar-number3"),
    ]
    async with place(LARGE, tmp_path) as there, beside(*scripts) as liars:
        await there.arrives(await there.add(link_to(LARGE, *liars, there.seed)))


@pytest.mark.parametrize("size", [4 << 30, 32 * 1024 * 1024 + 1, 0, -1])
async def test_an_absurd_size_is_not_believed(size: int, tmp_path: Path) -> None:
    async with (
        place(SMALL, tmp_path) as there,
        beside(giving(SMALL.info.raw, size=size)) as boasters,
    ):
        torrent = await there.add(link_to(SMALL, *boasters))
        await until(
            there.leecher,
            lambda: any(peer.extension for peer in torrent.fetching.connected),  # type: ignore[union-attr]
        )
        assert torrent.fetching is not None
        assert torrent.fetching.fetch.source_count == 0
        assert "1 peer connected, none has given any" in reason_for(torrent)
        torrent.add_peer(there.seed)
        await there.arrives(torrent)


async def test_who_rejects_or_is_silent_delays_nobody_for_long(tmp_path: Path) -> None:
    def reject(ext_id: int, _metadata: bytes, piece: int) -> bytes:
        return reject_of(ext_id, piece)

    def nothing(_ext_id: int, _metadata: bytes, _piece: int) -> bytes:
        return b""

    scripts = [
        giving(LARGE.info.raw, answer=reject, peer_id=b"-XX0000-rejecting..."),
        giving(LARGE.info.raw, answer=nothing, peer_id=b"-XX0000-silent......"),
    ]
    async with place(LARGE, tmp_path) as there, beside(*scripts) as others:
        torrent = await there.add(link_to(LARGE, *others))
        await until(
            there.leecher,
            lambda: torrent.fetching is not None and torrent.fetching.fetch.source_count == 2,
        )
        assert reason_for(torrent) == "fetching metadata from 2 peers"
        torrent.add_peer(there.seed)
        await there.arrives(torrent)


async def test_metadata_that_is_no_torrent_is_an_error_that_says_so(tmp_path: Path) -> None:
    raw = bencode.encode({"name": "x", "piece length": 16384, "pieces": b"", "length": -5})
    async with running() as leecher, beside(giving(raw)) as peers:
        link = Magnet(InfoHash.of(raw), peers=tuple(peers))
        torrent = await leecher.add(link, save_path=tmp_path)
        await until_state(leecher, torrent, State.ERROR)
        assert "-5 bytes" in torrent.error
        assert not torrent.has_info


# ── what users do meanwhile ─────────────────────────────────────────────────────────────────────


async def test_pause_and_resume_while_fetching(tmp_path: Path) -> None:
    async with place(SMALL, tmp_path) as there:
        torrent = await there.add(link_to(SMALL))
        torrent.pause()
        assert torrent.state is State.PAUSED
        assert torrent.fetching is None
        torrent.add_peer(there.seed)
        torrent.recheck()
        assert torrent.state is State.METADATA
        torrent.pause()
        torrent.start()
        await there.arrives(torrent)


async def test_a_torrent_is_there_once_by_link_or_by_file(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(link_to(SMALL), save_path=tmp_path, paused=True)
        with pytest.raises(DuplicateTorrentError):
            await session.add(link_to(SMALL), save_path=tmp_path)
        # The file of a link without metadata completes it.
        assert await session.add(Metainfo(SMALL.info), save_path=tmp_path, paused=True) is torrent
        assert torrent.has_info
        for again in (link_to(SMALL), Metainfo(SMALL.info)):
            with pytest.raises(DuplicateTorrentError):
                await session.add(again, save_path=tmp_path)
        assert list(session.torrents.values()) == [torrent]


async def test_nobody_comes_in_before_the_metadata_is_there(tmp_path: Path) -> None:
    async with running() as session:
        await session.add(link_to(SMALL), save_path=tmp_path)
        peer = await ScriptedPeer.dial(endpoint_of(session))
        with pytest.raises(HungUpError):
            await peer.greet(SMALL.info.info_hash)
        await peer.close()


async def test_a_restart_goes_on_fetching(tmp_path: Path) -> None:
    SMALL.store(tmp_path / "source")
    link = replace(link_to(SMALL, trackers=("http://127.0.0.1:1/announce",)), name="from a link")
    async with running() as seeder:
        await seeding(seeder, Metainfo(SMALL.info), tmp_path / "source")
        async with running(state_dir=tmp_path) as session:
            await session.add(link, save_path=tmp_path / "target")
        async with running(state_dir=tmp_path) as session:
            torrent = session.torrents[SMALL.info.info_hash]
            await until_state(session, torrent, State.METADATA)
            assert torrent.name == "from a link"
            assert torrent.magnet == link
            torrent.add_peer(endpoint_of(seeder))
            await until_state(session, torrent, State.SEEDING)
        async with running(state_dir=tmp_path) as session:
            torrent = session.torrents[SMALL.info.info_hash]
            await until_state(session, torrent, State.SEEDING)
            assert torrent.magnet is None
            assert torrent.info.raw == SMALL.info.raw
            assert torrent.summary.trackers == link.tiers
