"""What is to be shared: a file or a folder on our own disk, walked in a fixed order (BEP 3, 47).

Invariant: the same tree gives the same list, sorted by path. A symbolic link inside the tree stays
a link if it leads to something inside (BEP 47); one that leads out of it stands for the file that
it leads to. Executable and hidden files are marked.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from engine.core import bencode
from engine.core.metainfo import MAX_FILES
from engine.core.safe_path import check_distinct, safe_path, safe_torrent_name
from engine.errors import SourceError


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to share: `path` below the shared folder, `real_path` where it is read."""

    path: tuple[str, ...]
    real_path: str
    length: int
    offset: int
    attributes: str
    """BEP 47: x executable, h hidden, l symbolic link."""
    target: tuple[str, ...]
    """Of a symbolic link: below the shared folder."""
    mtime_ns: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class SourceTree:
    """The files to share in their order. Implements the file pool's Opener."""

    def __init__(self, name: str, files: list[SourceFile], *, is_single_file: bool) -> None:
        self.name = name
        self.files = files
        self.is_single_file = is_single_file
        self.total_length = files[-1].end
        self._filled = [number for number, file in enumerate(files) if file.length]
        self._starts = [files[number].offset for number in self._filled]

    def file_at(self, offset: int) -> int:
        """Return the file that holds the byte at `offset` of the torrent."""
        return self._filled[bisect_right(self._starts, offset) - 1]

    def open_file(self, file: int, *, writable: bool) -> int:
        return os.open(self.files[file].real_path, os.O_RDONLY | os.O_CLOEXEC)

    def layout(self) -> dict[str, bencode.Encodable]:
        """Return what an info dictionary says about files."""
        if self.is_single_file:
            only = self.files[0]
            attributes = {"attr": only.attributes} if only.attributes else {}
            return {"length": only.length, **attributes}
        return {"files": [_entry(file) for file in self.files]}

    def check_unchanged(self) -> None:
        """Raise SourceError if a file is not as it was when the tree was walked."""
        for file in self.files:
            if "l" in file.attributes:
                continue
            try:
                found = os.stat(file.real_path)
            except OSError as error:
                raise SourceError(f"{file.real_path} vanished while it was read") from error
            if (found.st_size, found.st_mtime_ns) != (file.length, file.mtime_ns):
                raise SourceError(f"{file.real_path} changed while it was read")


def _entry(file: SourceFile) -> dict[str, bencode.Encodable]:
    entry: dict[str, bencode.Encodable] = {"length": file.length, "path": list(file.path)}
    if file.attributes:
        entry["attr"] = file.attributes
    if file.target:
        entry["symlink path"] = list(file.target)
    return entry


def scan(path: str, *, include_hidden: bool = True) -> SourceTree:
    """Walk what is to be shared. Raises SourceError, or UnsafePathError for a name nobody takes."""
    path = os.path.abspath(path)
    name = os.path.basename(path)
    if not name:
        raise SourceError("the root folder has no name to share it by")
    safe_torrent_name(os.fsencode(name))
    root = os.path.realpath(path)
    try:
        is_folder = stat.S_ISDIR(os.stat(root).st_mode)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    found = _walk(root, root, (), include_hidden) if is_folder else iter([_Found((name,), root)])
    files: list[SourceFile] = []
    offset = 0
    for item in sorted(found, key=lambda item: [os.fsencode(part) for part in item.path]):
        files.append(_describe(item, offset))
        offset = files[-1].end
        if len(files) > MAX_FILES:
            raise SourceError(f"{path} has more than {MAX_FILES} files")
    check_distinct(file.path for file in files)
    if not files:
        raise SourceError(f"{path} has no files in it")
    if not offset:
        raise SourceError(f"{path} has no bytes in it, so there is nothing to share")
    return SourceTree(name, files, is_single_file=not is_folder)


@dataclass(frozen=True, slots=True)
class _Found:
    path: tuple[str, ...]
    real_path: str
    target: tuple[str, ...] = ()


def _walk(root: str, folder: str, above: tuple[str, ...], include_hidden: bool) -> Iterator[_Found]:
    try:
        with os.scandir(folder) as listing:
            items = list(listing)
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}") from error
    for item in items:
        if not include_hidden and item.name.startswith("."):
            continue
        path = (*above, item.name)
        safe_path([os.fsencode(part) for part in path])
        if item.is_symlink():
            yield _resolve(root, path, item.path)
        elif item.is_dir(follow_symlinks=False):
            yield from _walk(root, item.path, path, include_hidden)
        else:
            yield _Found(path, item.path)


def _resolve(root: str, path: tuple[str, ...], link: str) -> _Found:
    """Keep a link that leads to something inside; take the file for one that leads out."""
    real = os.path.realpath(link)
    if real.startswith(root + os.sep) and os.path.exists(real):
        target = tuple(os.path.relpath(real, root).split(os.sep))
        safe_path([os.fsencode(part) for part in target])
        return _Found(path, link, target)
    if os.path.isfile(real):
        return _Found(path, real)
    raise SourceError(f"{link} is a symbolic link to {os.readlink(link)!r}, which is no file in it")


def _describe(item: _Found, offset: int) -> SourceFile:
    try:
        found = os.lstat(item.real_path)
    except OSError as error:
        raise SourceError(f"{item.real_path}: {error.strerror}") from error
    hidden = "h" if item.path[-1].startswith(".") else ""
    if item.target:
        return SourceFile(
            item.path, item.real_path, 0, offset, hidden + "l", item.target, found.st_mtime_ns
        )
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{item.real_path} is neither a file nor a folder")
    if not os.access(item.real_path, os.R_OK):
        raise SourceError(f"{item.real_path}: not permitted to read it")
    executable = "x" if found.st_mode & stat.S_IXUSR else ""
    return SourceFile(
        path=item.path,
        real_path=item.real_path,
        length=found.st_size,
        offset=offset,
        attributes=hidden + executable,
        target=(),
        mtime_ns=found.st_mtime_ns,
    )
