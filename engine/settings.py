"""The settings that count (setting_sections.py has them all), merged from defaults, TOML,
environment and flags.

Precedence, weakest first: default, configuration file, environment (SEEDWRIGHT_SECTION_KEY), flag
(`--set section.key=value` or one of its own). Invariant: every value that is given anywhere is
checked, also when a stronger one hides it, and every value that counts knows where it came from.
How values are written (10MiB, 1.5MB/s, 30s, true) is setting_kinds.py's.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from engine.engine_address import EngineAddress
from engine.errors import SettingsError
from engine.setting_kinds import Engine, Kind, parse_setting, tell_setting
from engine.setting_sections import Settings

ENVIRONMENT_PREFIX = "SEEDWRIGHT_"
NOT_SETTINGS = frozenset(
    {
        "SEEDWRIGHT_CONFIG",  # config_file.py
        # Those of compose.yaml and its like: who exports them for `make up` has them here, too.
        "SEEDWRIGHT_CONFIG_DIR",
        "SEEDWRIGHT_DATA_DIR",
        "SEEDWRIGHT_IMAGE",
        "SEEDWRIGHT_MEMORY",
        "SEEDWRIGHT_PORT",
        "SEEDWRIGHT_USER",
        "SEEDWRIGHT_WATCH_DIR",
    }
)
"""Variables with our prefix that say something else."""


_SECRET_SUFFIX = "_FILE"


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
    engines: Mapping[str, EngineAddress] = dataclasses.field(default_factory=dict)
    """Those of [engines], by their names."""
    warnings: tuple[str, ...] = ()
    """What the file holds and this version does not know; one clear line each."""

    def rows(self) -> Iterator[tuple[str, str, Origin]]:
        """Yield (section.key, value as text that can be given back, origin) of every setting; a
        password is left out of the text."""
        for key, kind in KINDS.items():
            section, _, name = key.partition(".")
            value = getattr(getattr(self.settings, section), name)
            yield key, tell_setting(kind, value), self.origins[key]
        for name, address in self.engines.items():
            key = f"{ENGINES}.{name}"
            yield key, str(address), self.origins[key]


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
ENGINES = "engines"
"""The section whose keys are names that people give: engines, and where each is reached."""
_ENGINE_NAME = re.compile(r"\w[\w.-]{0,31}")
SEE_ALL = " (`seedwright config` lists all there are)"
_NEAR = 0.8
"""How alike two keys of different sections are, of 1, if one was mistyped for the other."""
_SHORT = 3
"""Letters of the shortest names that there are."""


def _variable(key: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{key.upper().replace('.', '_')}"


_BY_VARIABLE = {_variable(key): key for key in KINDS}


def merge(
    *,
    file: Mapping[str, object] | None = None,
    file_name: str = "",
    drop_ins: Sequence[tuple[str, Mapping[str, object]]] = (),
    environ: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    overrides: Sequence[Override] = (),
) -> Effective:
    """Merge everything that was said. `file` is the parsed TOML, `drop_ins` (name, TOML) of further
    files, a later one wins; `environ` is the whole environment, `secrets` what the files say that
    `secret_files` names, by variable; the last of two overrides wins. Raises SettingsError: a wrong
    value anywhere, a key that does not exist in the environment or on the command line."""
    values: dict[str, Any] = {}
    origins = dict.fromkeys(KINDS, Origin(Layer.DEFAULT))
    warnings: list[str] = []
    given = [
        *_from_file(file or {}, file_name, warnings),
        *(given for name, table in drop_ins for given in _from_file(table, name, warnings)),
        *_from_environment(environ or {}, secrets or {}),
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
    engines = {
        key.removeprefix(f"{ENGINES}."): value
        for key, value in values.items()
        if key.startswith(f"{ENGINES}.")
    }
    return Effective(settings, origins, engines, tuple(warnings))


def kind_of(key: str) -> Kind | None:
    """What the setting `key` can be; None when there is no such setting."""
    section, _, name = key.partition(".")
    if section == ENGINES and _ENGINE_NAME.fullmatch(name):
        return Engine()
    return KINDS.get(key)


def check(key: str, value: object, origin: Origin | None) -> Any:
    """Return what `value` means for the setting `key`. Raises SettingsError, naming both and the
    origin, if any: no such setting, or not what it expects."""
    kind = kind_of(key)
    if kind is None:
        where = f"{origin}: " if origin else ""
        if key.startswith(f"{ENGINES}."):
            raise SettingsError(f"{where}{key}: a name is a word of at most 32 letters and digits")
        raise SettingsError(f"{where}there is no setting {key!r}{guess(key, KINDS, SEE_ALL)}")
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
        if section not in _SECTIONS and section != ENGINES:
            meant = guess(section, [*_SECTIONS, ENGINES])
            warnings.append(f"{origin}: there is no section {section!r}{meant}; it is ignored")
        elif not isinstance(table, Mapping):
            raise SettingsError(f"{section} ({origin}): expected a table [{section}]")
        else:
            for field, value in table.items():
                key = f"{section}.{field}"
                if key in KINDS or section == ENGINES:
                    yield key, value, origin
                else:
                    meant = guess(key, KINDS)
                    warnings.append(f"{origin}: there is no setting {key!r}{meant}; it is ignored")


def secret_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables SEEDWRIGHT_SECTION_KEY_FILE, and the paths of the files that hold the values:
    for passwords, which do not belong into an environment."""
    return {name: path for name, path in environ.items() if path and _of_secret(name) is not None}


