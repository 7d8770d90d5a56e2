"""The tracker over real HTTP connections: what it answers, limits and withstands."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from urllib.parse import quote

import aiohttp
import pytest

from engine.core import bencode
from engine.errors import SettingsError
from engine.tracker.app import TrackerApp, TrackerSettings
from engine.tracker.http_server import MAX_FULL_SCRAPE, MAX_SCRAPE, _Refusal
from engine.tracker.swarm_table import Announce, Event
from tests.tracker.asking import (
    HASH,
    VirtualClock,
    announce_path,
    http,
    http_dict,
    needs_ipv6,
)
from tests.tracker.conftest import Starter

LOCALHOST = bytes([127, 0, 0, 1])


def crowd(app: TrackerApp, now: float, *, peers: int, info_hash: bytes = HASH) -> None:
    for number in range(peers):
        at = struct.pack(">IH", 0x0A000000 + number, 1)
        app.table.announce(
            Announce(info_hash, number.to_bytes(20, "big"), at, 1, Event.NONE, 0), now
        )


async def test_two_peers_meet(start: Starter) -> None:
    at = (await start()).addresses.http
    assert at is not None
    first = await http_dict(at, announce_path(port=1111, left=0, event="started"))
    assert first == {
        b"complete": 1,
        b"downloaded": 0,
        b"incomplete": 0,
        b"interval": 1800,
        b"min interval": 60,
        b"peers": b"",
    }
    second = await http_dict(at, announce_path(port=2222, peer_id=b"x" * 20, compact=1))
    assert second[b"peers"] == LOCALHOST + struct.pack(">H", 1111)
    plain = await http_dict(at, announce_path(port=2222, peer_id=b"x" * 20, compact=0))
    assert plain[b"peers"] == [
        {b"ip": b"127.0.0.1", b"peer id": b"-SW0100-abcdefghijkl", b"port": 1111}
    ]
    await http_dict(at, announce_path(port=1111, left=0, event="stopped"))
    alone = await http_dict(at, announce_path(port=2222, peer_id=b"x" * 20))
    assert (alone[b"complete"], alone[b"peers"]) == (0, b"")


async def test_an_ordinary_http_client(start: Starter) -> None:
    at = (await start()).addresses.http
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(f"http://{at}{announce_path()}") as reply:
                assert reply.status == 200
                assert reply.content_type == "text/plain"
                assert b"interval" in bencode.decode_dict(await reply.read())
        async with session.head(f"http://{at}/") as reply:
            assert reply.status == 200
            assert await reply.read() == b""


@needs_ipv6
async def test_ipv6_peers_come_as_peers6(start: Starter) -> None:
    at = (await start(http="[::1]:0", udp=None)).addresses.http
    assert at is not None
    assert at.is_ipv6
    await http_dict(at, announce_path(port=1111))
    reply = await http_dict(at, announce_path(port=2222, peer_id=b"x" * 20))
    assert reply[b"peers"] == b""
    assert reply[b"peers6"] == bytes(15) + b"\1" + struct.pack(">H", 1111)
    plain = await http_dict(at, announce_path(port=2222, peer_id=b"x" * 20, compact=0))
    assert plain[b"peers"][0][b"ip"] == b"::1"  # type: ignore[index, call-overload]


@needs_ipv6
async def test_any_address_serves_both_families(start: Starter) -> None:
    at = (await start(http="[::]:0", udp=None)).addresses.http
    assert at is not None
    await http_dict(at._replace(host="127.0.0.1"), announce_path(port=1111))
    reply = await http_dict(at._replace(host="::1"), announce_path(port=2, peer_id=b"x" * 20))
    assert reply[b"peers"] == LOCALHOST + struct.pack(">H", 1111), "IPv4, not mapped into IPv6"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"info_hash": b"short"}, b"info_hash has 5 bytes, not 20"),
        ({"info_hash": b"x" * 32}, b"info_hash has 32 bytes, not 20"),
        ({"info_hash": None}, b"info_hash is missing"),
        ({"peer_id": b"x" * 19}, b"peer_id has 19 bytes, not 20"),
        ({"port": 0}, b"port is not 1 to 65535"),
    ],
)
async def test_nonsense_gets_a_failure(
    start: Starter, changes: dict[str, object], reason: bytes
) -> None:
    app = await start()
    assert app.addresses.http is not None
    reply = await http_dict(app.addresses.http, announce_path(**changes))
    assert reply == {b"failure reason": reason, b"retry in": b"never"}
    assert (app.table.peers, app.statistics.refused) == (0, 1)


@pytest.mark.parametrize("numwant", ["-1", "999999999999999999999999", "abc", ""])
async def test_absurd_numwant(start: Starter, clock: VirtualClock, numwant: str) -> None:
    app = await start()
    assert app.addresses.http is not None
    crowd(app, clock.now, peers=300)
    reply = await http_dict(app.addresses.http, announce_path(numwant=numwant))
    assert isinstance(reply[b"peers"], bytes)
    assert len(reply[b"peers"]) == 6 * (200 if numwant.startswith("9") else 50)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"\x13BitTorrent protocol" + bytes(48) + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /announce HTTP/9.9\r\n\r\n",
        b"GET /announce?" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
        b"POST /announce HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"GET /announce?info_hash=" + bytes(range(0xE0, 0xF4)) + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_garbage_is_refused_and_the_tracker_lives(
    start: Starter, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    at = (await start()).addresses.http
    assert at is not None
    reader, writer = await asyncio.open_connection(*at)
    writer.write(garbage)
    writer.write_eof()
    reply = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    assert reply == b"" or reply.split(b" ")[1][:1] == b"4"
    assert b"interval" in await http_dict(at, announce_path())
    assert caplog.records == [], "garbage cannot fill the log"


async def test_paths_and_methods(start: Starter) -> None:
    at = (await start()).addresses.http
    assert at is not None
    assert (await http(at, "/nothing"))[0] == 404
    assert (await http(at, "/announce/../etc/passwd"))[0] == 404
    request = b"DELETE /announce HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    status, headers, _ = await http(at, request)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_a_flood_of_connections_is_bounded(start: Starter) -> None:
    app = await start(max_connections=5)
    at = app.addresses.http
    assert at is not None
    held = [await asyncio.open_connection(*at) for _ in range(5)]
    for reader, writer in held:
        writer.write(f"GET {announce_path()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 20)).endswith(b"200 OK\r\n")
    reader, writer = await asyncio.open_connection(*at)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    assert app.statistics.failed_connections == 1
    for _, writer in held:
        writer.close()
        await writer.wait_closed()


async def test_a_flood_on_one_connection_is_answered_in_order(start: Starter) -> None:
    app = await start()
    at = app.addresses.http
    assert at is not None
    reader, writer = await asyncio.open_connection(*at)
    for port in range(1, 301):
        path = announce_path(port=port, numwant=0)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    writer.write(b"GET /stats.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert raw.count(b"HTTP/1.1 200 OK") == 301
    assert raw.index(b"incompletei299e") < raw.index(b"incompletei300e")
    assert app.table.leechers == 300


async def test_scrapes_of_several_one_unknown_and_none(start: Starter) -> None:
    at = (await start()).addresses.http
    assert at is not None
    other, unknown = b"o" * 20, b"u" * 20
    await http_dict(at, announce_path(left=0, event="completed"))
    await http_dict(at, announce_path(info_hash=other))
    seed = {b"complete": 1, b"downloaded": 1, b"incomplete": 0}
    leecher = {b"complete": 0, b"downloaded": 0, b"incomplete": 1}
    nobody = {b"complete": 0, b"downloaded": 0, b"incomplete": 0}
    named = "&".join("info_hash=" + quote(h, safe="") for h in (HASH, other, unknown))
    reply = await http_dict(at, "/scrape?" + named)
    assert reply == {b"files": {HASH: seed, other: leecher, unknown: nobody}}
    for none in ("/scrape", "/scrape?"):
        assert await http_dict(at, none) == {b"files": {HASH: seed, other: leecher}}


async def test_scrapes_are_bounded(start: Starter, clock: VirtualClock) -> None:
    app = await start()
    at = app.addresses.http
    assert at is not None
    several = "&".join(["info_hash=" + "x" * 20] * (MAX_SCRAPE + 1))
    reply = await http_dict(at, "/scrape?" + several)
    assert reply[b"failure reason"] == b"at most 100 torrents in one scrape"
    for number in range(MAX_FULL_SCRAPE + 1):
        crowd(app, clock.now, peers=1, info_hash=number.to_bytes(20, "big"))
    reply = await http_dict(at, "/scrape")
    assert b"too many torrents" in reply[b"failure reason"]  # type: ignore[operator]


async def test_a_discreet_tracker_lists_nothing(start: Starter) -> None:
    at = (await start(show_torrents=False)).addresses.http
    assert at is not None
    await http_dict(at, announce_path())
    assert b"failure reason" in await http_dict(at, "/scrape")
    for target in ("/", "/stats.json"):
        _, _, body = await http(at, target)
        assert HASH.hex().encode() not in body


async def test_the_page_and_its_json(start: Starter) -> None:
    app = await start()
    at = app.addresses.http
    assert at is not None
    assert app.addresses.udp is not None
    await http_dict(at, announce_path(left=0, event="completed"))
    status, headers, body = await http(at, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    page = body.decode()
    assert f"<code>http://{at}/announce</code>" in page
    assert f"<code>udp://127.0.0.1:{app.addresses.udp.port}/announce</code>" in page
    assert HASH.hex() in page
    status, headers, body = await http(at, "/stats.json")
    assert headers["content-type"] == "application/json"
    told = json.loads(body)
    assert told["seeds"] == told["torrents"] == told["downloads"] == told["http_announces"] == 1


async def test_figures_are_gathered_once_a_second(start: Starter, clock: VirtualClock) -> None:
    at = (await start()).addresses.http
    assert at is not None
    assert json.loads((await http(at, "/stats.json"))[2])["leechers"] == 0
    await http_dict(at, announce_path())
    assert json.loads((await http(at, "/stats.json"))[2])["leechers"] == 0
    clock.now += 1
    assert json.loads((await http(at, "/stats.json"))[2])["leechers"] == 1


async def test_the_name_in_the_page_is_the_askers_but_no_markup(start: Starter) -> None:
    at = (await start(udp=None)).addresses.http
    assert at is not None
    for host, url in (
        ("tracker.example", "http://tracker.example/announce"),
        ("tracker.example:80", "http://tracker.example:80/announce"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80/announce"),
        ("<script>", f"http://{at}/announce"),
        ("a b", f"http://{at}/announce"),
    ):
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        _, _, body = await http(at, request.encode())
        assert f"<code>{url}</code>".encode() in body


async def test_ip_counts_from_loopback_unless_told_otherwise(start: Starter) -> None:
    for networks, expected in ((("127.0.0.0/8",), bytes([203, 0, 113, 5])), ((), LOCALHOST)):
        at = (await start(trust_ip_from=networks)).addresses.http
        assert at is not None
        await http_dict(at, announce_path(ip="203.0.113.5"))
        reply = await http_dict(at, announce_path(port=2, peer_id=b"x" * 20))
        assert reply[b"peers"] == expected + struct.pack(">H", 6881)


@pytest.mark.parametrize(
    ("trusted", "header", "expected"),
    [
        ((), "203.0.113.5", LOCALHOST),
        (("127.0.0.1",), "203.0.113.5", bytes([203, 0, 113, 5])),
        (("127.0.0.1",), "9.9.9.9, 203.0.113.5", bytes([203, 0, 113, 5])),
        (("127.0.0.0/8",), "203.0.113.5, 127.0.0.2", bytes([203, 0, 113, 5])),
        (("127.0.0.1",), "nonsense", LOCALHOST),
        (("10.0.0.0/8",), "203.0.113.5", LOCALHOST),
    ],
)
async def test_forwarded_for_counts_only_from_proxies(
    start: Starter, trusted: tuple[str, ...], header: str, expected: bytes
) -> None:
    at = (await start(trust_forwarded_from=trusted)).addresses.http
    assert at is not None
    path = announce_path()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {header}\r\nConnection: close\r\n\r\n"
    )
    await http(at, request.encode())
    reply = await http_dict(at, announce_path(port=2, peer_id=b"x" * 20))
    assert reply[b"peers"] == expected + struct.pack(">H", 6881)


def test_networks_that_are_none() -> None:
    for wrong in ({"trust_ip_from": ("x",)}, {"trust_forwarded_from": ("10.0.0.0/99",)}):
        with pytest.raises(SettingsError, match="not a network"):
            TrackerApp(TrackerSettings(**wrong))


async def test_stop_does_not_wait_for_idle_connections(start: Starter) -> None:
    app = await start()
    at = app.addresses.http
    assert at is not None
    reader, writer = await asyncio.open_connection(*at)
    writer.write(b"GET /announce?half-a-request")
    await writer.drain()
    async with asyncio.timeout(20):
        await app.stop()
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError), socket.socket() as probe:
        probe.connect(at)


def test_a_transport_need_not_be_one_of_asyncios_classes() -> None:
    """Those of uvloop, on which the tracker runs, are not."""

    class Transport:
        is_aborted = False

        def abort(self) -> None:
            self.is_aborted = True

    transport = Transport()
    _Refusal().connection_made(transport)  # type: ignore[arg-type]
    assert transport.is_aborted
