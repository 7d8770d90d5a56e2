"""A child that tells events as lines of JSON: start it, wait for events, end it by its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.no_bootstrap import NO_BOOTSTRAP
from tests.no_multicast import NO_MULTICAST

ROOT = Path(__file__).parents[2]
END_S = 15.0
_LINE_LIMIT = 1 << 20


class BenchmarkError(Exception):
    """A client did not do what the leg needs; the leg is noted as failed and the run goes on."""


def clean_environment(home: Path) -> dict[str, str]:
    """An environment without proxies and without anybody's configuration. Python keeps what it
    compiled, as it does for users: else each start of ours would begin with compiling us."""
    keep = {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith(("XDG_", "SEEDWRIGHT_"))
    }
    keep.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**keep, "HOME": str(home), **NO_BOOTSTRAP, **NO_MULTICAST}


class Child:
    """One process that writes events."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[dict[str, Any]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._ended = False
        self._log = Path()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, folder: Path, *command: str) -> None:
        self._log = folder / "child.log"
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=clean_environment(folder),
                limit=_LINE_LIMIT,
            )
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self.events.append(json.loads(line))
            self._news.set()
        self._ended = True
        self._news.set()

    def send(self, **command: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def find(self, event: str) -> dict[str, Any] | None:
        """The first event of a kind, or None."""
        return next((each for each in self.events if each["event"] == event), None)

    async def wait(
        self,
        event: str,
        timeout_s: float,
        fits: Callable[[dict[str, Any]], bool] = lambda _: True,
    ) -> dict[str, Any]:
        """Wait for an event. Raises BenchmarkError: too late, the child died or reports failure."""
        seen = 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for found in self.events[seen:]:
                        if found["event"] == event and fits(found):
                            return found
                        if found["event"] == "failed":
                            raise BenchmarkError(f"{self.name}: {found['why']}")
                    seen = len(self.events)
                    if self._ended:
                        raise BenchmarkError(f"{self.name} ended: {self._tail()}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            last = self.events[-1:] or "nothing"
            raise BenchmarkError(
                f"{self.name}: no {event} within {timeout_s:.0f} s, last {last}; {self._tail()}"
            ) from error

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-800:] if self._log.is_file() else "no log"

    async def end(self) -> None:
        """Ask it to end, and make it."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), END_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reading is not None:
            await self._reading
        self._process = None


async def output_of(command: Sequence[str], folder: Path, timeout_s: float) -> dict[str, Any]:
    """Run a child that writes one line of JSON and ends."""
    child = Child(command[-1])
    try:
        await child.start(folder, *command)
        return await child.wait("result", timeout_s)
    finally:
        await child.end()
