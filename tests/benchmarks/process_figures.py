"""What a process and its children cost: CPU time, memory, open files, read from outside.

CPU time is the kernel's own count in nanoseconds (a process' clock), not the ticks of /proc. A
client that ends a child of its own loses that child's share; none of the measured ones does so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_SAMPLE_S = 0.1
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2
KIB_PER_MIB = 1024


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """Return user + system seconds of a process tree; 0 for one that has ended."""
    total = 0.0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~member << 3) | _CPUCLOCK_SCHED)
    return total


def busy_s() -> float:
    """Return seconds that all cores of the machine have worked since it was started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) * _TICK_S


@dataclass(slots=True)
class Memory:
    """KiB, of a process tree."""

    peak: int = 0
    """VmHWM: with mapped files, which is why anonymous memory is told apart."""
    resident: int = 0
    anonymous: int = 0


def memory(pid: int) -> Memory:
    found = Memory()
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{member}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "VmHWM":
                    found.peak += int(value.split()[0])
                elif name == "VmRSS":
                    found.resident += int(value.split()[0])
                elif name == "RssAnon":
                    found.anonymous += int(value.split()[0])
    return found


def open_files(pid: int, below: str) -> int:
    """Count the descriptors of a process tree that are files under a folder."""
    count = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{member}/fd"):
                with contextlib.suppress(OSError):
                    count += os.readlink(f"/proc/{member}/fd/{fd}").startswith(below)
    return count


class Watch:
    """What some processes cost while the block lasts. A sample costs up to 3 ms of a core beside
    busy clients, whose peak is the kernel's own count; so there are few."""

    def __init__(self, pids: Iterable[int], *, files_below: str | None = None) -> None:
        """`files_below`: also count open files under this folder, which costs a little more."""
        self._pids = list(pids)
        self._files_below = files_below
        self._sampling: asyncio.Task[None] | None = None
        self.cpu_s = 0.0
        self.elapsed_s = 0.0
        self.peak_mib = 0.0
        """Since the processes were started, not only in the block."""
        self.anonymous_mib = 0.0
        self.open_files = 0
        self.busy_s = 0.0

    async def __aenter__(self) -> Self:
        self._sampling = asyncio.create_task(self._sample())
        self._cpu_before = sum(map(cpu_s, self._pids))
        self._busy_before = busy_s()
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.elapsed_s = time.monotonic() - self._began
        self.cpu_s = sum(map(cpu_s, self._pids)) - self._cpu_before
        self.busy_s = busy_s() - self._busy_before
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait([self._sampling])
        self._look()

    async def _sample(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(_SAMPLE_S)

    def _look(self) -> None:
        found = [memory(pid) for pid in self._pids]
        self.peak_mib = max(self.peak_mib, sum(each.peak for each in found) / KIB_PER_MIB)
        self.anonymous_mib = max(
            self.anonymous_mib, sum(each.anonymous for each in found) / KIB_PER_MIB
        )
        if self._files_below is not None:
            count = sum(open_files(pid, self._files_below) for pid in self._pids)
            self.open_files = max(self.open_files, count)


def others_share(watches: Iterable[Watch], own_cpu_s: float) -> float:
    """Return which share of the machine strangers used while these watches ran side by side."""
    watches = list(watches)
    first = watches[0]
    ours = sum(watch.cpu_s for watch in watches) + own_cpu_s
    room = first.elapsed_s * (os.cpu_count() or 1)
    return max(0.0, first.busy_s - ours) / room if room else 0.0
