"""`make profile LEG=download`: where our time goes in one leg, by py-spy from outside.

Two passes of the same leg with seedwright alone: the first gives the table of functions (and the
raw stacks, for other tools), the second a flame graph to look around in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from tests.benchmarks.__main__ import LEGS, made_bench, parser, stop_on_sigterm
from tests.benchmarks.bench import Profiler, say_on_stderr
from tests.benchmarks.child import BenchmarkError
from tests.benchmarks.targets import OURS

_TOP = 25
_ATTACH_S = 20.0
_WRITE_S = 60.0
_WAITING = ("Condition.wait ", "_worker (concurrent")
"""Functions in which a thread sleeps; py-spy counts one that was just woken as running."""
_STARTING = (
    "threading.py",
    "click/",
    "rich_click/",
    "<frozen",
    "runners.py",
    "engine_child.py",
    "engine/cli.py",
    "engine/daemon.py",
    "engine/commands/",
    "engine/net/loop.py",
)
FORMATS = {"raw": "raw", "svg": "flamegraph"}


def py_spy() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        sys.exit("py-spy is not installed: make setup does it")
    return found


def recorder(target: Path, *, hertz: int, native: bool) -> Profiler:
    """Record into `target`, in the format that its suffix says."""

    @contextlib.asynccontextmanager
    async def recording(pid: int) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            py_spy(),
            "record",
            f"--pid={pid}",
            f"--rate={hertz}",
            f"--format={FORMATS[target.suffix[1:]]}",
            f"--output={target}",
            "--function",
            "--threads",
            *(("--native",) if native else ()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(_ATTACH_S):
                while b"Sampling process" not in said:
                    line = await process.stdout.readline()
                    if not line:
                        raise BenchmarkError(f"py-spy: {said.decode(errors='replace')}")
                    said += line
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                try:
                    async with asyncio.timeout(_WRITE_S):
                        await process.communicate()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    return recording


def top(stacks: str, count: int = _TOP) -> str:
    """Sum up raw stacks: what functions take themselves, and with all they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    waiting = 0
    for line in stacks.splitlines():
        frames_text, _, samples_text = line.rpartition(" ")
        frames = [frame for frame in frames_text.split(";") if not frame.startswith("process ")]
        samples = int(samples_text)
        if frames[-1].startswith(_WAITING):
            waiting += samples
            continue
        threads[frames[0]] += samples
        if len(frames) > 1:
            own[frames[-1]] += samples
            for frame in set(frames[1:]):
                whole[frame] += samples
    total = sum(threads.values())
    if not total:
        return "no samples: the process was never busy"

    def share(samples: int) -> str:
        return f"{100 * samples / total:5.1f} %"

    # What all samples of the loop's thread have in common says nothing.
    telling = [(name, n) for name, n in whole.most_common() if not _is_frame_of_start(name)]
    lines = [f"{total} samples, {waiting} more of threads that wait; by thread:"]
    lines += [f"  {share(n)}  {name}" for name, n in threads.most_common(8)]
    lines.append("\nown time, with all that it calls, function:")
    lines += [f"  {share(n)}  {share(whole[name])}  {name}" for name, n in own.most_common(count)]
    lines.append("\nwith all that they call:")
    lines += [f"  {share(n)}  {name}" for name, n in telling[:count]]
    return "\n".join(lines)


def _is_frame_of_start(name: str) -> bool:
    """True for what lies between the start of a thread and the code that is meant."""
    return any(part in name for part in _STARTING)


async def profile(options: argparse.Namespace) -> None:
    stop_on_sigterm()
    options.into.mkdir(parents=True, exist_ok=True)
    leg = LEGS[options.legs[0]]
    for suffix in FORMATS:
        target = options.into / f"{leg.name}.{suffix}"
        record = recorder(target, hertz=options.hertz, native=options.native)
        async with made_bench(options, record) as bench:
            found = await leg.measure(bench, OURS)
        figures = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
        say_on_stderr(f"{leg.name}, slowed down by being watched: {figures}")
        if suffix == "raw":
            print(top(target.read_text()))
        print(f"\n{target}")


def main() -> None:
    made = parser()
    made.prog = "make profile LEG=… ARGS=…"
    made.description = "Profile seedwright in one leg."
    made.add_argument("--into", type=Path, default=Path("bench-results"), help="folder")
    made.add_argument("--hertz", type=int, default=400, help="samples a second")
    made.add_argument("--native", action="store_true", help="frames of C code, too")
    options = made.parse_args()
    if options.legs is None or len(options.legs) != 1:
        made.error("one leg, please: --legs download")
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        try:
            asyncio.run(profile(options))
        except BenchmarkError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
