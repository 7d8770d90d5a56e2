"""Drives one other client beside it: JSON lines at a Unix socket in, what the client says out.

    python -m tests.swarm.agent CLIENT FOLDER SOCKET ADDRESS SETTINGS

It runs where the client runs, so that whoever conducts the swarm needs no way into its network.
SETTINGS is a JSON object in the client's own words.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.core.identifiers import InfoHash
from tests.interop.aria2_client import Aria2Client
from tests.interop.libtorrent_client import LibtorrentClient
from tests.interop.transmission_client import TransmissionClient
from tests.swarm.qbittorrent import QBittorrentClient


class Looked(Protocol):
    """A client that can say how far it is, whether it has all, and what it sent."""

    async def start(self, directory: Path) -> None: ...

    async def add(self, torrent: bytes, save_path: Path) -> InfoHash: ...

    async def add_magnet(self, link: str, save_path: Path) -> InfoHash: ...

    async def look(self, info_hash: InfoHash) -> tuple[float, bool, int]: ...

    async def stop(self) -> None: ...


def _value(text: str) -> Any:
    """A setting as JSON would say it, else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class Libtorrent(LibtorrentClient):
    def __init__(self, host: str, settings: Mapping[str, str]) -> None:
        told = {key: _value(value) for key, value in settings.items()}
        flags = [flag for flag in str(told.pop("flags", "")).split(",") if flag]
        bracketed = f"[{host}]" if ":" in host else host
        listen = {"listen_interfaces": f"{bracketed}:6881", "outgoing_interfaces": host}
        # As it is when told nothing, but for ways of finding peers that need the outside world.
        usual = {"min_reconnect_time": 60, "enable_incoming_utp": True, "enable_outgoing_utp": True}
        super().__init__(host, {**usual, **listen, **told}, flags)

    async def look(self, info_hash: InfoHash) -> tuple[float, bool, int]:
        status = self._handles[info_hash].status()
        return status.progress, bool(status.is_seeding), int(status.total_payload_upload)


class Transmission(TransmissionClient):
    def __init__(self, host: str, settings: Mapping[str, str]) -> None:
        told = {key: _value(value) for key, value in settings.items()}
        where = {"bind-address-ipv4": "0.0.0.0", "bind-address-ipv6": host} if ":" in host else {}
        super().__init__("127.0.0.1", {"bind-address-ipv4": host, **where, **told})

    async def look(self, info_hash: InfoHash) -> tuple[float, bool, int]:
        fields = ["percentDone", "leftUntilDone", "status", "uploadedEver"]
        answer = await self._call("torrent-get", ids=[info_hash.hex()], fields=fields)
        seen = answer["torrents"][0]
        done = seen["leftUntilDone"] == 0 and seen["status"] in {5, 6}
        return float(seen["percentDone"]), done, int(seen["uploadedEver"])


class Aria2(Aria2Client):
    def __init__(self, host: str, settings: Mapping[str, str]) -> None:
        version = {"disable-ipv6": "false"} if ":" in host else {}
        super().__init__(host, {**version, **settings})

    async def look(self, info_hash: InfoHash) -> tuple[float, bool, int]:
        keys = ["completedLength", "totalLength", "seeder", "uploadLength"]
        seen = await self._call("tellStatus", self._gids[info_hash], keys)
        have, total = int(seen["completedLength"]), int(seen["totalLength"])
        done = seen.get("seeder") == "true" and have == total
        return have / max(1, total), done, int(seen["uploadLength"])


CLIENTS: dict[str, type[Any]] = {
    "libtorrent": Libtorrent,
    "transmission": Transmission,
    "aria2": Aria2,
    "qbittorrent": QBittorrentClient,
}


class Agent:
    """One client and those who ask about it."""

    def __init__(self, client: Looked) -> None:
        self._client = client
        self._added: InfoHash | None = None
        self._completed_at: float | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                try:
                    answer = await getattr(self, "do_" + asked.pop("do"))(**asked)
                except Exception as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def do_add(self, torrent: str, save_path: str, magnet: str) -> dict[str, Any]:
        folder = Path(save_path)
        if magnet:
            self._added = await self._client.add_magnet(magnet, folder)
        else:
            self._added = await self._client.add(Path(torrent).read_bytes(), folder)
        return {}

    async def do_look(self) -> dict[str, Any]:
        progress, complete, uploaded = 0.0, False, 0
        if self._added is not None:
            progress, complete, uploaded = await self._client.look(self._added)
        if complete and self._completed_at is None:
            self._completed_at = time.time()
        return {
            "progress": progress,
            "complete": complete,
            "uploaded": uploaded,
            "completed_at": self._completed_at,
        }

    async def watch(self) -> None:
        """Look often, so that the moment of completion is known."""
        while self._completed_at is None:
            await asyncio.sleep(0.2)
            await self.do_look()


async def main(kind: str, folder: Path, socket: Path, address: str, settings: str) -> None:
    client: Looked = CLIENTS[kind](address, json.loads(settings))
    home = folder / "client"
    home.mkdir(parents=True, exist_ok=True)
    (folder / "downloads").mkdir(exist_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await client.start(home)
    agent = Agent(client)
    socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(agent.serve, socket)
    watching = asyncio.create_task(agent.watch())
    await stop.wait()
    watching.cancel()
    server.close()
    await client.stop()
    os._exit(0)  # the session of libtorrent would take its time


if __name__ == "__main__":
    _, kind, folder, socket, address, settings = sys.argv
    asyncio.run(main(kind, Path(folder), Path(socket), address, settings))
