"""A swarm of our own to look at: a tracker, a publisher and leechers, all processes on loopback.

Invariant: everything is in one temporary folder, which goes when the demonstration ends, however it
ends; the processes are ended by their ids. The user's settings and torrents are not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine import processes
from engine.control.client import ControlClient
from engine.control.schema import AddTorrent, ListTorrents, TorrentRow, TorrentState
from engine.errors import ControlError, DiskFullError, StorageError
from engine.storage.creator import create
from tui.format import duration, percent, rate, size

HOST: Final = "127.0.0.1:0"
LEECHER_UP_LIMIT: Final = "2MiB/s"
_LINE_EVERY_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.25
_CHUNK_BYTES: Final = 1024 * 1024
_SPARE_BYTES: Final = 64 * 1024 * 1024
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CONTENT: Final[tuple[tuple[str, float], ...]] = (
    ("Pocket Atlas.pdf", 0.05),
    *((f"Field Recordings/Day {n // 4 + 1}/take {n % 4 + 1:02}.flac", 0.02) for n in range(10)),
    ("Field Recordings/notes.txt", 0.0001),
    ("Field Recordings/empty.txt", 0.0),
    ("Night Sky Timelapse.mkv", 0.3),
    ("Seed Library.tar", 0.4499),
)
"""Paths of what is published, and their share of all bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to show."""

    size_bytes: int = 160 * 1024 * 1024
    """Of the content, which every engine comes to hold."""
    leechers: int = 3
    publisher_up_limit: str = "1MiB/s"
    """As a setting is written; 0 is no limit."""


@dataclass(slots=True)
class Member:
    """One engine of the swarm."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return _socket_of(self.folder)


