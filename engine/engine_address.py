"""Where an engine is: its socket here, a host that ssh reaches, or a program that speaks for it.

Pure. Invariant: `parse_address(str(address)) == address`; nothing that an address says can become
an option of ssh or a word of the far shell. Which keys, ports and jumps lead to a host is the
business of the user's own ssh and its configuration.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from engine.errors import InputError

EXPECTED: Final = "a socket's path, unix://PATH, ssh://[USER@]HOST[:PORT][/SOCKET] or exec:COMMAND"

_SSH: Final = re.compile(
    r"(?:(?P<user>\w[\w.+-]*)@)?(?P<host>\w[\w.-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\])"
    r"(?::(?P<port>\d{1,5}))?(?P<socket>/.*)?"
)
_SSH_COMMAND: Final = (
    *("ssh", "-T", "-x", "-a"),
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
)
"""It asks nobody anything, forwards nothing, and notices within a minute that the line is dead."""
_FAR_SCRIPT: Final = 'PATH="$PATH:$HOME/.local/bin"; exec seedwright "$@"'
"""Shells that are not for people often miss the folder that pipx and `pip --user` install to."""


@dataclass(frozen=True, slots=True)
class Program:
    """An engine behind a program that speaks for it on its standard input and output."""

    address: str
    """As it is written: ssh://… or exec:…"""
    argv: tuple[str, ...]
    host: str = ""
    """Whom ssh asks; empty where the program is none of ours."""

    def __str__(self) -> str:
        return self.address


EngineAddress = Path | Program


def parse_address(text: str) -> EngineAddress:
    """Read an address, EXPECTED says of which forms. Raises InputError."""
    asked = text.strip()
    scheme, colon, rest = asked.partition(":")
    if "\0" in asked:
        raise InputError("an address has no zero bytes")
    if scheme == "exec" and colon:
        return Program(asked, _words(rest))
    if "://" not in asked:
        return _path(asked)
    rest = rest.removeprefix("//")
    if scheme == "unix" and rest.startswith(("/", "~")):
        return _path(rest)
    if scheme == "ssh":
        return _ssh(asked, rest)
    raise InputError(f"{asked} leads to no engine; expected {EXPECTED}")


def _path(text: str) -> Path:
    if not text:
        raise InputError(f"give {EXPECTED}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text}: there is no such user") from error


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise InputError(f"exec:{text}: {error}") from error
    if not words:
        raise InputError("exec: names no command")
    return words


def _ssh(address: str, rest: str) -> Program:
    found = _SSH.fullmatch(rest)
    if found is None:
        raise InputError(f"{address} is not ssh://[USER@]HOST[:PORT][/SOCKET]; ssh knows the rest")
    port = ("-p", found["port"]) if found["port"] else ()
    user = ("-l", found["user"]) if found["user"] else ()
    host = found["host"].strip("[]")
    socket = unquote((found["socket"] or "").rstrip("/"))
    if "\0" in socket:
        raise InputError("an address has no zero bytes")
    far = ["seedwright", "connect", "--stdio"]
    if socket:
        far += ["--socket", socket[1:] if socket.startswith("/~") else socket]
    command = shlex.join(["sh", "-c", _FAR_SCRIPT, *far])
    return Program(address, (*_SSH_COMMAND, *port, *user, "--", host, command), host)
