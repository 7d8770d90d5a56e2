"""How a session learns where it is seen, and has its port led to it; with a router on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.core.reachability import Verdict
from engine.net.port_mapper import MappingState
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, running, seeding, until, until_state, with_trackers
from tests.fakes.lan import ip
from tests.fakes.router import OUTSIDE, PmpRouter
from tests.fakes.scripted_peer import EXTENSION, ScriptedPeer, frame
from tests.interop.own_network import address, run_in_own_network
from tests.net.web_server import WebServer
from tests.storage.torrents import sample

CONTENT = sample(1000)


MAPPED = replace(LOOPBACK, port_mapping=True)


async def test_the_port_is_mapped_while_the_session_runs(router: PmpRouter) -> None:
    async with running(MAPPED) as session:
        mapper = session.reaching.mapper
        await until(session, lambda: mapper.mapping.state is MappingState.MAPPED)
        port = session.port
        assert set(router.entries) == {("TCP", port, port), ("UDP", port, port)}
        assert session.facilities.our_endpoints() == [Endpoint(OUTSIDE, port)]
    assert not router.entries


async def test_trackers_are_told_the_port_that_the_router_gave(
    router: PmpRouter, tmp_path: Path
) -> None:
    announced: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        announced.append(request.query["port"])
        return web.Response(body=bencode.encode({"interval": 1800, "peers": b""}))

    server = WebServer(handler)
    await server.start()
    CONTENT.store(tmp_path)
    async with running(replace(MAPPED, listen_port=0)) as session:
        router.taken = {session.port}
        await until(session, lambda: bool(session.reaching.mapper.mapping.external_port))
        outside = session.port + 1
        assert session.reaching.port == outside
        torrent = with_trackers(Metainfo(CONTENT.info), server.url("/announce"))
        await seeding(session, torrent, tmp_path)
        await until(session, lambda: bool(announced))
        assert set(announced) == {str(outside)}
    await server.stop()


@pytest.mark.parametrize("is_isolated", [True, False])
async def test_no_router_is_asked_by_who_must_not(
    router: PmpRouter, monkeypatch: pytest.MonkeyPatch, is_isolated: bool
) -> None:
    if not is_isolated:  # then it is held to loopback
        monkeypatch.undo()
    options = replace(MAPPED, limits=Limits(is_isolated=is_isolated))
    async with running(options) as session:
        assert session.reaching.mapper.mapping.state is MappingState.OFF
    assert not router.requests


async def test_trackers_say_where_they_see_us(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.Response:
        reply = {"interval": 1800, "peers": b"", "external ip": bytes([203, 0, 113, 9])}
        return web.Response(body=bencode.encode(reply))

    server = WebServer(handler)
    await server.start()
    async with running() as session:
        votes = session.facilities.reachability
        votes.seen_at("one.example", "203.0.113.9")
        votes.seen_at("two.example", "203.0.113.9")
        url = server.url("/announce").replace("127.0.0.1", "localhost")
        torrent = await session.add(with_trackers(Metainfo(CONTENT.info), url), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        await until(session, lambda: votes.hosts == ["203.0.113.9"])
        assert session.facilities.our_endpoints() == [Endpoint("203.0.113.9", session.port)]
    await server.stop()


def test_strangers_that_come_say_where_they_see_us(tmp_path: Path) -> None:
    """In a network of its own: neighbours and who is on this machine say nothing of the world."""
    strangers = [f"198.19.{number}.1" for number in range(3)]
    said = {"m": {}, "yourip": bytes([203, 0, 113, 9])}

    async def test() -> None:
        for host in strangers:
            ip("address", "add", f"{host}/32", "dev", "lo")
        async with running(replace(LOOPBACK, listen_host=address(1))) as session:
            votes = session.facilities.reachability
            torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
            await until_state(session, torrent, State.DOWNLOADING)
            assert votes.verdict(0.0) is Verdict.UNKNOWN
            visitors = []
            for number, host in enumerate(strangers):
                assert votes.hosts == []
                peer = await ScriptedPeer.meet(
                    session.endpoints[0],
                    bytes(torrent.info_hash),
                    peer_id=b"-XX0000-" + bytes([number]) * 12,
                    source=host,
                )
                visitors.append(peer)
                peer.send(frame(EXTENSION, b"\0" + bencode.encode(said)))
            await until(session, lambda: votes.hosts == ["203.0.113.9"])
            assert votes.verdict(0.0) is Verdict.REACHABLE
            for peer in visitors:
                await peer.close()

    run_in_own_network(test, hosts=1)


async def test_what_the_dht_learned_reaches_the_torrents(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        session.dht.on_address("203.0.113.9")
        assert torrent.live is not None
        assert torrent.live.peers.known._ours == [Endpoint("203.0.113.9", session.port)]
        session.facilities.reachability.came("198.51.100.1")
        assert session.facilities.reachability.verdict(0.0) is Verdict.REACHABLE
