"""Asking any tracker: http, https or udp, by the scheme of its URL (BEP 3, 15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.core.identifiers import InfoHash
from engine.discovery.announce import AnnounceReply, AnnounceRequest, ScrapeReply
from engine.errors import TrackerReplyError
from engine.net.http_tracker_client import HttpTrackerClient
from engine.net.route import Route
from engine.net.udp_tracker_client import UdpTrackerClient

if TYPE_CHECKING:
    import ssl


class TrackerClient:
    """One for the whole engine; limits on how much is asked at once are its owner's.

    Must be closed. Two of them, with routes that are held to one family each, announce a host to
    trackers in both (BEP 7).
    """

    def __init__(
        self,
        route: Route,
        *,
        tls: ssl.SSLContext | None = None,
        http: HttpTrackerClient | None = None,
        udp: UdpTrackerClient | None = None,
    ) -> None:
        """`http` and `udp`, closed with this one, stand in for those made with `route`."""
        self._http = http or HttpTrackerClient(route, tls=tls)
        self._udp = udp or UdpTrackerClient(route)

    async def announce(self, url: str, request: AnnounceRequest) -> AnnounceReply:
        """Announce to the tracker at `url`. Raises TrackerError."""
        return await self._client(url).announce(url, request)

    async def scrape(self, url: str, info_hashes: Sequence[InfoHash]) -> ScrapeReply:
        """Scrape the tracker whose announce URL is `url`. Raises TrackerError."""
        return await self._client(url).scrape(url, info_hashes)

    async def close(self) -> None:
        """Close sockets and connections; announces under way end with an error."""
        try:
            await self._udp.close()
        finally:
            await self._http.close()

    def _client(self, url: str) -> HttpTrackerClient | UdpTrackerClient:
        scheme = url.strip().partition(":")[0].lower()
        if scheme in ("http", "https"):
            return self._http
        if scheme == "udp":
            return self._udp
        raise TrackerReplyError(f"no kind of tracker that is spoken here: {scheme[:20]!r}")
