"""Requests about the files of one torrent, and which of them are wanted."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Request
from engine.control.schema_torrents import TorrentRow


class FilePriority(StrEnum):
    SKIP = "skip"
    """It is not fetched, and not made."""
    NORMAL = "normal"
    HIGH = "high"
    """It is fetched before the others."""


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    size: int
    have: int
    is_pad: bool = False
    index: int = 0
    """Its number, from 0, as magnet links (BEP 53) and the requests below count; pads count too."""
    priority: FilePriority = FilePriority.NORMAL


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """Files whose priority was one and is another now."""

    before: FilePriority
    after: FilePriority
    files: str
    """Their numbers, as "0,2,4-6": what a request takes that undoes it."""
    count: int
    size: int


class GetFiles(Request, frozen=True, kw_only=True):
    METHOD = "torrent.files"
    torrent: str
    reply: ClassVar[Any] = list[FileRow]


class SetFiles(Request, frozen=True, kw_only=True):
    """Choose files of one torrent, at any time. A word is the number of a file, numbers ("0,2-4"),
    a folder, or a pattern ("*.mkv", of the name or of the path, case folded). The lists are heeded
    in this order; a word that names no file is an error, and then nothing changes."""

    METHOD = "torrent.set_files"
    torrent: str
    only: list[str] = []
    """These are wanted, all others are skipped."""
    skip: list[str] = []
    normal: list[str] = []
    high: list[str] = []

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        changes: list[FileChange]
        wanted: int
        """Files that are wanted now."""
        files: int
        row: TorrentRow

    reply: ClassVar[Any] = Reply
