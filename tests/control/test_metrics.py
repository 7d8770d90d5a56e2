"""Metrics and health over HTTP: what Prometheus reads, and what orchestrators ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.control import schema
from engine.control.metrics import MAX_CLIENTS, MetricsServer
from engine.control.schema import TorrentState
from engine.errors import InputError
from tests.fakes.fake_engine import FakeEngine


@pytest.fixture
async def fake() -> FakeEngine:
    return FakeEngine(40)


@pytest.fixture
async def server(fake: FakeEngine) -> AsyncIterator[MetricsServer]:
    server = MetricsServer(fake)
    await server.start("127.0.0.1", 0)
    yield server
    await server.close()


async def _get(server: MetricsServer, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{server.endpoint}{path}") as response,
    ):
        return response.status, await response.text()


async def test_prometheus_reads_what_the_engine_tells(
    fake: FakeEngine, server: MetricsServer
) -> None:
    code, text = await _get(server, "/metrics")
    assert code == 200
    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    status = fake.status()
    for state in TorrentState:
        there = sum(each.state is state for each in fake.torrents.values())
        assert samples["seedwright_torrents", (state.value,)] == there
    assert samples["seedwright_uploaded_bytes_total", ()] == status.uploaded
    assert samples["seedwright_downloaded_bytes_total", ()] == status.downloaded
    assert samples["seedwright_upload_bytes_per_second", ()] == status.up_rate
    assert samples["seedwright_info", (status.version,)] == 1
    assert samples["process_resident_memory_bytes", ()] > 1 << 20


async def test_ready_says_what_fails(
    fake: FakeEngine, server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await _get(server, "/live") == (200, "ok\n")
    assert await _get(server, "/ready") == (200, "loop: ok: turned in 0 ms\n")

    async def failing() -> list[schema.HealthCheck]:
        return [schema.HealthCheck(name="disk", is_ok=False, text="no answer")]

    monkeypatch.setattr(fake, "health", failing)
    assert await _get(server, "/ready") == (503, "disk: failing: no answer\n")
    assert (await _get(server, "/"))[0] == 404


async def test_a_taken_port_is_said(server: MetricsServer) -> None:
    assert server.endpoint is not None
    other = MetricsServer(FakeEngine(1))
    with pytest.raises(
        InputError, match=f"cannot serve metrics at 127.0.0.1 port {server.endpoint.port}"
    ):
        await other.start("127.0.0.1", server.endpoint.port)
    await other.close()


async def test_who_asks_for_nothing_keeps_nobody_out(server: MetricsServer) -> None:
    assert server.endpoint is not None
    slow = [await asyncio.open_connection(*server.endpoint) for _ in range(2 * MAX_CLIENTS)]
    for _, writer in slow:
        writer.write(b"GET /live HTTP/1.1\r\nX: ")
    assert await _get(server, "/live") == (200, "ok\n")
    async with asyncio.timeout(20):
        for reader, _ in slow[:MAX_CLIENTS]:
            assert await reader.read() == b""
    for _, writer in slow:
        writer.close()


@pytest.mark.parametrize(
    "request_",
    [b"\0" * 99, b"GET / HTTP/9.9\r\n\r\n", b"GET http://[bad/ HTTP/1.1\r\n\r\n",
     b"GET /live HTTP/1.1\r\n" + b"X: y\r\n" * 20_000],
)  # fmt: skip
async def test_a_request_that_is_none_is_refused_in_silence(
    server: MetricsServer, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.endpoint is not None
    reader, writer = await asyncio.open_connection(*server.endpoint)
    writer.write(request_)
    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert not caplog.records
