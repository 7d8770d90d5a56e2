"""What an encrypted connection costs: RC4 by the megabyte, its handshake once; a plain script.

A gibibyte of RC4 takes longer than all else that its transfer costs us (bench_peer.py).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.net.rc4 import rc4
from engine.wire.encryption import IncomingEncryption, Method, OutgoingEncryption, skey_mark

ROUNDS = 7
SKEY = bytes(20)
TORRENTS = 10_000


def best(work: Callable[[], object]) -> float:
    """CPU seconds of the best of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = process_time()
        work()
        times.append(process_time() - began)
    return min(times)


def in_place(size: int) -> None:
    cipher = rc4(bytes(range(20)))
    view = memoryview(bytearray(size))
    count = max(1, (32 << 20) // size)
    seconds = best(lambda: [cipher.update_into(view, view) for _ in range(count)])
    print(f"RC4 in place, {size:>8} bytes  {size * count / seconds / 1e6:>7.0f} MB/s")


def small_messages() -> None:
    cipher = rc4(bytes(range(20)))
    have = bytes(9)
    seconds = best(lambda: [cipher.update(have) for _ in range(20_000)])
    print(f"RC4 of a have            {seconds / 20_000 * 1e9:>7.0f} ns")


def handshake(index: dict[bytes, bytes]) -> None:
    rng = random.Random(1)
    both = Method.PLAINTEXT | Method.RC4
    caller = OutgoingEncryption(SKEY, bytes(68), both, rc4, rng)
    called = IncomingEncryption(index.get, both, Method.RC4, rc4, rng)
    said = caller.to_send()
    while caller.agreed is None:
        said = caller.received(called.received(said))


def junk(rng: random.Random) -> None:
    """Who sends so much that keys must be calculated, and is nobody."""
    called = IncomingEncryption(lambda _: None, Method.RC4, Method.RC4, rc4, rng)
    called.received(bytes([1]) * 96)


def main() -> None:
    began = perf_counter()
    rc4(bytes(20))
    print(f"loading the library       {(perf_counter() - began) * 1e3:>6.0f} ms, once")
    for size in (1024, 16 << 10, 256 << 10, 1 << 20):
        in_place(size)
    small_messages()
    index = {skey_mark(n.to_bytes(20, "big")): n.to_bytes(20, "big") for n in range(TORRENTS)}
    seconds = best(lambda: [handshake(index) for _ in range(20)]) / 20
    print(f"a handshake, both sides   {seconds * 1e6:>6.0f} µs, of {TORRENTS} torrents")
    rng = random.Random(2)
    seconds = best(lambda: [junk(rng) for _ in range(50)]) / 50
    print(f"a key from who is nobody  {seconds * 1e6:>6.0f} µs")


if __name__ == "__main__":
    main()
