"""Content to transfer and its torrent, made without the engine's own creator."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.core import bencode

PIECE_LENGTH = 32 * 1024
MANY_FILES = {
    ("readme.txt",): 1,
    ("empty",): 0,
    ("disc 1", "track 01.bin"): 700_001,
    ("disc 1", "träck 02.bin"): 16_384,
    ("disc 2", "track 01.bin"): 32_768 * 9,
    ("disc 2", "bonus", "映画 🎬", "ünï.bin"): 12_345,
}
"""Edges: one byte, nothing at all, a block, whole pieces, a file that ends inside a piece."""


@dataclass(frozen=True, slots=True)
class Content:
    """One torrent's worth of files."""

    torrent: bytes
    name: str
    files: dict[tuple[str, ...], bytes]
    """Content by path below the save path."""

    def write(self, save_path: Path) -> Path:
        """Put the files where a client that seeds them expects them; returns the save path."""
        for path, data in self.files.items():
            at = save_path.joinpath(*path)
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(data)
        return save_path

    def check(self, save_path: Path, *, empty_files: bool = True) -> None:
        """Assert that what lies below the save path is this content, byte for byte."""
        for path, data in self.files.items():
            if not data and not empty_files:
                continue
            at = save_path.joinpath(*path)
            assert at.is_file(), f"{at} is missing"
            assert at.read_bytes() == data, f"{at} differs"


def single_file(trackers: Sequence[str], *, size_bytes: int = 1_500_000, seed: int = 1) -> Content:
    """One file that ends in the middle of a block."""
    data = random.Random(seed).randbytes(size_bytes)
    info: dict[str, bencode.Encodable] = {"length": size_bytes}
    return _content(f"single {seed}.bin", {(): data}, info, trackers)


def many_files(trackers: Sequence[str], *, seed: int = 2) -> Content:
    """Files in folders, of all edge sizes."""
    rng = random.Random(seed)
    files = {path: rng.randbytes(size) for path, size in MANY_FILES.items()}
    listed = [{"length": len(data), "path": list(path)} for path, data in files.items()]
    return _content(f"many {seed}", files, {"files": listed}, trackers)


def _content(
    name: str,
    files: dict[tuple[str, ...], bytes],
    info: dict[str, bencode.Encodable],
    trackers: Sequence[str],
) -> Content:
    whole = b"".join(files.values())
    hashes = [
        hashlib.sha1(whole[at : at + PIECE_LENGTH]).digest()
        for at in range(0, len(whole), PIECE_LENGTH)
    ]
    info |= {"name": name, "piece length": PIECE_LENGTH, "pieces": b"".join(hashes)}
    top: dict[str, bencode.Encodable] = {"info": info}
    if trackers:
        top |= {"announce": trackers[0], "announce-list": [[url] for url in trackers]}
    return Content(
        torrent=bencode.encode(top),
        name=name,
        files={(name, *path): data for path, data in files.items()},
    )
