"""A driver of seedwright as its users run it: the daemon as a process, told by its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engine.control.client import ControlClient
from engine.control.schema import (
    AddPeer,
    AddTorrent,
    GetLog,
    GetPeers,
    GetTorrent,
    GetTrackers,
    Status,
    TorrentInfo,
    TorrentRow,
    TorrentState,
)
from engine.core.compact import Endpoint, split_host_port
from engine.core.identifiers import InfoHash
from engine.errors import EngineUnreachable
from tests.interop.driver import (
    LOOPBACK,
    START_S,
    ClientError,
    ProgramClient,
    eventually,
    own_environment,
)

_ROOT = Path(__file__).resolve().parents[2]


def _environ(home: Path) -> dict[str, str]:
    """Find the engine from anywhere, and keep what it may leave when it fails."""
    return {"PYTHONPATH": str(_ROOT), "TMPDIR": str(home)}


class SeedwrightClient(ProgramClient):
    """`python -m engine daemon`. Ending it is part of the test: it must exit with 0."""

    name: ClassVar[str] = "seedwright"
    can_dial: ClassVar[bool] = True
    has_udp_trackers: ClassVar[bool] = True
    makes_empty_files: ClassVar[bool] = True

    def __init__(self, host: str = LOOPBACK, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are further ones by section.key, for example rate limits."""
        super().__init__()
        self._host = host
        # Trackers on this machine may be asked as often as they like.
        self._settings = {"trackers.min_interval_s": "1", **(settings or {})}
        self._endpoint = Endpoint(host, 0)
        self._control: ControlClient | None = None
        # The path of a socket must be short, and those of tests are not.
        self._socket_folder = tempfile.TemporaryDirectory(prefix="sw-")

    @classmethod
    def missing(cls) -> str | None:
        return None

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    async def start(self, directory: Path) -> None:
        socket = Path(self._socket_folder.name) / "engine.sock"
        await self._run(
            directory,
            *(sys.executable, "-m", "engine", "daemon", "--isolated"),
            *("--listen", f"{self._host}:0", "--socket", str(socket)),
            *("--state-dir", str(directory / "state")),
            *(f"--set={key}={value}" for key, value in self._settings.items()),
            environ=_environ(directory),
        )

        async def answers() -> bool:
            self._check_alive()
            try:
                self._control = await ControlClient.connect(socket, client="interop test")
            except EngineUnreachable:
                return False
            return True

        await eventually(answers, START_S, lambda: f"no engine: {self._tail()}")
        status = await self.control.call(Status())
        assert status.is_isolated
        (listens,) = status.listen
        self._endpoint = Endpoint(*split_host_port(listens))
        assert self._endpoint.host == self._host

    @property
    def control(self) -> ControlClient:
        """The connection to the running engine."""
        assert self._control is not None, "seedwright does not run"
        return self._control

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        row: TorrentRow = await self.control.call(
            AddTorrent(
                metainfo=torrent, save_path=str(save_path), peers=[str(peer) for peer in peers]
            )
        )
        return InfoHash.parse(row.info_hash)

    async def info(self, info_hash: InfoHash) -> TorrentInfo:
        """Everything about one torrent."""
        info: TorrentInfo = await self.control.call(GetTorrent(torrent=str(info_hash)))
        return info

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        async def finished() -> bool:
            row = (await self.info(info_hash)).row
            if row.state is TorrentState.ERROR:
                raise ClientError(f"seedwright: {row.error}: {self._tail()}")
            return row.state is TorrentState.SEEDING

        try:
            await eventually(finished, timeout_s, "seedwright is not complete")
        except TimeoutError as error:
            raise TimeoutError(await self.explain(info_hash)) from error
        info = await self.info(info_hash)
        assert info.row.have == info.row.size
        assert info.pieces_have == info.piece_count

    async def explain(self, info_hash: InfoHash) -> str:
        """All that may tell why a torrent does not get on, for the message of a failure."""
        torrent = str(info_hash)
        found = [await self.info(info_hash)]
        for question in (GetPeers, GetTrackers, GetLog):
            found += await self.control.call(question(torrent=torrent))
        return "seedwright:\n" + "\n".join(map(str, found)) + f"\n{self._tail()}"

    async def progress(self, info_hash: InfoHash) -> float:
        return (await self.info(info_hash)).row.progress

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        await self.control.call(AddPeer(torrents=[str(info_hash)], peer=str(peer)))

    async def stop(self) -> None:
        """End it as a service manager does. Raises ClientError unless it ends well, in time."""
        process = self._process
        if self._control is not None:
            await self._control.close()
            self._control = None
        await self._end()
        self._socket_folder.cleanup()
        if process is not None and (process.returncode != 0 or "Traceback" in self._tail()):
            raise ClientError(f"seedwright ended with {process.returncode}: {self._tail()}")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    said: str
    """Standard output and standard error together."""


class Command:
    """`seedwright ARGUMENTS` in the foreground; use it with `async with`, which leaves nothing."""

    def __init__(self, home: Path, *arguments: object) -> None:
        self._home = home
        self._arguments = [str(argument) for argument in arguments]
        self._log = home / "command.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    async def __aenter__(self) -> Command:
        self._home.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "engine", *self._arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                env=own_environment(self._home) | _environ(self._home),
            )
        return self

    async def wait_for(self, words: str, timeout_s: float = START_S) -> str:
        """Wait until it has said so; returns all it said. Raises TimeoutError, ClientError."""

        async def has_said() -> bool:
            found = words in self.said
            if not found and self.process.returncode is not None:
                raise ClientError(f"it ended with {self.process.returncode}: {self.said}")
            return found

        await eventually(has_said, timeout_s, lambda: f"it never said {words!r}: {self.said}")
        return self.said

    async def end(self, timeout_s: float, *, signal: int | None = None) -> Ended:
        """Wait for its end, for which a `signal` asks. Raises TimeoutError."""
        if signal is not None:
            self.process.send_signal(signal)
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
        return Ended(code, self.said)

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, 9)
            await self.process.wait()


async def run(home: Path, *arguments: object, timeout_s: float = START_S) -> Ended:
    """Run `seedwright ARGUMENTS` to its end. Raises TimeoutError."""
    async with Command(home, *arguments) as command:
        return await command.end(timeout_s)