@dataclass(slots=True)
class Swarm:
    """The running demonstration."""

    folder: Path
    plan: Plan
    leechers: list[Member] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    async def start(self, say: Callable[[str], None]) -> None:
        """Make the content, start everybody, and let them find each other. Raises ControlError,
        StorageError."""
        plan = self.plan
        needed = plan.size_bytes * (plan.leechers + 1) + _SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise DiskFullError(
                f"{self.folder.parent} has {size(free)} free, the demonstration needs "
                f"{size(needed)}: give it less with --size"
            )
        say(f"making {size(plan.size_bytes)} of content in {self.folder}")
        tracker = self._start_tracker()
        torrents = await asyncio.to_thread(publish, self.folder / "content", plan, tracker)
        say(f"starting a tracker, a publisher and {plan.leechers} leechers")
        publisher = await self._start_engine(
            "publisher", f"transfer.up_limit={plan.publisher_up_limit}"
        )
        for torrent in torrents:
            await add(publisher.socket, torrent, self.folder / "content")
        for number in range(1, plan.leechers + 1):
            limit = (
                f"transfer.up_limit={LEECHER_UP_LIMIT}" if plan.publisher_up_limit != "0" else ""
            )
            member = await self._start_engine(f"leecher {number}", limit)
            self.leechers.append(member)
            for torrent in torrents:
                await add(member.socket, torrent, member.folder / "downloads")

    async def watch(self, say: Callable[[str], None]) -> None:
        """Say how far everybody is until all have everything. Raises StorageError, ControlError."""
        began_at = time.monotonic()
        next_line_at = 0.0
        while True:
            seen = {member.name: await rows_of(member.socket) for member in self.leechers}
            is_done = all(
                row.state is TorrentState.SEEDING for rows in seen.values() for row in rows
            )
            now = time.monotonic()
            if now >= next_line_at or is_done:
                next_line_at = now + _LINE_EVERY_S
                parts = [duration(now - began_at), *(_brief(*each) for each in seen.items())]
                say("  ".join(parts))
            if is_done:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    def compare(self) -> int:
        """Compare every downloaded file with the published one; return how many. Raises
        StorageError."""
        content = self.folder / "content"
        names = [name for name, _ in CONTENT]
        for member in self.leechers:
            _, wrong, missing = filecmp.cmpfiles(
                content, member.folder / "downloads", names, shallow=False
            )
            for name in (*wrong, *missing):
                raise StorageError(f"{name} of {member.name} is not what was published")
        return len(names) * len(self.leechers)

    def stop(self) -> None:
        """End all processes."""
        processes.end(*self._processes)

    def _start_tracker(self) -> str:
        """Start the tracker; return where to announce."""
        log = self.folder / "tracker.log"
        with log.open("ab") as file:
            tracker = processes.spawn(
                ["tracker", "--http", HOST, "--interval", "15s", "--min-interval", "5s", "--json"],
                environ=self._environ(),
                stdout=subprocess.PIPE,
                stderr=file,
            )
        self._processes.append(tracker)
        assert tracker.stdout is not None
        with tracker.stdout as lines:
            told = b""
            for line in lines:
                told += line
                if line.startswith(b"}"):
                    return str(json.loads(told)["announce"][0])
        raise ControlError(f"the tracker did not start: {log.read_text().strip()[-300:]}")

    async def _start_engine(self, name: str, setting: str) -> Member:
        folder = self.folder / name.replace(" ", "-")
        arguments = [
            *("--state-dir", os.fspath(folder), "--listen", HOST, "--isolated"),
            *("--set", f"storage.save_path={folder / 'downloads'}"),
            *("--set", "trackers.min_interval_s=5s"),
            *(("--set", setting) if setting else ()),
        ]
        process = await processes.start_engine(
            _socket_of(folder), folder / "daemon.log", arguments, environ=self._environ()
        )
        self._processes.append(process)
        return Member(name, folder, process)

    def _environ(self) -> dict[str, str]:
        """Ours, without a word about the user's own engine."""
        kept = {key: value for key, value in os.environ.items() if not _is_ours(key)}
        home = os.fspath(self.folder)
        kept["SEEDWRIGHT_DHT_BOOTSTRAP"] = ""
        return kept | {"XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "XDG_RUNTIME_DIR": home}


def _socket_of(folder: Path) -> Path:
    """Beside the folder: the path of a socket must be short."""
    return folder.with_suffix(".sock")


def _is_ours(variable: str) -> bool:
    return variable.startswith("SEEDWRIGHT_")


@contextlib.contextmanager
def swarm(plan: Plan) -> Iterator[Swarm]:
    """A folder and a swarm in it, both gone afterwards, also after SIGTERM and SIGHUP."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGHUP, _exit)
    folder = Path(tempfile.mkdtemp(prefix="seedwright-demo-"))
    running = Swarm(folder, plan)
    try:
        yield running
    finally:
        # From here on nothing interrupts: what is not cleaned up now stays for ever.
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def publish(folder: Path, plan: Plan, tracker: str) -> list[bytes]:
    """Write the content below `folder` and return a torrent of each file or folder in it."""
    for name, share in CONTENT:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_content(path, round(plan.size_bytes * share), seed=name)
    tops = dict.fromkeys(name.split("/", maxsplit=1)[0] for name, _ in CONTENT)
    return [
        create(folder / top, trackers=[[tracker]], comment="A demonstration").encode()
        for top in tops
    ]


def write_content(path: Path, size_bytes: int, *, seed: str) -> None:
    """Fill a file with bytes that look like chance and are the same each time."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        while size_bytes > 0:
            count = min(_CHUNK_BYTES, size_bytes)
            file.write(rng.randbytes(count))
            size_bytes -= count


async def add(socket: Path, torrent: bytes, save_path: Path) -> None:
    """Add a torrent to the engine at `socket`."""
    client = await ControlClient.connect(socket, client="seedwright demo")
    async with client:
        await client.call(AddTorrent(metainfo=torrent, save_path=os.fspath(save_path)))


async def rows_of(socket: Path) -> list[TorrentRow]:
    """The torrents of the engine at `socket`. Raises StorageError for one that failed."""
    client = await ControlClient.connect(socket, client="seedwright demo")
    async with client:
        rows: list[TorrentRow] = await client.call(ListTorrents())
    for row in rows:
        if row.state is TorrentState.ERROR:
            raise StorageError(f"{row.name}: {row.error}")
    return rows


def _brief(name: str, rows: list[TorrentRow]) -> str:
    total = sum(row.size for row in rows)
    share = sum(row.have for row in rows) / total if total else 0.0
    return f"{name} {percent(share)} {rate(sum(row.down_rate for row in rows))}"
