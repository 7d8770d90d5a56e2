"""A driver of qbittorrent-nox, spoken to by its web interface."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from tests.fakes.ports import free_port
from tests.interop.driver import (
    LOOPBACK,
    START_S,
    ClientError,
    ProgramClient,
    eventually,
)


class QBittorrentClient(ProgramClient):
    """qbittorrent-nox 4 or later, with no way of finding peers but trackers."""

    name: ClassVar[str] = "qbittorrent"

    def __init__(self, host: str, settings: Mapping[str, str]) -> None:
        """`settings` override those of the section BitTorrent, such as Session\\BTProtocol."""
        super().__init__()
        self._host = host
        self._settings = settings
        self._url = ""
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("qbittorrent-nox"):
            return None
        return "qbittorrent-nox is not installed (apt install qbittorrent-nox)"

    async def start(self, directory: Path) -> None:
        config = directory / "qBittorrent/config"
        config.mkdir(parents=True, exist_ok=True)
        web_port = free_port(LOOPBACK)
        session = {
            "Session\\Port": "6881",
            "Session\\Interface": "eth0",
            "Session\\InterfaceAddress": self._host,
            "Session\\DHTEnabled": "false",
            "Session\\LSDEnabled": "false",
            "Session\\PeXEnabled": "false",
            "Session\\QueueingSystemEnabled": "false",
            "Session\\SSRFMitigation": "false",
            **self._settings,
        }
        lines = [
            "[BitTorrent]",
            *(f"{key}={value}" for key, value in session.items()),
            "[LegalNotice]",
            "Accepted=true",
            "[Network]",
            "PortForwardingEnabled=false",
            "[Preferences]",
            f"WebUI\\Address={LOOPBACK}",
            f"WebUI\\Port={web_port}",
            "WebUI\\LocalHostAuth=false",
            "WebUI\\UseUPnP=false",
            "WebUI\\CSRFProtection=false",
        ]
        (config / "qBittorrent.conf").write_text("\n".join(lines) + "\n")
        self._url = f"http://{LOOPBACK}:{web_port}"
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        await self._run(directory, "qbittorrent-nox", f"--profile={directory}")
        await eventually(self._answers, START_S, lambda: f"no web interface: {self._tail()}")

    async def _answers(self) -> bool:
        self._check_alive()
        try:
            await self._torrents()
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def _torrents(self, **query: str) -> list[dict[str, Any]]:
        assert self._http is not None
        async with self._http.get(f"{self._url}/api/v2/torrents/info", params=query) as reply:
            reply.raise_for_status()
            return list(await reply.json(content_type=None))

    async def _add(self, form: aiohttp.FormData, save_path: Path) -> None:
        assert self._http is not None
        form.add_field("savepath", str(save_path))
        form.add_field("contentLayout", "Original")
        async with self._http.post(f"{self._url}/api/v2/torrents/add", data=form) as reply:
            said = await reply.text()
            if reply.status >= 400 or said.strip() == "Fails.":
                raise ClientError(f"qBittorrent refuses the torrent: {said[:300]}")

    async def add(self, torrent: bytes, save_path: Path) -> InfoHash:
        form = aiohttp.FormData()
        form.add_field("torrents", torrent, filename="a.torrent")
        await self._add(form, save_path)
        return Metainfo.parse(torrent).info_hash

    async def add_magnet(self, link: str, save_path: Path) -> InfoHash:
        form = aiohttp.FormData()
        form.add_field("urls", link)
        await self._add(form, save_path)
        return Magnet.parse(link).info_hash

    async def look(self, info_hash: InfoHash) -> tuple[float, bool, int]:
        """Say how much it has, whether it seeds, and what it sent."""
        found = await self._torrents(hashes=info_hash.hex())
        if not found:
            return 0.0, False, 0
        seen = found[0]
        if seen["state"] in {"error", "missingFiles"}:
            raise ClientError(f"qBittorrent: {seen['state']}")
        seeds = seen["state"] in {"uploading", "stalledUP", "forcedUP"}
        share = 0.0 if seen["state"].startswith("checking") else float(seen["progress"])
        return share, seeds and share == 1, int(seen["uploaded"])

    async def stop(self) -> None:
        await self._end()
        if self._http is not None:
            await self._http.close()
            self._http = None
