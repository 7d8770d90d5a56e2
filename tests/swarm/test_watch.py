"""`make swarm-watch` on a terminal: every engine of the swarm, those who join later too."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from engine.control.server import ControlServer
from tests.fakes.fake_engine import FakeEngine
from tests.swarm import run_folder
from tests.swarm.drivers import ROOT

SCENARIO = "watched-by-a-test"
COMMAND = (sys.executable, "-m", "tests.swarm", "watch", SCENARIO)


async def _says(terminal: int, *texts: str) -> None:
    """Read until all of them were on the screen."""
    said = ""
    async with asyncio.timeout(30):
        while not all(text in said for text in texts):
            said += (await asyncio.to_thread(os.read, terminal, 65536)).decode(errors="replace")
            said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)


async def test_all_engines_of_a_running_swarm(tmp_path: Path) -> None:
    with run_folder.made(0, SCENARIO) as folder:
        names = ("publisher", "peer-1", "peer-2")
        sockets = {name: folder / f"{name}.sock" for name in names}
        run_folder.note_engines(folder, list(sockets.values()))
        servers = [ControlServer(FakeEngine(1), sockets[name]) for name in names[:2]]
        for server in servers:
            await server.start()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        watching = await asyncio.create_subprocess_exec(
            *COMMAND,
            cwd=ROOT,
            env={**os.environ, "HOME": str(tmp_path), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            await _says(ours, "3 engines", *names, "● up", "no engine runs at", "● 2 of 3 up")
            os.write(ours, b"q")
            async with asyncio.timeout(20):
                assert await watching.wait() == 0
        finally:
            if watching.returncode is None:
                watching.kill()
                await watching.wait()
            os.close(ours)
            for server in servers:
                await server.stop()


def test_without_a_swarm_it_says_so() -> None:
    done = subprocess.run(
        [*COMMAND[:-1], "no-such-scenario"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no swarm is running" in done.stderr
