"""Torrents for the tests of the storage room: layouts → Info, and the bytes that belong to them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.core import bencode
from engine.core.metainfo import Info


@dataclass(frozen=True)
class Layout:
    """One file of a torrent that a test asks for."""

    name: str
    length: int = 0
    attr: str = ""
    symlink: str = ""

    def entry(self) -> dict[str, bencode.Encodable]:
        entry: dict[str, bencode.Encodable] = {
            "length": self.length,
            "path": self.name.split("/"),
        }
        if self.attr:
            entry["attr"] = self.attr
        if self.symlink:
            entry["symlink path"] = self.symlink.split("/")
        return entry


@dataclass(frozen=True)
class Sample:
    """A torrent and its content; pads are zeros."""

    info: Info
    data: bytes = field(repr=False)

    def piece(self, index: int) -> bytes:
        start = index * self.info.piece_length
        return self.data[start : start + self.info.geometry.piece_size(index)]

    def content_of(self, file: int) -> bytes:
        entry = self.info.files[file]
        return self.data[entry.offset : entry.end]

    def store(self, root: Path) -> None:
        """Put the right content below a save path, without the code under test."""
        for number, entry in enumerate(self.info.files):
            if entry.is_pad or entry.symlink:
                continue
            path = root.joinpath(*entry.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content_of(number))


def sample(
    files: Sequence[Layout] | int,
    piece_length: int = 16384,
    *,
    seed: int = 1,
    name: str = "t",
    is_private: bool = False,
) -> Sample:
    """Make a torrent of some files, or of a single one of so many bytes, with random content."""
    total = files if isinstance(files, int) else sum(file.length for file in files)
    data = bytearray(random.Random(seed).randbytes(total))
    if not isinstance(files, int):
        at = 0
        for file in files:
            if "p" in file.attr:
                data[at : at + file.length] = bytes(file.length)
            at += file.length
    return with_content(files, bytes(data), piece_length, name=name, is_private=is_private)


def with_content(
    files: Sequence[Layout] | int,
    data: bytes,
    piece_length: int,
    *,
    name: str = "t",
    is_private: bool = False,
) -> Sample:
    hashes = [
        hashlib.sha1(data[start : start + piece_length]).digest()
        for start in range(0, len(data), piece_length)
    ]
    layout: dict[str, bencode.Encodable] = (
        {"length": files} if isinstance(files, int) else {"files": [file.entry() for file in files]}
    )
    if is_private:
        layout["private"] = 1
    raw = bencode.encode(
        {"name": name, "piece length": piece_length, "pieces": b"".join(hashes), **layout}
    )
    return Sample(Info.parse(raw), data)
