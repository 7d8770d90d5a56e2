"""`seedwright connect --stdio`: an engine's control protocol on standard input and output.

What ssh and `docker exec` run at the far end of an address. Bytes only: versions and requests are
between the front end and the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.control.carrier import GREETING
from engine.control.socket_path import dial

_STDIN, _STDOUT = 0, 1
_CHUNK_BYTES: Final = 256 * 1024


@command(
    "connect",
    hidden=True,
    examples=(("docker exec -i seedbox seedwright connect --stdio", "As exec: in [engines]"),),
)
@options.together(
    option("--stdio", is_flag=True, help="Speak on standard input and output."),
    options.socket_option,
)
def connect(stdio: bool, socket_path: Path | None) -> None:
    """Connect a program that speaks the control protocol to the engine here."""
    if not stdio:
        raise click.UsageError("it is for programs, with --stdio; people say seedwright -e ENGINE")
    with dial(asyncio.run(options.find_socket(socket_path))) as engine:
        # A thread for each way, since a file descriptor that both share with others must not be
        # made non-blocking. The one that waits for input may be left behind at the end.
        threading.Thread(target=_take_in, args=(engine,), daemon=True).start()
        with contextlib.suppress(ConnectionError):
            _write(GREETING)
            while data := engine.recv(_CHUNK_BYTES):
                _write(data)


def _take_in(engine: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(_STDIN, _CHUNK_BYTES):
            engine.sendall(data)
        engine.shutdown(socket.SHUT_WR)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(_STDOUT, left) :]
