"""One end of a path: flows over uTP, TCP and libtorrent's uTP, and a probe of the delay.

    python -m tests.benchmarks.path_child sink | source HOST FLOW… | seed FOLDER | leech FOLDER HOST

A FLOW is KIND@BEGIN-END in seconds, as utp@0-20. The sink says once a second how many bytes it got
of each kind; the source says how long a probe took, and what our uTP thinks of the path. Lines are
JSON with the machine's monotonic time, so that those of both ends can be laid side by side.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from engine.core.compact import Endpoint
from engine.net.connection import RECEIVE_BUFFER_BYTES
from engine.net.route import Route
from engine.net.udp_endpoint import UdpEndpoint
from engine.net.utp_multiplexer import UtpMultiplexer
from engine.net.utp_stream import UtpStream

UTP_PORT, TCP_PORT, ECHO_PORT, TORRENT_PORT = 7000, 7001, 7002, 7003
PAYLOAD_BYTES = 1 << 30
_CHUNK = bytes(256 * 1024)
_PROBE_S = 0.02


def tell(**said: object) -> None:
    os.write(1, json.dumps({"at": time.monotonic(), **said}).encode() + b"\n")


def _multiplexer(port: int, accepted: object = None) -> UtpMultiplexer:
    loop = asyncio.get_running_loop()
    endpoint = UdpEndpoint(loop, Route(None))
    endpoint.open(port)
    buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
    return UtpMultiplexer(loop, endpoint, buffer, random.Random(), accepted)  # type: ignore[arg-type]


class Taker:
    """Counts what a stream brings."""

    def __init__(self, stream: UtpStream, got: Counter[str]) -> None:
        self._got = got
        stream.start(self)

    def on_data(self, data: memoryview) -> None:
        self._got["utp"] += len(data)

    def on_writable(self) -> None:
        """It sends nothing."""

    def on_closed(self, error: Exception | None) -> None:
        """The flow is over."""

    def read_quota(self) -> int:
        return RECEIVE_BUFFER_BYTES


class Giver:
    """Keeps a stream filled."""

    def __init__(self, stream: UtpStream) -> None:
        self.stream = stream
        stream.start(self)
        self.on_writable()

    def on_writable(self) -> None:
        while self.stream.pending_bytes < 2 * len(_CHUNK) and not self.stream.is_closed:
            self.stream.write(_CHUNK)
            self.stream.flush()  # what is taken at once is not told of

    def on_data(self, data: memoryview) -> None:
        """Nobody answers."""

    def on_closed(self, error: Exception | None) -> None:
        if error is not None:
            tell(failed=str(error))

    def read_quota(self) -> int:
        return RECEIVE_BUFFER_BYTES


# ── where flows end ─────────────────────────────────────────────────────────────────────────────


async def sink() -> None:
    got: Counter[str] = Counter()
    takers = []
    utp = _multiplexer(UTP_PORT, lambda stream: takers.append(Taker(stream, got)))
    loop = asyncio.get_running_loop()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            got["tcp"] += len(data)
        writer.close()

    server = await asyncio.start_server(take, "0.0.0.0", TCP_PORT, limit=1 << 20)
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    echo.bind(("0.0.0.0", ECHO_PORT))
    echo.setblocking(False)

    def answer() -> None:
        with suppress(BlockingIOError):
            while True:
                echo.sendto(*echo.recvfrom(64))

    loop.add_reader(echo, answer)
    tell(ready=True)
    while utp is not None and server.is_serving():
        await asyncio.sleep(1)
        tell(got=dict(got))


# ── where they begin ────────────────────────────────────────────────────────────────────────────


async def source(host: str, flows: list[str]) -> None:
    utp = _multiplexer(0)
    began = time.monotonic()
    probes = asyncio.create_task(_probe(host))
    running = []
    for flow in flows:
        kind, _, times = flow.partition("@")
        begin, _, end = times.partition("-")
        work = {"utp": _send_utp, "tcp": _send_tcp, "probe": _wait}[kind](utp, host)
        running.append(asyncio.create_task(_between(began, float(begin), float(end), work)))
    tell(ready=True)
    await asyncio.gather(*running)
    probes.cancel()


async def _between(began: float, begin_s: float, end_s: float, work: object) -> None:
    await asyncio.sleep(began + begin_s - time.monotonic())
    with suppress(TimeoutError):
        async with asyncio.timeout(began + end_s - time.monotonic()):
            await work  # type: ignore[misc]


async def _send_utp(utp: UtpMultiplexer, host: str) -> None:
    giver = Giver(await utp.dial(Endpoint(host, UTP_PORT), 5))
    machine = giver.stream.machine
    try:
        while True:
            await asyncio.sleep(0.1)
            ledbat = machine.ledbat
            tell(
                window=int(ledbat.window),
                queue_us=ledbat.queue_us,
                round_trip_s=machine.timing.round_trip_s,
                under_way=machine.outbound.under_way,
                lost=machine.outbound.packets_lost,
                timeouts=machine.timing.timeouts,
                slow_start=ledbat.is_slow_start,
            )
    finally:
        giver.stream.machine.abort(time.monotonic())
        giver.stream.close()


async def _wait(_utp: UtpMultiplexer, _host: str) -> None:
    """Send nothing but probes."""
    await asyncio.Event().wait()


async def _send_tcp(_utp: UtpMultiplexer, host: str) -> None:
    _, writer = await asyncio.open_connection(host, TCP_PORT)
    sock = writer.get_extra_info("socket")
    with suppress(OSError):  # a namespace may allow no other than its own
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    tell(tcp=sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode())
    try:
        while True:
            writer.write(_CHUNK)
            await writer.drain()
    finally:
        writer.transport.abort()


async def _probe(host: str) -> None:
    """Ask for an echo fifty times a second, and say how long each took."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect((host, ECHO_PORT))

    def heard() -> None:
        with suppress(OSError):
            while True:
                tell(echo_s=time.monotonic() - float(sock.recv(64)))

    loop.add_reader(sock, heard)
    while True:
        with suppress(OSError):
            sock.send(repr(time.monotonic()).encode())
        await asyncio.sleep(_PROBE_S)


