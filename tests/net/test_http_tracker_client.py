"""HTTP trackers on loopback that answer well, badly, too much, too slowly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from aiohttp import web

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import AnnounceEvent, AnnounceRequest, SwarmCounts
from engine.discovery.http_tracker import SCRAPE_HASHES_PER_REQUEST
from engine.errors import TrackerFailure, TrackerReplyError, TrackerUnreachable
from engine.net.http_tracker_client import MAX_BODY_BYTES, MAX_REDIRECTS, HttpTrackerClient
from engine.net.route import Route
from tests.net.web_server import Handler, WebServer

REQUEST = AnnounceRequest(
    info_hash=InfoHash(bytes(range(0, 240, 12))),
    peer_id=PeerId(b"-SW0100-%?&=+ \x00\xff/#;%"),
    port=6881,
    event=AnnounceEvent.STARTED,
)
GOOD = bencode.encode({"interval": 1800, "peers": bytes([192, 0, 2, 1, 26, 225])})
PEER = Endpoint("192.0.2.1", 6881)


@pytest.fixture
async def client() -> AsyncIterator[HttpTrackerClient]:
    made = HttpTrackerClient(Route(), timeout_s=5.0)
    yield made
    await made.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[WebServer]]]:
    servers = []

    async def start(handler: Handler) -> WebServer:
        server = WebServer(handler)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


Serve = Callable[[Handler], Awaitable[WebServer]]


def _always(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return handler


# ── a tracker that behaves ─────────────────────────────────────────────────────────────────────


async def test_an_announce(client: HttpTrackerClient, serve: Serve) -> None:
    server = await serve(_always(GOOD))
    reply = await client.announce(server.url("/p%2Fath/announce?key=%41"), REQUEST)
    assert reply.peers == [PEER]
    [request] = server.requests
    path, _, query = request.raw_path.partition("?")
    fields = dict(pair.split("=", 1) for pair in query.split("&")[1:])
    assert path == "/p%2Fath/announce"
    assert query.startswith("key=%41&")
    assert unquote_to_bytes(fields["info_hash"]) == REQUEST.info_hash
    assert unquote_to_bytes(fields["peer_id"]) == REQUEST.peer_id
    assert fields["event"] == "started"
    assert request.headers["User-Agent"].startswith("seedwright/")
    assert request.headers["Accept-Encoding"] == "gzip"


async def test_a_connection_is_used_again(client: HttpTrackerClient, serve: Serve) -> None:
    server = await serve(_always(GOOD))
    for _ in range(3):
        await client.announce(server.url("/announce"), REQUEST)
    assert len(server.ports_seen) == 1


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_a_compressed_reply(client: HttpTrackerClient, serve: Serve, encoding: str) -> None:
    packed = zlib.compress(GOOD) if encoding == "deflate" else gzip.compress(GOOD)
    server = await serve(_always(packed, headers={"Content-Encoding": encoding}))
    assert (await client.announce(server.url("/announce"), REQUEST)).peers == [PEER]


async def test_a_big_reply_is_still_read(client: HttpTrackerClient, serve: Serve) -> None:
    body = bencode.encode({"interval": 60, "peers": bytes([192, 0, 2, 1, 26, 225]) * 150_000})
    server = await serve(_always(body))
    assert set((await client.announce(server.url("/announce"), REQUEST)).peers) == {PEER}


async def test_a_scrape_takes_as_many_requests_as_it_needs(
    client: HttpTrackerClient, serve: Serve
) -> None:
    async def scrape(request: web.Request) -> web.StreamResponse:
        hashes = [
            unquote_to_bytes(pair.partition("=")[2])
            for pair in request.raw_path.partition("?")[2].split("&")
        ]
        files = {each: {"complete": each[0], "incomplete": 2, "downloaded": 3} for each in hashes}
        return web.Response(body=bencode.encode({"files": files}))

    server = await serve(scrape)
    hashes = [InfoHash(bytes([n]) * 20) for n in range(SCRAPE_HASHES_PER_REQUEST + 1)]
    reply = await client.scrape(server.url("/announce"), hashes)
    assert reply.swarms == {each: SwarmCounts(each[0], 2, 3) for each in hashes}
    assert [request.path for request in server.requests] == ["/scrape", "/scrape"]
    with pytest.raises(TrackerReplyError, match="scraped"):
        await client.scrape(server.url("/else"), hashes)


async def test_a_local_address_is_used_or_nothing_is(serve: Serve) -> None:
    server = await serve(_always(GOOD))
    for local_host in ("127.0.0.1", "127.0.0.3", "0.0.0.0"):
        client = HttpTrackerClient(Route(local_host))
        try:
            await client.announce(server.url("/announce"), REQUEST)
        finally:
            await client.close()
        seen_from = "127.0.0.1" if local_host == "0.0.0.0" else local_host
        assert server.requests[-1].remote == seen_from
    client = HttpTrackerClient(Route("::1"))
    try:
        for host in ("127.0.0.1", "localhost"):
            server_url = f"http://{host}:{server.port}/announce"
            with pytest.raises(TrackerUnreachable):
                await client.announce(server_url, REQUEST)
    finally:
        await client.close()


async def test_the_environments_proxy_and_passwords_are_not_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = await serve(_always(GOOD, headers={"Set-Cookie": "a=b"}))
    client = HttpTrackerClient(Route())
    try:
        await client.announce(server.url("/announce"), REQUEST)
        await client.announce(server.url("/announce"), REQUEST)
    finally:
        await client.close()
    for request in server.requests:
        assert not request.headers.keys() & {"Authorization", "Cookie"}


# ── failures that are answers ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 403, 404, 500])
async def test_a_failure_reason_counts_whatever_the_status(
    client: HttpTrackerClient, serve: Serve, status: int
) -> None:
    body = bencode.encode({"failure reason": "unregistered torrent", "retry in": 5})
    server = await serve(_always(body, status))
    with pytest.raises(TrackerFailure, match="unregistered torrent") as caught:
        await client.announce(server.url("/announce"), REQUEST)
    assert caught.value.retry_in_s == 300


@pytest.mark.parametrize("status", [204, 301, 404, 503])
async def test_an_http_error_is_no_reply(
    client: HttpTrackerClient, serve: Serve, status: int
) -> None:
    server = await serve(_always(b"" if status == 204 else GOOD, status))
    with pytest.raises(TrackerReplyError, match=str(status)):
        await client.announce(server.url("/announce"), REQUEST)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>It works!</html>", b"\xff" * 4096, GOOD + b"x", b"d8:intervali-5ee"],
)
async def test_garbage(client: HttpTrackerClient, serve: Serve, body: bytes) -> None:
    server = await serve(_always(body))
    with pytest.raises(TrackerReplyError):
        await client.announce(server.url("/announce"), REQUEST)


async def test_a_megabyte_of_garbage_does_not_stop_the_loop(
    client: HttpTrackerClient, serve: Serve
) -> None:
    server = await serve(_always(b"l" + b"i0e" * 300_000 + b"e"))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    counting = asyncio.create_task(count())
    with pytest.raises(TrackerReplyError):
        await client.announce(server.url("/announce"), REQUEST)
    counting.cancel()
    assert turns > 3


# ── too much ───────────────────────────────────────────────────────────────────────────────────


async def test_a_body_that_announces_its_size_is_not_read(
    client: HttpTrackerClient, serve: Serve
) -> None:
    server = await serve(_always(bytes(MAX_BODY_BYTES + 1)))
    with pytest.raises(TrackerReplyError, match="longer than"):
        await client.announce(server.url("/announce"), REQUEST)


async def test_an_endless_body_is_cut(client: HttpTrackerClient, serve: Serve) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))
            sent += 1 << 16

    server = await serve(endless)
    with pytest.raises(TrackerReplyError, match="longer than"):
        await client.announce(server.url("/announce"), REQUEST)
    assert sent < 32 * MAX_BODY_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_gzip_bomb_is_not_inflated(
    client: HttpTrackerClient, serve: Serve, encoding: str
) -> None:
    bomb = bytes(200 << 20)
    packed = zlib.compress(bomb, 1) if encoding == "deflate" else gzip.compress(bomb, 1)
    assert len(packed) < MAX_BODY_BYTES
    del bomb
    server = await serve(_always(packed, headers={"Content-Encoding": encoding}))
    with pytest.raises(TrackerReplyError, match="longer than"):
        await client.announce(server.url("/announce"), REQUEST)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", GOOD),
        ("gzip", gzip.compress(GOOD)[:-9]),
        ("gzip", gzip.compress(GOOD)[:-1] + b"\x55"),
        ("br", GOOD),
    ],
    # Named, as a compressed body contains the time and each worker would name it otherwise.
    ids=["not compressed", "torn", "wrong checksum", "of an unknown kind"],
)
async def test_a_broken_compression_is_no_reply(
    client: HttpTrackerClient, serve: Serve, encoding: str, body: bytes
) -> None:
    server = await serve(_always(body, headers={"Content-Encoding": encoding}))
    with pytest.raises(TrackerReplyError):
        await client.announce(server.url("/announce"), REQUEST)


# ── elsewhere ──────────────────────────────────────────────────────────────────────────────────


def _redirecting(hops: int, status: int = 302) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        hop = int(request.match_info["tail"] or 0)
        if hop == hops:
            return web.Response(body=GOOD)
        query = request.raw_path.partition("?")[2]
        return web.Response(status=status, headers={"Location": f"/{hop + 1}?{query}"})

    return handler


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_with_the_query_intact(
    client: HttpTrackerClient, serve: Serve, status: int
) -> None:
    server = await serve(_redirecting(MAX_REDIRECTS, status))
    reply = await client.announce(server.url("/"), REQUEST)
    assert reply.peers == [PEER]
    for request in server.requests:
        fields = dict(pair.split("=", 1) for pair in request.raw_path.partition("?")[2].split("&"))
        assert unquote_to_bytes(fields["info_hash"]) == REQUEST.info_hash
        assert unquote_to_bytes(fields["peer_id"]) == REQUEST.peer_id


@pytest.mark.parametrize("hops", [MAX_REDIRECTS + 1, 10**9])
async def test_too_many_redirects(client: HttpTrackerClient, serve: Serve, hops: int) -> None:
    server = await serve(_redirecting(hops))
    with pytest.raises(TrackerReplyError, match="redirects"):
        await client.announce(server.url("/"), REQUEST)
    assert len(server.requests) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://[::1", "udp://t:1"]
)
async def test_a_redirect_to_nowhere(
    client: HttpTrackerClient, serve: Serve, location: str
) -> None:
    server = await serve(_always(b"", 302, {"Location": location}))
    with pytest.raises(TrackerReplyError):
        await client.announce(server.url("/announce"), REQUEST)


# ── too slow, or nobody there ──────────────────────────────────────────────────────────────────


async def _raw_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/announce"


@pytest.mark.parametrize("drip", [b"", b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nd"])
async def test_a_slow_server_is_given_up(drip: bytes) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in drip:
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    server, url = await _raw_server(slow)
    client = HttpTrackerClient(Route(), timeout_s=0.2)
    try:
        with pytest.raises(TrackerUnreachable, match=r"within 0\.2 s"):
            await client.announce(url, REQUEST)
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", TrackerUnreachable),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", TrackerReplyError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nd8:int", TrackerReplyError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", TrackerReplyError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", TrackerReplyError),
        (b"\x00\xff" * 50, TrackerReplyError),
    ],
)
async def test_what_is_no_http(
    client: HttpTrackerClient,
    answer: bytes,
    kind: type[TrackerUnreachable] | type[TrackerReplyError],
) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    server, url = await _raw_server(say)
    try:
        with pytest.raises(kind):
            await client.announce(url, REQUEST)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("head", [b"100 Continue", b"103 Early Hints\r\nLink: x"])
async def test_heads_without_end(client: HttpTrackerClient, head: bytes) -> None:
    """A flood of them would keep the loop busy until the time is over."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"HTTP/1.1 %b\r\n\r\n" % head * 100)
                await writer.drain()

    server, url = await _raw_server(say)
    try:
        with pytest.raises(TrackerReplyError):
            await client.announce(url, REQUEST)
    finally:
        server.close()
        await server.wait_closed()


