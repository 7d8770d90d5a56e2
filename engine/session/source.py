"""Where a torrent comes from: a SOURCE as users write it → its metainfo, or a magnet link."""

from __future__ import annotations

import asyncio
import os

import aiofiles

from engine.core.magnet import Magnet, is_magnet
from engine.core.metainfo import MAX_TORRENT_BYTES, Metainfo
from engine.errors import InputError, SourceError
from engine.net.route import Route
from engine.net.web import fetch

_PARSED_INLINE_BYTES = 256 * 1024


def is_url(source: str) -> bool:
    return source[:8].casefold().startswith(("http://", "https://"))


def _expanded(path: str) -> str:
    return os.path.expanduser(path)


async def read_source(source: str, route: Route) -> bytes:
    """Read the .torrent at a path or an http(s) URL. Raises SourceError."""
    if is_magnet(source):
        raise SourceError("a magnet link is not enough here: give a .torrent or its URL")
    if is_url(source):
        return await fetch(source, route, limit_bytes=MAX_TORRENT_BYTES)
    try:
        async with aiofiles.open(_expanded(source), "rb") as file:
            data: bytes = await file.read(MAX_TORRENT_BYTES + 1)
    except IsADirectoryError as error:
        raise SourceError.from_os_error(error, source) from error
    except (OSError, ValueError) as error:  # a ValueError for a path that no system could have
        why = getattr(error, "strerror", None) or error
        if "://" in source:
            why = "no file, and not an http or https address"
        raise SourceError(f"{source!a}: {why}" if "\0" in source else f"{source}: {why}") from error
    if len(data) > MAX_TORRENT_BYTES:
        raise SourceError(f"{source}: larger than {MAX_TORRENT_BYTES} bytes, not a torrent")
    return data


async def load_torrent(source: str, route: Route) -> Metainfo | Magnet:
    """Read and check a SOURCE that may be a magnet link. Raises as `load_source`, InputError."""
    return Magnet.parse(source) if is_magnet(source) else await load_source(source, route)


async def load_source(source: str, route: Route) -> Metainfo:
    """Read and check a SOURCE. Raises SourceError, MetainfoError, BencodeError naming it."""
    data = await read_source(source, route)
    try:
        return await parse_torrent(data)
    except InputError as error:
        raise type(error)(f"{source}: {error}") from error


async def parse_torrent(data: bytes) -> Metainfo:
    """Check a .torrent; a long one in a thread, where seconds of it do not stop the loop. Raises
    MetainfoError, BencodeError."""
    if len(data) <= _PARSED_INLINE_BYTES:
        return Metainfo.parse(data)
    return await asyncio.to_thread(Metainfo.parse, data)