# ── the same by libtorrent ──────────────────────────────────────────────────────────────────────


def torrent(folder: Path, peer: str | None) -> None:
    """Seed, or with a `peer` download, over uTP alone."""
    import libtorrent as lt

    from tests.benchmarks.libtorrent_child import FAST, QUIET, UTP

    listens = {"listen_interfaces": f"0.0.0.0:{TORRENT_PORT}"}
    session = lt.session({**FAST, **QUIET, **UTP, **listens, "mixed_mode_algorithm": 0})
    params = lt.load_torrent_file(str(folder / "path.torrent"))
    params.save_path = str(folder if peer is None else folder / "copy")
    params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    if peer is None:
        params.flags |= lt.torrent_flags.seed_mode
    else:
        params.peers = [(peer, TORRENT_PORT)]
    handle = session.add_torrent(params)
    tell(ready=True)
    while True:
        time.sleep(1)
        if peer is not None:
            tell(got={"libtorrent": handle.status().total_payload_download})


def make_torrent(folder: Path) -> None:
    """A file without contents, as large as nobody can send here in a minute."""
    import libtorrent as lt

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "payload").open("wb") as file:
        file.truncate(PAYLOAD_BYTES)
    files = lt.file_storage()
    lt.add_files(files, str(folder / "payload"))
    created = lt.create_torrent(files, 1 << 20)
    lt.set_piece_hashes(created, str(folder))
    (folder / "path.torrent").write_bytes(lt.bencode(created.generate()))


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "sink":
        asyncio.run(sink())
    elif what == "source":
        asyncio.run(source(rest[0], rest[1:]))
    else:
        torrent(Path(rest[0]), rest[1] if what == "leech" else None)


if __name__ == "__main__":
    main()
