"""Every setting there is: one dataclass per room, merged from defaults, TOML, environment, flags.

Precedence, weakest first: default, configuration file, environment (SEEDWRIGHT_SECTION_KEY), flag
(`--set section.key=value` or one of its own). Invariant: every value that is given anywhere is
checked, also when a stronger one hides it, and every value that counts knows where it came from.
How values are written (10MiB, 1.5MB/s, 30s, true) is setting_kinds.py's.
"""

# ruff: noqa: RUF009 - _setting makes a dataclasses.field

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import SettingsError
from engine.setting_kinds import (
    Address,
    Kind,
    OneOf,
    OptionalPlace,
    Place,
    Rate,
    Seconds,
    Size,
    Switch,
    Whole,
    parse_setting,
)

ENVIRONMENT_PREFIX = "SEEDWRIGHT_"
NOT_SETTINGS = frozenset({"SEEDWRIGHT_CONFIG"})
"""Variables with our prefix that say something else (config_file.py)."""


def _setting(default: Any, kind: Kind) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind})


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """The process itself."""

    socket: Path | None = _setting(None, OptionalPlace())
    """Path of the control socket; None is $XDG_RUNTIME_DIR/seedwright/engine.sock, without that
    variable engine.sock in the standard state folder."""
    state_dir: Path | None = _setting(None, OptionalPlace())
    """Folder of the engine's database; None is $XDG_STATE_HOME/seedwright, without that variable
    ~/.local/state/seedwright."""
    log_level: str = _setting("info", OneOf(("debug", "info", "warning", "error")))
    """The least that is logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Sockets and connections."""

    listen: str = _setting("*:6881", Address())
    """HOST:PORT that peers connect to; port 0 is any free one. `*` is all addresses of IPv4 and
    IPv6; a specific host is the only address that any socket of the engine uses."""
    isolated: bool = _setting(False, Switch())
    """True or false: find peers only by the torrent's own trackers and by being told."""
    max_connections: int = _setting(500, Whole(1, 100_000))
    """Peers that all torrents together are connected to; a number."""
    max_connections_per_torrent: int = _setting(100, Whole(1, 100_000))
    """Peers that one torrent is connected to; a number."""
    half_open: int = _setting(50, Whole(1, 10_000))
    """Connections that are being dialled at once; a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """What is sent and received."""

    down_limit: int = _setting(0, Rate())
    """Bytes a second that all torrents together receive at most; 0 is no limit."""
    up_limit: int = _setting(0, Rate())
    """Bytes a second that all torrents together send at most; 0 is no limit."""
    upload_slots: int = _setting(0, Whole(0, 10_000, zero="automatic"))
    """Peers that one torrent uploads to at once, a number; 0 is as many as the rate feeds."""
    max_request_queue: int = _setting(2000, Whole(1, 100_000))
    """Blocks that a peer may have asked for and not yet been sent, a number (`reqq`, BEP 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Disks and memory."""

    save_path: Path = _setting(Path("~/Downloads"), Place())
    """Folder that torrents are saved in when nothing else is said; `~` is the home folder."""
    preallocate: bool = _setting(False, Switch())
    """True or false: reserve the space of new files; else they are sparse."""
    buffer_bytes: int = _setting(24 << 20, Size(1 << 20, 1 << 40))
    """Bytes of memory for the pieces being downloaded, of all torrents together."""
    open_files: int = _setting(0, Whole(0, 1_000_000, zero="automatic"))
    """Files held open, a number; 0 is a quarter of what the system allows, at most 512."""
    disk_threads: int = _setting(2, Whole(1, 64))
    """Threads that hash, write and read; a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackersSettings:
    """The trackers that are asked for peers."""

    numwant: int = _setting(80, Whole(0, 1000))
    """Peers asked for in one announce; a number."""
    min_interval_s: float = _setting(60.0, Seconds(1.0, 86_400.0))
    """Seconds between two announces to one tracker at least, whatever it allows."""
    stop_timeout_s: float = _setting(5.0, Seconds(0.0, 600.0))
    """Seconds that trackers are given to hear `stopped` when the engine ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, a section for each room. Paths still have their `~` unless `merge` made it."""

    daemon: DaemonSettings = DaemonSettings()
    network: NetworkSettings = NetworkSettings()
    transfer: TransferSettings = TransferSettings()
    storage: StorageSettings = StorageSettings()
    trackers: TrackersSettings = TrackersSettings()


class Layer(StrEnum):
    """Where a value can come from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class Origin(NamedTuple):
    """Where a value came from."""

    layer: Layer
    name: str = ""
    """The file, the variable or the flag."""

    def __str__(self) -> str:
        return f"{self.layer} {self.name}".rstrip()


class Override(NamedTuple):
    """A value from the command line."""

    key: str
    """section.key"""
    value: str
    flag: str = "--set"


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings that count, and where each came from."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By section.key; complete."""
    warnings: tuple[str, ...] = ()
    """What the file holds and this version does not know; one clear line each."""

    def rows(self) -> Iterator[tuple[str, str, Origin]]:
        """Yield (section.key, value as text that can be given back, origin) of every setting."""
        for key, kind in KINDS.items():
            section, _, name = key.partition(".")
            value = getattr(getattr(self.settings, section), name)
            yield key, kind.show(value), self.origins[key]


_SECTIONS: dict[str, Any] = {
    section.name: type(section.default) for section in dataclasses.fields(Settings)
}
KINDS: Mapping[str, Kind] = {
    f"{section}.{field.name}": field.metadata["kind"]
    for section, group in _SECTIONS.items()
    for field in dataclasses.fields(group)
}
"""What each setting can be, by section.key; every setting there is, in order."""
_DEFAULTS: dict[str, Any] = {
    f"{section}.{field.name}": field.default
    for section, group in _SECTIONS.items()
    for field in dataclasses.fields(group)
}
_BY_VARIABLE = {f"{ENVIRONMENT_PREFIX}{key.upper().replace('.', '_')}": key for key in KINDS}


def merge(
    *,
    file: Mapping[str, object] | None = None,
    file_name: str = "",
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[Override] = (),
) -> Effective:
    """Merge everything that was said. `file` is the parsed TOML, `environ` the whole environment;
    the last of two overrides wins. Raises SettingsError: a wrong value anywhere, a key that does
    not exist in the environment or on the command line."""
    values: dict[str, Any] = {}
    origins = dict.fromkeys(KINDS, Origin(Layer.DEFAULT))
    warnings: list[str] = []
    given = [
        *_from_file(file or {}, file_name, warnings),
        *_from_environment(environ or {}),
        *_from_flags(overrides),
    ]
    for key, value, origin in given:
        values[key] = check(key, value, origin)
        origins[key] = origin
    for key, default in _DEFAULTS.items():
        if key not in values:
            values[key] = (
                check(key, default, origins[key]) if isinstance(default, Path) else default
            )
    settings = Settings(
        **{
            section: group(
                **{
                    field.name: values[f"{section}.{field.name}"]
                    for field in dataclasses.fields(group)
                }
            )
            for section, group in _SECTIONS.items()
        }
    )
    return Effective(settings, origins, tuple(warnings))


def check(key: str, value: object, origin: Origin | None) -> Any:
    """Return what `value` means for the setting `key`. Raises SettingsError, naming both and the
    origin, if any: no such setting, or not what it expects."""
    kind = KINDS.get(key)
    if kind is None:
        where = f"{origin}: " if origin else ""
        raise SettingsError(f"{where}there is no setting {key!r}{_guess(key, KINDS)}")
    try:
        return parse_setting(kind, value)
    except ValueError as error:
        where = f" ({origin})" if origin else ""
        raise SettingsError(f"{key}{where}: {error}") from error


def parse_override(text: str, flag: str = "--set") -> Override:
    """Read the `section.key=value` of a flag. Raises SettingsError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"flag {flag}: {text!r} is not section.key=value")
    return Override(key.strip(), value, flag)


_Given = tuple[str, object, Origin]


def _from_file(file: Mapping[str, object], name: str, warnings: list[str]) -> Iterator[_Given]:
    origin = Origin(Layer.FILE, name)
    for section, table in file.items():
        if section not in _SECTIONS:
            guess = _guess(section, _SECTIONS)
            warnings.append(f"{origin}: there is no section {section!r}{guess}; it is ignored")
        elif not isinstance(table, Mapping):
            raise SettingsError(f"{section} ({origin}): expected a table [{section}]")
        else:
            for field, value in table.items():
                key = f"{section}.{field}"
                if key in KINDS:
                    yield key, value, origin
                else:
                    guess = _guess(key, KINDS)
                    warnings.append(f"{origin}: there is no setting {key!r}{guess}; it is ignored")


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    for variable, value in environ.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in NOT_SETTINGS:
            key = _BY_VARIABLE.get(variable)
            if key is None:
                guess = _guess(variable, _BY_VARIABLE)
                raise SettingsError(f"environment: there is no setting {variable}{guess}")
            yield key, value, Origin(Layer.ENVIRONMENT, variable)


def _from_flags(overrides: Sequence[Override]) -> Iterator[_Given]:
    for override in overrides:
        yield override.key, override.value, Origin(Layer.FLAG, override.flag)


def _guess(unknown: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(unknown, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
