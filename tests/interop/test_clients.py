"""The drivers of other clients work: they transfer between each other through our tracker."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.tracker.app import TrackerApp
from tests.interop.clients import (
    LOOPBACK,
    START_S,
    Aria2Client,
    CannotDialError,
    Client,
    LibtorrentClient,
    TransmissionClient,
    eventually,
    require,
    running,
)
from tests.interop.content import Content, many_files, single_file
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.own_network import address, run_in_own_network

TRANSFER_S = 60.0

pytestmark = pytest.mark.timeout(200)


async def transfer(
    tracker: TrackerApp, content: Content, seeder: Client, leecher: Client, at: Path
) -> None:
    """Let one client publish and another fetch: whole, identical, and known to the tracker."""
    info_hash = Metainfo.parse(content.torrent).info_hash

    async def is_published() -> bool:
        return tracker.table.count(info_hash).seeds == 1

    async def is_fetched() -> bool:
        return tracker.table.count(info_hash) == (info_hash, 2, 0, 1)

    async with AsyncExitStack() as stack:
        for client in (seeder, leecher):
            await stack.enter_async_context(running(client, at / f"{client.name}-{id(client)}"))
        source, target = content.write(at / "source"), at / "target"
        assert await seeder.add(content.torrent, source, seed=True) == info_hash
        await seeder.wait_complete(info_hash, TRANSFER_S)
        await eventually(is_published, TRANSFER_S, "the seeder does not announce itself")
        await leecher.add(content.torrent, target)
        await leecher.wait_complete(info_hash, TRANSFER_S)
        assert await leecher.progress(info_hash) == 1
        content.check(target, empty_files=leecher.makes_empty_files)
        await eventually(is_fetched, TRANSFER_S, lambda: str(tracker.table.count(info_hash)))
    assert tracker.statistics.refused == 0


ON_LOOPBACK = [
    (LibtorrentClient, Aria2Client, "http"),
    (TransmissionClient, LibtorrentClient, "udp"),
    (Aria2Client, LibtorrentClient, "http"),
    (TransmissionClient, Aria2Client, "http"),
    # The seeder dials: the tracker tells it of the leecher, which would not dial on loopback.
    (LibtorrentClient, TransmissionClient, "http"),
]


def _names(kinds: object) -> str:
    return kinds.name if isinstance(kinds, type) else str(kinds)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seeder", "leecher", "scheme"), ON_LOOPBACK, ids=_names)
async def test_a_transfer_through_our_tracker(
    tmp_path: Path, seeder: type[Client], leecher: type[Client], scheme: str
) -> None:
    require(seeder, leecher)
    async with tracker_on(LOOPBACK) as tracker:
        content = many_files(urls_of(tracker, scheme))
        await transfer(tracker, content, seeder(), leecher(), tmp_path)


@pytest.mark.parametrize(
    ("kind", "scheme"), [(Aria2Client, "http"), (TransmissionClient, "udp")], ids=_names
)
def test_a_transmission_leecher_in_its_own_network(
    tmp_path: Path, kind: type[Client], scheme: str
) -> None:
    require(kind, TransmissionClient)

    async def test() -> None:
        async with tracker_on(address(1)) as tracker:
            seeder, leecher = kind(address(2)), TransmissionClient(address(3))
            content = single_file(urls_of(tracker, scheme))
            await transfer(tracker, content, seeder, leecher, tmp_path)

    run_in_own_network(test, hosts=3)


async def test_libtorrent_dials_whom_it_is_told(tmp_path: Path) -> None:
    require(LibtorrentClient)
    seeder, early, late = LibtorrentClient(), LibtorrentClient(), LibtorrentClient()
    content = single_file([])
    async with (
        running(seeder, tmp_path / "a"),
        running(early, tmp_path / "b"),
        running(late, tmp_path / "c"),
    ):
        info_hash = await seeder.add(content.torrent, content.write(tmp_path / "s"), seed=True)
        await early.add(content.torrent, tmp_path / "e", peers=[seeder.endpoint])
        await late.add(content.torrent, tmp_path / "l")
        await late.connect_peer(info_hash, early.endpoint)
        for client, path in ((early, tmp_path / "e"), (late, tmp_path / "l")):
            await client.wait_complete(info_hash, TRANSFER_S)
            content.check(path)


@pytest.mark.parametrize("kind", [TransmissionClient, Aria2Client], ids=_names)
async def test_who_cannot_dial_says_so(tmp_path: Path, kind: type[Client]) -> None:
    client = kind()
    assert not client.can_dial
    nobody = Endpoint(LOOPBACK, 1)
    torrent = single_file([]).torrent
    with pytest.raises(CannotDialError):
        await client.add(torrent, tmp_path, peers=[nobody])
    with pytest.raises(CannotDialError):
        await client.connect_peer(InfoHash(Metainfo.parse(torrent).info_hash), nobody)


def listeners(port: int) -> list[Endpoint]:
    """Every IPv4 address that somebody listens at on this port, as the system lists them."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        host, at = bytes.fromhex(local[:8])[::-1], int(local[9:], 16)
        if state == "0A" and at == port:
            found.append(Endpoint(socket.inet_ntoa(host), at))
    return found


@pytest.mark.parametrize("kind", [LibtorrentClient, TransmissionClient, Aria2Client], ids=_names)
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc/net/tcp to look at")
async def test_a_client_listens_only_where_it_is_told(tmp_path: Path, kind: type[Client]) -> None:
    require(kind)
    client = kind()

    async def listens() -> bool:
        return listeners(client.endpoint.port) == [Endpoint(LOOPBACK, client.endpoint.port)]

    async with running(client, tmp_path / "client"):
        assert client.endpoint.host == LOOPBACK
        # aria2 listens once there is a torrent to listen for.
        await client.add(single_file([]).torrent, tmp_path)
        await eventually(listens, START_S, lambda: f"listens at {listeners(client.endpoint.port)}")
    await client.stop()
