"""The folder of a run, and those that runs which were killed have left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_PREFIX: Final = "seedwright-swarm-"
_OWNER: Final = "owner"
_ENGINES: Final = "engines"
_MEMORY: Final = Path("/dev/shm")


@contextlib.contextmanager
def made(needed_bytes: int, scenario: str) -> Iterator[Path]:
    """A folder that goes when the run ends; in memory if there is room, so that no disk is what is
    measured."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_place_for(needed_bytes)))
    (folder / _OWNER).write_text(f"{os.getpid()} {_began_at(os.getpid())}\n{scenario}\n")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def running() -> list[tuple[Path, str]]:
    """Folders of runs that go on, and the names of their scenarios; the youngest first."""
    alive = [folder for folder in _all() if _is_alive(folder)]
    alive.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    return [(folder, (folder / _OWNER).read_text().splitlines()[1]) for folder in alive]


def note_engines(folder: Path, sockets: Sequence[Path]) -> None:
    """Write down where the engines of a run are to be, also of those who join later."""
    (folder / _ENGINES).write_text("".join(f"{socket}\n" for socket in sockets))


def engines(folder: Path) -> list[Path]:
    """Their sockets; none while the run has not come so far."""
    try:
        return [Path(line) for line in (folder / _ENGINES).read_text().splitlines()]
    except FileNotFoundError:
        return []


def left_behind() -> list[Path]:
    """Folders whose run is no more."""
    return [folder for folder in _all() if not _is_alive(folder)]


def _place_for(needed_bytes: int) -> Path:
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > 2 * needed_bytes:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _all() -> list[Path]:
    places = {_MEMORY, Path(tempfile.gettempdir())}
    return [
        folder
        for place in places
        for folder in place.glob(f"{_PREFIX}*")
        if (folder / _OWNER).exists()
    ]


def _is_alive(folder: Path) -> bool:
    try:
        pid, began = (folder / _OWNER).read_text().split()[:2]
    except (OSError, ValueError):
        return True  # just being made
    return _began_at(int(pid)) == began


def _began_at(pid: int) -> str:
    """When a process began, in ticks; ids are given out again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "never"
