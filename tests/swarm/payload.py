"""The content of a swarm on disk: made once, given to who begins with all, compared in the end."""

from __future__ import annotations

import filecmp
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.demo import write_content
from engine.storage.creator import create
from tests.swarm.scenario import Payload

NAME: Final = "payload"
_FLIP_EVERY: Final = 32 * 1024
"""A corrupter's copy has a wrong byte in every second block."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is published."""

    folder: Path
    """That which holds the torrent's file or folder."""
    torrent: bytes
    unannounced: bytes
    """The same torrent for those who are told no tracker."""
    info_hash: str
    announce: str | None

    def magnet(self, *, told: bool) -> str:
        """The link of it; who is `told` learns the tracker from it."""
        tracker = f"&tr={quote(self.announce, safe='')}" if told and self.announce else ""
        return f"magnet:?xt=urn:btih:{self.info_hash}{tracker}"

    @property
    def paths(self) -> list[Path]:
        """Of all files, below the folder."""
        top = self.folder / NAME
        found = [top] if top.is_file() else sorted(path for path in top.rglob("*"))
        return [path.relative_to(self.folder) for path in found if path.is_file()]

    def is_equal(self, other: Path) -> bool:
        """True if that folder holds the same. Reads everything."""
        return all(
            (other / path).is_file()
            and filecmp.cmp(self.folder / path, other / path, shallow=False)
            for path in self.paths
        )

    def copy(self, to: Path, behaviour: str) -> None:
        """Give somebody all of it, in the state in which one of that behaviour has it."""
        to.mkdir(parents=True, exist_ok=True)
        for path in self.paths:
            target = to / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if behaviour == "liar":
                target.touch()
                os.truncate(target, (self.folder / path).stat().st_size)
            else:
                shutil.copyfile(self.folder / path, target)
            if behaviour == "corrupter":
                _corrupt(target)


def make(folder: Path, payload: Payload, announce: str | None) -> Content:
    """Write the content below `folder` and describe it."""
    top = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    if payload.files == 1:
        write_content(top, payload.size, seed=NAME)
    else:
        top.mkdir()
        share, rest = divmod(payload.size, payload.files)
        for number in range(payload.files):
            size = share + (rest if number == 0 else 0)
            write_content(top / f"file-{number:05}.bin", size, seed=str(number))
    made = [
        create(
            top, piece_length=payload.piece_length, private=payload.is_private, trackers=trackers
        )
        for trackers in ([[announce]] if announce else [], [])
    ]
    return Content(folder, made[0].encode(), made[1].encode(), made[0].info_hash.hex(), announce)


def make_small(folder: Path, name: str, announce: str) -> bytes:
    """Describe a torrent of a few bytes that nobody else has."""
    folder.mkdir(parents=True, exist_ok=True)
    write_content(folder / name, 16, seed=name)
    return create(folder / name, trackers=[[announce]]).encode()


def _corrupt(path: Path) -> None:
    with path.open("r+b") as file:
        for at in range(0, path.stat().st_size, _FLIP_EVERY):
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 0xFF]))
