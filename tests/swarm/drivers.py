"""Members of a swarm as one drives them: our engine by its control socket, others by an agent."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from engine.control.client import ControlClient
from engine.control.schema import (
    AddTorrent,
    GetTorrent,
    GetTrackers,
    ListTorrents,
    Remove,
    Resume,
    TorrentInfo,
    TorrentRow,
    TorrentState,
    TrackerRow,
)
from engine.errors import EngineUnreachable
from tests.no_bootstrap import NO_BOOTSTRAP
from tests.swarm.launch import Launch, SwarmError
from tests.swarm.payload import Content
from tests.swarm.plan import PEER_PORT, Member, host_port
from tests.swarm.scenario import Role

ROOT: Final = Path(__file__).resolve().parents[2]
READY_S: Final = 60.0
_ASK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """What a member says of itself."""

    progress: float
    is_complete: bool
    uploaded: int
    completed_at: float | None = None
    """Seconds since the epoch; None where it does not say."""
    error: str = ""


class Driver(Protocol):
    """One member. All of it raises SwarmError or EngineUnreachable if it does not answer."""

    def launch(self) -> Launch: ...

    async def connect(self) -> None:
        """Wait until it answers; again after it was started again."""

    async def add(self, content: Content) -> None:
        """Let it have the torrent."""

    async def warm_up(self, torrent: bytes) -> None:
        """Do once what is slow only the first time: have a torrent of no meaning, and announce."""

    async def rejoin(self, content: Content) -> None:
        """The same after it was started again, if it does not remember."""

    async def look(self) -> Look: ...

    async def copies_held(self) -> float:
        """Whole copies that those connected to it hold together, if it can say."""

    async def go_on(self) -> None:
        """Resume what an error stopped."""

    async def close(self) -> None: ...


def driver_of(member: Member, folder: Path) -> Driver:
    """Its folder holds what it writes, `folder`/downloads what it has of the payload."""
    assert member.role is not None
    if member.role.client == "seedwright":
        return SeedwrightDriver(member, member.role, folder)
    return AgentDriver(member, member.role, folder)


def environment(home: Path) -> dict[str, str]:
    """Ours without the user's settings, proxies and sessions."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith(("SEEDWRIGHT_", "XDG_"))
    }
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), **NO_BOOTSTRAP}


def downloads(folder: Path) -> Path:
    return folder / "downloads"


