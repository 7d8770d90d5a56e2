"""Metrics and health over HTTP, for Prometheus and for orchestrators: /metrics, /live, /ready.

Read-only, and off unless a setting names an address. Counted when asked: an engine that nobody asks
does nothing. The libraries are loaded late, since most engines never need them.
Invariant: whatever clients send, or do not, they hold a few descriptors and log nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.control.port import EnginePort
from engine.control.schema import TorrentState
from engine.core.compact import Endpoint, endpoint
from engine.errors import InputError

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client import Metric

log = logging.getLogger(__name__)

MAX_CLIENTS = 32
"""With more of them whoever came first is hung up on: nobody needs long."""


class EngineCollector:
    """What the engine tells Prometheus. Implements prometheus_client's Collector."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        status = self._engine.status()
        yield InfoMetricFamily("seedwright", "The engine.", value={"version": status.version})
        yield GaugeMetricFamily(
            "seedwright_start_time_seconds", "When it started.", value=status.started_at
        )
        states: Counter[TorrentState] = Counter()
        for info_hash in self._engine.info_hashes():
            brief = self._engine.brief(info_hash)
            if brief is not None:
                states[brief.state] += 1
        torrents = GaugeMetricFamily("seedwright_torrents", "Torrents.", labels=["state"])
        for state in TorrentState:
            torrents.add_metric([state.value], states[state])
        yield torrents
        yield GaugeMetricFamily("seedwright_peers", "Connected peers.", value=status.peers)
        yield CounterMetricFamily(
            "seedwright_downloaded_bytes", "Payload received.", value=status.downloaded
        )
        yield CounterMetricFamily(
            "seedwright_uploaded_bytes", "Payload sent.", value=status.uploaded
        )
        yield GaugeMetricFamily(
            "seedwright_download_bytes_per_second", "Rate of payload.", value=status.down_rate
        )
        yield GaugeMetricFamily(
            "seedwright_upload_bytes_per_second", "Rate of payload.", value=status.up_rate
        )
        yield GaugeMetricFamily(
            "seedwright_disk_queue_jobs", "Jobs that wait for a disk thread.", status.disk_queue
        )


class MetricsServer:
    """Serves until closed."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._registry: Any = None
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self.endpoint: Endpoint | None = None
        """Where it listens."""

    async def start(self, host: str, port: int) -> None:
        """Listen; an empty host or * is every address. Raises InputError."""
        from aiohttp import web
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._registry = CollectorRegistry()
        self._registry.register(EngineCollector(self._engine))
        ProcessCollector(registry=self._registry)
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/live", self._live)
        app.router.add_get("/ready", self._ready)
        logger = log.getChild("http")
        logger.addFilter(_is_ours)
        runner = web.AppRunner(app, access_log=None, logger=logger)
        await runner.setup()
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                lambda: _welcome(runner), None if host in ("", "*") else host, port
            )
        except OSError as error:
            await runner.cleanup()
            raise InputError(
                f"cannot serve metrics at {host} port {port}: {error.strerror or error}"
            ) from error
        self._runner = runner
        self.endpoint = endpoint(*self._listening.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _request: web.Request) -> web.Response:
        from aiohttp import web
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _live(self, _request: web.Request) -> web.Response:
        from aiohttp import web

        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        from aiohttp import web

        checks = await self._engine.health()
        lines = [
            f"{each.name}: {'ok' if each.is_ok else 'failing'}: {each.text}" for each in checks
        ]
        is_ready = all(each.is_ok for each in checks)
        return web.Response(text="\n".join(lines) + "\n", status=200 if is_ready else 503)


def _welcome(runner: web.AppRunner) -> asyncio.BaseProtocol:
    """Serve whoever connected, in the place of another one if there are many."""
    server = runner.server
    assert server is not None
    clients = server.connections
    if len(clients) >= MAX_CLIENTS:
        clients[0].force_close()
    return server()


def _is_ours(record: logging.LogRecord) -> bool:
    """False for what is the fault of a client: a request that cannot be read is answered so."""
    from aiohttp.http import HttpProcessingError

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
