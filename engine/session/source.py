"""Where a torrent comes from: a SOURCE as users write it → its metainfo."""

from __future__ import annotations

import os

import aiofiles

from engine.core.metainfo import MAX_TORRENT_BYTES, Metainfo
from engine.errors import InputError, SourceError
from engine.net.web import fetch


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _expanded(path: str) -> str:
    return os.path.expanduser(path)


async def read_source(source: str, local_host: str | None = None) -> bytes:
    """Read the .torrent at a path or an http(s) URL. Raises SourceError."""
    if source.startswith("magnet:"):
        raise SourceError("magnet links are not understood yet: give a .torrent or its URL")
    if is_url(source):
        return await fetch(source, limit_bytes=MAX_TORRENT_BYTES, local_host=local_host)
    try:
        async with aiofiles.open(_expanded(source), "rb") as file:
            data: bytes = await file.read(MAX_TORRENT_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{source}: {error.strerror or error}") from error
    if len(data) > MAX_TORRENT_BYTES:
        raise SourceError(f"{source}: larger than {MAX_TORRENT_BYTES} bytes, not a torrent")
    return data


async def load_source(source: str, local_host: str | None = None) -> Metainfo:
    """Read and check a SOURCE. Raises SourceError, MetainfoError, BencodeError naming it."""
    data = await read_source(source, local_host)
    try:
        return Metainfo.parse(data)
    except InputError as error:
        raise type(error)(f"{source}: {error}") from error
