"""Nanoseconds of CPU per message of the wire room's hot functions; run as a plain script.

The budget is 1 µs per decoded Block or Request; a block's whole road has about 8 µs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.core.geometry import BLOCK_LENGTH, Geometry
from engine.wire import encoder
from engine.wire.decoder import Decoder
from engine.wire.messages import Request
from engine.wire.peer_protocol import PeerProtocol

FEED_BYTES = 256 * 1024
ROUNDS = 7


def stream_of_blocks(count: int) -> bytes:
    stream = bytearray(count * (encoder.PIECE_HEADER_LENGTH + BLOCK_LENGTH))
    encoder.pack_run_headers_into(stream, 0, range(count), 16)
    return bytes(stream)


def decode(stream: bytes, feed_bytes: int) -> int:
    decoder = Decoder()
    view = memoryview(stream)
    count = 0
    for at in range(0, len(stream), feed_bytes):
        count += len(decoder.feed(view[at : at + feed_bytes]))
    return count


def measure(name: str, work: Callable[[], int]) -> None:
    """Print the best of some rounds; `work` returns how many messages it handled."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = process_time()
        count = work()
        best = min(best, (process_time() - began) / count)
    print(f"{name:<44} {best * 1e9:>7.0f} ns")


def main() -> None:
    blocks = stream_of_blocks(2048)
    batch = [(7, number << 14, BLOCK_LENGTH) for number in range(64)]
    span = [(7, 0, 64 * BLOCK_LENGTH)]
    requests = encoder.requests(batch) * 256
    haves = encoder.haves(range(10_000))
    slab = bytearray(16 * (encoder.PIECE_HEADER_LENGTH + BLOCK_LENGTH))
    protocol = PeerProtocol(Geometry(1 << 40, 1 << 20), fast=True, extensions=True)
    message = Request(3, 0, BLOCK_LENGTH)

    def encode_requests() -> int:
        for _ in range(256):
            encoder.requests(batch)
        return 256 * len(batch)

    def encode_requests_in_a_row() -> int:
        for _ in range(256):
            encoder.requests(span)
        return 256 * len(batch)

    def pack_headers() -> int:
        for _ in range(2_000):
            encoder.pack_run_headers_into(slab, 0, range(7, 23), 64)
        return 2_000 * 16

    def judge_requests() -> int:
        for _ in range(20_000):
            protocol.received(message)
        return 20_000

    measure("decode Block, feeds of 256 KiB", lambda: decode(blocks, FEED_BYTES))
    measure("decode Block, feeds of 64 KiB", lambda: decode(blocks, FEED_BYTES // 4))
    measure("decode Block, feeds of 1460 bytes", lambda: decode(blocks, 1460))
    measure("decode Request, batches of 64", lambda: decode(requests, 64 * 17))
    measure("decode Have, flood", lambda: decode(haves, FEED_BYTES))
    measure("encode request, batches of 64", encode_requests)
    measure("encode request, 64 in a row", encode_requests_in_a_row)
    measure("pack piece headers, batches of 16", pack_headers)
    measure("judge Request", judge_requests)


if __name__ == "__main__":
    main()