async def test_a_few_heads_before_the_answer(client: HttpTrackerClient) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD))

    server, url = await _raw_server(say)
    try:
        for _ in range(2):
            assert (await client.announce(url, REQUEST)).peers == [PEER]
    finally:
        server.close()
        await server.wait_closed()


async def test_nobody_listens(client: HttpTrackerClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/announce?passkey=secret"
        with pytest.raises(TrackerUnreachable) as caught:
            await client.announce(url, REQUEST)
    assert "secret" not in str(caught.value)
    assert str(caught.value) == "Connection refused"


@pytest.mark.parametrize("url", ["http://name.invalid/announce", "http://a..b/announce"])
async def test_no_such_name(client: HttpTrackerClient, url: str) -> None:
    with pytest.raises((TrackerUnreachable, TrackerReplyError)):
        await client.announce(url, REQUEST)


async def test_a_closed_client_asks_nobody(serve: Serve) -> None:
    server = await serve(_always(GOOD))
    client = HttpTrackerClient(Route())
    await client.announce(server.url("/announce"), REQUEST)
    await client.close()
    await client.close()
    with pytest.raises(TrackerUnreachable):
        await client.announce(server.url("/announce"), REQUEST)


# ── https ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is missing")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


async def test_https(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(cert, key)
    server = WebServer(_always(GOOD), tls=served)
    await server.start()
    trusting = HttpTrackerClient(Route(), tls=ssl.create_default_context(cafile=str(cert)))
    wary = HttpTrackerClient(Route())
    try:
        assert (await trusting.announce(server.url("/announce"), REQUEST)).peers == [PEER]
        with pytest.raises(TrackerUnreachable, match="certificate"):
            await wary.announce(server.url("/announce"), REQUEST)
        with pytest.raises(TrackerUnreachable):
            await wary.announce(server.url("/announce").replace("https", "http"), REQUEST)
    finally:
        await trusting.close()
        await wary.close()
        await server.stop()


def test_aiohttp_is_loaded_with_the_first_request_only() -> None:
    program = """if True:
        import sys
        from engine.net.route import Route
        from engine.net.tracker_client import TrackerClient
        TrackerClient(Route())
        sys.exit("aiohttp" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