class SeedwrightDriver:
    """Our daemon."""

    def __init__(self, member: Member, role: Role, folder: Path) -> None:
        self._member, self._role, self._folder = member, role, folder
        self.socket = folder.with_suffix(".sock")
        self._client: ControlClient | None = None

    def launch(self) -> Launch:
        settings = {
            "storage.save_path": str(downloads(self._folder)),
            "trackers.min_interval_s": "5s",
            "trackers.stop_timeout_s": "2s",
            "dht.bootstrap": ",".join(self._member.nodes),
            **self._role.settings,
        }
        how = "engine" if self._role.behaviour == "honest" else "tests.swarm.hostile"
        manner = () if self._role.behaviour == "honest" else (self._role.behaviour,)
        argv = (
            *(sys.executable, "-P", "-m", how, *manner, "daemon"),
            *("--socket", str(self.socket), "--state-dir", str(self._folder / "state")),
            *("--listen", host_port(self._member.address, PEER_PORT)),
            *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        )
        return Launch(argv, self._folder, environment(self._folder))

    async def connect(self) -> None:
        await self.close()
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self._client = await ControlClient.connect(self.socket, client="swarm")
                return
            except EngineUnreachable as error:
                if time.monotonic() > deadline:
                    raise SwarmError(f"{self._member.name}: {error}") from error
            await asyncio.sleep(_ASK_S)

    async def _call(self, request: Any) -> Any:
        if self._client is None:
            raise EngineUnreachable(f"{self._member.name} does not run")
        return await self._client.call(request, timeout_s=20.0)

    async def add(self, content: Content) -> None:
        role = self._role
        save_path = str(downloads(self._folder))
        if role.by_magnet:
            await self._call(
                AddTorrent(source=content.magnet(told=role.is_told), save_path=save_path)
            )
            return
        torrent = content.torrent if role.is_told else content.unannounced
        lies = role.behaviour in ("corrupter", "liar")
        await self._call(AddTorrent(metainfo=torrent, save_path=save_path, assume_complete=lies))

    async def warm_up(self, torrent: bytes) -> None:
        row = await self._call(AddTorrent(metainfo=torrent))
        one = row.info_hash
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            trackers: list[TrackerRow] = await self._call(GetTrackers(torrent=one))
            if any(tracker.last_announce_at for tracker in trackers):
                break
            await asyncio.sleep(_ASK_S)
        await self._call(Remove(torrents=[one], delete_data=True))

    async def rejoin(self, content: Content) -> None:
        if not await self._call(ListTorrents()):
            await self.add(content)

    async def look(self) -> Look:
        rows: list[TorrentRow] = await self._call(ListTorrents())
        if not rows:
            return Look(0.0, False, 0)
        row = rows[0]
        progress = (
            row.have / row.size if row.size and row.state is not TorrentState.CHECKING else 0.0
        )
        done = row.state is TorrentState.SEEDING
        return Look(progress, done, row.uploaded, row.completed_at, row.error)

    async def copies_held(self) -> float:
        rows: list[TorrentRow] = await self._call(ListTorrents())
        if not rows:
            return 0.0
        info: TorrentInfo = await self._call(GetTorrent(torrent=rows[0].info_hash))
        return info.availability

    async def go_on(self) -> None:
        await self._call(Resume(torrents=None))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class AgentDriver:
    """Another client, behind an agent (agent.py) that speaks JSON lines at a Unix socket."""

    def __init__(self, member: Member, role: Role, folder: Path) -> None:
        self._member, self._role, self._folder = member, role, folder
        self.socket = folder.with_suffix(".sock")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    def launch(self) -> Launch:
        argv = (
            *(sys.executable, "-m", "tests.swarm.agent", self._role.client, str(self._folder)),
            *(str(self.socket), self._member.address, json.dumps(dict(self._role.settings))),
        )
        return Launch(argv, self._folder, environment(self._folder))

    async def connect(self) -> None:
        await self.close()
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self._streams = await asyncio.open_unix_connection(self.socket)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SwarmError(f"{self._member.name} does not answer") from error
            await asyncio.sleep(_ASK_S)

    async def _call(self, what: str, **details: Any) -> dict[str, Any]:
        if self._streams is None:
            raise EngineUnreachable(f"{self._member.name} does not run")
        reader, writer = self._streams
        async with self._turn:
            try:
                writer.write(json.dumps({"do": what, **details}).encode() + b"\n")
                line = await asyncio.wait_for(reader.readline(), READY_S)
                answer: dict[str, Any] = json.loads(line)
            except (OSError, ValueError, TimeoutError) as error:
                raise EngineUnreachable(f"{self._member.name} does not answer") from error
        if "error" in answer:
            raise SwarmError(f"{self._member.name}: {answer['error']}")
        return answer

    async def add(self, content: Content) -> None:
        torrent = self._folder / "added.torrent"
        torrent.write_bytes(content.torrent if self._role.is_told else content.unannounced)
        save_path = str(downloads(self._folder))
        magnet = content.magnet(told=self._role.is_told) if self._role.by_magnet else ""
        await self._call("add", torrent=str(torrent), save_path=save_path, magnet=magnet)

    async def warm_up(self, torrent: bytes) -> None:
        return

    async def rejoin(self, content: Content) -> None:
        await self.add(content)

    async def look(self) -> Look:
        seen = await self._call("look")
        return Look(seen["progress"], seen["complete"], seen["uploaded"], seen["completed_at"])

    async def copies_held(self) -> float:
        return 0.0

    async def go_on(self) -> None:
        return

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