def _of_secret(variable: str) -> str | None:
    """The variable that a file stands in for; None if this one names no file."""
    plain = variable.removesuffix(_SECRET_SUFFIX)
    return plain if variable not in _BY_VARIABLE and plain in _BY_VARIABLE else None


def _from_environment(environ: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[_Given]:
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_SETTINGS:
            continue
        key = _BY_VARIABLE.get(variable)
        if key is not None:
            yield key, value, Origin(Layer.ENVIRONMENT, variable)
        elif (plain := _of_secret(variable)) is None:
            section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
            near = _nearest(f"{section}.{name}" if name else section, KINDS)
            meant = (
                f"did you mean {_variable(near)}?"
                if near
                else "without it, `seedwright config` lists all there are"
            )
            raise SettingsError(f"environment: there is no setting {variable} ({meant})")
        elif plain in environ:
            raise SettingsError(f"environment: {plain} and {variable} are both set")
        elif variable in secrets:
            yield _BY_VARIABLE[plain], secrets[variable], Origin(Layer.ENVIRONMENT, variable)


def _from_flags(overrides: Sequence[Override]) -> Iterator[_Given]:
    for override in overrides:
        yield override.key, override.value, Origin(Layer.FLAG, override.flag)


def guess(unknown: str, known: Iterable[str], otherwise: str = "") -> str:
    """What may have been meant, in brackets; `otherwise` if nothing is near."""
    near = _nearest(unknown, known)
    return f" (did you mean {near}?)" if near else otherwise


def _nearest(unknown: str, known: Iterable[str]) -> str:
    """The key or section that was mistyped, or lacks its section; empty if none is near, or
    several are. Keys of one section begin alike: only what follows counts for them."""
    keys = tuple(known)
    section, dot, name = unknown.partition(".")
    beside = [
        key.removeprefix(section + dot) for key in keys if dot and key.startswith(f"{section}.")
    ]
    if close := difflib.get_close_matches(name, beside, n=1):
        return f"{section}.{close[0]}"
    if close := difflib.get_close_matches(unknown, keys, n=1, cutoff=_NEAR):
        return close[0]
    bare = unknown.replace(".", "_")
    names = [(key.partition(".")[2], key) for key in keys]
    found = [key for name, key in names if name == bare] or [
        key for name, key in names if _is_slip(unknown, key) or _is_slip(bare, name)
    ]
    return found[0] if len(found) == 1 else ""


def _is_slip(typed: str, meant: str) -> bool:
    """True if two neighbours were exchanged, or one character is too many, missing or wrong. In
    three letters a wrong one makes another word, and fewer tell nothing."""
    shorter = min(len(typed), len(meant))
    if shorter < _SHORT:
        return False
    while typed and meant and typed[0] == meant[0]:
        typed, meant = typed[1:], meant[1:]
    while typed and meant and typed[-1] == meant[-1]:
        typed, meant = typed[:-1], meant[:-1]
    match len(typed), len(meant):
        case (0, 1) | (1, 0):
            return True
        case 1, 1:
            return shorter > _SHORT
        case 2, 2:
            return typed == meant[::-1]
    return False
