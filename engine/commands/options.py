"""Options that commands share, and the only place where settings become what an engine is told."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rich_click as click
from click.shell_completion import CompletionItem

from engine.commands.help import option
from engine.config_file import default_config_path, read_config, read_drop_ins, read_secrets
from engine.control.socket_path import default_socket_path
from engine.core.compact import Endpoint
from engine.engine_address import EngineAddress, parse_address
from engine.errors import InputError, SeedwrightError
from engine.session.peer_names import as_address, look_up
from engine.setting_kinds import Kind, parse_setting
from engine.settings import Effective, Override, merge, parse_override, secret_files

if TYPE_CHECKING:
    from engine.net.route import Route

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


def complete_engines(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the names of [engines]; nothing where the settings cannot be read."""
    try:
        engines = asyncio.run(load_settings()).engines
    except SeedwrightError:
        return []
    return [
        CompletionItem(name, help=str(address))
        for name, address in engines.items()
        if name.startswith(incomplete)
    ]


engine_option: Decorator[Any] = option(
    "-e",
    "--engine",
    "--socket",
    "engine",
    metavar="ENGINE",
    default_text="the setting daemon.socket",
    help="Engine to ask: a name of \\[engines], a socket's path, ssh://HOST or exec:COMMAND.",
    shell_complete=complete_engines,
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
    help="Receive at most this much, such as 2MiB/s; 0 is no limit.",
    panel="Network",
)
up_limit_option: Decorator[Any] = option(
    "--up-limit",
    metavar="RATE",
    default_text="the setting transfer.up_limit",
    help="Send at most this much, such as 500kB/s; 0 is no limit.",
    panel="Network",
)
encryption_option: Decorator[Any] = option(
    "--encryption",
    metavar="WHEN",
    default_text="the setting network.encryption",
    help="Encrypt connections to peers: disabled, allowed, preferred or required.",
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


def _choice(name: str, does: str, default_text: str) -> Decorator[Any]:
    return option(
        name,
        multiple=True,
        metavar="FILES",
        default_text=default_text,
        help=does,
        panel="Files",
    )


_ONLY: Final = ("--only", "Fetch these files and skip all others.")
_SKIP: Final = ("--skip", "Do not fetch these files.")
_HIGH: Final = ("--high", "Fetch these files before the others.")
_NORMAL: Final = ("--normal", "Fetch these files, like the others.")
file_options: tuple[Decorator[Any], ...] = (
    _choice(*_ONLY, "all"),
    _choice(*_SKIP, "none"),
    _choice(*_HIGH, "none"),
)
"""What is wanted of a torrent that is new."""
rechoice_options: tuple[Decorator[Any], ...] = tuple(
    _choice(*each, "as it is") for each in (_ONLY, _SKIP, _HIGH, _NORMAL)
)
"""What is wanted of one that is there."""


interface_option: Decorator[Any] = option(
    "--interface",
    metavar="NAME",
    default_text="the setting network.interface",
    help="Use only this network interface, such as tun0; nothing is sent while it is not there.",
    panel="Network",
)


proxy_option: Decorator[Any] = option(
    "--proxy",
    metavar="URL",
    default_text="the setting network.proxy",
    help="Use only this proxy, socks5://[USER:PASSWORD@]HOST:PORT or http://HOST:PORT. Other "
    "users of this machine see what stands here: a password belongs in the file that "
    "SEEDWRIGHT_NETWORK_PROXY_FILE names.",
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
    """Merge the command line, the environment, the files and the defaults. Raises
    SettingsError."""
    path = config_path or default_config_path(os.environ)
    return merge(
        file=await read_config(path, must_exist=config_path is not None),
        file_name=str(path),
        drop_ins=await read_drop_ins(path),
        environ=os.environ,
        secrets=await read_secrets(secret_files(os.environ)),
        overrides=overrides,
    )


async def load_route() -> Route:
    """Make the way by which the settings let everything leave. Raises SettingsError."""
    from engine.commands.engine_options import session_options  # loads the engine

    return session_options((await load_settings()).settings).route()


async def find_socket(socket_path: Path | None) -> Path:
    """Return the control socket to use. Raises SettingsError, ControlError."""
    if socket_path is None:
        socket_path = (await load_settings()).settings.daemon.socket
    return socket_path or default_socket_path(os.environ)


async def find_engine(named: str | EngineAddress | None) -> EngineAddress:
    """Return where the engine is that somebody named: by a name of [engines], or by its address;
    None is that of the settings. Raises InputError, ControlError."""
    if not isinstance(named, str):
        return named or await find_socket(None)
    if "/" in named or ":" in named:
        return parse_address(named)
    engines = (await load_settings()).engines
    if named in engines:
        return engines[named]
    if await asyncio.to_thread(Path(named).exists):
        return Path(named)
    close = difflib.get_close_matches(named, engines, n=1)
    guess = f"did you mean {close[0]}?" if close else "a path has a slash in it"
    raise InputError(f"there is no engine {named!r} in the settings' [engines] ({guess})")


async def resolve_peers(texts: Sequence[str], route: Route | None = None) -> list[Endpoint]:
    """Look up the names in HOST:PORTs, by the way of the settings if no other is given; a name with
    several addresses gives each. Raises InputError, SettingsError."""
    found: dict[Endpoint, None] = {}
    for text in texts:
        address = as_address(text)
        if address is not None:
            found[address] = None
            continue
        route = route or await load_route()
        found |= dict.fromkeys(await look_up(text, route))
    return list(found)
