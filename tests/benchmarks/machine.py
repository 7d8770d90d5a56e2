"""Where and with what figures were taken: they mean nothing without it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, kw_only=True):
    taken_at: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    loop: str
    load_before: float
    """Of one minute, before the run: well above 0 means that others worked here too."""
    others: float = 0.0
    """Median share of the machine that others used while something was measured, 0 to 1."""
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib:.0f} GiB, {self.system}, "
            f"Python {self.python} ({self.loop}); {versions}; {self.taken_at[:10]}"
        )


def describe(versions: Mapping[str, str]) -> Machine:
    try:
        import uvloop

        loop = f"uvloop {uvloop.__version__}"
    except ImportError:
        loop = "asyncio"
    return Machine(
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        processor=_field("/proc/cpuinfo", "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=int(_field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        python=platform.python_version(),
        loop=loop,
        load_before=os.getloadavg()[0],
        versions=dict(versions),
    )


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
