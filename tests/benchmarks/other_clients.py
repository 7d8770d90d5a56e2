"""Clients that are measured by asking them: Transmission, aria2, qBittorrent, rTorrent, rqbit.

All of them with every way of finding peers off but a tracker, without limits, and set to what was
found to be fast for them over loopback. Those that the interop tests use are driven by the drivers
of those tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from tests.benchmarks.child import END_S, BenchmarkError, clean_environment
from tests.benchmarks.clients import HOST, READY_S, Learns, info_hash_of
from tests.fakes.ports import free_port
from tests.interop.clients import Aria2Client, TransmissionClient

ASK_S = 0.01
_NUMBER = re.compile(r"\d+(?:\.\d+)+(?:-?\w+)?")


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = _NUMBER.search(done.stdout + done.stderr)
    return found.group() if found else "unknown"


class _Asked:
    """What the drivers below share: asking until everything is there."""

    name: ClassVar[str]
    program: ClassVar[str]
    package: ClassVar[str]
    learns: ClassVar[Learns] = Learns.BY_TRACKER
    is_exact: ClassVar[bool] = False

    def __init__(self) -> None:
        self._added: list[InfoHash] = []
        self._first_seen_at: float | None = None

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which(cls.program):
            return None
        return f"{cls.program} is not installed ({cls.package})"

    @classmethod
    def version(cls) -> str:
        return _version(cls.program, "--version")

    @property
    def first_block_at(self) -> float | None:
        return self._first_seen_at

    @property
    def first_upload_at(self) -> float | None:
        return None

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        """Say how much of a torrent it has, 0 to 1, and whether it seeds."""
        raise NotImplementedError

    async def seeding(self, count: int, timeout_s: float) -> float:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    seen = [await self.progress(info_hash) for info_hash in self._added]
                    now = time.monotonic()
                    if self._first_seen_at is None and any(share > 0 for share, _ in seen):
                        self._first_seen_at = now
                    if len(seen) >= count and all(is_seeding for _, is_seeding in seen):
                        return now
                    await asyncio.sleep(ASK_S)
        except TimeoutError as error:
            raise BenchmarkError(f"{self.name} is at {seen[:3]} after {timeout_s:.0f} s") from error

    async def connect(self, info_hash: InfoHash, peer: Endpoint) -> None:
        raise BenchmarkError(f"{self.name} cannot be told of a peer")


class _ByInterop(_Asked):
    """A client that the interop tests drive."""

    def __init__(self, client: TransmissionClient | Aria2Client) -> None:
        super().__init__()
        self._client = client

    @property
    def pid(self) -> int:
        assert self._client._process is not None
        return self._client._process.pid

    @property
    def endpoint(self) -> Endpoint:
        return self._client.endpoint

    async def start(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        await self._client.start(folder)

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        self._added.append(await self._client.add(torrent.read_bytes(), save_path))

    async def stop(self) -> None:
        await self._client.stop()


class Transmission(_ByInterop):
    """It takes no peer of 127/8 from a tracker, so that a leecher must be dialled."""

    name = "transmission"
    program = "transmission-daemon"
    package = "apt install transmission-daemon"
    learns = Learns.BY_BEING_DIALLED

    def __init__(self) -> None:
        self._rpc = TransmissionClient(
            settings={"cache-size-mb": 64, "preallocation": 0, "peer-limit-per-torrent": 200}
        )
        super().__init__(self._rpc)

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        seen = await self._rpc._torrent(info_hash)
        is_seeding = seen["leftUntilDone"] == 0 and seen["status"] in {5, 6}
        return float(seen["percentDone"]), is_seeding


class Aria2(_ByInterop):
    name = "aria2"
    program = "aria2c"
    package = "apt install aria2"

    def __init__(self) -> None:
        self._rpc = Aria2Client(
            options={
                "disk-cache": "64M",
                "bt-max-peers": "0",
                "bt-request-peer-speed-limit": "10000M",
                "max-concurrent-downloads": "10000",
            }
        )
        super().__init__(self._rpc)

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        seen = await self._rpc._status(info_hash)
        done, total = int(seen["completedLength"]), int(seen["totalLength"])
        return done / max(1, total), seen.get("seeder") == "true" and done == total


class _Program(_Asked):
    """A client that is started here."""

    def __init__(self) -> None:
        super().__init__()
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(HOST, self._port)

    async def _run(self, folder: Path, *command: str) -> None:
        with (folder / "log.txt").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=clean_environment(folder) | {"TERM": "xterm"},
            )

    async def _until_it_answers(self, folder: Path) -> None:
        assert self._process is not None
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    with contextlib.suppress(aiohttp.ClientError, OSError):
                        return await self._ask()
                    if self._process.returncode is not None:
                        break
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        tail = (folder / "log.txt").read_text(errors="replace")[-800:]
        raise BenchmarkError(f"{self.name} does not answer: {tail}")

    async def _ask(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


class _WebProgram(_Program):
    """A client with an HTTP interface."""

    def __init__(self) -> None:
        super().__init__()
        self._http: aiohttp.ClientSession | None = None
        self._url = ""

    def _open(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}"
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def _get(self, path: str, **query: str) -> Any:
        assert self._http is not None
        async with self._http.get(self._url + path, params=query) as reply:
            reply.raise_for_status()
            return await reply.json(content_type=None)

    async def _post(self, path: str, data: Any, **query: str) -> None:
        assert self._http is not None
        async with self._http.post(self._url + path, data=data, params=query) as reply:
            text = await reply.text()
            if reply.status >= 400:
                raise BenchmarkError(f"{self.name} refuses {path}: {text[:300]}")

    async def stop(self) -> None:
        await super().stop()
        if self._http is not None:
            await self._http.close()
            self._http = None


class QBittorrent(_WebProgram):
    name = "qbittorrent"
    program = "qbittorrent-nox"
    package = "apt install qbittorrent-nox"

    async def start(self, folder: Path) -> None:
        config = folder / "qBittorrent/config"
        config.mkdir(parents=True, exist_ok=True)
        self._port, web_port = free_port(HOST), free_port(HOST)
        session = {
            "Port": self._port,
            "Interface": "lo",
            "InterfaceAddress": HOST,
            "BTProtocol": "TCP",
            "Encryption": 2,
            "DHTEnabled": "false",
            "LSDEnabled": "false",
            "PeXEnabled": "false",
            "QueueingSystemEnabled": "false",
            "MultiConnectionsPerIp": "true",
            "AsyncIOThreadsCount": 4,
            "HashingThreadsCount": 2,
            "SendBufferWatermark": 8192,
            "RefreshInterval": 50,
            "SSRFMitigation": "false",
            "BlockPeersOnPrivilegedPorts": "false",
        }
        lines = [
            "[BitTorrent]",
            *(f"Session\\{key}={value}" for key, value in session.items()),
            "[LegalNotice]",
            "Accepted=true",
            "[Network]",
            "PortForwardingEnabled=false",
            "[Preferences]",
            f"WebUI\\Address={HOST}",
            f"WebUI\\Port={web_port}",
            "WebUI\\LocalHostAuth=false",
            "WebUI\\UseUPnP=false",
            "WebUI\\CSRFProtection=false",
        ]
        (config / "qBittorrent.conf").write_text("\n".join(lines) + "\n")
        self._open(web_port)
        await self._run(folder, self.program, f"--profile={folder}")
        await self._until_it_answers(folder)

    async def _ask(self) -> None:
        await self._get("/api/v2/torrents/info")

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        form = aiohttp.FormData()
        form.add_field("torrents", torrent.read_bytes(), filename="a.torrent")
        form.add_field("savepath", str(save_path))
        form.add_field("contentLayout", "Original")
        self._added.append(info_hash_of(torrent))
        await self._post("/api/v2/torrents/add", form)

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        found = await self._get("/api/v2/torrents/info", hashes=info_hash.hex())
        if not found:
            return 0.0, False
        if found[0]["state"] in {"error", "missingFiles"}:
            raise BenchmarkError(f"{self.name}: {found[0]['state']}")
        is_seeding = found[0]["state"] in {"uploading", "stalledUP", "forcedUP"}
        share = 0.0 if found[0]["state"].startswith("checking") else found[0]["progress"]
        return share, is_seeding and share == 1


class RTorrent(_Program):
    """Spoken to by XML-RPC over SCGI, on a Unix socket."""

    name = "rtorrent"
    program = "rtorrent"
    package = "apt install rtorrent"

    @classmethod
    def version(cls) -> str:
        return _version(cls.program, "-h")

    async def start(self, folder: Path) -> None:
        (folder / "session").mkdir(parents=True, exist_ok=True)
        self._port = free_port(HOST)
        self._socket = folder / "scgi"
        settings = f"""
