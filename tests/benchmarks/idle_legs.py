"""The legs in which nothing moves: what a client costs that only waits."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from engine.control.client import ControlClient
from engine.control.schema import Status, Subscribe, View
from engine.core.identifiers import InfoHash
from tests.benchmarks.bench import Bench, Leg, Measure, Sizes
from tests.benchmarks.child import BenchmarkError
from tests.benchmarks.clients import Client, Libtorrent, Seedwright, info_hash_of
from tests.benchmarks.payloads import SMALL_TORRENT_BYTES
from tests.benchmarks.process_figures import KIB_PER_MIB, cpu_s, memory
from tests.benchmarks.scripted_peers import IdlePeer, answers_for

_SETTLE_S = 3.0
_LOAD_S = 300.0
_PROBES = 20
_PEERS_A_TORRENT = 50
_INTERVAL_S = 0.25
_WINDOW = 50
_BUSY = 100
_WARM_STARTS = ("seedwright", "libtorrent")


async def _share_of_core(pid: int, seconds: float) -> float:
    """Watch a process for so long; return percent of one core."""
    began, before = time.monotonic(), cpu_s(pid)
    await asyncio.sleep(seconds)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - began)


async def _idle_peers(bench: Bench, client: str) -> dict[str, float]:
    wanted = bench.sizes.idle_peers
    count = -(-wanted // _PEERS_A_TORRENT)
    torrents, data = await asyncio.to_thread(bench.payloads.small_torrents, count)
    paths = sorted(torrents.iterdir())
    peers = [IdlePeer(number) for number in range(wanted)]
    async with (
        bench.scratch() as folder,
        bench.running(bench.kinds[client](), folder / "client") as seed,
    ):
        for path in paths:
            await seed.add(bench.torrent_for(seed, path, folder), data)
        await seed.seeding(count, bench.patience(0))
        hashes = [info_hash_of(path) for path in paths]
        try:
            async with bench.measured([seed]):
                for number, peer in enumerate(peers):
                    # One that is refused shows in `connected`.
                    with contextlib.suppress(OSError, EOFError, BenchmarkError):
                        await peer.connect(seed.endpoint, hashes[number % count])
                await asyncio.sleep(_SETTLE_S)
                share = await _share_of_core(seed.pid, bench.sizes.idle_s)
            return {
                "connected": float(sum(peer.is_connected for peer in peers)),
                "idle_cpu": share,
                "resident": memory(seed.pid).resident / KIB_PER_MIB,
            }
        finally:
            for peer in peers:
                await peer.close()


async def _state_of(bench: Bench, client: str, count: int) -> Path:
    """The state that a client left which had all of the small torrents; made once a run."""
    state = bench.memory / f"state-{client}-{count}"
    if state.exists():
        return state
    torrents, data = await asyncio.to_thread(bench.payloads.small_torrents, count)
    new = state.with_name(state.name + "-new")
    new.mkdir()
    first: Seedwright | Libtorrent
    first = Seedwright(state=new) if client == Seedwright.name else Libtorrent()
    async with bench.scratch() as folder, bench.running(first, folder / "first"):
        await first.add_many(torrents, data)
        await first.seeding(count, _LOAD_S)
        if isinstance(first, Libtorrent):
            await first.save(new, _LOAD_S)
    return new.rename(state)


def _restarted(client: str, state: Path, *, churn: int = 0) -> Client:
    if client == Seedwright.name:
        return Seedwright(state=state, churn=churn)
    return Libtorrent(restore=state)


def _torrents(size: Callable[[Sizes], int]) -> Measure:
    async def measure(bench: Bench, client: str) -> dict[str, float]:
        count = size(bench.sizes)
        state = await _state_of(bench, client, count)
        again = _restarted(client, state)
        hashes = await asyncio.to_thread(_some_hashes, bench, count)
        async with bench.scratch() as folder:
            began = time.monotonic()
            async with bench.running(again, folder / "again"), bench.measured([again]):
                seeding_at = await again.seeding(count, _LOAD_S)
                if isinstance(again, Seedwright):
                    listed = (await again.control.call(Status())).torrents
                    if listed != count:
                        raise BenchmarkError(f"{listed} torrents are listed, not {count}")
                for info_hash in hashes:
                    await answers_for(again.endpoint, info_hash)
                reachable_at = time.monotonic()
                await asyncio.sleep(_SETTLE_S)
                share = await _share_of_core(again.pid, bench.sizes.idle_s)
                resident = memory(again.pid).resident / KIB_PER_MIB
        return {
            "start": max(seeding_at, reachable_at) - began,
            "resident": resident,
            "idle_cpu": share,
        }

    return measure


def _some_hashes(bench: Bench, count: int) -> list[InfoHash]:
    paths = sorted(bench.payloads.small_torrents(count)[0].iterdir())
    return [info_hash_of(path) for path in random.Random(1).sample(paths, min(_PROBES, count))]


async def _control(bench: Bench, client: str) -> dict[str, float]:
    """One subscriber, first while nothing changes, then while 100 torrents are busy, half of them
    in its window."""
    count = bench.sizes.many_torrents
    state = await _state_of(bench, client, count)
    found: dict[str, float] = {}
    for key, churn in (("cpu_still", 0), ("cpu_busy", _BUSY)):
        engine = _restarted(client, state, churn=churn)
        assert isinstance(engine, Seedwright)
        async with bench.scratch() as folder, bench.running(engine, folder / "engine"):
            await engine.seeding(count, _LOAD_S)
            async with bench.measured([engine]):
                meter = _Meter(engine.socket, folder / "meter")
                await meter.start()
                try:
                    await asyncio.sleep(_SETTLE_S)
                    before, began = (meter.bytes, meter.notes), time.monotonic()
                    found[key] = await _share_of_core(engine.pid, bench.sizes.idle_s)
                    elapsed = time.monotonic() - began
                    found["socket_rate"] = (meter.bytes - before[0]) / 1000 / elapsed
                    found["updates"] = (meter.notes - before[1]) / elapsed
                finally:
                    await meter.stop()
    return found


class _Meter:
    """A subscriber behind a relay that counts what the engine writes."""

    def __init__(self, engine: Path, at: Path) -> None:
        self._engine = engine
        self._at = at
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._client: ControlClient | None = None
        self.bytes = 0
        self.notes = 0

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._relay, self._at)
        self._client = await ControlClient.connect(self._at, client="benchmark")
        await self._client.call(Subscribe(view=View(limit=_WINDOW), interval_s=_INTERVAL_S))
        self._tasks.append(asyncio.create_task(self._count(self._client)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(self._engine)

        async def up() -> None:
            while data := await reader.read(65_536):
                ours.write(data)

        task = asyncio.create_task(up())
        self._tasks.append(task)
        while data := await theirs.read(65_536):
            self.bytes += len(data)
            writer.write(data)
        task.cancel()
        writer.close()
        ours.close()

    async def _count(self, client: ControlClient) -> None:
        async for _ in client.notifications():
            self.notes += 1

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()


def _small(count: int) -> int:
    return 2 * count * SMALL_TORRENT_BYTES


IDLE_LEGS: tuple[Leg, ...] = (
    Leg(
        "idle-peers",
        lambda s: f"{s.idle_peers} connected peers that want nothing",
        ("idle_cpu", "resident", "connected"),
        _idle_peers,
        room=lambda _: _small(10),
    ),
    Leg(
        "torrents-1k",
        lambda s: f"{s.some_torrents} small seeded torrents, warm start of the whole process",
        ("start", "resident", "idle_cpu"),
        _torrents(lambda s: s.some_torrents),
        clients=_WARM_STARTS,
        room=lambda s: _small(s.some_torrents),
    ),
    Leg(
        "torrents-10k",
        lambda s: f"{s.many_torrents} small seeded torrents, warm start of the whole process",
        ("start", "resident", "idle_cpu"),
        _torrents(lambda s: s.many_torrents),
        clients=_WARM_STARTS,
        room=lambda s: _small(s.many_torrents),
    ),
    Leg(
        "control",
        lambda s: f"{s.many_torrents} torrents, one subscriber to {_WINDOW} rows, 4 updates/s",
        ("cpu_still", "cpu_busy", "updates", "socket_rate"),
        _control,
        clients=("seedwright",),
        reference="seedwright",
        room=lambda s: _small(s.many_torrents),
    ),
)
