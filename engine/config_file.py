"""The configuration file: TOML, read whole and replaced whole.

Invariant: at every moment the file is the old one or the new one, never half of one, and a key that
this version does not know survives a change, as do comments and the order of what is there. It must
not know what a setting means; settings.py checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import aiofiles
import aiofiles.os
import tomli_w

from engine.errors import SettingsError, SourceError, StorageError
from engine.settings import Layer, Origin, check
from engine.storage.small_file import read_small_file

MAX_CONFIG_BYTES = 1024 * 1024
MAX_SECRET_BYTES = 64 * 1024
_NEW_FILE_MODE = 0o600

Table = dict[str, Any]


def default_config_path(environ: Mapping[str, str]) -> Path:
    """$SEEDWRIGHT_CONFIG, else seedwright/config.toml in $XDG_CONFIG_HOME or ~/.config. Raises
    SettingsError."""
    if chosen := environ.get("SEEDWRIGHT_CONFIG"):
        return Path(chosen)
    base = environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base, "seedwright", "config.toml")
    try:
        return Path.home() / ".config" / "seedwright" / "config.toml"
    except RuntimeError as error:
        raise SettingsError("no home folder is known: set HOME or SEEDWRIGHT_CONFIG") from error


async def read_config(path: Path, *, must_exist: bool = False) -> Table:
    """Return what the file says; a file that is not there says nothing unless it `must_exist`.
    Raises SettingsError: unreadable, too large, no TOML."""
    _, table = await _read(path, must_exist=must_exist)
    return table


async def _read(path: Path, *, must_exist: bool = False) -> tuple[str, Table]:
    """Return the text and what it says."""
    try:
        async with aiofiles.open(path, "rb") as file:
            data = await file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        if must_exist:
            raise SettingsError(f"there is no configuration file {path}") from error
        return "", {}
    except OSError as error:
        raise SettingsError(f"reading {path}: {error.strerror or error}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise SettingsError(f"{path} has more than {MAX_CONFIG_BYTES} bytes")
    try:
        text = data.decode()
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error


async def read_drop_ins(path: Path) -> list[tuple[str, Table]]:
    """Return (name, what it says) of the files beside the configuration file that add to it: all of
    config.d/*.toml for config.toml, by name. Raises SettingsError."""
    folder = path.with_suffix(".d")
    try:
        names = sorted(await asyncio.to_thread(os.listdir, folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SettingsError(f"reading {folder}: {error.strerror or error}") from error
    found = [folder / name for name in names if name.endswith(".toml") and name[0] != "."]
    return [(str(file), await read_config(file, must_exist=True)) for file in found]


async def read_secrets(files: Mapping[str, str]) -> dict[str, str]:
    """Read the files that variables name: variable → contents without the last line's end. Raises
    SettingsError."""
    secrets = {}
    for variable, name in files.items():
        try:
            data = await asyncio.to_thread(read_small_file, name, MAX_SECRET_BYTES)
            secrets[variable] = data.decode().rstrip("\r\n")
        except (SourceError, UnicodeDecodeError) as error:
            why = error if isinstance(error, SourceError) else "it is no text"
            raise SettingsError(f"{variable}: reading {name}: {why}") from error
    return secrets


async def write_config(path: Path, text: str) -> None:
    """Replace the file (the target of a symlink, not the link), keeping its permissions; a new one
    is private. Raises StorageError."""
    try:
        target = Path(await asyncio.to_thread(os.path.realpath, path))
        await aiofiles.os.makedirs(target.parent, exist_ok=True)
        mode = _NEW_FILE_MODE
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE((await aiofiles.os.stat(target)).st_mode)
        new = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            async with aiofiles.open(new, "w", encoding="utf-8", newline="\n") as file:
                await asyncio.to_thread(os.fchmod, file.fileno(), mode)
                await file.write(text)
                await file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            await aiofiles.os.replace(new, target)
        except BaseException:
            with contextlib.suppress(OSError):
                await aiofiles.os.unlink(new)
            raise
    except OSError as error:
        raise StorageError.from_os_error(error, f"writing {path}") from error


async def change_config(path: Path, values: Mapping[str, object]) -> None:
    """Set `section.key`s in the file to values as settings.py takes them; None takes one out. What
    else is there stays. Raises SettingsError, StorageError, and then nothing was changed."""
    text, table = await _read(path)
    changes: list[_Change] = []
    for key, value in values.items():
        section, _, name = key.partition(".")
        group = table.setdefault(section, {})
        if not isinstance(group, dict):
            raise SettingsError(f"{section} (file {path}): expected a table [{section}]")
        if value is None:
            group.pop(name, None)
            if not group:
                del table[section]
        else:
            check(key, value, Origin(Layer.FILE, str(path)))
            group[name] = str(value) if isinstance(value, Path) else value
        changes.append((section, name, group.get(name)))
    await write_config(path, _edited(text, changes, table) or tomli_w.dumps(table))


_Change: TypeAlias = tuple[str, str, Any]
"""Section, name, value or None."""


def _edited(text: str, changes: Sequence[_Change], table: Table) -> str | None:
    """Change what somebody wrote, comments and all, so that it says `table`; None where that cannot
    be done, or nobody wrote anything."""
    import tomlkit  # what only reads settings need not wait for it
    from tomlkit.exceptions import TOMLKitError

    if not text.strip():
        return None
    try:
        document = tomlkit.parse(text)
        for section, name, value in changes:
            if value is not None:
                document.setdefault(section, tomlkit.table())[name] = value
            elif section in document:
                group = document[section]
                group.pop(name, None)
                if not group and "#" not in group.as_string():
                    del document[section]
        text = document.as_string()
        said = tomllib.loads(text)
    except (TOMLKitError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    # A section of nothing but comments says nothing.
    for section in {section for section, *_ in changes if said.get(section) == {}}:
        del said[section]
    return text if said == table else None
