"""Measure the IP filter: a million ranges read, kept, brought back and asked.

python tests/benchmarks/bench_ip_filter.py [ranges]
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.core.filter_lists import ListReader
from engine.core.ip_filter import IpFilter

RANGES = 1_000_000
ASKED = 200_000
CHUNK_CHARS = 64 * 1024


@contextmanager
def timed(what: str, count: int, budget_us: float) -> Iterator[None]:
    started = time.perf_counter()
    yield
    each_us = (time.perf_counter() - started) / count * 1e6
    print(f"{what:<40}{each_us:9.2f} µs each   budget {budget_us:.1f}")


def quad(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def made_list(rng: random.Random, count: int) -> str:
    """A P2P list, in no order; one line in a hundred is IPv6."""
    lines = []
    for number in range(count):
        first = rng.getrandbits(32) & 0xFFFFFF00
        if number % 100:
            lines.append(f"Network {number}:{quad(first)}-{quad(first + rng.randrange(256))}")
        else:
            lines.append(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64")
    return "\n".join(lines)


def main(count: int) -> None:
    rng = random.Random(5)
    text = made_list(rng, count)
    reader = ListReader()
    with timed("read a line", count, 5.0):
        for at in range(0, len(text), CHUNK_CHARS):
            reader.feed(text[at : at + CHUNK_CHARS])
    with timed("sort and merge a range", count, 1.0):
        built = reader.build()
    with timed("keep a range and bring it back", count, 0.1):
        again = IpFilter.from_bytes(built.to_bytes())
    for family, hosts in (
        ("IPv4", [quad(rng.getrandbits(32)) for _ in range(ASKED)]),
        ("IPv6", [f"2001:db8::{rng.getrandbits(16):x}:0:0:1" for _ in range(ASKED)]),
    ):
        with timed(f"ask for an address of {family}", ASKED, 5.0 if family == "IPv4" else 20.0):
            found = sum(host in again for host in hosts)
        print(f"    {found / ASKED:.1%} blocked")
    each = again.memory_bytes / len(again)
    print(f"{len(again):,} ranges after merging in {again.memory_bytes:,} bytes: {each:.1f} each")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RANGES)
