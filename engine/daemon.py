"""The composition root of a running engine: session, control server, signals, the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.control.metrics import MetricsServer
from engine.control.server import ControlServer
from engine.control.session_port import SessionPort
from engine.control.socket_path import Claim
from engine.core.compact import split_host_port
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.session.state_db import StateDb

log = logging.getLogger(__name__)

STATE_FILE = "state.db"


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGINT, SIGTERM and SIGHUP while inside; a second signal is not waited for."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def on_signal(number: signal.Signals) -> None:
        stop()
        # The second time the default action ends the process: nothing of value is lost by it.
        loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def run_daemon(
    options: SessionOptions,
    *,
    socket_path: Path,
    state_dir: Path,
    metrics: str = "",
    ready: Callable[[Session], None] | None = None,
) -> None:
    """Run an engine until a signal or a client says stop. Raises SeedwrightError if it cannot.

    `metrics` is the HOST:PORT to serve them at, empty for not at all. `ready` is called once it
    listens and its socket answers.
    """
    stop = asyncio.Event()
    # The claim comes first and goes last: whoever has it may write to the state and the files.
    with Claim(socket_path) as claim, stopping_on_signals(stop.set):
        session = Session(options, StateDb(state_dir / STATE_FILE))
        port = SessionPort(session, stop.set)
        server = ControlServer(port, socket_path, claim=claim)
        watched = MetricsServer(port)
        try:
            await session.start()
            await server.start()
            if metrics:
                await watched.start(*split_host_port(metrics))
                log.info("metrics at %s", watched.endpoint)
            if ready is not None:
                ready(session)
            await stop.wait()
            log.info("stopping")
        finally:
            await watched.close()
            await server.stop()
            await session.stop()
