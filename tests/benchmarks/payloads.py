"""What is transferred: random files made once a run, and their torrents."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.core import bencode
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.storage.creator import create

KIB = 1024
MIB = 1024 * 1024
GIB = 1024 * MIB
SMALL_FILE_BYTES = 16 * KIB
SMALL_TORRENT_BYTES = 64 * KIB
_WRITE_BYTES = 8 * MIB
_FILES_IN_FOLDER = 100
_MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Payload:
    """Data in `folder` and a torrent of it without trackers."""

    folder: Path
    torrent: Path
    metainfo: Metainfo

    @property
    def size(self) -> int:
        return self.metainfo.info.total_length

    @property
    def info_hash(self) -> InfoHash:
        return self.metainfo.info_hash

    def is_copy(self, folder: Path) -> bool:
        """Compare what a client made in `folder` with the hashes, piece by piece."""
        info = self.metainfo.info
        index, piece = 0, hashlib.sha1(usedforsecurity=False)
        room = info.piece_length
        for file in info.files:
            path = folder.joinpath(*file.path)
            left = file.length
            try:
                with path.open("rb") as data:
                    while left:
                        block = data.read(min(room, left, MIB))
                        if not block:
                            return False
                        piece.update(block)
                        left -= len(block)
                        room -= len(block)
                        if not room:
                            if piece.digest() != info.piece_hash(index):
                                return False
                            index += 1
                            piece, room = hashlib.sha1(usedforsecurity=False), info.piece_length
            except OSError:
                return False
        return room == info.piece_length or piece.digest() == info.piece_hash(index)


class Payloads:
    """Makes payloads when they are first asked for, and keeps them for the run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[object, ...], Payload] = {}

    def one_file(self, size: int, piece_length: int) -> Payload:
        folder = self._folder / f"one-{size}"
        data = folder / "payload.bin"
        if not data.exists():
            folder.mkdir(parents=True)
            with data.open("wb") as file:
                for at in range(0, size, _WRITE_BYTES):
                    file.write(os.urandom(min(_WRITE_BYTES, size - at)))
        return self._describe(data, piece_length)

    def many_files(self, count: int, piece_length: int) -> Payload:
        top = self._folder / f"many-{count}" / "files"
        if not top.exists():
            for number in range(count):
                folder = top / f"{number // _FILES_IN_FOLDER:04}"
                if not number % _FILES_IN_FOLDER:
                    folder.mkdir(parents=True)
                (folder / f"{number:06}.bin").write_bytes(os.urandom(SMALL_FILE_BYTES))
        return self._describe(top, piece_length)

    def small_torrents(self, count: int) -> tuple[Path, Path]:
        """Return (folder of .torrent files, folder of their data)."""
        torrents = self._folder / f"small-{count}" / "torrents"
        data = self._folder / f"small-{count}" / "data"
        if not torrents.exists():
            torrents.mkdir(parents=True)
            data.mkdir()
            for number in range(count):
                content = os.urandom(SMALL_TORRENT_BYTES)
                name = f"small {number:06}.bin"
                (data / name).write_bytes(content)
                pieces = b"".join(
                    hashlib.sha1(content[at : at + 16 * KIB]).digest()
                    for at in range(0, len(content), 16 * KIB)
                )
                info: dict[str, bencode.Encodable] = {
                    "length": len(content),
                    "name": name,
                    "piece length": 16 * KIB,
                    "pieces": pieces,
                }
                (torrents / f"{number:06}.torrent").write_bytes(bencode.encode({"info": info}))
        return torrents, data

    def copy_to(self, payload: Payload, folder: Path) -> Payload:
        """Copy a payload's data to another file system."""
        if not folder.exists():
            shutil.copytree(payload.folder, folder)
        return Payload(folder, payload.torrent, payload.metainfo)

    def _describe(self, data: Path, piece_length: int) -> Payload:
        key = (data, piece_length)
        if key not in self._made:
            metainfo = create(data, piece_length=piece_length)
            torrent = self._folder / f"{metainfo.info_hash.hex()}.torrent"
            torrent.write_bytes(b"d4:info%be" % metainfo.info.raw)
            self._made[key] = Payload(data.parent, torrent, metainfo)
        return self._made[key]


def with_tracker(torrent: Path, url: str, folder: Path) -> Path:
    """Write a torrent with a tracker into `folder`; the info-hash stays."""
    info = Metainfo.parse(torrent.read_bytes()).info
    tracked = folder / f"{info.info_hash.hex()}.torrent"
    tracked.write_bytes(b"d8:announce%d:%b4:info%be" % (len(url), url.encode(), info.raw))
    return tracked


def room_for(needed_bytes: int, folder: Path) -> bool:
    """True if a folder's file system, and for one in memory the memory too, has so much left."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    wanted = needed_bytes * _MARGIN
    if shutil.disk_usage(folder).free < wanted:
        return False
    if folder != Path("/dev/shm"):
        return True
    return available_bytes() > wanted + GIB


def available_bytes() -> int:
    """Return how much memory the kernel could give to new work."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * KIB
    return 0
