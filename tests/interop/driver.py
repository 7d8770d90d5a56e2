"""What all drivers of other clients are and share: the protocol, starting, waiting, ending."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from tests.no_bootstrap import NO_BOOTSTRAP
from tests.no_multicast import NO_MULTICAST

START_S = 60.0
"""Transmission 3.00 takes up to eleven seconds on a quiet machine."""
STOP_S = 20.0
LOOPBACK = "127.0.0.1"


class CannotDialError(Exception):
    """This client has no way to be told of a peer."""


class ClientError(Exception):
    """The client did not start, died, or reports a failure of a torrent."""


class Client(Protocol):
    """One running client. `start` first, `stop` last; `running` does both."""

    name: ClassVar[str]
    can_dial: ClassVar[bool]
    """Whether `connect_peer` and `add(peers=…)` work."""
    has_udp_trackers: ClassVar[bool]
    makes_empty_files: ClassVar[bool]

    @classmethod
    def missing(cls) -> str | None:
        """What must be installed to use it; None when it is there."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens for peers (aria2: once it has a torrent)."""

    async def start(self, directory: Path) -> None:
        """Start it with all of its files in `directory`. Raises ClientError."""

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        """Add a torrent; with `seed` its data is in `save_path`, which the client verifies."""

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        """Wait until it has everything, verified and on disk. Raises TimeoutError, ClientError."""

    async def progress(self, info_hash: InfoHash) -> float:
        """Say how much it has, 0 to 1."""

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        """Make it dial. Raises CannotDialError."""

    async def stop(self) -> None:
        """End it, saying `stopped` to trackers; a second call does nothing."""


def require(*kinds: type[Client]) -> None:
    """Skip the test unless all of these clients are installed, naming what is missing."""
    if lacking := {reason: None for kind in kinds if (reason := kind.missing())}:
        pytest.skip("; ".join(lacking))


@contextlib.asynccontextmanager
async def running(client: Client, directory: Path) -> AsyncIterator[None]:
    """Run a client for as long as the block lasts."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        await client.start(directory)
        yield
    finally:
        await client.stop()


async def eventually(
    question: Callable[[], Awaitable[bool]], timeout_s: float, what: Callable[[], str] | str
) -> None:
    """Ask until yes. Raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.01
    while not await question():
        if time.monotonic() > deadline:
            raise TimeoutError(what if isinstance(what, str) else what())
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)


def own_environment(home: Path) -> dict[str, str]:
    """The environment of a program that must not see the user's settings nor use a proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith(("SEEDWRIGHT_", "XDG_"))
    }
    return kept | {"HOME": str(home), **NO_BOOTSTRAP, **NO_MULTICAST}


class ProgramClient:
    """A client that is a program of its own: start, log, end."""

    name: ClassVar[str]
    _goodbye: ClassVar[signal.Signals] = signal.SIGTERM
    """The signal at which it says `stopped` before it ends."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._log = Path()

    async def _run(
        self, directory: Path, *command: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self._log = directory / "log.txt"
        environment = own_environment(directory) | dict(environ or {})
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=environment,
            )

    def _check_alive(self) -> None:
        assert self._process is not None
        if self._process.returncode is not None:
            raise ClientError(f"{self.name} ended with {self._process.returncode}: {self._tail()}")

    def _tail(self) -> str:
        if not self._log.is_file():
            return "no log"
        return self._log.read_text(errors="replace")[-2000:] or "an empty log"

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(self._goodbye)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
