"""Where the control socket is, and who may have it: one engine a path, nobody else's files harmed.

Invariant: while a Claim is held, no other engine binds its path, even when both start at once; the
kernel gives it up with the process, so a kill leaves nothing that needs cleaning by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ControlError, EngineUnreachable

MAX_PATH_BYTES = 107
"""What a Unix socket address holds on Linux (on macOS 103)."""
_PROBE_TIMEOUT_S = 1.0


def default_socket_path(environ: Mapping[str, str]) -> Path:
    """engine.sock in $XDG_RUNTIME_DIR/seedwright, or in the state folder where there is none.
    Raises ControlError."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime, "seedwright") if os.path.isabs(runtime) else default_state_dir(environ)
    return folder / "engine.sock"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """$XDG_STATE_HOME/seedwright, or ~/.local/state/seedwright. Raises ControlError."""
    state = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state, "seedwright")
    try:
        return Path.home() / ".local" / "state" / "seedwright"
    except RuntimeError as error:
        raise ControlError("no home folder is known: set HOME or XDG_STATE_HOME") from error


def dial(path: Path) -> socket.socket:
    """Return a blocking connection to the engine at `path`. Raises EngineUnreachable."""
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        dialled.connect(os.fspath(path))
    except OSError as error:
        dialled.close()
        raise unreachable(path, error) from error
    return dialled


def unreachable(path: Path, error: OSError) -> EngineUnreachable:
    """What it means that a connection to `path` failed so."""
    if isinstance(error, TimeoutError):
        return EngineUnreachable(f"the engine at {path} is too busy to answer")
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return EngineUnreachable(f"no engine runs at {path}")
    return EngineUnreachable(f"cannot reach an engine at {path}: {error.strerror or error}")


class Claim:
    """The right to serve at a path: a lock held on `<path>.lock`."""

    def __init__(self, path: Path) -> None:
        """Take the path. Raises ControlError: an engine runs there, something that is no socket is
        there, the path is too long or not permitted."""
        self.path = path
        self._bound: tuple[int, int] | None = None
        """Identity of our socket; the inode alone may be used again after an unlink."""
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise ControlError(f"a socket's path has at most {MAX_PATH_BYTES} bytes: {path}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(
                path.with_name(path.name + ".lock"),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
        except OSError as error:
            raise ControlError(f"cannot serve at {path}: {error.strerror or error}") from error
        try:
            self._take_over()
        except BaseException:
            os.close(self._lock)
            raise

    def bind(self) -> socket.socket:
        """Return a socket bound at the path, mode 0600, not yet listening. Raises ControlError."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.bind(os.fspath(self.path))
            # Nobody can connect before listen, so there is no moment with other permissions.
            os.chmod(self.path, 0o600)
            self._bound = _identity(self.path)
        except OSError as error:
            bound.close()
            raise ControlError(f"cannot serve at {self.path}: {error.strerror or error}") from error
        return bound

    def release(self) -> None:
        """Remove the socket, if it is still ours, and give up the path."""
        if self._bound is not None:
            with contextlib.suppress(OSError):
                if _identity(self.path) == self._bound:
                    self.path.unlink()
            self._bound = None
        os.close(self._lock)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take_over(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._lock, 20, 0).decode(errors="replace").strip()
            who = f"an engine (process {owner})" if owner else "an engine"
            raise ControlError(f"{who} is already running at {self.path}") from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ControlError(f"{self.path} is there and is no socket")
        if _is_answered(self.path):
            raise ControlError(f"something is already running at {self.path}")
        self.path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # not ours to judge, so not ours to remove
        return True
