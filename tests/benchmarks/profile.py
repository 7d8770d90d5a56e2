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
    for line in stacks.splitlines():
        frames_text, _, samples_text = line.rpartition(" ")
        frames = frames_text.split(";")
        if frames[0].startswith("process "):
            del frames[0]
        samples = int(samples_text)
        threads[frames[0]] += samples
        if len(frames) > 1:
            own[frames[-1]] += samples
            for frame in set(frames[1:]):
                whole[frame] += samples
    total = sum(threads.values())
    if not total:
        return "no samples: the process was never busy"
    lines = [f"{total} samples; by thread:"]
    lines += [f"  {100 * n / total:5.1f} %  {name}" for name, n in threads.most_common(8)]
    lines.append("\nown time, with all that it calls, function:")
    lines += [
        f"  {100 * n / total:5.1f} %  {100 * whole[name] / total:5.1f} %  {name}"
        for name, n in own.most_common(count)
    ]
    lines.append("\nwith all that they call:")
    lines += [f"  {100 * n / total:5.1f} %  {name}" for name, n in whole.most_common(count)]
    return "\n".join(lines)


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
        asyncio.run(profile(options))


if __name__ == "__main__":
    main()
