"""What one subscriber costs the engine: 50 rows of 10,000 torrents at 4 updates a second.

Run as `python -m tests.benchmarks.bench_control [seconds]`. A client in a process of its own holds
the subscription over a real socket; here the engine changes some torrents before every update.
Shown is this process's CPU time as a share of one core, without what the changing itself took.
Budget: well under 5 % in every ordinary case; "all change" is the worst that can be thought of.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from engine.control.client import ControlClient
from engine.control.schema import SessionStatus, Sort, Subscribe, View
from engine.control.server import ControlServer
from engine.errors import EngineUnreachable
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.subscriber_window import Window

TORRENTS = 10_000
ROWS = 50
INTERVAL_S = 0.25


@dataclass
class Case:
    label: str
    active_every: int
    view: View


CASES = (
    Case("nothing changes, by name", TORRENTS * 2, View(limit=ROWS)),
    Case("100 change, by name", 100, View(limit=ROWS)),
    Case("100 change, by rate", 100, View(limit=ROWS, sort=Sort.DOWN_RATE, descending=True)),
    Case("1,000 change, by name", 10, View(limit=ROWS)),
    Case("1,000 change, by rate", 10, View(limit=ROWS, sort=Sort.DOWN_RATE, descending=True)),
    Case("1,000 change, by eta", 10, View(limit=ROWS, sort=Sort.ETA)),
    Case("all change, by name", 1, View(limit=ROWS)),
    Case("all change, by rate", 1, View(limit=ROWS, sort=Sort.DOWN_RATE, descending=True)),
)


class BenchEngine(FakeEngine):
    """Keeps its totals, as a real engine does, instead of adding up 10,000 torrents."""

    def status(self) -> SessionStatus:
        return SessionStatus(
            version="0.1.0",
            started_at=0.0,
            listen=["0.0.0.0:6881"],
            torrents=len(self.torrents),
            peers=0,
            down_rate=int(self.now),
            up_rate=0,
            downloaded=int(self.now),
            uploaded=0,
            down_limit=0,
            up_limit=0,
            disk_queue=0,
            is_isolated=False,
        )


async def measure(case: Case, seconds: float) -> None:
    engine = BenchEngine(TORRENTS, active_every=case.active_every)
    with tempfile.TemporaryDirectory() as folder:
        server = ControlServer(engine, Path(folder, "s"))
        await server.start()
        command = (sys.executable, "-m", __spec__.name, "--client", str(server.path), case.label)
        client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert client.stdout is not None
        await client.stdout.readline()
        changing_s, updates = 0.0, int(seconds / INTERVAL_S)
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(updates):
            before = time.process_time()
            engine.tick(INTERVAL_S)
            changing_s += time.process_time() - before
            await asyncio.sleep(INTERVAL_S)
        share = time.process_time() - cpu - changing_s
        share /= time.perf_counter() - started
        await server.stop()
        told = (await client.stdout.read()).decode().strip()
        await client.wait()
    print(f"{case.label:28} {100 * share:6.2f} % of a core   ({updates} updates, {told})")


async def subscribe(path: Path, label: str) -> None:
    [case] = [each for each in CASES if each.label == label]
    client = await ControlClient.connect(path)
    await client.call(Subscribe(view=case.view, interval_s=INTERVAL_S))
    window, told, rows = Window(), 0, 0
    try:
        async for note in client.notifications():
            assert window.apply(note)
            told += 1
            rows += len(note.rows)
            if told == 1:
                print("subscribed", flush=True)
    except EngineUnreachable:
        pass
    finally:
        print(f"{told} told with {rows} rows")
        await client.close()


def main() -> None:
    match sys.argv[1:]:
        case ["--client", path, label]:
            asyncio.run(subscribe(Path(path), label))
        case [seconds]:
            run_all(float(seconds))
        case _:
            run_all(5.0)


def run_all(seconds: float) -> None:
    for case in CASES:
        asyncio.run(measure(case, seconds))


if __name__ == "__main__":
    main()
