"""A tracker that names the peers it was told to name, for clients that learn of peers by no other
way; it answers within a millisecond and remembers nothing."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from engine.core import bencode
from engine.core.compact import Endpoint, pack

_INTERVAL_S = 1800


class FixedTracker:
    def __init__(self) -> None:
        self._peers: list[Endpoint] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/announce", self._announce)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/announce"

    def name(self, peers: Sequence[Endpoint]) -> None:
        """Name these to whoever asks from now on, except itself."""
        self._peers = list(peers)

    async def _announce(self, request: web.Request) -> web.Response:
        # rTorrent, told of itself, often never dials the others.
        asker = request.query.get("port", "")
        others = [peer for peer in self._peers if str(peer.port) != asker]
        reply: dict[str, bencode.Encodable] = {
            "interval": _INTERVAL_S,
            "peers": pack(others)[0],
        }
        return web.Response(body=bencode.encode(reply), content_type="text/plain")

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
