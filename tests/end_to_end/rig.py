"""Whole engines in one process, over real sockets on loopback; waits are for states, not time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.session.state_db import StateDb
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent

TIMEOUT_S = 30.0
_LOOK_AGAIN_S = 0.05
LOOPBACK = SessionOptions(listen_host="127.0.0.1", stop_timeout_s=2.0)


def endpoint_of(session: Session) -> Endpoint:
    return session.endpoints[0]


@contextlib.asynccontextmanager
async def running(
    options: SessionOptions = LOOPBACK, *, state_dir: Path | None = None
) -> AsyncIterator[Session]:
    session = Session(options, StateDb(state_dir / "state.db") if state_dir else None)
    try:
        await session.start()
        yield session
    finally:
        await session.stop()


async def until(session: Session, condition: Callable[[], bool], what: str = "") -> None:
    """Wait until `condition` holds; it is asked whenever a torrent of the session changes, and
    now and then for what no torrent tells."""
    changed = asyncio.Event()

    def listener(_: Torrent) -> None:
        changed.set()

    session.on_change.append(listener)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await changed.wait()
                changed.clear()
    except TimeoutError:
        raise AssertionError(f"still not after {TIMEOUT_S} s: {what or condition}") from None
    finally:
        session.on_change.remove(listener)


async def until_state(session: Session, torrent: Torrent, state: State) -> None:
    try:
        await until(session, lambda: torrent.state is state)
    except AssertionError as error:
        connected = list(torrent.live.peers.connected) if torrent.live else []
        raise AssertionError(
            f"{torrent.name} is {torrent.state}, not {state}: {torrent.have}, {torrent.error}, "
            f"{torrent.log_lines}, peers {connected}"
        ) from error


async def seeding(session: Session, metainfo: Metainfo, folder: Path) -> Torrent:
    """Add a torrent whose data is there, and wait until it seeds."""
    torrent = await session.add(metainfo, save_path=folder)
    await until_state(session, torrent, State.SEEDING)
    return torrent


def with_trackers(metainfo: Metainfo, *urls: str) -> Metainfo:
    return replace(metainfo, trackers=tuple((url,) for url in urls))
