"""The daemon as a whole: one a place, it answers, stops when told, and gives all back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.control import schema
from engine.control.client import ControlClient
from engine.daemon import STATE_FILE, run_daemon, stopping_on_signals
from engine.errors import ControlError, EngineUnreachable, InputError, StorageError
from engine.session.state_db import StateDb
from tests.end_to_end.rig import LOOPBACK


@contextlib.asynccontextmanager
async def _daemon(folder: Path) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    running = asyncio.create_task(
        run_daemon(
            LOOPBACK,
            socket_path=folder / "s",
            state_dir=folder / "state",
            ready=lambda _: ready.set(),
        )
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


async def test_it_answers_and_stops_when_a_client_says_so(tmp_path: Path) -> None:
    async with _daemon(tmp_path) as running:
        async with await ControlClient.connect(tmp_path / "s") as client:
            status = await client.call(schema.Status())
            assert status.torrents == 0
            assert status.listen[0].startswith("127.0.0.1:")
            await client.call(schema.Shutdown())
        await running
    assert not (tmp_path / "s").exists()
    with pytest.raises(EngineUnreachable):
        await ControlClient.connect(tmp_path / "s")
    StateDb(tmp_path / "state" / STATE_FILE).close()  # nobody holds it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_stops_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    async with _daemon(tmp_path) as running:
        os.kill(os.getpid(), number)
        await running


async def test_the_second_at_a_place_is_refused_before_it_touches_anything(tmp_path: Path) -> None:
    async with _daemon(tmp_path) as running:
        with pytest.raises(ControlError, match="already running"):
            await run_daemon(LOOPBACK, socket_path=tmp_path / "s", state_dir=tmp_path / "other")
        assert not (tmp_path / "other").exists()
        assert not running.done()
        async with await ControlClient.connect(tmp_path / "s") as client:
            await client.call(schema.Status())


async def test_another_socket_does_not_help_to_share_a_state(tmp_path: Path) -> None:
    async with _daemon(tmp_path):
        with pytest.raises(StorageError, match="in use by another engine"):
            await run_daemon(LOOPBACK, socket_path=tmp_path / "s2", state_dir=tmp_path / "state")
    assert not (tmp_path / "s2").exists()


async def test_a_start_that_fails_gives_the_place_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = replace(LOOPBACK, listen_port=taken.getsockname()[1])
        with pytest.raises(InputError, match="in use"):
            await run_daemon(options, socket_path=tmp_path / "s", state_dir=tmp_path / "state")
    async with _daemon(tmp_path), await ControlClient.connect(tmp_path / "s") as client:
        await client.call(schema.Status())


async def test_signals_mean_what_they_meant_before_when_it_is_over() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stops: list[int] = []
    with stopping_on_signals(lambda: stops.append(1)):
        assert signal.getsignal(signal.SIGTERM) != before
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            while not stops:
                await asyncio.sleep(0)
        # A second one is not waited for: the default action is back.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
