"""One run of the benchmark: what legs are given to measure with, and the alternation of clients."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks.clients import Client, Learns
from tests.benchmarks.figures import REFERENCE, LegResult
from tests.benchmarks.fixed_tracker import FixedTracker
from tests.benchmarks.payloads import GIB, MIB, Payloads, with_tracker
from tests.benchmarks.process_figures import Watch, others_share
from tests.benchmarks.reserve import Reserve

SLOWEST_BYTES_PER_S = 10_000_000
PATIENCE_S = 45.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    payload: int = GIB
    large: int = 4 * GIB
    files: int = 10_000
    some_torrents: int = 1_000
    many_torrents: int = 10_000
    idle_peers: int = 200
    idle_s: float = 15.0
    """How long idleness is watched."""

    @classmethod
    def quick(cls) -> Sizes:
        """Enough to see that everything works; the figures mean little."""
        return cls(
            payload=64 * MIB,
            large=256 * MIB,
            files=1_000,
            some_torrents=100,
            many_torrents=1_000,
            idle_peers=40,
            idle_s=2.0,
        )

    def of(self, payload: int) -> Sizes:
        return replace(self, payload=payload, large=4 * payload)


Profiler = Callable[[int], contextlib.AbstractAsyncContextManager[None]]


@dataclass(slots=True)
class Bench:
    """What every leg is given."""

    sizes: Sizes
    memory: Path
    """A folder in tmpfs, or the next best."""
    disk: Path
    kinds: Mapping[str, Callable[[], Client]]
    payloads: Payloads
    tracker: FixedTracker
    profiler: Profiler | None = None
    """Wrapped around the process that a leg is about."""
    others: list[float] = field(default_factory=list)
    reserve: Reserve = field(default_factory=Reserve)
    _number: int = 0
    verified: set[tuple[str, str]] = field(default_factory=set)
    """(leg, client) whose copy was compared with the original."""

    def fresh(self, parent: Path) -> Path:
        """Return a new empty folder."""
        self._number += 1
        folder = parent / f"{self._number:05}"
        folder.mkdir(parents=True)
        return folder

    @contextlib.asynccontextmanager
    async def scratch(self, parent: Path | None = None) -> AsyncIterator[Path]:
        """A folder for as long as the block lasts."""
        folder = self.fresh(parent or self.memory)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def running(self, client: Client, folder: Path) -> AsyncIterator[Client]:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            await client.start(folder)
            yield client
        finally:
            await client.stop()

    @contextlib.asynccontextmanager
    async def measured(
        self, subject: Iterable[Client], *beside: Iterable[Client], files_below: Path | None = None
    ) -> AsyncIterator[Watch]:
        """Watch the processes that a leg is about; those beside them count as ours, not as
        strangers."""
        subject = list(subject)
        below = str(files_below) if files_below else None
        watch = Watch((client.pid for client in subject), files_below=below)
        rest = Watch(client.pid for group in beside for client in group)
        async with contextlib.AsyncExitStack() as stack:
            if self.profiler is not None:
                await stack.enter_async_context(self.profiler(subject[0].pid))
            await stack.enter_async_context(rest)
            own = time.process_time()
            async with watch:
                yield watch
            own = time.process_time() - own
        self.others.append(others_share([watch, rest], own))

    def torrent_for(self, client: Client, torrent: Path, folder: Path) -> Path:
        """Return the torrent as this client needs it: with our tracker if it learns of peers by
        one (rTorrent takes no other)."""
        if client.learns is Learns.BY_TRACKER:
            return with_tracker(torrent, self.tracker.url, folder)
        return torrent

    def patience(self, size: int) -> float:
        """Seconds that a transfer may take."""
        return PATIENCE_S + size / SLOWEST_BYTES_PER_S


Measure = Callable[[Bench, str], Awaitable[dict[str, float]]]


@dataclass(frozen=True, slots=True)
class Leg:
    """One thing that is measured of several clients."""

    name: str
    title: Callable[[Sizes], str]
    figures: Sequence[str]
    measure: Measure
    """Measure a client, by name, once."""
    clients: Sequence[str] | None = None
    """Only these; None = all."""
    reference: str = REFERENCE
    unable: Mapping[str, str] = field(default_factory=dict)
    """Why some clients cannot take part."""
    missing: Callable[[], str] = lambda: ""
    """Why nobody can take part on this machine; empty if they can."""
    room: Callable[[Sizes], int] = lambda sizes: 3 * sizes.payload
    """Bytes needed."""
    once: bool = False
    """So long that a single round must do."""


async def run_leg(
    bench: Bench, leg: Leg, wanted: Sequence[str], runs: int, say: Callable[[str], None]
) -> LegResult:
    """Run all clients in turn, `runs` times, beginning with another one in each round."""
    result = LegResult(leg.name, leg.title(bench.sizes), list(leg.figures), leg.reference)
    able = [name for name in (leg.clients or wanted) if name in wanted]
    if leg.reference not in able and leg.reference not in bench.kinds:
        able.append(leg.reference)  # no client, but what the machine can do
    missing = leg.missing()
    for name in list(able):
        if why := missing or leg.unable.get(name, ""):
            result.left_out[name] = why
            able.remove(name)
    rounds = 1 if leg.once else runs
    for name in able:
        result.row(name).rounds = [None] * rounds
    for turn in range(rounds):
        first = turn % len(able) if able else 0
        for name in able[first:] + able[:first]:
            row = result.row(name)
            if len(row.failures) > 1:  # it will not begin to work, and time-outs are long
                continue
            try:
                row.rounds[turn] = found = await leg.measure(bench, name)
            except Exception as error:  # of a client or of ours: the others still have their turn
                row.failures.append(f"{type(error).__name__}: {error}")
                say(f"{leg.name} {turn + 1}/{rounds} {name}: {row.failures[-1]}")
            else:
                figures = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
                say(f"{leg.name} {turn + 1}/{rounds} {name}: {figures}")
    return result


def median_of(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def say_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
