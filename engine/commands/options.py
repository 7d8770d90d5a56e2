"""Options that commands share, and the only place where settings become what an engine is told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import rich_click as click

from engine.commands.help import option
from engine.config_file import default_config_path, read_config
from engine.control.socket_path import default_socket_path
from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.errors import InputError
from engine.setting_kinds import Kind, parse_setting
from engine.settings import Effective, Override, merge, parse_override

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]


class _Place(click.Path):
    """A path; a leading ~ is the home folder also where the shell left it, as in --output=~/x."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            return path.expanduser()
        except RuntimeError:
            self.fail(f"{value!r} names no user", param, ctx)


FILE: Final = _Place()


class Parsed(click.ParamType[Any]):
    """An option that is written like a setting: 10MiB, 1.5MB/s, 30s, HOST:PORT."""

    name = "value"

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_setting(self._kind, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


socket_option: Decorator[Any] = option(
    "--socket",
    "socket_path",
    type=FILE,
    metavar="PATH",
    default_text="the setting daemon.socket",
    help="Control socket of the engine.",
)
json_option: Decorator[Any] = option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of text."
)
config_option: Decorator[Any] = option(
    "--config",
    "config_path",
    type=FILE,
    metavar="FILE",
    default_text="~/.config/seedwright/config.toml",
    help="Configuration file.",
    panel="Settings",
)
set_option: Decorator[Any] = option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    default_text="none",
    help="Change any setting for this run; may be repeated. `seedwright config` lists them.",
    panel="Settings",
)
isolated_option: Decorator[Any] = option(
    "--isolated",
    is_flag=True,
    help="Find peers only by --peer, add-peer and the torrent's own trackers.",
    panel="Network",
)
down_limit_option: Decorator[Any] = option(
    "--down-limit",
    metavar="RATE",
    default_text="the setting transfer.down_limit",
    help="Receive at most this much, as 2MiB/s; 0 is no limit.",
    panel="Network",
)
up_limit_option: Decorator[Any] = option(
    "--up-limit",
    metavar="RATE",
    default_text="the setting transfer.up_limit",
    help="Send at most this much, as 500kB/s; 0 is no limit.",
    panel="Network",
)
peer_option: Decorator[Any] = option(
    "--peer",
    "peers",
    multiple=True,
    metavar="HOST:PORT",
    default_text="none",
    help="Connect to this peer; may be repeated. HOST may be a name.",
    panel="Network",
)

listen_option: Decorator[Any] = option(
    "--listen",
    metavar="HOST:PORT",
    default_text="any free port",
    help="Where peers connect to. A specific HOST is the only address that is used.",
    panel="Network",
)


def together(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Apply several options in the order in which they are shown."""

    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def overrides(assignments: Sequence[str] = (), **flags: tuple[str, object]) -> list[Override]:
    """Collect what the command line says about settings: `--set`, then flags of their own, which
    win. `flags` are section__key=(flag, value); None and False are unsaid. Raises SettingsError."""
    found = [parse_override(text) for text in assignments]
    for name, (flag, value) in flags.items():
        if value is not None and value is not False:
            text = "true" if value is True else str(value)
            found.append(Override(name.replace("__", ".", 1), text, flag))
    return found


async def load_settings(
    config_path: Path | None = None, overrides: Sequence[Override] = ()
) -> Effective:
    """Merge the command line, the environment, the file and the defaults. Raises SettingsError."""
    path = config_path or default_config_path(os.environ)
    file = await read_config(path, must_exist=config_path is not None)
    return merge(file=file, file_name=str(path), environ=os.environ, overrides=overrides)


async def find_socket(socket_path: Path | None) -> Path:
    """Return the control socket to use. Raises SettingsError, ControlError."""
    if socket_path is None:
        socket_path = (await load_settings()).settings.daemon.socket
    return socket_path or default_socket_path(os.environ)


async def resolve_peers(texts: Sequence[str]) -> list[Endpoint]:
    """Look up the names in HOST:PORTs; a name with several addresses gives each. Raises
    InputError."""
    loop = asyncio.get_running_loop()
    found: dict[Endpoint, None] = {}
    for text in texts:
        host, port = split_host_port(text)
        try:
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot look up {host!r}: {reason}") from error
        for *_, address in answers:
            found[endpoint(str(address[0]), port)] = None
    return list(found)
