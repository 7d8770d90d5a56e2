"""What libtorrent does unlike the others: fast extension, super seeding, hybrid torrents."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.control.schema import AddTorrent, GetPeers, PeerRow
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.errors import MetainfoError
from tests.interop.clients import LOOPBACK, LibtorrentClient, eventually, running
from tests.interop.content import Content, many_files, single_file
from tests.interop.leg import TRANSFER_S, Leg
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.seedwright import SeedwrightClient, run

lt = pytest.importorskip("libtorrent", reason="pip install libtorrent")

pytestmark = [
    pytest.mark.timeout(200),
    # Libtorrent 2.1 has other ways to make and read torrents, 2.0 has only these.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


# ── torrents ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Made:
    """Options of `seedwright create`, and whether a folder or a file is described."""

    options: tuple[str, ...]
    is_folder: bool = True


MADE = {
    "a file": Made((), is_folder=False),
    "a folder": Made(()),
    "large pieces": Made(("--piece-length", "4MiB")),
    "private, of a source": Made(("--private", "--source", "TÜV", "--comment", "für alle")),
    "tiers": Made(("--tracker", "udp://a.example:1,udp://b.example:2", "--tracker", "http://c/d")),
}


@pytest.mark.parametrize("what", MADE)
async def test_libtorrent_reads_what_we_create(tmp_path: Path, what: str) -> None:
    made = MADE[what]
    content = many_files([]) if made.is_folder else single_file([])
    source = content.write(tmp_path / "content") / content.name
    if made.is_folder:
        script = source / "disc 1" / "run.sh"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        os.symlink("disc 1", source / "link")
    torrent = tmp_path / "made.torrent"
    ended = await run(tmp_path / "home", "create", source, "-o", torrent, *made.options)
    assert ended.code == 0, ended
    ours = Metainfo.parse(torrent.read_bytes())
    theirs = lt.torrent_info(torrent.read_bytes())
    assert not theirs.info_hashes().has_v2()
    assert str(theirs.info_hashes().v1) == str(ours.info_hash)
    assert str(ours.info_hash) in ended.said
    assert theirs.name() == ours.info.name
    assert theirs.piece_length() == ours.info.piece_length
    assert theirs.num_pieces() == ours.info.geometry.piece_count
    assert theirs.priv() == ours.info.is_private
    assert theirs.comment() == ours.comment
    assert {(t.url, t.tier) for t in theirs.trackers()} == {
        (url, tier) for tier, urls in enumerate(ours.trackers) for url in urls
    }
    files = theirs.files()
    listed = [(files.file_path(n), files.file_size(n)) for n in range(files.num_files())]
    assert listed == [("/".join(file.path), file.length) for file in ours.info.files]
    flags = [files.file_flags(n) for n in range(files.num_files())]
    executable = [bool(flag & lt.file_flags_t.flag_executable) for flag in flags]
    assert executable == [file.is_executable for file in ours.info.files]
    linked = [bool(flag & lt.file_flags_t.flag_symlink) for flag in flags]
    assert linked == [file.symlink is not None for file in ours.info.files]


def hybrid(content: Content, at: Path, *, flags: int = 0, url: str = "") -> Content:
    """The same content with a torrent that libtorrent makes of it, by default of v1 and v2."""
    source = content.write(at) / content.name
    files = lt.file_storage()
    lt.add_files(files, str(source))
    torrent = lt.create_torrent(files, piece_size=32 * 1024, flags=flags)
    if url:
        torrent.add_tracker(url)
    lt.set_piece_hashes(torrent, str(at))
    return Content(lt.bencode(torrent.generate()), content.name, content.files)


@pytest.mark.parametrize("is_ours", [True, False], ids=["from us", "to us"])
async def test_hybrid_torrents_are_taken_as_v1(tmp_path: Path, is_ours: bool) -> None:
    ours, other = SeedwrightClient(), LibtorrentClient()
    source, target = (ours, other) if is_ours else (other, ours)
    async with (
        tracker_on(LOOPBACK) as tracker,
        running(ours, tmp_path / "ours"),
        running(other, tmp_path / "other"),
    ):
        (url,) = urls_of(tracker, "http")
        contents = [
            hybrid(single_file([]), tmp_path / "made", url=url),
            hybrid(many_files([]), tmp_path / "made", url=url),
            hybrid(many_files([], seed=7), tmp_path / "made"),
        ]
        for number, content in enumerate(contents):
            hashes = lt.torrent_info(content.torrent).info_hashes()
            assert hashes.has_v1()
            assert hashes.has_v2()
            assert str(hashes.v1) == str(Metainfo.parse(content.torrent).info_hash)
            is_told = number == 2
            leg = Leg(content, source, target, tmp_path / str(number), is_told=is_told)
            await leg.begin(tracker)
            await leg.finish(tracker)


async def test_v2_alone_is_refused_by_its_name(tmp_path: Path) -> None:
    content = hybrid(single_file([]), tmp_path / "made", flags=lt.create_torrent.v2_only)
    ours = SeedwrightClient()
    async with running(ours, tmp_path / "ours"):
        with pytest.raises(MetainfoError, match="v2 only"):
            await ours.control.call(AddTorrent(metainfo=content.torrent, save_path=str(tmp_path)))


# ── the fast extension, and seeders that do not say all ─────────────────────────────────────────

QUIRKS: dict[str, Mapping[str, Any]] = {
    "suggestions": {"suggest_mode": 1, "max_suggest_pieces": 32},
    "few requests at once": {"max_allowed_in_request_queue": 3},
    "many allowed pieces": {"allowed_fast_set_size": 40},
    "a peer at a time": {"unchoke_slots_limit": 1, "unchoke_interval": 1},
}


async def told(
    source: SeedwrightClient | LibtorrentClient, targets: list[SeedwrightClient], at: Path
) -> InfoHash:
    """Publish, and fetch with all targets that are told of the source."""
    content = single_file([])
    info_hash = await source.add(content.torrent, content.write(at / "source"), seed=True)
    await source.wait_complete(info_hash, TRANSFER_S)
    for number, target in enumerate(targets):
        folder = at / f"target {number}"
        others = [other.endpoint for other in targets if other is not target]
        peers = [source.endpoint, *others]
        await target.add(content.torrent, folder, peers=peers)
    for number, target in enumerate(targets):
        await target.wait_complete(info_hash, TRANSFER_S)
        content.check(at / f"target {number}")
    return info_hash


@pytest.mark.parametrize("what", QUIRKS)
async def test_a_seeder_with_quirks(tmp_path: Path, what: str) -> None:
    seeder = LibtorrentClient(settings=QUIRKS[what], favours_neighbours=False)
    ours = SeedwrightClient()
    async with running(seeder, tmp_path / "seeder"), running(ours, tmp_path / "ours"):
        info_hash = await told(seeder, [ours], tmp_path)
        info = await ours.info(info_hash)
        assert info.wasted == 0
        assert info.row.downloaded == info.row.size


async def test_a_super_seeder_and_two_of_us(tmp_path: Path) -> None:
    """It says that it has nothing, and then names a piece to one and to the other."""
    seeder = LibtorrentClient(flags=["super_seeding"])
    ours = [SeedwrightClient(), SeedwrightClient()]
    async with (
        running(seeder, tmp_path / "seeder"),
        running(ours[0], tmp_path / "ours 0"),
        running(ours[1], tmp_path / "ours 1"),
    ):
        await told(seeder, ours, tmp_path)


async def test_who_has_announced_more_than_it_has_rejects(tmp_path: Path) -> None:
    """libtorrent names pieces that it will have soon, and rejects who asks too early."""
    seeder = SeedwrightClient(settings={"transfer.up_limit": "700kB/s"})
    middle = LibtorrentClient(settings={"predictive_piece_announce": 2000})
    ours = SeedwrightClient()
    content = single_file([])
    async with (
        running(seeder, tmp_path / "seeder"),
        running(middle, tmp_path / "middle"),
        running(ours, tmp_path / "ours"),
    ):
        info_hash = await seeder.add(content.torrent, content.write(tmp_path / "source"), seed=True)
        await seeder.wait_complete(info_hash, TRANSFER_S)
        await middle.add(content.torrent, tmp_path / "between", peers=[seeder.endpoint])
        await ours.add(content.torrent, tmp_path / "target", peers=[middle.endpoint])
        await ours.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


async def test_allowed_pieces_come_from_who_chokes_us(tmp_path: Path) -> None:
    """BEP 6: a seeder that unchokes nobody still gives out the pieces that it allowed."""
    seeder = LibtorrentClient(
        settings={"allowed_fast_set_size": 10, "unchoke_slots_limit": 0, "unchoke_interval": 3600},
        favours_neighbours=False,
    )
    ours = SeedwrightClient()
    content = single_file([])
    async with running(seeder, tmp_path / "seeder"), running(ours, tmp_path / "ours"):
        info_hash = await seeder.add(content.torrent, content.write(tmp_path / "s"), seed=True)
        await seeder.wait_complete(info_hash, TRANSFER_S)
        await ours.add(content.torrent, tmp_path / "t", peers=[seeder.endpoint])

        async def ten_pieces() -> bool:
            return (await ours.info(info_hash)).pieces_have >= 10

        await eventually(ten_pieces, TRANSFER_S, "the allowed pieces did not come")
        peers: list[PeerRow] = await ours.control.call(GetPeers(torrent=str(info_hash)))
        assert [peer.flags for peer in peers] == ["dXH"]


async def test_who_prefers_encryption_falls_back(tmp_path: Path) -> None:
    """As libtorrent is set by default: it dials with a handshake that we do not take."""
    policy = {"out_enc_policy": int(lt.enc_policy.pe_enabled), "prefer_rc4": True}
    leecher = LibtorrentClient(settings=policy)
    ours = SeedwrightClient(settings={"network.encryption": "disabled"})
    content = single_file([])
    async with running(leecher, tmp_path / "leecher"), running(ours, tmp_path / "ours"):
        info_hash = await ours.add(content.torrent, content.write(tmp_path / "s"), seed=True)
        await ours.wait_complete(info_hash, TRANSFER_S)
        await leecher.add(content.torrent, tmp_path / "t", peers=[ours.endpoint])
        await leecher.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "t")
