"""What a block costs the loop's thread, both ways, without sockets; run as a plain script.

    python tests/benchmarks/bench_peer.py [ROUNDS]

A real session and torrent on tmpfs; the peer's connection swallows what is written, and what "comes
from the peer" is fed to the handler as the loop would. The disk is taken out of the way down (a
piece is verified as soon as it is complete), so what is left is decoding, picking and the one copy.
The least of many short rounds is told: it says the same on a busy machine.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.core.compact import Endpoint
from engine.core.identifiers import PeerId
from engine.core.metainfo import Metainfo
from engine.net.connection import ConnectionHandler, Transport
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.storage.creator import create
from engine.storage.disk import WrittenPiece
from engine.torrent.facilities import Limits
from engine.torrent.torrent import Torrent
from engine.wire import encoder
from engine.wire.handshake import Handshake

BLOCK = 16 * 1024
SIZE = 256 * 1024 * 1024
REQUESTS_PER_READ = 64
BLOCKS_PER_READ = 48


class Sink:
    """A connection whose other end takes everything at once."""

    transport = Transport.TCP
    remote = Endpoint("198.18.0.1", 6881)

    def __init__(self) -> None:
        self.is_closed = False
        self.pending_bytes = 0
        self.pending_writes = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.asked: list[bytes] = []

    def start(self, handler: ConnectionHandler) -> None:
        self.handler = handler

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def expect(self, count: int) -> None:
        pass

    def write(self, data: bytes, sent: Callable[[], None] | None = None) -> None:
        self.bytes_sent += len(data)
        if sent is not None:
            sent()
        elif data[4:5] == b"\6":
            self.asked.append(bytes(data))

    def flush(self) -> None:
        pass

    def close(self, error: Exception | None = None) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.handler.on_closed(error)
        if error is not None:
            raise error


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def connected(torrent: Torrent) -> Sink:
    sink = Sink()
    handshake = Handshake(torrent.info_hash, PeerId(b"-XX0000-" + os.urandom(12)))
    torrent._facilities.connections.open += 1
    torrent.wake().peers.attach(sink, handshake, b"", is_incoming=True)
    return sink


def told(name: str, times: list[float], blocks: int) -> None:
    per_block = [each / blocks * 1e6 for each in times]
    middle = sorted(per_block)[len(per_block) // 2]
    print(f"{name:<36} {min(per_block):>7.2f} {middle:>7.2f} µs a block")


async def seed(torrent: Torrent, rounds: int) -> None:
    sink = connected(torrent)
    data = sink.handler.on_data
    data(memoryview(bytearray(encoder.interested())))
    data(memoryview(bytearray(encoder.request(0, 0, BLOCK))))
    await until(lambda: sink.bytes_sent > BLOCK)  # the file is open from here on
    per_piece = torrent.geometry.block_count(0)
    times = []
    at = 0
    total = torrent.geometry.piece_count * per_piece
    for _ in range(rounds):
        requests = [
            ((at + n) // per_piece, (at + n) % per_piece * BLOCK, BLOCK)
            for n in range(REQUESTS_PER_READ)
        ]
        at = (at + REQUESTS_PER_READ) % (total - REQUESTS_PER_READ)
        view = memoryview(bytearray(encoder.requests(requests)))
        began = perf_counter()
        data(view)
        times.append(perf_counter() - began)
    assert sink.bytes_sent > rounds * REQUESTS_PER_READ * BLOCK
    told(f"seed, {torrent.geometry.piece_length >> 10} KiB pieces", times, REQUESTS_PER_READ)
    sink.close()


def leech(torrent: Torrent, rounds: int) -> None:
    results: list[Callable[[], None]] = []
    disk = torrent._facilities.disk
    disk.write_pieces = lambda _, pieces, done: results.append(  # type: ignore[method-assign]
        lambda: done([WrittenPiece()] * len(pieces))
    )
    sink = connected(torrent)
    data = sink.handler.on_data
    data(memoryview(bytearray(encoder.have_all() + encoder.unchoke())))
    live = torrent.live
    assert live is not None
    payload = bytes(BLOCK)
    times = []
    blocks = 0
    asked: list[tuple[int, int, int]] = []
    for _ in range(rounds):
        for frames in sink.asked:
            asked += [
                struct.unpack_from(">III", frames, at + 5) for at in range(0, len(frames), 17)
            ]
        sink.asked.clear()
        if not asked:
            break
        now, asked = asked[:BLOCKS_PER_READ], asked[BLOCKS_PER_READ:]
        view = memoryview(
            bytearray(
                b"".join(
                    struct.pack(">IBII", 9 + length, 7, index, begin) + payload[:length]
                    for index, begin, length in now
                )
            )
        )
        began = perf_counter()
        data(view)
        live.download.completion.write()
        done, results[:] = results[:], []
        for each in done:
            each()
        live.download._feed()
        times.append((perf_counter() - began) / len(now))
        blocks += len(now)
    told(f"leech, {torrent.geometry.piece_length >> 10} KiB pieces", times, 1)
    print(f"{'':<36} {blocks} blocks in {len(times)} reads")


async def main(rounds: int) -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        source = Path(name) / "payload"
        source.write_bytes(os.urandom(SIZE))
        for piece_length in (16 * 1024, 256 * 1024, 1024 * 1024):
            made = await loop.run_in_executor(
                None, lambda length=piece_length: create(source, piece_length=length)
            )
            metainfo = made if isinstance(made, Metainfo) else Metainfo.parse(made.encode())
            options = SessionOptions(
                listen_host="127.0.0.1", limits=Limits(is_isolated=True), save_path=Path(name)
            )
            session = Session(options)
            await session.start()
            torrent = await session.add(metainfo, assume_complete=True)
            await until(lambda torrent=torrent: torrent.state.is_running)
            await seed(torrent, rounds)
            await session.stop()
            session = Session(options)
            await session.start()
            (Path(name) / "down").mkdir(exist_ok=True)
            torrent = await session.add(metainfo, save_path=Path(name) / "down")
            await until(lambda torrent=torrent: torrent.state.is_running)
            leech(torrent, rounds)
            await session.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
