"""uTP on a path of 100 Mbit/s and a round trip of 50 ms, alone and beside TCP; a plain script.

    .venv/bin/python tests/benchmarks/bench_utp_path.py [--loss 0,1] [--queue 200ms] [--trace FILE]

Two network namespaces with a line as `make swarm` makes them: a token bucket and its queue in front
of the sink, 25 ms of delay each way, losses each way. Alone uTP is to take 90 % of the path and to
add little more delay than LEDBAT's target; beside TCP it is to yield.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import path_child
from tests.swarm import sandbox
from tests.swarm.netns import Netns
from tests.swarm.plan import Plan, plan
from tests.swarm.scenario import parse

MBIT: Final = 100
ROOT: Final = Path(__file__).parents[2]
ALONE_S: Final = 20.0
JOINS_S, LEAVES_S, ENDS_S = 10.0, 30.0, 42.0
_SETTLES_S: Final = 3.0
"""What flows do for so long is how they begin, or find each other."""
_SCENARIO: Final = """
description = "a path"
time_limit = "5min"
[network]
net = "lan"
tracker = "none"
[role.source]
has = "all"
delay = "25ms"
[role.sink]
delay = "25ms"
down = "{mbit}mbit"
queue = "{queue}"
loss = "{loss}%"
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What both ends said, in the order of time; times are from when the source began."""

    lines: list[dict[str, Any]]

    def mbit(self, kind: str, begin_s: float, end_s: float) -> float:
        """Payload of a kind of flow, in Mbit/s."""
        counts = [
            (line["at"], line["got"][kind])
            for line in self.lines
            if kind in line.get("got", ()) and begin_s <= line["at"] <= end_s
        ]
        (first_at, first), (last_at, last) = counts[0], counts[-1]
        return (last - first) * 8e-6 / (last_at - first_at)

    def delay(self, begin_s: float, end_s: float) -> str:
        """By how much longer than the shortest of all the probes took."""
        probes = [(line["at"], line["echo_s"]) for line in self.lines if "echo_s" in line]
        least = min(echo_s for _, echo_s in probes)
        added = [1e3 * (echo_s - least) for at, echo_s in probes if begin_s <= at <= end_s]
        return f"{statistics.median(added):4.0f} ({statistics.quantiles(added, n=20)[-1]:4.0f})"


class Bench:
    """The two hosts, and the processes on them."""

    def __init__(self, planned: Plan, folder: Path) -> None:
        self._folder = folder
        self._sink = planned.of(["sink"])[0].address
        self._source = planned.of(["source"])[0].address
        self._running: list[subprocess.Popen[bytes]] = []

    async def seen(self, kind: str, times: str, *flows: str) -> Seen:
        """Run flows; `times` are those of the first, which may be libtorrent's."""
        try:
            sink = await self._begin("sink", "sink")
            said = [sink]
            if kind == "libtorrent":
                await self._begin("source", "seed", str(self._folder))
                said.append(await self._begin("sink", "leech", str(self._folder), self._source))
                flows = (f"probe@{times}", *flows)
            else:
                flows = (f"{kind}@{times}", *flows)
            said.append(await self._begin("source", "source", self._sink, *flows))
            await asyncio.sleep(float(times.partition("-")[2]) + 0.5)
        finally:
            for child in self._running:
                child.kill()
                child.wait()
            self._running.clear()
        began = _lines(said[-1])[0]["at"]
        lines = [line for each in said for line in _lines(each)]
        lines = [{**line, "at": line["at"] - began} for line in lines]
        return Seen(sorted(lines, key=lambda line: float(line["at"])))

    async def _begin(self, host: str, *argv: str) -> Path:
        said = self._folder / f"{len(self._running)}.jsonl"
        self._running.append(_spawn(host, argv, said))
        async with asyncio.timeout(20):
            while not said.stat().st_size:
                await asyncio.sleep(0.05)
        return said


def _spawn(host: str, argv: Sequence[str], said: Path) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", host, sys.executable, "-m", path_child.__name__, *argv]
    with said.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, stdout=out)


def _lines(said: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.read_bytes().splitlines() if line.endswith(b"}")]


async def measure(kinds: Sequence[str], loss: str, queue: str, folder: Path) -> list[Seen]:
    """Bring up the path, and let each kind of flow take it alone and beside TCP."""
    runtime = Netns()
    planned = plan(parse(_SCENARIO.format(mbit=MBIT, queue=queue, loss=loss), "path"))
    applied = await runtime.up(planned, {})
    for line in (*map(": ".join, applied.items()), *runtime.notes):
        print(line)
    print(f"queue of at most {queue}; Mbit/s of payload, and ms of added delay: median (95 %)")
    print(f"{'':<10}   alone {'ms':>13}   beside TCP     TCP {'ms':>13}    then {'ms':>13}")
    bench = Bench(planned, folder)
    seen = []
    try:
        for kind in kinds:
            alone = await bench.seen(kind, f"0-{ALONE_S}")
            seen.append(alone)
            span = _SETTLES_S, ALONE_S
            row = f"{kind:<10} {alone.mbit(kind, *span):7.1f} {alone.delay(*span):>13}"
            if kind != "tcp":
                beside = await bench.seen(kind, f"0-{ENDS_S}", f"tcp@{JOINS_S}-{LEAVES_S}")
                seen.append(beside)
                span, after = (JOINS_S + _SETTLES_S, LEAVES_S), (LEAVES_S + _SETTLES_S, ENDS_S)
                row += f" {beside.mbit(kind, *span):12.1f} {beside.mbit('tcp', *span):7.1f}"
                row += f" {beside.delay(*span):>13}"
                row += f" {beside.mbit(kind, *after):7.1f} {beside.delay(*after):>13}"
            print(row, flush=True)
    finally:
        await runtime.down()
    return seen


def run(options: Mapping[str, str]) -> int:
    kinds = options["kinds"].split(",")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        if "libtorrent" in kinds:
            path_child.make_torrent(folder)
        seen = asyncio.run(measure(kinds, options["loss"], options["queue"], folder))
    if options["trace"]:
        with Path(options["trace"]).open("w") as trace:
            for each in seen:
                trace.writelines(json.dumps(line) + "\n" for line in each.lines)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loss", default="0,1", help="per cent each way, one run for each")
    parser.add_argument("--queue", default="200ms", help="the longest in front of the sink")
    parser.add_argument("--kinds", default="utp,libtorrent,tcp")
    parser.add_argument("--trace", default="", help="write all that both ends said, as JSON lines")
    options = vars(parser.parse_args())
    return max(
        sandbox.run_inside(partial(run, {**options, "loss": loss}))
        for loss in options["loss"].split(",")
    )


if __name__ == "__main__":
    sys.exit(main())
