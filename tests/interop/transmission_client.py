"""A driver of Transmission; what it can and cannot do stands in clients.py."""

from __future__ import annotations

import base64
import json
import shutil
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


class TransmissionClient(ProgramClient):
    """transmission-daemon 3.00 or later, spoken to by its RPC."""

    name: ClassVar[str] = "transmission"
    can_dial: ClassVar[bool] = False
    has_udp_trackers: ClassVar[bool] = True
    makes_empty_files: ClassVar[bool] = False

    def __init__(self, host: str = LOOPBACK, settings: Mapping[str, Any] | None = None) -> None:
        """`settings` override those of settings.json, for example speed limits."""
        super().__init__()
        self._host = host
        self._settings = settings or {}
        self._port = 0
        self._rpc_url = ""
        self._http: aiohttp.ClientSession | None = None
        self._session_id = ""

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("transmission-daemon"):
            return None
        return "transmission-daemon is not installed (apt install transmission-daemon)"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._host, self._port)

    async def start(self, directory: Path) -> None:
        self._port = free_port(self._host)
        rpc_port = free_port(self._host)
        self._rpc_url = f"http://{self._host}:{rpc_port}/transmission/rpc"
        settings = {
            "bind-address-ipv4": self._host,
            "bind-address-ipv6": "::1",
            "peer-port": self._port,
            "peer-port-random-on-start": False,
            "port-forwarding-enabled": False,
            "dht-enabled": False,
            "lpd-enabled": False,
            "pex-enabled": False,
            "utp-enabled": False,
            "encryption": 0,
            "rpc-enabled": True,
            "rpc-bind-address": self._host,
            "rpc-port": rpc_port,
            "rpc-authentication-required": False,
            "rpc-whitelist-enabled": False,
            "rpc-host-whitelist-enabled": False,
            "blocklist-enabled": False,
            # What it says it has is then on disk, under its own name.
            "cache-size-mb": 0,
            "rename-partial-files": False,
            "incomplete-dir-enabled": False,
            "download-dir": str(directory),
            "download-queue-enabled": False,
            "seed-queue-enabled": False,
            "idle-seeding-limit-enabled": False,
            "ratio-limit-enabled": False,
            "watch-dir-enabled": False,
            "start-added-torrents": True,
            **self._settings,
        }
        (directory / "settings.json").write_text(json.dumps(settings))
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        await self._run(
            directory, "transmission-daemon", "--foreground", "--config-dir", str(directory)
        )
        await eventually(self._answers, START_S, lambda: f"no RPC: {self._tail()}")

    async def _answers(self) -> bool:
        self._check_alive()
        try:
            await self._call("session-get")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True

    async def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        assert self._http is not None
        for _ in range(2):
            async with self._http.post(
                self._rpc_url,
                json={"method": method, "arguments": arguments},
                headers={"X-Transmission-Session-Id": self._session_id},
            ) as reply:
                if reply.status == 409:
                    self._session_id = reply.headers["X-Transmission-Session-Id"]
                    continue
                reply.raise_for_status()
                answer = await reply.json(content_type=None)
                break
        else:
            raise ClientError("transmission takes no session id")
        if answer["result"] != "success":
            raise ClientError(f"transmission refuses {method}: {answer['result']}")
        return dict(answer["arguments"])

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        if peers:
            raise CannotDialError("Transmission cannot be told of a peer")
        info_hash = Metainfo.parse(torrent).info_hash
        await self._call(
            "torrent-add",
            metainfo=base64.b64encode(torrent).decode(),
            **{"download-dir": str(save_path), "paused": False},
        )
        return info_hash

    async def add_magnet(
        self, link: str, save_path: Path, *, peers: Sequence[Endpoint] = ()
    ) -> InfoHash:
        """Add a torrent by a magnet link alone."""
        if peers:
            raise CannotDialError("Transmission cannot be told of a peer")
        where = {"download-dir": str(save_path), "paused": False}
        await self._call("torrent-add", filename=link, **where)
        return Magnet.parse(link).info_hash

    async def _torrent(self, info_hash: InfoHash) -> dict[str, Any]:
        fields = ["percentDone", "leftUntilDone", "status", "error", "errorString"]
        answer = await self._call("torrent-get", ids=[info_hash.hex()], fields=fields)
        if not answer["torrents"]:
            raise ClientError("Transmission does not know the torrent")
        return dict(answer["torrents"][0])

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        seen: dict[str, Any] = {}

        async def finished() -> bool:
            self._check_alive()
            seen.update(await self._torrent(info_hash))
            if seen["error"] == 3:
                raise ClientError(f"Transmission: {seen['errorString']}")
            # 5 and 6: queued to seed, seeding; before, it is still verifying.
            return seen["leftUntilDone"] == 0 and seen["status"] in {5, 6}

        await eventually(finished, timeout_s, lambda: f"Transmission is at {seen}: {self._tail()}")

    async def progress(self, info_hash: InfoHash) -> float:
        return float((await self._torrent(info_hash))["percentDone"])

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        raise CannotDialError("Transmission cannot be told of a peer")

    async def stop(self) -> None:
        await self._end()
        if self._http is not None:
            await self._http.close()
            self._http = None
