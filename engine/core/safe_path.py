"""Names from the network → relative paths that cannot leave their folder or surprise a file system.

A torrent names its files itself (BEP 3); this module refuses the names that would climb (`..`),
start anywhere else (absolute, drive letters), hide a separator, collide, or that some file system
cannot hold. Refusing beats renaming: the same torrent means the same files everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from engine.errors import UnsafePathError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 2048
MAX_DEPTH = 64
_SHALLOW = 8
_FILES_PER_FOLDER = 4
"""Up to so many elements, and from so many files in each, all folders of a torrent take little
memory at a time."""

_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""All of Unicode's control characters (category Cc)."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9]) *(\.|$)", re.IGNORECASE)
"""Device names on Windows shares; a file of such a name cannot be opened there."""
_PLAIN = re.compile(
    rb"(?!con|prn|aux|nul|com[1-9]|lpt[1-9])[0-9a-z_][ 0-9a-z_()\[\].,&+'-]{0,99}", re.IGNORECASE
)
"""What nearly all names look like; nothing that is refused does."""
_PART_FILE = re.compile(r"\.([0-9a-f]{40}|[0-9a-f]{64})\.parts")
"""What the save path holds beside the files of torrents (storage/part_file.py)."""

_BORDER = "\0"
"""Between elements; no name has one, and it sorts before whatever a name has."""


def safe_name(raw: bytes) -> str:
    """Check one path element. Raises UnsafePathError."""
    if _PLAIN.fullmatch(raw):
        return raw.decode()
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise UnsafePathError(f"file name {raw[:60]!r} is not UTF-8") from error
    if not name:
        raise UnsafePathError("empty file name")
    if name in (".", ".."):
        raise UnsafePathError(f"file name {name!r} would leave its folder")
    if "/" in name or "\\" in name:
        raise UnsafePathError(f"file name {name[:60]!r} hides a path")
    if _HIDDEN.search(name):
        raise UnsafePathError(f"file name {name[:60]!r} has control characters")
    if len(name) >= 2 and name[0].isalpha() and name[1] == ":" and name[0].isascii():
        raise UnsafePathError(f"file name {name[:60]!r} begins with a drive")
    if len(raw) > MAX_NAME_BYTES:
        raise UnsafePathError(f"file name {name[:40]!r}… has more than {MAX_NAME_BYTES} bytes")
    if _RESERVED.match(name):
        raise UnsafePathError(f"file name {name!r} is reserved on some systems")
    return name


def safe_torrent_name(raw: bytes) -> str:
    """Check the name of a torrent, the first element of all of its paths. Raises UnsafePathError.

    It is no place where the engine keeps something of another torrent."""
    name = safe_name(raw)
    if _PART_FILE.fullmatch(name.casefold()):
        raise UnsafePathError(f"the name {name!r} is that of a part file")
    return name


def safe_path(raw: Sequence[bytes]) -> tuple[str, ...]:
    """Check a path of one or more elements. Raises UnsafePathError."""
    path = tuple(map(safe_name, raw))
    if not path:
        raise UnsafePathError("empty path")
    if len(path) > MAX_DEPTH:
        raise UnsafePathError(f"path of {len(path)} folders, more than {MAX_DEPTH}")
    if sum(map(len, raw)) + len(raw) - 1 > MAX_PATH_BYTES:
        raise UnsafePathError(f"path of more than {MAX_PATH_BYTES} bytes: {path[0][:40]!r}…")
    return path


def check_distinct(paths: Iterable[tuple[str, ...]]) -> None:
    """Refuse two files of one name, also where case is folded, and a file that is also a folder."""
    paths = list(paths)
    parents = {path[:-1] for path in paths}
    has_few = len(parents) <= len(paths) // _FILES_PER_FOLDER + 1
    if has_few and max(map(len, paths), default=0) <= _SHALLOW and _is_distinct(paths, parents):
        return
    folded = sorted((_folded(path), path) for path in paths)
    for (first, _), (second, path) in pairwise(folded):
        if first == second:
            raise UnsafePathError(f"two files of the name {'/'.join(path)!r}")
        # In this order whatever lies below `first` follows it at once.
        if second.startswith(first + _BORDER):
            depth = first.count(_BORDER) + 1
            raise UnsafePathError(f"{'/'.join(path[:depth])!r} is a file and a folder")


def _is_distinct(paths: Sequence[tuple[str, ...]], parents: AbstractSet[tuple[str, ...]]) -> bool:
    """Tell quickly what sorting them would; every folder is held meanwhile."""
    files = set(map(_folded, paths))
    folders = {path[:depth] for path in parents for depth in range(1, len(path) + 1)}
    return len(files) == len(paths) and files.isdisjoint(map(_folded, folders))


def _folded(path: tuple[str, ...]) -> str:
    joined = _BORDER.join(path)
    if joined.isascii():
        return joined.lower()
    return unicodedata.normalize("NFC", joined).casefold()
