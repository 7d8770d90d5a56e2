"""A Valkey or Redis of a test's own, on a Unix socket, that can be ended and started again."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
needs_valkey = pytest.mark.skipif(
    SERVER is None, reason="neither valkey-server nor redis-server is installed"
)
_PATIENCE_S = 20.0


class Valkey:
    """In memory only: what it knew is gone when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        assert SERVER is not None
        self._folder.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [
                *(SERVER, "--port", "0", "--unixsocket", str(self._socket)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._socket.exists():
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)
