"""Names from the network → relative paths that cannot leave their folder or surprise a file system.

A torrent names its files itself (BEP 3); this module refuses the names that would climb (`..`),
start anywhere else (absolute, drive letters), hide a separator, collide, or that some file system
cannot hold. Refusing beats renaming: the same torrent means the same files everywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from engine.errors import UnsafePathError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 2048
MAX_DEPTH = 64

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
"""Device names on Windows shares; a file of such a name cannot be opened there."""


def safe_name(raw: bytes) -> str:
    """Check one path element. Raises UnsafePathError."""
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
    if any(unicodedata.category(char) == "Cc" for char in name):
        raise UnsafePathError(f"file name {name[:60]!r} has control characters")
    if len(name) >= 2 and name[0].isalpha() and name[1] == ":" and name[0].isascii():
        raise UnsafePathError(f"file name {name[:60]!r} begins with a drive")
    if len(raw) > MAX_NAME_BYTES:
        raise UnsafePathError(f"file name {name[:40]!r}… has more than {MAX_NAME_BYTES} bytes")
    if name.partition(".")[0].rstrip(" ").casefold() in _RESERVED:
        raise UnsafePathError(f"file name {name!r} is reserved on some systems")
    return name


def safe_path(raw: Iterable[bytes]) -> tuple[str, ...]:
    """Check a path of one or more elements. Raises UnsafePathError."""
    path = tuple(safe_name(name) for name in raw)
    if not path:
        raise UnsafePathError("empty path")
    if len(path) > MAX_DEPTH:
        raise UnsafePathError(f"path of {len(path)} folders, more than {MAX_DEPTH}")
    if len("/".join(path).encode()) > MAX_PATH_BYTES:
        raise UnsafePathError(f"path of more than {MAX_PATH_BYTES} bytes: {path[0][:40]!r}…")
    return path


def check_distinct(paths: Iterable[tuple[str, ...]]) -> None:
    """Refuse two files of one name, also where case is folded, and a file that is also a folder."""
    folded = sorted((_folded(path), path) for path in paths)
    for (first, _), (second, path) in pairwise(folded):
        if first == second:
            raise UnsafePathError(f"two files of the name {'/'.join(path)!r}")
        # In this order whatever lies below `first` follows it at once.
        if second[: len(first)] == first:
            raise UnsafePathError(f"{'/'.join(path[: len(first)])!r} is a file and a folder")


def _folded(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", name).casefold() for name in path)
