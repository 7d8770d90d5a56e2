"""A session that is held to an interface: it waits for it, uses nothing else, and follows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.control.session_port import SessionPort
from engine.core.metainfo import Metainfo
from engine.session.health import check_health
from engine.session.options import DhtOptions, SessionOptions
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, running, seeding, until, until_state, with_trackers
from tests.fakes.name_server import NameServer, name_server
from tests.fakes.two_ways import FAR, PLAIN, TUNNEL, Tunnel, run_with_two_ways
from tests.fakes.wire_tap import WireTap
from tests.interop.our_tracker import tracker_on
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(150)

CONTENT = sample(3_000_000, 65536)
NAMES = {"tracker.example": [FAR], "nodes.example": [FAR]}
HELD = SessionOptions(
    interface=TUNNEL,
    name_servers=(FAR,),
    dht=DhtOptions(is_enabled=True, bootstrap=(f"{FAR}:9", "nodes.example:9")),
    lsd=True,
    stop_timeout_s=2.0,
)
SLOW = 300_000


class Far:
    """The far machine: a tracker over HTTP and UDP, names, and a seed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names: NameServer | None = None
        self.urls: dict[str, str] = {}
        """By their scheme; of the tracker by its name."""

    async def serve(self, tunnel: Tunnel) -> None:
        async with (
            tracker_on(FAR) as tracker,
            name_server(NAMES, FAR, 53) as (self.names, _),
            running(replace(LOOPBACK, listen_host=FAR)) as session,
        ):
            for url in tracker.addresses.announce_urls:
                self.urls[url.partition(":")[0]] = url.replace(FAR, "tracker.example")
            CONTENT.store(self._folder)
            direct = with_trackers(Metainfo(CONTENT.info), tracker.addresses.announce_urls[0])
            await seeding(session, direct, self._folder)
            await until(session, lambda: tracker.table.peers > 0)
            tunnel.is_ready.set()
            await tunnel.is_over.wait()


def _is_waiting(session: Session, torrent: Torrent, for_what: str) -> None:
    port = SessionPort(session, lambda: None)
    assert port.status().waiting == for_what
    assert port.status().listen == []
    row = port.row(torrent.info_hash.hex())
    assert row is not None
    assert row.reason == for_what
    assert row.peers == 0
    assert session.incoming.listener.endpoints == session.udp.endpoints == []


@pytest.mark.parametrize("scheme", ["http", "udp"])
def test_nothing_leaves_but_through_the_interface(tmp_path: Path, scheme: str) -> None:
    far = Far(tmp_path / "far")

    async def near(tunnel: Tunnel) -> None:
        plain = WireTap(PLAIN)
        metainfo = with_trackers(Metainfo(CONTENT.info), far.urls[scheme])
        try:
            async with running(HELD) as session:
                # It is not there yet.
                session.set_limits(down=SLOW)
                torrent = await session.add(metainfo, save_path=tmp_path / "near")
                await until_state(session, torrent, State.DOWNLOADING)
                _is_waiting(session, torrent, f"waiting for {TUNNEL}")
                checks = {check.name: check for check in await check_health(session)}
                assert not checks["ports"].is_ok
                assert checks["ports"].text == f"waiting for {TUNNEL}"

                # It comes.
                ours = tunnel.up(1)
                through = WireTap(TUNNEL)
                await until(session, lambda: torrent.have.count > 2)
                assert {each.host for each in session.endpoints} == {ours}
                assert {each.host for each in session.udp.endpoints} == {ours}
                assert session.dht.is_running
                port = session.port

                # It goes in the middle of the download.
                through.finish()
                tunnel.down()
                await until(session, lambda: bool(session.route.waiting))
                await until(session, lambda: not torrent.live.peers.connected)
                _is_waiting(session, torrent, f"waiting for {TUNNEL}")
                had = torrent.have.count
                assert had < torrent.have.size

                # It comes back, elsewhere.
                ours = tunnel.up(7)
                through = WireTap(TUNNEL)
                await until(session, lambda: torrent.have.count > had)
                assert {each.host for each in session.endpoints} == {ours}
                assert session.port == port
                session.set_limits(down=0)
                await until_state(session, torrent, State.SEEDING)
            through.finish()
            sources = {flow.source for flow in through.flows}
            assert ours in sources
            assert "10.88.0.1" not in sources  # the address that it had
        finally:
            plain.finish()
        assert plain.flows == set()
        assert far.names is not None
        assert {host for *_, host in far.names.asked} <= {"10.88.0.1", "10.88.0.7"}
        assert {name for name, *_ in far.names.asked} == set(NAMES)

    run_with_two_ways(near, far.serve)


def test_unheld_it_leaves_by_the_plain_way(tmp_path: Path) -> None:
    """What the test above would see of a leak."""
    far = Far(tmp_path / "far")

    async def near(tunnel: Tunnel) -> None:
        tunnel.up(1)
        plain = WireTap(PLAIN)
        metainfo = with_trackers(Metainfo(CONTENT.info), *far.urls.values())
        async with running(replace(HELD, interface="", lsd=False)) as session:
            torrent = await session.add(metainfo, save_path=tmp_path / "near")
            await until_state(session, torrent, State.SEEDING)
        plain.finish()
        assert {53} < {flow.target_port for flow in plain.flows}

    run_with_two_ways(near, far.serve)


def test_another_address_is_followed(tmp_path: Path) -> None:
    """Of an interface that stays: connections from the old address are not waited for."""
    far = Far(tmp_path / "far")

    async def near(tunnel: Tunnel) -> None:
        from tests.fakes.lan import ip

        tunnel.up(1)
        metainfo = with_trackers(Metainfo(CONTENT.info), far.urls["http"])
        async with running(HELD) as session:
            session.set_limits(down=SLOW)
            torrent = await session.add(metainfo, save_path=tmp_path / "near")
            await until(session, lambda: torrent.have.count > 1)
            ip("address", "flush", "dev", TUNNEL, "scope", "global")
            await until(session, lambda: bool(session.route.waiting))
            assert session.route.waiting == f"waiting for an address on {TUNNEL}"
            ip("address", "add", "10.88.0.5/24", "dev", TUNNEL)
            tunnel.lead()
            session.set_limits(down=0)
            await until_state(session, torrent, State.SEEDING)
            assert {each.host for each in session.endpoints} == {"10.88.0.5"}

    run_with_two_ways(near, far.serve)
