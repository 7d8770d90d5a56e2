"""`seedwright config`: every setting, where its value came from, and the file to change it in."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import rich_click as click
from click.shell_completion import CompletionItem

from engine.commands import options
from engine.commands.connection import does_answer
from engine.commands.help import Group, command
from engine.commands.output import GAP, Column, Styled, say, say_json, say_table, terminal_width
from engine.config_file import change_config, default_config_path
from engine.control.socket_path import default_socket_path, default_state_dir
from engine.errors import SeedwrightError, SettingsError
from engine.network_kinds import (
    Addresses,
    InterfaceName,
    Networks,
    OptionalAddress,
    ProxyUrl,
    Servers,
)
from engine.setting_kinds import (
    Engine,
    FileOrUrl,
    OneOf,
    OptionalPlace,
    Place,
    Rate,
    Switch,
    Whole,
    tell_setting,
)
from engine.settings import ENGINES, KINDS, SEE_ALL, Effective, Layer, Origin, check, guess, kind_of

COLOURS = {
    Layer.DEFAULT: "bright_black",
    Layer.FILE: "green",
    Layer.ENVIRONMENT: "yellow",
    Layer.FLAG: "cyan",
}


LEAST_FOR_VALUES = 24
"""Columns of the terminal; where fewer are left, less is said of where they came from."""
_STANDARD_PLACES: Final[dict[str, Callable[[Mapping[str, str]], Path]]] = {
    "daemon.socket": default_socket_path,
    "daemon.state_dir": default_state_dir,
}
"""Settings whose place, when none is given, follows from the environment."""
_LIMITS: Final = {"transfer.down_limit": "--down", "transfer.up_limit": "--up"}
"""Settings that `limits` changes in an engine that runs, and by which option."""


@click.group(
    "config",
    cls=Group,
    invoke_without_command=True,
    context_settings={"show_default": True},
    examples=(
        ("seedwright config", "Every setting, and where its value came from"),
        ("seedwright config set transfer.up_limit 2MiB/s", "For the next start of the engine"),
        ("seedwright config set engines.box ssh://me@box.example", "Then: seedwright -e box"),
        ("SEEDWRIGHT_NETWORK_LISTEN=10.8.0.2:0 seedwright daemon", "By the environment"),
    ),
)
@options.together(options.config_option, options.set_option, options.json_option)
@click.pass_context
def config(
    ctx: click.Context, config_path: Path | None, assignments: tuple[str, ...], as_json: bool
) -> None:
    """Show every setting and where its value came from.

    A value is taken from the first of: flag, SEEDWRIGHT_SECTION_KEY in the environment (or in the
    file that SEEDWRIGHT_SECTION_KEY_FILE names), config.d/*.toml beside the configuration file,
    that file, default. A running engine keeps those that it started with.
    """
    ctx.meta["config_path"] = config_path
    if ctx.invoked_subcommand is not None:
        return
    effective = _effective(config_path, assignments)
    if as_json:
        say_json(
            {
                key: {"value": value, "from": origin.layer, "name": origin.name}
                for key, value, origin in effective.rows()
            }
        )
    else:
        _tell(effective)


def _effective(config_path: Path | None, assignments: tuple[str, ...] = ()) -> Effective:
    flags = options.overrides(assignments)
    # A file that is not there yet is where `set` will write: nothing to complain about.
    is_there = config_path is not None and config_path.exists()
    return asyncio.run(options.load_settings(config_path if is_there else None, flags))


def _tell(effective: Effective) -> None:
    rows = [(key, _said(key, value), origin) for key, value, origin in effective.rows()]
    origins = [_short(origin) for _, _, origin in rows]
    width = terminal_width()
    if width is not None:
        rows = [(key, _from_home(value), origin) for key, value, origin in rows]
        beside = max(len(key) for key, _, _ in rows) + 2 * len(GAP)
        if width - beside - max(map(len, origins)) < LEAST_FOR_VALUES:
            origins = [str(origin.layer) for _, _, origin in rows]
        width = max(LEAST_FOR_VALUES, width - beside - max(map(len, origins)))
    cells: list[tuple[str, str, str | Styled]] = []
    for (key, value, origin), said in zip(rows, origins, strict=True):
        first, *rest = [value] if width is None else folded(value, width)
        cells.append((key, first, Styled(said, COLOURS[origin.layer])))
        cells += [("", each, "") for each in rest]
    say_table((Column("SETTING"), Column("VALUE"), Column("FROM", grows=True)), cells)
    for warning in effective.warnings:
        say(f"warning: {warning}", err=True)


def folded(value: str, width: int) -> list[str]:
    """A value in lines of `width` characters at most: for people, whose terminals are narrow. They
    end behind a comma or a slash where there is one."""
    lines = [""]
    for part in re.findall(r"[^,/]*(?:, ?|/|$)", value):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = lines[-1][:width], lines[-1][width:]
    return [line.rstrip() for line in lines]


def _said(key: str, text: str) -> str:
    """A value as people read it: what 0 or nothing means."""
    match kind_of(key):
        case Rate() if text == "0":
            return "0 (no limit)"
        case Whole(zero=meaning) if text == "0" and meaning:
            return f"0 ({meaning})"
        case OptionalPlace() if not text and key in _STANDARD_PLACES:
            return str(_STANDARD_PLACES[key](os.environ))
        case (
            Addresses() | FileOrUrl() | Networks() | OptionalAddress() | OptionalPlace()
            | ProxyUrl() | Servers()
        ) if not text:  # fmt: skip
            return "(none)"
        case InterfaceName() if not text:
            return "(any)"
        case _:
            return text


def _short(origin: Origin) -> str:
    return str(origin._replace(name=_from_home(origin.name)))


def _from_home(path: str) -> str:
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path


def _path(ctx: click.Context) -> Path:
    chosen: Path | None = ctx.meta["config_path"]
    return chosen or default_config_path(os.environ)


def _complete_key(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the names of settings, those of [engines] too."""
    engines = options.complete_engines(ctx, param, incomplete.removeprefix(f"{ENGINES}."))
    keys = [*KINDS, *(f"{ENGINES}.{engine.value}" for engine in engines)]
    return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


def _complete_value(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the value of the setting that was named: one of some words, or a path."""
    match kind_of(ctx.params.get("key") or ""):
        case OneOf(words):
            return [CompletionItem(word) for word in words if word.startswith(incomplete.lower())]
        case Switch():
            return [CompletionItem(w) for w in ("true", "false") if w.startswith(incomplete)]
        case Place() | OptionalPlace() | FileOrUrl():
            return [CompletionItem(incomplete, type="file")]
        case _:
            return []


_key_argument: Final = click.argument(
    "key", help="section.key, as `seedwright config` lists them.", shell_complete=_complete_key
)


@command(
    "set",
    examples=(
        ("seedwright config set network.listen 0.0.0.0:6881", "Where peers connect to"),
        ("seedwright config set storage.preallocate yes", "A switch"),
    ),
)
@_key_argument
@click.argument(
    "value",
    help="Its value, such as 10MiB, 2MB/s, 30s, yes, HOST:PORT or a path.",
    shell_complete=_complete_value,
)
@click.pass_context
def set_value(ctx: click.Context, key: str, value: str) -> None:
    """Write a setting into the configuration file; what else it holds stays, comments too.

    An engine reads its settings when it starts: one that runs takes this at its next start.
    """
    path = _path(ctx)
    asyncio.run(change_config(path, {key: as_toml(key, value)}))
    kind = kind_of(key)
    assert kind is not None  # or as_toml had raised
    said = tell_setting(kind, check(key, value, None))
    say(f"{key} = {_said(key, said)} in {path}")
    if key == "storage.watch_folder" and said and not Path(said).is_dir():
        what = "is no folder" if Path(said).exists() else "is not there yet"
        say(f"{said} {what}: nothing is added from it until it is a folder", err=True)
    _tell_of_running(ctx, key, said)


def _tell_of_running(ctx: click.Context, key: str, value: str) -> None:
    """Say that an engine that runs goes on as it was, and how `value` holds there at once."""
    config_path = ctx.meta["config_path"]
    if isinstance(kind_of(key), Engine):
        return  # commands read those, each time
    running = asyncio.run(_running(config_path))
    if running is None:
        return
    now = ""
    if key in _LIMITS:
        other = f" -e {shlex.quote(str(running))}" if config_path is not None else ""
        now = f"; `seedwright limits {_LIMITS[key]} {value}{other}` sets it now"
    say(f"the running engine takes it at its next start{now}", err=True)


async def _running(config_path: Path | None) -> Path | None:
    """The socket of the engine of these settings if one answers there; None also where they cannot
    be read."""
    try:
        settings = (await options.load_settings(config_path)).settings
    except SeedwrightError:
        return None
    path = settings.daemon.socket or default_socket_path(os.environ)
    return path if await does_answer(path) else None


@command("get", examples=(("seedwright config get storage.save_path", "For a script"),))
@_key_argument
@click.pass_context
def get_value(ctx: click.Context, key: str) -> None:
    """Print the value of a setting, wherever it comes from."""
    values = {name: value for name, value, _ in _effective(ctx.meta["config_path"]).rows()}
    if key not in values:
        raise SettingsError(f"there is no setting {key!r}{guess(key, values, SEE_ALL)}")
    place = _STANDARD_PLACES.get(key)
    say(values[key] or (str(place(os.environ)) if place else ""))


@command("unset", examples=(("seedwright config unset network.listen", "Back to the default"),))
@_key_argument
@click.pass_context
def unset_value(ctx: click.Context, key: str) -> None:
    """Take a setting out of the configuration file: the default holds again."""
    path = _path(ctx)
    if kind_of(key) is None:
        raise SettingsError(f"there is no setting {key!r}{guess(key, KINDS, SEE_ALL)}")
    asyncio.run(change_config(path, {key: None}))
    say(f"{key} is no longer in {path}")
    # Of rates the default is no limit.
    _tell_of_running(ctx, key, "0")


@command("path", examples=(("$EDITOR $(seedwright config path)", "Change it by hand"),))
@click.pass_context
def show_path(ctx: click.Context) -> None:
    """Print the path of the configuration file, whether it is there or not."""
    say(str(_path(ctx)))


def as_toml(key: str, text: str) -> Any:
    """A number or a switch as TOML's own; everything else as it was written: 10MiB stays 10MiB.

    Raises SettingsError for an unknown key or a wrong value.
    """
    value = check(key, text, None)
    return value if isinstance(kind_of(key), Switch | Whole) else text


for subcommand in (get_value, set_value, unset_value, show_path):
    config.add_command(subcommand)
