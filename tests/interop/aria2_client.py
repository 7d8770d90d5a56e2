"""A driver of aria2; what it can and cannot do stands in clients.py."""

from __future__ import annotations

import base64
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from tests.fakes.ports import free_port
from tests.interop.driver import (
    LOOPBACK,
    START_S,
    CannotDialError,
    ClientError,
    ProgramClient,
    eventually,
)


class Aria2Client(ProgramClient):
    """aria2c, spoken to by its RPC."""

    name: ClassVar[str] = "aria2"
    can_dial: ClassVar[bool] = False
    has_udp_trackers: ClassVar[bool] = False
    makes_empty_files: ClassVar[bool] = True
    _goodbye: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, host: str = LOOPBACK, options: Mapping[str, str] | None = None) -> None:
        """`options` are further command line options without dashes, for example speed limits."""
        super().__init__()
        self._host = host
        self._options = options or {}
        self._port = 0
        self._rpc_url = ""
        self._http: aiohttp.ClientSession | None = None
        self._gids: dict[InfoHash, str] = {}

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("aria2c") else "aria2c is not installed (apt install aria2)"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._host, self._port)

    async def start(self, directory: Path) -> None:
        self._port = free_port(self._host)
        rpc_port = free_port(LOOPBACK)
        self._rpc_url = f"http://{LOOPBACK}:{rpc_port}/jsonrpc"
        options = {
            "interface": self._host,
            "listen-port": str(self._port),
            "disable-ipv6": "true",
            "enable-dht": "false",
            "enable-dht6": "false",
            "bt-enable-lpd": "false",
            "enable-peer-exchange": "false",
            "bt-tracker-interval": "1",
            "bt-tracker-connect-timeout": "10",
            "seed-ratio": "0.0",
            "check-integrity": "true",
            "file-allocation": "none",
            "max-concurrent-downloads": "100",
            "follow-torrent": "false",
            "rpc-save-upload-metadata": "false",
            "enable-rpc": "true",
            "rpc-listen-port": str(rpc_port),
            "rpc-listen-all": "false",
            "async-dns": "false",
            "console-log-level": "notice",
            "summary-interval": "0",
            "dir": str(directory),
            "stop-with-process": str(os.getpid()),
            **self._options,
        }
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        await self._run(
            directory,
            "aria2c",
            "--no-conf=true",
            *(f"--{name}={value}" for name, value in options.items()),
        )
        await eventually(self._answers, START_S, lambda: f"no RPC: {self._tail()}")

    async def _answers(self) -> bool:
        self._check_alive()
        try:
            await self._call("getVersion")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _call(self, method: str, *arguments: Any) -> Any:
        assert self._http is not None
        request = {"jsonrpc": "2.0", "id": 1, "method": f"aria2.{method}", "params": arguments}
        async with self._http.post(self._rpc_url, json=request) as reply:
            answer = await reply.json(content_type=None)
        if "error" in answer:
            raise ClientError(f"aria2 refuses {method}: {answer['error']['message']}")
        return answer["result"]

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        if peers:
            raise CannotDialError("aria2 cannot be told of a peer")
        info_hash = Metainfo.parse(torrent).info_hash
        self._gids[info_hash] = await self._call(
            "addTorrent", base64.b64encode(torrent).decode(), [], {"dir": str(save_path)}
        )
        return info_hash

    async def add_magnet(
        self, link: str, save_path: Path, *, peers: Sequence[Endpoint] = ()
    ) -> InfoHash:
        """Add a torrent by a magnet link alone, and wait for its metadata: then it is another."""
        if peers:
            raise CannotDialError("aria2 cannot be told of a peer")
        gid = await self._call("addUri", [link], {"dir": str(save_path)})
        followers: list[str] = []

        async def has_metadata() -> bool:
            self._check_alive()
            status = await self._call("tellStatus", gid, ["followedBy"])
            followers[:] = status.get("followedBy", [])
            return bool(followers)

        await eventually(has_metadata, START_S, lambda: f"aria2 has no metadata: {self._tail()}")
        info_hash = Magnet.parse(link).info_hash
        self._gids[info_hash] = followers[0]
        return info_hash

    async def _status(self, info_hash: InfoHash) -> dict[str, str]:
        keys = ["status", "totalLength", "completedLength", "seeder", "errorMessage"]
        return dict(await self._call("tellStatus", self._gids[info_hash], keys))

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        seen: dict[str, str] = {}

        async def finished() -> bool:
            self._check_alive()
            seen.update(await self._status(info_hash))
            if seen["status"] in {"error", "removed"}:
                raise ClientError(f"aria2: {seen.get('errorMessage')}: {self._tail()}")
            return seen.get("seeder") == "true" and (
                int(seen["completedLength"]) == int(seen["totalLength"])
            )

        await eventually(finished, timeout_s, lambda: f"aria2 is at {seen}: {self._tail()}")

    async def progress(self, info_hash: InfoHash) -> float:
        status = await self._status(info_hash)
        return int(status["completedLength"]) / max(1, int(status["totalLength"]))

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        raise CannotDialError("aria2 cannot be told of a peer")

    async def stop(self) -> None:
        await self._end()
        if self._http is not None:
            await self._http.close()
            self._http = None