system.daemon.set = true
network.scgi.open_local = {self._socket}
session.path.set = {folder}/session
network.bind_address.set = {HOST}
network.port_range.set = {self._port}-{self._port}
network.port_random.set = no
network.send_buffer.size.set = 4M
network.receive_buffer.size.set = 4M
pieces.memory.max.set = 4096M
pieces.hash.on_completion.set = no
dht.mode.set = disable
protocol.pex.set = no
protocol.encryption.set = none
trackers.use_udp.set = no
throttle.global_down.max_rate.set_kb = 0
throttle.global_up.max_rate.set_kb = 0
"""
        (folder / "rtorrent.rc").write_text(settings)
        await self._run(folder, self.program, "-n", "-o", f"import={folder}/rtorrent.rc")
        await self._until_it_answers(folder)

    async def _call(self, method: str, *arguments: Any) -> Any:
        body = xmlrpc.client.dumps(arguments, method).encode()
        headers = f"CONTENT_LENGTH\0{len(body)}\0SCGI\x001\0".encode()
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(b"%d:%b,%b" % (len(headers), headers, body))
            reply = await reader.read()
        finally:
            writer.close()
        _, _, answer = reply.partition(b"\r\n\r\n")
        try:
            (value,), _ = xmlrpc.client.loads(answer)
        except xmlrpc.client.Fault as error:
            raise BenchmarkError(f"{self.name} refuses {method}: {error.faultString}") from error
        return value

    async def _ask(self) -> None:
        await self._call("system.client_version")

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        self._added.append(info_hash_of(torrent))
        data = xmlrpc.client.Binary(torrent.read_bytes())
        await self._call("load.raw_start", "", data, f'd.directory.set="{save_path}"')

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        name = info_hash.hex().upper()
        try:
            calls = [
                {"methodName": method, "params": [name]}
                for method in ("d.completed_bytes", "d.size_bytes", "d.complete", "d.is_active")
            ]
            found = await self._call("system.multicall", calls)
            done, total, complete, active = (value for (value,) in found)
        except (BenchmarkError, ValueError, TypeError):  # not there yet
            return 0.0, False
        return done / max(1, total), bool(complete and active)


class Rqbit(_WebProgram):
    """Options of version 9."""

    name = "rqbit"
    program = "rqbit"
    package = "cargo install rqbit"

    async def start(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port, web_port = free_port(HOST), free_port(HOST)
        self._open(web_port)
        await self._run(
            folder,
            self.program,
            "--disable-dht",
            "--disable-upnp-port-forward",
            "--disable-lsd",
            f"--listen-ip={HOST}",
            f"--listen-port={self._port}",
            f"--http-api-listen-addr={HOST}:{web_port}",
            "server",
            "start",
            "--disable-persistence",
            str(folder / "downloads"),
        )
        await self._until_it_answers(folder)

    async def _ask(self) -> None:
        await self._get("/torrents")

    async def add(self, torrent: Path, save_path: Path, *, peers: Sequence[Endpoint] = ()) -> None:
        raw = torrent.read_bytes()
        metainfo = Metainfo.parse(raw)
        self._added.append(metainfo.info_hash)
        info = metainfo.info
        # It makes no folder of the torrent's name in one that it is told.
        folder = save_path if info.is_single_file else save_path / info.name
        await self._post("/torrents", raw, overwrite="true", output_folder=str(folder))

    async def progress(self, info_hash: InfoHash) -> tuple[float, bool]:
        found = await self._get(f"/torrents/{info_hash.hex()}/stats/v1")
        share = 0.0
        if found["state"] == "live":
            share = found["progress_bytes"] / max(1, found["total_bytes"])
        return share, bool(found["finished"]) and found["state"] == "live"
