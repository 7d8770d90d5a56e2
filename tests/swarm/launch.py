"""How a member is run, whatever it runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.errors import SeedwrightError
from tests.swarm.plan import Plan


class SwarmError(SeedwrightError):
    """The swarm could not be brought up, or one of its members fell over."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The command of one member. Its folder holds all that it writes, at the same path for it and
    for us; so do the sockets beside it."""

    argv: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"


class Runtime(Protocol):
    """What members live in. Names are those of the plan."""

    name: str
    notes: list[str]
    """What is not as the scenario asks, and what it ran on."""

    async def up(self, plan: Plan, launches: Mapping[str, Launch]) -> dict[str, str]:
        """Bring up the network, with nobody in it; say how each link is made. Raises SwarmError."""

    async def start(self, name: str) -> None:
        """Run a member; again after it ended."""

    async def stop(self, name: str) -> None:
        """Ask it to end, and wait."""

    async def kill(self, name: str) -> None:
        """End it at once."""

    async def pause(self, name: str) -> None: ...

    async def resume(self, name: str) -> None: ...

    def is_running(self, name: str) -> bool: ...

    async def partition(self, names: list[str]) -> None:
        """Cut these off from all others; among themselves they stay connected."""

    async def heal(self) -> None: ...

    async def limit_disk(self, folder: Path, size: int) -> None:
        """Give a folder a disk of so many bytes; again to change that."""

    def wire(self) -> dict[str, int]:
        """Bytes that each member has sent on the wire."""

    async def down(self) -> None:
        """End all of it. Must work after any failure, and twice."""
