"""Paths below a folder, walked one element at a time so that no symbolic link leads out of it.

Invariant: nothing here follows a symbolic link below the folder, whoever put it there and when; the
folder itself may be one, since the user chose it. Raises bare OSError: filesystem.py translates.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import stat
from collections.abc import Generator, Iterable

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | _CLOEXEC
_WALK = _LOOK | os.O_NOFOLLOW
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | _CLOEXEC
"""Non-blocking matters for what is no regular file: opening a FIFO must not hang."""
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _CLOEXEC

Path = tuple[str, ...]


class SymlinkRefusedError(PermissionError):
    """A symbolic link stands where a file or a folder belongs."""


class SaveFolder:
    """Operations on relative paths of safe elements (core/safe_path.py) below `path`."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def full_path(self, path: Path) -> str:
        return os.path.join(self.path, *path)

    def culprit(self, path: Path, error: OSError) -> str:
        """Return the whole path of what an error is about: of the file itself, or of what leads
        there and is no folder, or one that may not be entered. Costs a look at each."""
        whole = self.full_path(path)
        if error.errno in (errno.ENOTDIR, errno.EACCES):
            with contextlib.suppress(OSError):  # not even that may be asked
                for above in reversed(pathlib.Path(whole).parents):
                    if above.exists() and not (above.is_dir() and os.access(above, os.X_OK)):
                        return str(above)
        return whole

    def open_file(self, path: Path, *, writable: bool, mode: int = 0o666) -> int:
        """Open a regular file; for writing it and its folders are made if they are missing."""
        flags = _OPEN | (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY)
        folder, name = self._parent(path, make=writable)
        try:
            fd = os.open(name, flags, mode, dir_fd=folder)
        except OSError as error:
            _refuse_symlink(error, folder, name)
            raise
        finally:
            _close(folder)
        try:
            refuse_irregular(os.fstat(fd).st_mode, name)
        except OSError:
            os.close(fd)
            raise
        return fd

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, as far as they are missing."""
        os.close(self.enter(path))

    def enter(self, path: Path) -> int:
        """Return a descriptor of a folder, to be closed by the caller; it and those above it are
        made if they are missing, but for the save folder itself, which has no elements."""
        if not path:
            return os.open(self.path, _WALK & ~os.O_NOFOLLOW)
        fd, _ = self._parent((*path, ""), make=True)
        assert fd is not None
        return fd

    def make_symlink(self, path: Path, target: Path) -> None:
        """Make a relative link to `target`, a path below the folder, unless the name is taken."""
        relative = os.path.relpath(os.path.join(*target), os.path.join(*path[:-1], ""))
        folder, name = self._parent(path, make=True)
        try:
            with contextlib.suppress(FileExistsError):
                os.symlink(relative, name, dir_fd=folder)
        finally:
            _close(folder)

    def lstat(self, path: Path) -> os.stat_result:
        return os.lstat(self.full_path(path))

    def lstat_in(
        self, folder: Path, names: Iterable[str]
    ) -> Generator[os.stat_result | None, None, None]:
        """Yield what `lstat` finds of each name in a folder, None where that fails; kept by nobody
        here. The way to the folder is walked once; it is open until the generator ends."""
        try:
            above = os.open(self.full_path(folder), _LOOK)
        except (FileNotFoundError, NotADirectoryError):
            for _ in names:
                yield None
            return
        except OSError:  # no descriptor is left: the long way
            above = None
        try:
            for name in names:
                try:
                    if above is None:
                        yield self.lstat((*folder, name))
                    else:
                        yield os.lstat(name, dir_fd=above)
                except OSError:
                    yield None
        finally:
            _close(above)

    def remove_file(self, path: Path, *, is_symlink: bool = False) -> None:
        """Remove a regular file (or a link, if that is what belongs there) that may be missing.

        What lies behind a link that others put there is not ours, and stays.
        """
        belongs = stat.S_ISLNK if is_symlink else stat.S_ISREG
        with contextlib.suppress(FileNotFoundError, SymlinkRefusedError):
            folder, name = self._parent(path)
            try:
                if belongs(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=folder)
            finally:
                _close(folder)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder if it is there and empty."""
        try:
            folder, name = self._parent(path)
            try:
                os.rmdir(name, dir_fd=folder)
            finally:
                _close(folder)
        except SymlinkRefusedError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _parent(self, path: Path, *, make: bool = False) -> tuple[int | None, str]:
        """Walk to the folder of `path`; return its descriptor, to be closed, and the last element.

        With one element the folder is the save folder itself: None and a full path are returned,
        which O_NOFOLLOW guards as well and which saves a system call.
        """
        if len(path) == 1:
            return None, f"{self.path}/{path[0]}"
        fd = _enter(f"{self.path}/{path[0]}", None, make)
        for name in path[1:-1]:
            above = fd
            try:
                fd = _enter(name, above, make)
            finally:
                os.close(above)
        return fd, path[-1]


def refuse_irregular(mode: int, name: str) -> None:
    """Raise OSError for what cannot be the contents of a file."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISLNK(mode):
        raise _link_refused(name)
    raise OSError(errno.EPERM, "not a regular file")


class FileMaker:
    """Makes files in one folder, many in a row: they share the walk to it. Use it as a context
    manager, and briefly: from the beginning it holds that folder open. HOT."""

    __slots__ = ("_fd",)

    def __init__(self, folder: SaveFolder, path: Path) -> None:
        self._fd = folder.enter(path)

    def __enter__(self) -> FileMaker:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def make(self, name: str, mode: int) -> int | None:
        """Make a file and open it for writing; None if something has that name already."""
        try:
            return os.open(name, _MAKE, mode, dir_fd=self._fd)
        except FileExistsError:
            return None


def _enter(name: str, above: int | None, make: bool) -> int:
    try:
        return os.open(name, _WALK, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        _refuse_symlink(error, above, name)
        raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    try:
        return os.open(name, _WALK, dir_fd=above)
    except OSError as error:
        _refuse_symlink(error, above, name)
        raise


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def _refuse_symlink(error: OSError, above: int | None, name: str) -> None:
    """Raise one error that says so for the odd ones that refused links give; return on others."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        return
    try:
        found = os.stat(name, dir_fd=above, follow_symlinks=False)
    except OSError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise _link_refused(name) from error


def _link_refused(name: str) -> SymlinkRefusedError:
    what = f"{os.path.basename(name)!r} is a symbolic link, not followed"
    return SymlinkRefusedError(errno.EPERM, what)
