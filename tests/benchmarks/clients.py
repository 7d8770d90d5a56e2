"""The clients that are measured, behind one protocol: each in processes of its own, by a driver.

Ours and libtorrent tell when things happen to a fraction of a millisecond; the others are asked
every few milliseconds what they show, and that is how exact their figures are.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Protocol

from engine.control.client import ControlClient
from engine.control.schema import AddTorrent
from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from tests.benchmarks.child import Child

HOST = "127.0.0.1"
READY_S = 30.0


class Learns(StrEnum):
    """How a client comes to know a peer."""

    TOLD = "told"
    BY_TRACKER = "by tracker"
    BY_BEING_DIALLED = "by being dialled"


class Client(Protocol):
    """One running client. `start` first, `stop` last."""

    name: str
    learns: ClassVar[Learns]
    is_exact: ClassVar[bool]
    """It tells its first block itself."""

    @classmethod
    def missing(cls) -> str | None:
        """What must be installed to use it; None when it is there."""

    @classmethod
    def version(cls) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def first_block_at(self) -> float | None:
        """When the first block of payload came, on the monotonic clock; None if it cannot tell."""

    @property
    def first_upload_at(self) -> float | None: ...

    async def start(self, folder: Path) -> None: ...

    async def add(
        self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()
    ) -> None: ...

    async def seeding(self, count: int, timeout_s: float) -> float:
        """Wait until it seeds `count` torrents; return when that was, on the monotonic clock."""

    async def connect(self, info_hash: InfoHash, peer: Endpoint) -> None: ...

    async def stop(self) -> None: ...


class Seedwright:
    """The real engine: its command line, its control socket."""

    name = "seedwright"
    learns: ClassVar[Learns] = Learns.TOLD
    is_exact: ClassVar[bool] = True

    def __init__(
        self,
        *,
        state: Path | None = None,
        churn: int = 0,
        transports: str = "tcp",
        encrypts: bool = False,
    ) -> None:
        """`state`: the folder of an earlier life; `churn`: see engine_child.py; `transports`: the
        setting of that name, TCP alone as with libtorrent; who `encrypts` speaks RC4 and nothing
        else."""
        self._transports = transports
        self._state = state
        self._encrypts = encrypts
        self._churn = churn
        self._child = Child(self.name)
        self._control: ControlClient | None = None
        self._port = 0
        self.socket = Path()

    @classmethod
    def missing(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        from engine.cli import VERSION

        return VERSION

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(HOST, self._port)

    @property
    def first_block_at(self) -> float | None:
        found = self._child.find("first_block")
        return found["at"] if found else None

    @property
    def first_upload_at(self) -> float | None:
        return None

    @property
    def control(self) -> ControlClient:
        assert self._control is not None
        return self._control

    async def start(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "s"
        await self._child.start(
            folder,
            sys.executable,
            "-m",
            "tests.benchmarks.engine_child",
            *(("--churn", str(self._churn)) if self._churn else ()),
            "daemon",
            f"--listen={HOST}:0",
            "--isolated",
            f"--socket={self.socket}",
            f"--state-dir={self._state or folder / 'state'}",
            f"--set=network.transports={self._transports}",
            "--log-level=warning",
            *(("--set=network.encryption=required",) if self._encrypts else ()),
        )
        self._port = (await self._child.wait("ready", READY_S))["port"]
        self._control = await ControlClient.connect(self.socket, client="benchmark")

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        await self.control.call(
            AddTorrent(
                metainfo=torrent.read_bytes(),
                save_path=str(save_path),
                peers=[str(peer) for peer in peers],
            )
        )

    async def add_many(self, torrents: Path, save_path: Path) -> None:
        """Add every torrent of a folder, several under way at a time."""
        waiting = iter(sorted(torrents.iterdir()))

        async def work() -> None:
            for torrent in waiting:
                await self.add(torrent, save_path)

        await asyncio.gather(*(work() for _ in range(8)))

    async def seeding(self, count: int, timeout_s: float) -> float:
        found = await self._child.wait("all_seeding", timeout_s, lambda e: e["count"] >= count)
        return float(found["at"])

    async def connect(self, info_hash: InfoHash, peer: Endpoint) -> None:
        from engine.control.schema import AddPeer

        await self.control.call(AddPeer(torrents=[info_hash.hex()], peer=str(peer)))

    async def stop(self) -> None:
        if self._control is not None:
            await self._control.close()
            self._control = None
        await self._child.end()


class Libtorrent:
    """libtorrent from its Python package, at its fastest."""

    name = "libtorrent"
    profile: ClassVar[str] = "fast"
    learns: ClassVar[Learns] = Learns.TOLD
    is_exact: ClassVar[bool] = True

    def __init__(self, *, restore: Path | None = None, encrypts: bool = False) -> None:
        """`restore`: a folder of resume data to bring back; `encrypts` as above."""
        self._restore = restore
        self._encrypts = encrypts
        self._child = Child(self.name)
        self._port = 0

    @classmethod
    def missing(cls) -> str | None:
        try:
            metadata.version("libtorrent")
        except metadata.PackageNotFoundError:
            return "libtorrent is not installed (pip install libtorrent)"
        return None

    @classmethod
    def version(cls) -> str:
        return metadata.version("libtorrent")

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(HOST, self._port)

    @property
    def first_block_at(self) -> float | None:
        found = self._child.find("first_block")
        return found["at"] if found else None

    @property
    def first_upload_at(self) -> float | None:
        found = self._child.find("first_upload")
        return found["at"] if found else None

    async def start(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        module = "tests.benchmarks.libtorrent_child"
        rc4 = ("rc4",) if self._encrypts else ()
        await self._child.start(folder, sys.executable, "-m", module, self.profile, *rc4)
        self._port = (await self._child.wait("ready", READY_S))["port"]
        if self._restore is not None:
            self._child.send(do="restore", folder=str(self._restore))

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        self._child.send(
            do="add", torrent=str(torrent), save_path=str(save_path), peers=list(map(tuple, peers))
        )

    async def add_many(self, torrents: Path, save_path: Path) -> None:
        self._child.send(do="add_many", torrents=str(torrents), save_path=str(save_path))

    async def save(self, folder: Path, timeout_s: float) -> None:
        self._child.send(do="save", folder=str(folder))
        await self._child.wait("saved", timeout_s)

    async def seeding(self, count: int, timeout_s: float) -> float:
        found = await self._child.wait("all_seeding", timeout_s, lambda e: e["count"] >= count)
        return float(found["at"])

    async def connect(self, info_hash: InfoHash, peer: Endpoint) -> None:
        self._child.send(do="connect", info_hash=info_hash.hex(), host=peer.host, port=peer.port)

    async def stop(self) -> None:
        await self._child.end()


class LibtorrentUtp(Libtorrent):
    """libtorrent that speaks uTP alone, with the socket buffers that it needs for it."""

    profile: ClassVar[str] = "utp"


class LibtorrentDefault(Libtorrent):
    """libtorrent as it is when told nothing."""

    name = "libtorrent-default"
    profile: ClassVar[str] = "default"


ENCRYPTING: dict[str, Callable[[], Client]] = {
    "seedwright": lambda: Seedwright(encrypts=True),
    "libtorrent": lambda: Libtorrent(encrypts=True),
}
"""Those that can be told to speak RC4 and nothing else."""


def registry() -> dict[str, Callable[[], Client]]:
    """Every client by name, in the order of the table."""
    from tests.benchmarks import other_clients as other

    kinds: list[Callable[[], Client]] = [
        Seedwright,
        Libtorrent,
        LibtorrentDefault,
        other.RTorrent,
        other.Aria2,
        other.QBittorrent,
        other.Transmission,
        other.Rqbit,
    ]
    return {kind.name: kind for kind in kinds}  # type: ignore[attr-defined]


def info_hash_of(torrent: Path) -> InfoHash:
    return Metainfo.parse(torrent.read_bytes()).info_hash
