"""Checking what is on disk and creating torrents, beside a plain hash of the same file."""

from __future__ import annotations

import asyncio
import sys
import time

from tests.benchmarks.bench import Bench, Leg
from tests.benchmarks.child import output_of
from tests.benchmarks.payloads import GIB, MIB
from tests.benchmarks.transfer_legs import size_text

PLAIN = "plain"


async def _hash(bench: Bench, way: str) -> dict[str, float]:
    payload = await asyncio.to_thread(bench.payloads.one_file, bench.sizes.large, MIB)
    file = payload.folder / payload.metainfo.info.name
    async with bench.scratch() as folder:
        command = (sys.executable, "-m", "tests.benchmarks.hash_child", way, str(file))
        found = await output_of(command, folder, bench.patience(payload.size))
    return {
        "speed": payload.size / 1e6 / found["seconds"],
        "cpu": found["cpu"] / (payload.size / GIB),
        "rss": found["rss"],
    }


async def _create(bench: Bench, client: str) -> dict[str, float]:
    return await _hash(bench, client if client == PLAIN else f"create-{client}")


async def _recheck(bench: Bench, client: str) -> dict[str, float]:
    """A torrent whose data is there is added: the client looks at all of it before it seeds."""
    if client == PLAIN:
        return await _hash(bench, PLAIN)
    payload = await asyncio.to_thread(bench.payloads.one_file, bench.sizes.large, MIB)
    async with (
        bench.scratch() as folder,
        bench.running(bench.kinds[client](), folder / "client") as checker,
        bench.measured([checker]) as watch,
    ):
        torrent = bench.torrent_for(checker, payload.torrent, folder)
        began = time.monotonic()
        await checker.add(torrent, payload.folder)
        ended = await checker.seeding(1, bench.patience(payload.size))
    return {
        "speed": payload.size / 1e6 / (ended - began),
        "cpu": watch.cpu_s / (payload.size / GIB),
        "rss": watch.peak_mib,
    }


HASH_LEGS: tuple[Leg, ...] = (
    Leg(
        "recheck",
        lambda s: f"{size_text(s.large)} in pieces of 1 MiB, page cache warm",
        ("speed", "cpu", "rss"),
        _recheck,
        reference=PLAIN,
        room=lambda s: 2 * s.large,
    ),
    Leg(
        "create",
        lambda s: f"{size_text(s.large)} in pieces of 1 MiB, page cache warm",
        ("speed", "cpu", "rss"),
        _create,
        clients=("seedwright", "libtorrent", PLAIN),
        reference=PLAIN,
        room=lambda s: 2 * s.large,
    ),
)
