"""Fetching small things over http(s), a .torrent above all: bounded in size, time and redirects."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from engine.errors import SourceError
from engine.net.route import Route

TIMEOUT_S = 60.0
_REDIRECTS = 5
_CHUNK_BYTES = 64 * 1024


async def fetch(url: str, route: Route, *, limit_bytes: int) -> bytes:
    """Get the body of `url`. Raises SourceError."""
    import aiohttp  # loaded late: most commands never fetch anything

    from engine.net.http_connector import connector

    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise SourceError(f"{url}: {error}") from error
    if scheme not in ("http", "https"):
        raise SourceError(f"{url}: not an http or https address")
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector(route), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
            ) as session,
            session.get(url, max_redirects=_REDIRECTS) as response,
        ):
            if response.status != 200:
                raise SourceError(f"{url}: the server answered {response.status} {response.reason}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > limit_bytes:
                    raise SourceError(f"{url}: larger than {limit_bytes} bytes")
            return bytes(body)
    except TimeoutError as error:
        raise SourceError(f"{url}: no answer within {TIMEOUT_S:.0f} s") from error
    except aiohttp.ClientConnectorError as error:
        code = error.os_error.errno or 0  # below zero: of the look-up of names
        why = os.strerror(code) if code > 0 else error.strerror or error.os_error
        raise SourceError(f"{url}: cannot connect: {why}") from error
    except aiohttp.InvalidURL as error:  # all it says is the address
        raise SourceError(f"{url}: not the address of a server") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SourceError(f"{url}: {error or type(error).__name__}") from error
