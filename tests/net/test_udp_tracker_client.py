"""UDP trackers on loopback: lost, strange and refused datagrams, both families, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import AnnounceRequest, SwarmCounts
from engine.discovery.udp_tracker import SCRAPE_HASHES_PER_REQUEST
from engine.errors import TrackerFailure, TrackerReplyError, TrackerUnreachable
from engine.net import loop as event_loop
from engine.net.route import Route
from engine.net.udp_tracker_client import UdpTrackerClient
from tests.fakes.two_ways import FAR, TUNNEL, Changes, Tunnel, run_with_two_ways
from tests.net.udp_tracker_server import Rule, UdpTrackerServer

REQUEST = AnnounceRequest(
    info_hash=InfoHash(bytes(20)), peer_id=PeerId(b"-SW0100-abcdefghijkl"), port=6881, left=9
)
PEERS = [Endpoint("192.0.2.1", 6881), Endpoint("2001:db8::1", 6881)]
CONNECT, ANNOUNCE, SCRAPE = 0, 1, 2

Serve = Callable[..., Awaitable[UdpTrackerServer]]

# libuv opens a pipe with a process's first loop and keeps it: that is no test's leak.
event_loop.new_event_loop().close()


@pytest.fixture
async def client() -> AsyncIterator[UdpTrackerClient]:
    made = UdpTrackerClient(Route(), first_timeout_s=0.05, attempts=3, other_family_delay_s=0.02)
    yield made
    await made.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers = []

    async def start(
        host: str = "127.0.0.1", port: int = 0, answers: Rule = lambda _number, _action: True
    ) -> UdpTrackerServer:
        server = UdpTrackerServer(answers=answers)
        server.peers = PEERS
        await server.start(host, port)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


async def test_an_announce_and_a_second_on_the_same_connection(
    client: UdpTrackerClient, serve: Serve
) -> None:
    server = await serve()
    for _ in range(2):
        reply = await client.announce(server.url, REQUEST)
        assert reply.peers == PEERS[:1]
        assert (reply.interval_s, reply.seeders, reply.leechers) == (1800, 5, 7)
    assert server.actions == [CONNECT, ANNOUNCE, ANNOUNCE]
    assert len(server.senders) == 1


async def test_a_tracker_on_ipv6(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve("::1")
    reply = await client.announce(f"udp://[::1]:{server.port}", REQUEST)
    assert reply.peers == PEERS[1:]


async def test_a_scrape_takes_as_many_requests_as_it_needs(
    client: UdpTrackerClient, serve: Serve
) -> None:
    server = await serve()
    hashes = [InfoHash(bytes([n]) * 20) for n in range(SCRAPE_HASHES_PER_REQUEST + 1)]
    reply = await client.scrape(server.url, hashes)
    assert reply.swarms == {each: SwarmCounts(each[0], 3, 2) for each in hashes}
    assert server.actions == [CONNECT, SCRAPE, SCRAPE]


@pytest.mark.parametrize("lost", [[0], [1], [0, 1], [0, 2], [0, 1, 3, 4], [1, 2]])
async def test_lost_datagrams_are_sent_again(
    client: UdpTrackerClient, serve: Serve, lost: list[int]
) -> None:
    server = await serve(answers=lambda number, _action: number not in lost)
    assert (await client.announce(server.url, REQUEST)).peers == PEERS[:1]
    assert len(server.received) == len(lost) + 2


async def test_a_silent_tracker_is_given_up(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve(answers=lambda _number, _action: False)
    with pytest.raises(TrackerUnreachable, match="does not answer"):
        await client.announce(server.url, REQUEST)
    assert server.actions == [CONNECT] * 3


async def test_a_tracker_that_forgot_us_is_connected_to_again(
    client: UdpTrackerClient, serve: Serve
) -> None:
    server = await serve()
    await client.announce(server.url, REQUEST)
    server.forget_connections()
    await client.announce(server.url, REQUEST)
    await client.announce(server.url, REQUEST)
    assert server.actions == [CONNECT, ANNOUNCE, ANNOUNCE, CONNECT, ANNOUNCE, ANNOUNCE]


async def test_a_refusal_is_told(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve()
    server.error = b"unregistered\r\ntorrent"
    with pytest.raises(TrackerFailure, match="unregistered torrent"):
        await client.announce(server.url, REQUEST)


async def test_noise_is_not_an_answer(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve()
    server.extra = lambda reply: [
        b"",
        b"\0",
        os.urandom(300),
        reply[:4] + bytes([reply[4] ^ 1]) + reply[5:],
        *[os.urandom(20) for _ in range(20)],
    ]
    assert (await client.announce(server.url, REQUEST)).peers == PEERS[:1]


async def test_a_torn_answer_is_an_error(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve()
    server.extra = lambda reply: [reply[:12]]
    with pytest.raises(TrackerReplyError):
        await client.announce(server.url, REQUEST)


async def test_an_answer_from_a_stranger_is_ignored(client: UdpTrackerClient, serve: Serve) -> None:
    """The right transaction id from another address: somebody listens in, and lies."""
    server = await serve()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))

        def lie(reply: bytes) -> list[bytes]:
            for sender in server.senders:
                stranger.sendto(reply[:4] + reply[4:8] + bytes(12), sender)
            return []

        server.extra = lie
        reply = await client.announce(server.url, REQUEST)
    assert reply.interval_s == 1800


async def test_many_at_once_share_a_socket(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve()
    requests = [
        dataclasses.replace(REQUEST, info_hash=InfoHash(n.to_bytes(20, "big"))) for n in range(60)
    ]
    replies = await asyncio.gather(*(client.announce(server.url, each) for each in requests))
    assert all(reply.peers == PEERS[:1] for reply in replies)
    assert len(server.senders) == 1
    announced = {data[16:36] for data in server.received if len(data) == 98}
    assert announced == {bytes(each.info_hash) for each in requests}


async def test_the_other_family_is_asked_when_one_is_silent(
    client: UdpTrackerClient, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = await serve("::1", answers=lambda _number, _action: False)
    server = await serve("127.0.0.1", silent.port)

    async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert host == "dual.example"
        return [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    reply = await client.announce(f"udp://dual.example:{server.port}", REQUEST)
    assert reply.peers == PEERS[:1]
    assert set(silent.actions) == {CONNECT}, "once, or again on a slow machine"


async def test_a_refusal_outweighs_silence(
    client: UdpTrackerClient, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = await serve("::1", answers=lambda _number, _action: False)
    server = await serve("127.0.0.1", silent.port)
    server.error = b"no"

    async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port)),
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(TrackerFailure, match="no"):
        await client.announce(f"udp://dual.example:{server.port}", REQUEST)


async def test_a_local_address_is_used_or_nothing_is(serve: Serve) -> None:
    server = await serve()
    client = UdpTrackerClient(Route("127.0.0.3"))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        await client.announce(server.url, REQUEST)
        assert {host for host, _ in server.senders} == {"127.0.0.3"}
        with pytest.raises(TrackerUnreachable):
            await client.announce(f"udp://[::1]:{server.port}", REQUEST)
    client = UdpTrackerClient(Route("192.0.2.1"))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        with pytest.raises(TrackerUnreachable, match="no UDP socket"):
            await client.announce(server.url, REQUEST)


async def test_what_cannot_be_sent_fails_at_once(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve()
    slow = UdpTrackerClient(Route("127.0.0.1"))
    try:
        async with asyncio.timeout(20):
            with pytest.raises(TrackerUnreachable):  # loopback leads nowhere else
                await slow.announce("udp://192.0.2.1:6969", REQUEST)
        assert (await slow.announce(server.url, REQUEST)).peers == PEERS[:1]
    finally:
        await slow.close()


@pytest.mark.parametrize("url", ["udp://name.invalid:1", f"udp://{'x' * 70}.example:1"])
async def test_no_such_name(client: UdpTrackerClient, url: str) -> None:
    for _ in range(2):
        with pytest.raises((TrackerUnreachable, TrackerReplyError)):
            await client.announce(url, REQUEST)


async def test_names_are_looked_up_once(
    client: UdpTrackerClient, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve()
    asked = []

    async def one(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host == "lost.example":
            raise socket.gaierror(socket.EAI_NONAME, "no")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", one)
    for _ in range(3):
        await client.announce(f"udp://found.example:{server.port}", REQUEST)
        with pytest.raises(TrackerUnreachable, match=r"no such host: lost\.example"):
            await client.announce("udp://lost.example:1", REQUEST)
    assert asked == ["found.example", "lost.example"]


async def test_a_cancelled_announce_leaves_nothing(client: UdpTrackerClient, serve: Serve) -> None:
    server = await serve(answers=lambda number, _action: number > 0)
    task = asyncio.create_task(client.announce(server.url, REQUEST))
    while not server.received:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.announce(server.url, REQUEST)).peers == PEERS[:1]


async def test_closing_ends_what_is_under_way(serve: Serve) -> None:
    server = await serve(answers=lambda _number, _action: False)
    client = UdpTrackerClient(Route())
    task = asyncio.create_task(client.announce(server.url, REQUEST))
    while not server.received:
        await asyncio.sleep(0)
    await client.close()
    await client.close()
    with pytest.raises(TrackerUnreachable, match="closed"):
        await task
    with pytest.raises(TrackerUnreachable, match="closed"):
        await client.announce(server.url, REQUEST)


def test_an_interface_that_was_made_anew_is_asked_over() -> None:
    """As after each reconnection of a VPN: the socket of the first tunnel leads nowhere."""
    server = UdpTrackerServer()
    server.peers = PEERS

    async def near(tunnel: Tunnel) -> None:
        tunnel.up(1)
        route = Route(interface=TUNNEL)
        route.watch()
        changes = Changes(route)
        client = UdpTrackerClient(route, first_timeout_s=1)
        url = f"udp://{FAR}:{server.port}"
        try:
            for ours in (7, 7):  # another address, then the same one again
                assert (await client.announce(url, REQUEST)).peers == PEERS[:1]
                asking = asyncio.create_task(client.announce(f"udp://{FAR}:9", REQUEST))
                tunnel.down()
                await changes.one()
                with pytest.raises(TrackerUnreachable):
                    await asking
                with pytest.raises(TrackerUnreachable, match=f"waiting for {TUNNEL}"):
                    await client.announce(url, REQUEST)
                tunnel.up(ours)
                while route.waiting:
                    await changes.one()
            assert (await client.announce(url, REQUEST)).peers == PEERS[:1]
        finally:
            await client.close()
            route.close()
        assert client._on_another_way not in route.on_change

    async def far(tunnel: Tunnel) -> None:
        await server.start(FAR)
        tunnel.is_ready.set()
        await tunnel.is_over.wait()
        server.stop()

    run_with_two_ways(near, far)


def test_on_the_engines_own_event_loop() -> None:
    async def main() -> None:
        server = UdpTrackerServer(answers=lambda number, _action: number != 1)
        server.peers = PEERS
        await server.start()
        client = UdpTrackerClient(Route(), first_timeout_s=0.05)
        try:
            assert (await client.announce(server.url, REQUEST)).peers == PEERS[:1]
            with pytest.raises(TrackerUnreachable):
                await client.announce(f"udp://[::1]:{server.port}", REQUEST)
        finally:
            await client.close()
            server.stop()

    event_loop.run(main())
