"""What a machine sends while its engine is behind a proxy: everything on its wire is listened to.

On the other machine are the proxy and all that could be reached without it: the seed, a tracker, a
node of the DHT, a name server, and the way to everywhere else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.core.proxy_address import parse_proxy
from engine.net import proxy_link
from engine.session.options import DhtOptions, SessionOptions
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes.lan import INTERFACE, Flag, address, ip, run_on_lan
from tests.fakes.proxies import FakeProxy, HttpProxy, SocksProxy
from tests.fakes.wire_tap import WireTap
from tests.interop.our_tracker import tracker_on
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(150)

CONTENT = sample(3_000_000, 65_536)
NEAR, FAR = address(0), address(1)
SLOW = 400_000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_link, "FIRST_AGAIN_S", 0.05)
    monkeypatch.setattr(proxy_link, "LAST_AGAIN_S", 0.1)


class Far:
    """The other machine."""

    def __init__(self, folder: Path, proxy: FakeProxy) -> None:
        self._folder = folder
        self.proxy = proxy
        self.proxy.names = {"tracker.example": FAR, "node.example": FAR}
        self.metainfo = Metainfo(CONTENT.info)
        self.options = SessionOptions(lsd=True, port_mapping=True, stop_timeout_s=2.0)
        self.is_ready, self.is_over = Flag(), Flag()
        self.switch, self.switched = Flag(), Flag()
        """The proxy is to be cut off and started again; it was cut off."""

    async def serve(self) -> None:
        self.proxy.host = FAR
        dht = DhtOptions(is_enabled=True)
        async with (
            tracker_on(FAR) as tracker,
            running(replace(LOOPBACK, listen_host=FAR, dht=dht)) as seed,
        ):
            await self.proxy.start()
            CONTENT.store(self._folder)
            await seeding(seed, self.metainfo, self._folder)
            urls = tracker.addresses.announce_urls
            named = tuple(url.replace(FAR, "tracker.example") for url in urls)
            self.metainfo = replace(self.metainfo, trackers=(tuple(urls), named))
            node = seed.udp.port
            bootstrap = (f"node.example:{node}", f"{FAR}:{node}", "elsewhere.example:6881")
            self.options = replace(
                self.options, dht=DhtOptions(is_enabled=True, bootstrap=bootstrap)
            )
            self.seed = endpoint_of(seed)
            self.is_ready.set()
            await self.switch.wait()
            await self.proxy.stop()
            self.switched.set()
            await self.is_over.wait()
            await self.proxy.stop()


@pytest.mark.parametrize("kind", [SocksProxy, HttpProxy])
def test_nothing_is_sent_but_to_the_proxy(kind: type[FakeProxy], tmp_path: Path) -> None:
    far = Far(tmp_path / "far", kind())
    proxy = far.proxy

    async def near() -> None:
        await far.is_ready.wait()
        ip("route", "add", "default", "via", FAR)
        wire, inside = WireTap(INTERFACE), WireTap("lo")
        try:
            options = replace(far.options, proxy=parse_proxy(proxy.url))
            async with running(options) as session:
                session.set_limits(down=SLOW)
                torrent = await session.add(
                    far.metainfo, save_path=tmp_path / "near", peers=[far.seed]
                )
                await until(session, lambda: torrent.have.count > 2)
                if isinstance(proxy, SocksProxy):
                    await until(session, lambda: bool(session.dht.joined))

                # It is cut off in the middle, and does not come back.
                far.switch.set()
                await far.switched.wait()
                await until(session, lambda: bool(session.route.waiting))
                await until(session, lambda: not torrent.live.peers.connected)
                assert not session.udp.families
                torrent.announcer.announce_now()
                torrent.add_peer(far.seed)
                tries = len(wire.flows)
                await until(session, lambda: len(wire.flows) > tries + 5, "it is tried again")
        finally:
            wire.finish()
            inside.finish()
            far.is_over.set()
        ports = {proxy.port, *getattr(proxy, "relay_ports", ())}
        sent = {(each.target, each.target_port) for each in wire.flows if each.source == NEAR}
        came = {(each.source, each.source_port) for each in wire.flows if each.source != NEAR}
        assert sent <= {(FAR, port) for port in ports}
        assert came <= {(FAR, port) for port in ports}
        assert (FAR, proxy.port) in sent
        assert inside.flows == set()

    run_on_lan(near, far.serve)


def test_without_one_all_of_it_is_seen(tmp_path: Path) -> None:
    """What the test above would see of a leak."""
    far = Far(tmp_path / "far", SocksProxy())

    async def near() -> None:
        await far.is_ready.wait()
        far.switch.set()
        ip("route", "add", "default", "via", FAR)
        wire = WireTap(INTERFACE)
        try:
            async with running(replace(far.options, name_servers=(FAR,))) as session:
                torrent = await session.add(
                    far.metainfo, save_path=tmp_path / "near", peers=[far.seed]
                )
                await until_state(session, torrent, State.SEEDING)
                await until(session, lambda: any(each.target_port == 53 for each in wire.flows))
        finally:
            wire.finish()
            far.is_over.set()
        assert {far.seed.port, 53} < {each.target_port for each in wire.flows}
        assert far.proxy.port not in {each.target_port for each in wire.flows}

    run_on_lan(near, far.serve)
