"""Paths below a folder, walked one element at a time so that no symbolic link leads out of it.

Invariant: nothing here follows a symbolic link below the folder, whoever put it there and when; the
folder itself may be one, since the user chose it. Raises bare OSError: filesystem.py translates.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | _CLOEXEC
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | _CLOEXEC
"""Non-blocking matters for what is no regular file: opening a FIFO must not hang."""

Path = tuple[str, ...]


class SaveFolder:
    """Operations on relative paths of safe elements (core/safe_path.py) below `path`."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def full_path(self, path: Path) -> str:
        return os.path.join(self.path, *path)

    def open_file(self, path: Path, *, writable: bool, mode: int = 0o666) -> int:
        """Open a regular file; for writing it and its folders are made if they are missing."""
        flags = _OPEN | (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY)
        with self._parent(path, make=writable) as (folder, name), _naming_symlinks(folder, name):
            fd = os.open(name, flags, mode, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EPERM, "not a regular file")
        except OSError:
            os.close(fd)
            raise
        return fd

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, as far as they are missing."""
        with self._parent((*path, ""), make=True):
            pass

    def make_symlink(self, path: Path, target: Path) -> None:
        """Make a relative link to `target`, a path below the folder, unless the name is taken."""
        relative = os.path.relpath(os.path.join(*target), os.path.join(*path[:-1], ""))
        with (
            self._parent(path, make=True) as (folder, name),
            contextlib.suppress(FileExistsError),
        ):
            os.symlink(relative, name, dir_fd=folder)

    def lstat(self, path: Path) -> os.stat_result:
        return os.lstat(self.full_path(path))

    def remove_file(self, path: Path, *, is_symlink: bool = False) -> None:
        """Remove a regular file (or a link, if that is what belongs there) that may be missing."""
        belongs = stat.S_ISLNK if is_symlink else stat.S_ISREG
        with (
            contextlib.suppress(FileNotFoundError),
            self._parent(path) as (folder, name),
        ):
            if belongs(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=folder)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder if it is there and empty."""
        try:
            with self._parent(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise

    @contextmanager
    def _parent(self, path: Path, *, make: bool = False) -> Iterator[tuple[int | None, str]]:
        """Walk to the folder of `path`; yield its descriptor and the last element.

        With one element the folder is the save folder itself: None and a full path are yielded,
        which O_NOFOLLOW guards as well and which saves a system call.
        """
        if len(path) == 1:
            yield None, os.path.join(self.path, path[0])
            return
        fd: int | None = None
        try:
            for depth, name in enumerate(path[:-1]):
                above = fd
                step = os.path.join(self.path, name) if depth == 0 else name
                try:
                    fd = _enter(step, above, make)
                finally:
                    if above is not None and above != fd:
                        os.close(above)
            yield fd, path[-1]
        finally:
            if fd is not None:
                os.close(fd)


def _enter(name: str, above: int | None, make: bool) -> int:
    with _naming_symlinks(above, name):
        try:
            return os.open(name, _WALK, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return os.open(name, _WALK, dir_fd=above)


@contextmanager
def _naming_symlinks(above: int | None, name: str) -> Iterator[None]:
    """Turn the odd errors that refused links give into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and _is_symlink(name, above):
            raise PermissionError(
                errno.EPERM, f"{os.path.basename(name)!r} is a symbolic link, not followed"
            ) from error
        raise


def _is_symlink(name: str, above: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
    except OSError:
        return False
