"""What people type or drop into a terminal when they mean a torrent: a path, a URL, a magnet link.

Terminals paste a dropped file quoted, with backslashes, or as a file: URL. Pure but for `~` and the
working directory; nothing is opened here.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from engine.errors import SourceError

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def _unquoted(text: str) -> str:
    """Undo a shell's quoting when that leaves one word; else take the text as it is."""
    if not any(mark in text for mark in "'\"\\"):
        return text
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    return words[0] if len(words) == 1 else text


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise SourceError(f"{text}: there is no such user") from error
    except FileNotFoundError as error:
        raise SourceError(
            f"{text}: the folder to start from is gone; name the whole path"
        ) from error


def source_of(text: str) -> str | Path:
    """An http(s) URL, a magnet link (the engine reads it), or the absolute path of a file. Raises
    SourceError."""
    asked = text.strip()
    if not asked:
        raise SourceError("name a .torrent file, an http(s) URL or a magnet link")
    try:
        return _meant_by(asked)
    except ValueError as error:  # of urlsplit: brackets around what is no address
        raise SourceError(f"{asked}: {error}") from error


def _meant_by(asked: str) -> str | Path:
    if _unquoted(asked).casefold().startswith("magnet:"):
        return _unquoted(asked)
    if asked.casefold().startswith(("http://", "https://")):
        if not urlsplit(asked).hostname:
            raise SourceError(f"{asked} names no host")
        return asked
    if asked.casefold().startswith("file://"):
        return Path(unquote(urlsplit(asked).path))
    if _SCHEME.match(asked) and "://" in asked:
        raise SourceError(f"{asked.partition(':')[0]}: is no scheme that can be fetched; use http")
    return _path(_unquoted(asked))


def save_folder(text: str, *, is_here: bool = True) -> str | None:
    """The absolute folder to save into; None when nothing is said. Of an engine that is not here
    nothing is known of its folders: the whole path must be said. Raises SourceError."""
    asked = text.strip()
    if not asked:
        return None
    if is_here:
        return str(_path(_unquoted(asked)))
    if not _unquoted(asked).startswith("/"):
        raise SourceError(f"{asked}: name the whole path, as it is where the engine runs")
    return _unquoted(asked)
