"""`make bench`: run the legs, print the table, write JSON and a chart."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import chart, machine, report
from tests.benchmarks.bench import Bench, Leg, Profiler, Sizes, median_of, run_leg, say_on_stderr
from tests.benchmarks.clients import registry
from tests.benchmarks.figures import LegResult
from tests.benchmarks.fixed_tracker import FixedTracker
from tests.benchmarks.hash_legs import HASH_LEGS
from tests.benchmarks.idle_legs import IDLE_LEGS
from tests.benchmarks.image_legs import IMAGE_LEGS
from tests.benchmarks.payloads import Payloads, room_for
from tests.benchmarks.transfer_legs import TRANSFER_LEGS, size_text

LEGS: dict[str, Leg] = {
    leg.name: leg for leg in (*TRANSFER_LEGS, *HASH_LEGS, *IDLE_LEGS, *IMAGE_LEGS)
}
_NOT_USUAL = {"libtorrent-default"}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}


def size(text: str) -> int:
    """Read 64M, 1G, 1 GiB."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: 64M or 1G")
    return int(float(found[1]) * (1 << _UNITS[found[2].upper()]))


def names(known: Sequence[str], text: str) -> list[str]:
    """Read a list of names; `pieces-*` stands for all that begin so."""
    chosen: list[str] = []
    for name in filter(None, text.split(",")):
        found = [k for k in known if k == name or (name[-1] == "*" and k.startswith(name[:-1]))]
        if not found:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        chosen += found
    return chosen


def parser() -> argparse.ArgumentParser:
    clients = list(registry())
    made = argparse.ArgumentParser(
        prog="make bench ARGS=…",
        description="Measure seedwright beside other clients. README.md tells what each leg means.",
        epilog=f"legs: {', '.join(LEGS)}; clients: {', '.join(clients)}",
    )
    made.add_argument("--legs", type=lambda t: names(list(LEGS), t), help="a,b: only these")
    made.add_argument("--clients", type=lambda t: names(clients, t), help="a,b: only these")
    made.add_argument("--runs", type=int, help="rounds (5; with --quick 1)")
    made.add_argument("--size", type=size, help="payload (1G); the large one is four times it")
    made.add_argument("--quick", action="store_true", help="small and once: does it work at all")
    made.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    made.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw the ratios")
    made.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="a folder in tmpfs")
    made.add_argument("--disk", type=Path, default=Path(tempfile.gettempdir()), help="and on disk")
    return made


def chosen_clients(wanted: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """Return who takes part, and why others do not."""
    left_out: dict[str, str] = {}
    able: list[str] = []
    for name, kind in registry().items():
        if wanted is None and name in _NOT_USUAL:
            continue
        if wanted is not None and name not in wanted:
            continue
        why = kind.missing()  # type: ignore[attr-defined]
        if why is None:
            able.append(name)
        else:
            left_out[name] = why
    return able, left_out


@contextlib.asynccontextmanager
async def made_bench(options: argparse.Namespace, profiler: Profiler | None = None):  # type: ignore[no-untyped-def]
    """Everything a run needs; its folders go when it ends, however it ends."""
    sizes = Sizes.quick() if options.quick else Sizes()
    if options.size is not None:
        sizes = sizes.of(options.size)
    wanted = max(LEGS[name].room(sizes) for name in options.legs or LEGS)
    memory = options.memory
    if not room_for(wanted, memory):
        say_on_stderr(f"{memory} has not the room for {size_text(wanted)}: using {options.disk}")
        memory = options.disk
    with (
        tempfile.TemporaryDirectory(
            prefix="sw-bench-", dir=memory, ignore_cleanup_errors=True
        ) as m,
        tempfile.TemporaryDirectory(
            prefix="sw-bench-", dir=options.disk, ignore_cleanup_errors=True
        ) as d,
    ):
        tracker = FixedTracker()
        await tracker.start()
        try:
            yield Bench(
                sizes=sizes,
                memory=Path(m),
                disk=Path(d),
                kinds=registry(),
                payloads=Payloads(Path(m) / "payloads"),
                tracker=tracker,
                profiler=profiler,
            )
        finally:
            await tracker.stop()


def stop_on_sigterm() -> None:
    """End tidily: children are ended and folders removed on the way out."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def run(options: argparse.Namespace) -> int:
    stop_on_sigterm()
    clients, left_out = chosen_clients(options.clients)
    for name, why in left_out.items():
        say_on_stderr(f"{name} is left out: {why}")
    kinds = registry()
    versions = {name: kinds[name].version() for name in clients}  # type: ignore[attr-defined]
    runs = options.runs or (1 if options.quick else 5)
    where = machine.describe(versions)
    results: list[LegResult] = []
    async with made_bench(options) as bench:
        for name in options.legs or LEGS:
            result = await run_leg(bench, LEGS[name], clients, runs, say_on_stderr)
            results.append(result)
            print(report.table([result]) + "\n", flush=True)
        where.others = median_of(bench.others)
    print(report.summary(results, where))
    if options.json is not None:
        settings = {"runs": runs, "quick": options.quick, "size": options.size}
        options.json.write_bytes(report.to_json(results, where, settings))
    if options.chart is not None:
        options.chart.write_text(chart.draw(results, where))
    return 0


def main() -> None:
    options = parser().parse_args()
    if shutil.which("lscpu") is None and not Path("/proc/self/status").exists():
        sys.exit("the benchmark reads /proc: it needs Linux")
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(asyncio.run(run(options)))
    sys.exit(130)


if __name__ == "__main__":
    main()
