"""The engine as users run it, in a process of its own, with two stop-watches in it.

    python -m tests.benchmarks.engine_child [--churn N] daemon --listen 127.0.0.1:0 …

Runs the real command line. Tells as lines of JSON on standard output when the engine is ready, when
the first block of payload arrives, and when all of its torrents seed; `at` is the monotonic clock,
which all processes of the machine share. The watch for the first block takes itself out when it has
seen it, the other costs a comparison per piece.

`--churn N` makes N torrents look busy four times a second, for the leg that measures subscriptions.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine.daemon
from engine import cli
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.download import Download
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent

_CHURN_S = 0.25
_run_daemon = engine.daemon.run_daemon


def tell(event: str, **details: Any) -> None:
    os.write(1, json.dumps({"event": event, "at": time.monotonic(), **details}).encode() + b"\n")


def watch_first_block() -> None:
    take = Download.on_run, Download.on_block

    def first(way: int) -> Callable[..., None]:
        def on_first(self: Download, *came: Any) -> None:
            Download.on_run, Download.on_block = take  # type: ignore[method-assign]
            tell("first_block")
            take[way](self, *came)

        return on_first

    Download.on_run, Download.on_block = first(0), first(1)  # type: ignore[method-assign]


def watch_seeding(session: Session) -> None:
    seeding: set[Torrent] = set()

    def on_change(torrent: Torrent) -> None:
        if torrent.state is State.SEEDING:
            if torrent not in seeding:
                seeding.add(torrent)
                if len(seeding) == len(session.torrents):
                    tell("all_seeding", count=len(seeding))
        elif torrent.state is State.ERROR:
            tell("failed", why=torrent.error)

    session.on_change.append(on_change)
    for torrent in session.torrents.values():
        on_change(torrent)


def churn(session: Session, count: int) -> None:
    """Change what the rows of some torrents show, in the same way as their own ticks do."""
    loop = asyncio.get_running_loop()
    busy = sorted(session.torrents.values(), key=lambda torrent: torrent.name)[:count]

    def change() -> None:
        for torrent in busy:
            torrent.up_rate.total += 16_384
            torrent.changed()
        loop.call_later(_CHURN_S, change)

    change()


def main() -> None:
    args = sys.argv[1:]
    busy = 0
    if args[:1] == ["--churn"]:
        busy = int(args[1])
        args = args[2:]

    async def run_watched(
        options: SessionOptions,
        *,
        socket_path: Path,
        state_dir: Path,
        metrics: str = "",
        ready: Callable[[Session], None] | None = None,
    ) -> None:
        def on_ready(session: Session) -> None:
            if ready is not None:
                ready(session)
            port = session.port
            tell("ready", port=port, torrents=len(session.torrents))
            watch_seeding(session)
            if busy:
                churn(session, busy)

        await _run_daemon(
            options, socket_path=socket_path, state_dir=state_dir, metrics=metrics, ready=on_ready
        )

    engine.daemon.run_daemon = run_watched
    watch_first_block()
    sys.exit(cli.run(args))


if __name__ == "__main__":
    main()
