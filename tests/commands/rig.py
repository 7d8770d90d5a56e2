"""The real executable in processes of its own: commands, servers, torrents to feed them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.storage.creator import create
from tests.no_bootstrap import NO_BOOTSTRAP
from tests.no_multicast import NO_MULTICAST

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def is_error(self, code: int, *words: str) -> bool:
        """True for that exit code and one line on standard error that has all the words."""
        assert self.code == code, self
        line = self.err
        assert line.startswith("seedwright: "), self
        assert line.count("\n") == 1, self
        assert line.endswith("\n"), self
        assert all(word in line for word in words), self
        return True


@dataclass
class Server:
    """A command that runs until it is told to end."""

    process: subprocess.Popen[str]
    out: Path
    err: Path
    socket: Path | None = None

    def end(self, number: signal.Signals = signal.SIGTERM) -> Result:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return Result(self.process.wait(TIMEOUT_S), self.out.read_text(), self.err.read_text())

    def wait_for(self, words: str, *, times: int = 1) -> str:
        """Wait until it has said so, and return all it said."""

        def said() -> str:
            return self.out.read_text() + self.err.read_text()

        until(lambda: said().count(words) >= times or self.process.poll() is not None)
        assert said().count(words) >= times, said()
        return said()


def until(condition: Callable[[], bool], *, timeout_s: float = TIMEOUT_S) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@dataclass
class Rig:
    """A home of its own for commands: no setting or engine of the user's is seen."""

    home: Path
    servers: list[Server] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SEEDWRIGHT_", "XDG_")) and key not in {"COLUMNS", "HOME"}
        }
        own = {"HOME": str(self.home), "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
        return kept | own | NO_BOOTSTRAP | NO_MULTICAST

    def run(
        self,
        *arguments: str | Path,
        environ: Mapping[str, str] | None = None,
        stdin: str = "",
        cwd: Path | None = None,
    ) -> Result:
        """Run `seedwright ARGUMENTS` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "engine", *map(str, arguments)],
            env=self.environ | dict(environ or {}),
            cwd=cwd or self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def begin(self, *arguments: str | Path, environ: Mapping[str, str] | None = None) -> Server:
        """Start `seedwright ARGUMENTS`; it is ended with the rig."""
        number = len(self.servers)
        out, err = self.home / f"server-{number}.out", self.home / f"server-{number}.err"
        with out.open("w") as out_file, err.open("w") as err_file:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine", *map(str, arguments)],
                env=self.environ | dict(environ or {}),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                text=True,
            )
        server = Server(process, out, err)
        self.servers.append(server)
        return server

    def daemon(self, name: str = "engine", *arguments: str | Path) -> Server:
        """Start an engine on loopback and wait until it is ready."""
        socket = self.home / f"{name}.sock"
        server = self.begin(
            *("daemon", "--socket", socket, "--state-dir", self.home / f"{name}-state"),
            *("--listen", "127.0.0.1:0", "--isolated", *arguments),
        )
        server.socket = socket
        server.wait_for("ready: peers at ")
        return server

    def seed(self, torrent: Path, data: Path, *arguments: str) -> tuple[Server, str]:
        """Seed in the foreground; return the address to connect to."""
        server = self.begin("seed", torrent, "--data", data, "--listen", "127.0.0.1:0", *arguments)
        said = server.wait_for("seeding ")
        return server, said.split(" on ", 1)[1].split()[0]

    def end(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()


@contextlib.contextmanager
def rig_at(home: Path) -> Iterator[Rig]:
    home.mkdir(exist_ok=True)
    rig = Rig(home)
    try:
        yield rig
    finally:
        rig.end()


@dataclass(frozen=True)
class Content:
    """Something to share."""

    torrent: Path
    folder: Path
    """The save path that it lies in."""
    name: str
    info_hash: str
    size: int

    def is_at(self, folder: Path) -> bool:
        """True if all of it is in another save path, byte for byte."""
        paths = [path for path in self.folder.joinpath(self.name).rglob("*") if path.is_file()]
        paths = paths or [self.folder / self.name]
        return all(
            folder.joinpath(path.relative_to(self.folder)).read_bytes() == path.read_bytes()
            for path in paths
        )


def publish(
    folder: Path,
    name: str = "cargo",
    *,
    sizes: Mapping[str, int] | int = 300_000,
    tracker: str = "",
    private: bool = False,
) -> Content:
    """Write content of chance and its torrent: a file of so many bytes, or some files."""
    data = folder / "published"
    rng = random.Random(name)
    files = {"": sizes} if isinstance(sizes, int) else sizes
    for path, size in files.items():
        target = data / name / path if path else data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(rng.randbytes(size))
    metainfo = create(
        data / name, trackers=[[tracker]] if tracker else [], private=private, comment="For tests"
    )
    torrent = folder / f"{name}.torrent"
    torrent.write_bytes(metainfo.encode())
    return Content(torrent, data, name, str(metainfo.info_hash), metainfo.info.total_length)
