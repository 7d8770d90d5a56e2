"""Asking HTTP trackers, through aiohttp: one session for all, everything bounded (BEP 3, 48).

aiohttp is imported with the first request, so that small commands start quickly. No error carries
the URL: its path or query often holds a passkey.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from engine.core.identifiers import VERSION, InfoHash
from engine.discovery.announce import AnnounceReply, AnnounceRequest, ScrapeReply
from engine.discovery.http_tracker import (
    SCRAPE_HASHES_PER_REQUEST,
    announce_url,
    is_failure,
    parse_announce,
    parse_scrape,
    scrape_url,
)
from engine.errors import TrackerError, TrackerReplyError, TrackerUnreachable
from engine.net.route import Route

if TYPE_CHECKING:
    import ssl

    import aiohttp

TIMEOUT_S = 30.0
MAX_BODY_BYTES = 1 << 20
MAX_REDIRECTS = 5
USER_AGENT = f"seedwright/{VERSION}"

_NAME_CACHE_S = 300
_KEEP_ALIVE_S = 10.0
_PARSED_INLINE_BYTES = 64 << 10
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

P = ParamSpec("P")
T = TypeVar("T")


class HttpTrackerClient:
    """Announces and scrapes over http and https. Must be closed by whoever made it.

    It uses no proxy, cookie or password of the environment.
    """

    def __init__(
        self,
        route: Route,
        *,
        timeout_s: float = TIMEOUT_S,
        user_agent: str = USER_AGENT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout_s` bounds a whole exchange with its redirects; `tls` replaces the system's
        certificates."""
        self._route = route
        self._timeout_s = timeout_s
        self._user_agent = user_agent
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def announce(self, url: str, request: AnnounceRequest) -> AnnounceReply:
        """Announce to the tracker at `url`. Raises TrackerError."""
        return await _parse(parse_announce, await self._get(announce_url(url, request)))

    async def scrape(self, url: str, info_hashes: Sequence[InfoHash]) -> ScrapeReply:
        """Scrape by a tracker's announce URL, in as many requests as it takes. Raises
        TrackerError, also when the URL is not of the form that can be scraped (BEP 48)."""
        reply = ScrapeReply({})
        for at in range(0, len(info_hashes), SCRAPE_HASHES_PER_REQUEST):
            batch = info_hashes[at : at + SCRAPE_HASHES_PER_REQUEST]
            batch_url = scrape_url(url, batch)
            if batch_url is None:
                raise TrackerReplyError("the tracker cannot be scraped")
            part = await _parse(parse_scrape, await self._get(batch_url), batch)
            reply.swarms.update(part.swarms)
        return reply

    async def close(self) -> None:
        """Close every connection; the client cannot be used again."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        from engine.net.http_connector import connector

        if self._is_closed:
            raise TrackerUnreachable("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector(
                    self._route,
                    limit=0,
                    keepalive_timeout=_KEEP_ALIVE_S,
                    tls=self._tls,
                    name_cache_s=_NAME_CACHE_S,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip"},
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                # A body is inflated here, with a limit, whatever aiohttp's version does.
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _get(self, url: str) -> bytes:
        """Fetch the body of an answer, or of an error that carries a `failure reason`."""
        session = self._open_session()
        import aiohttp
        from yarl import URL

        try:
            async with session.get(
                # aiohttp counts the request that it does not make any more.
                URL(url, encoded=True),
                max_redirects=MAX_REDIRECTS + 1,
            ) as response:
                body = await _read_body(response)
                if response.status != 200 and not await _parse(is_failure, body):
                    raise TrackerReplyError(f"the tracker answers with HTTP {response.status}")
                return body
        except TrackerError:
            raise
        except TimeoutError as error:
            raise TrackerUnreachable(f"no answer within {self._timeout_s:g} s") from error
        except aiohttp.TooManyRedirects as error:
            raise TrackerReplyError(f"more than {MAX_REDIRECTS} redirects") from error
        except aiohttp.RedirectClientError as error:
            raise TrackerReplyError("a redirect to something that is no URL of ours") from error
        except aiohttp.ClientConnectorCertificateError as error:
            reason = error.certificate_error
            raise TrackerUnreachable(f"certificate not accepted: {reason}") from error
        except aiohttp.ServerDisconnectedError as error:
            raise TrackerUnreachable("the tracker hung up without an answer") from error
        except aiohttp.ClientResponseError as error:
            raise TrackerReplyError(f"no HTTP answer: {_one_line(error.message)}") from error
        except aiohttp.ClientPayloadError as error:
            raise TrackerReplyError("the answer breaks off in the middle") from error
        except aiohttp.InvalidURL as error:
            raise TrackerReplyError("not the URL of a tracker") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise TrackerUnreachable(f"no such host: {error.host}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TrackerUnreachable(_one_line(_os_reason(error))) from error
        except ValueError as error:
            raise TrackerReplyError("not the URL of a tracker") from error


async def _parse(
    parse: Callable[Concatenate[bytes, P], T], body: bytes, *more: P.args, **named: P.kwargs
) -> T:
    """Parse a body; a long one in a thread, where a megabyte of `i0e` does not stop the loop."""
    if len(body) <= _PARSED_INLINE_BYTES:
        return parse(body, *more, **named)
    return await asyncio.to_thread(parse, body, *more, **named)


def _os_reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read and inflate a body. Raises TrackerReplyError once either form is over the limit."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    inflater = None
    if encoding in ("gzip", "x-gzip", "deflate"):
        inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    elif encoding not in ("identity", ""):
        raise TrackerReplyError("the answer is in an encoding that nobody asked for")
    too_long = TrackerReplyError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
    if (response.content_length or 0) > MAX_BODY_BYTES:
        raise too_long
    body = bytearray()
    received = 0
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if inflater is None:
                body += chunk
            else:
                body += inflater.decompress(chunk, MAX_BODY_BYTES + 1 - len(body))
            if received > MAX_BODY_BYTES or len(body) > MAX_BODY_BYTES:
                raise too_long
    except zlib.error as error:
        raise TrackerReplyError("the answer cannot be inflated") from error
    if inflater is not None and received and not inflater.eof:
        raise TrackerReplyError("the answer breaks off in the middle")
    return bytes(body)
