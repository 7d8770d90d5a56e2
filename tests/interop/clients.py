"""Other people's BitTorrent clients behind one small protocol, for interop tests.

Each driver runs one client with every way of finding peers off but trackers and being told: no DHT,
no local discovery, no peer exchange, no uTP, no port mapping, plain connections. Drivers wait by
asking with a deadline, never by sleeping a guess.

What the clients cannot do decides how a test is built:

- Transmission throws away peers in 127/8 that a tracker names ("martian"), and has no way to be
  told of a peer. On loopback it seeds to whoever dials it, and leeches only from whoever dials it:
  a seed that dials leechers (libtorrent does, so do we). Between clients that both wait, run the
  test in a network of its own: tests/interop/own_network.py, with addresses of 198.18.0.0/15.
- Transmission decides whom to serve every ten seconds, so a transfer to or from it takes about that
  long however small it is. It makes no file for a file of no bytes, and does not tell HTTP trackers
  that it stops when it is ended.
- aria2 has no way to be told of a peer either, dials nobody once it seeds, and speaks to UDP
  trackers only together with the DHT, so not here.
- A UDP tracker cannot say how soon it may be asked again, and libtorrent then waits a minute: who
  is to be found is announced first, or the tracker is an HTTP one.
- One client of each address is what aria2 and libtorrent expect; the latter is told otherwise here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any, ClassVar, Protocol

import aiohttp
import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo

START_S = 60.0
"""Transmission 3.00 takes up to eleven seconds on a quiet machine."""
STOP_S = 20.0
LOOPBACK = "127.0.0.1"
_GOODBYE_S = 3.0


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
    if lacking := [reason for kind in kinds if (reason := kind.missing())]:
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


def free_port(host: str) -> int:
    """Find a port that is free for TCP and UDP, below those that the system gives out by itself."""
    for _ in range(200):
        port = random.randrange(10_000, 32_000)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((host, port))
            udp.bind((host, port))
            return port
    raise ClientError(f"no free port on {host}")


class LibtorrentClient:
    """libtorrent-rasterbar in this process, through its Python module."""

    name: ClassVar[str] = "libtorrent"
    can_dial: ClassVar[bool] = True
    has_udp_trackers: ClassVar[bool] = True
    makes_empty_files: ClassVar[bool] = True

    def __init__(self, host: str = LOOPBACK, settings: Mapping[str, Any] | None = None) -> None:
        """`settings` override the session's, for example rate limits."""
        self._host = host
        self._settings = settings or {}
        self._session: Any = None
        self._handles: dict[InfoHash, Any] = {}
        self._port = 0

    @classmethod
    def missing(cls) -> str | None:
        found = util.find_spec("libtorrent")
        return None if found else "libtorrent is not installed (pip install libtorrent)"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._host, self._port)

    async def start(self, directory: Path) -> None:
        import libtorrent as lt

        categories = lt.alert.category_t
        self._session = lt.session(
            {
                "listen_interfaces": f"{self._host}:0",
                "outgoing_interfaces": self._host,
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "enable_incoming_utp": False,
                "enable_outgoing_utp": False,
                "out_enc_policy": int(lt.enc_policy.pe_disabled),
                "allow_multiple_connections_per_ip": True,
                "min_announce_interval": 1,
                "min_reconnect_time": 1,
                "stop_tracker_timeout": 1,
                # Or it asks trackers on loopback for /announce only, and never scrapes.
                "ssrf_mitigation": False,
                "alert_mask": categories.error_notification
                | categories.storage_notification
                | categories.status_notification,
                **self._settings,
            }
        )
        await eventually(self._listens, START_S, "libtorrent does not listen")

    async def _listens(self) -> bool:
        self._port = self._session.listen_port()
        return bool(self._port)

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        import libtorrent as lt

        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(save_path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        params.peers = [tuple(peer) for peer in peers]
        info_hash = Metainfo.parse(torrent).info_hash
        self._handles[info_hash] = self._session.add_torrent(params)
        return info_hash

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        import libtorrent as lt

        handle = self._handles[info_hash]

        async def finished() -> bool:
            status = handle.status()
            if status.errc.value():
                raise ClientError(f"libtorrent: {status.errc.message()}")
            return bool(status.is_seeding)

        def where() -> str:
            return f"libtorrent is at {handle.status().progress:.1%}: {handle.status().state}"

        await eventually(finished, timeout_s, where)
        handle.flush_cache()

        async def flushed() -> bool:
            alerts = self._session.pop_alerts()
            return any(
                isinstance(alert, lt.cache_flushed_alert) and alert.handle == handle
                for alert in alerts
            )

        await eventually(flushed, timeout_s, "libtorrent does not write what it has")

    async def progress(self, info_hash: InfoHash) -> float:
        return float(self._handles[info_hash].status().progress)

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        self._handles[info_hash].connect_peer((peer.host, peer.port))

    async def stop(self) -> None:
        """Say goodbye first: the end of a session holds up this loop, and a tracker in it."""
        session, self._session = self._session, None
        self._handles.clear()
        if session is None:
            return
        handles = session.get_torrents()
        for handle in handles:
            handle.pause()

        async def has_said_goodbye() -> bool:
            return not any(
                endpoint["updating"]
                for handle in handles
                for tracker in handle.trackers()
                for endpoint in tracker["endpoints"]
            )

        with contextlib.suppress(TimeoutError):
            await eventually(has_said_goodbye, _GOODBYE_S, "a tracker does not answer")


class _Process:
    """A client that is a program of its own: start, log, end."""

    name: ClassVar[str]
    _goodbye: ClassVar[signal.Signals] = signal.SIGTERM
    """The signal at which it says `stopped` before it ends."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._log = Path()

    async def _run(self, directory: Path, *command: str) -> None:
        self._log = directory / "log.txt"
        environment = {
            name: value for name, value in os.environ.items() if "proxy" not in name.lower()
        }
        environment["HOME"] = str(directory)
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


class TransmissionClient(_Process):
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


class Aria2Client(_Process):
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
