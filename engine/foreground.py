"""One torrent in the foreground, without a daemon: download it, or seed what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.daemon import stopping_on_signals
from engine.errors import SeedwrightError, StorageError
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent

REPORT_S = 0.25


class Interrupted(SeedwrightError):  # noqa: N818 - nobody erred
    """The user ended it before it was complete; what was verified is on disk and is used again."""

    exit_code = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreground:
    """What to do with one torrent. `report` is called some times a second, and once at the end."""

    options: SessionOptions
    source: Metainfo | Magnet
    save_path: Path
    peers: tuple[Endpoint, ...] = ()
    stay: bool = False
    """Go on seeding when complete, until a signal."""
    wishes: FileWishes = field(default_factory=FileWishes)
    """Which files to get."""
    must_be_complete: bool = False
    """Refuse to download: `seed` of data that is not all there is an error."""

    until_copies: float | None = None
    """End a seed when the others hold so many whole copies together."""

    async def run(self, report: Callable[[Session, Torrent], None]) -> None:
        """Do it. Raises Interrupted, StorageError, or why it could not start."""
        stop = asyncio.Event()
        is_stopped = False

        def on_signal() -> None:
            nonlocal is_stopped
            is_stopped = True
            stop.set()

        session = Session(self.options)
        with stopping_on_signals(on_signal):
            try:
                await session.start()
                torrent = await session.add(
                    self.source,
                    save_path=self.save_path,
                    peers=list(self.peers),
                    wishes=self.wishes,
                )
                session.on_change.append(lambda _: self._look(torrent, stop))
                self._look(torrent, stop)
                await self._report_until(stop, session, torrent, report)
                if torrent.state is State.ERROR:
                    raise StorageError(torrent.error)
                if self.must_be_complete and torrent.state is State.DOWNLOADING:
                    count = torrent.geometry.piece_count
                    missing = count - torrent.have.count
                    raise StorageError(
                        f"{missing:,} of {count:,} pieces of {torrent.name} are missing or damaged "
                        f"in {self.save_path}; `seedwright get TORRENT -o DIR` fetches them"
                    )
                if is_stopped and not torrent.is_finished:
                    raise Interrupted(f"stopped at {torrent.progress:.0%}; run it again to go on")
            finally:
                await session.stop()

    def _look(self, torrent: Torrent, stop: asyncio.Event) -> None:
        is_done = torrent.state is State.SEEDING and not self.stay
        is_refused = self.must_be_complete and torrent.state is State.DOWNLOADING
        if is_done or is_refused or torrent.state is State.ERROR:
            stop.set()

    def _are_enough_elsewhere(self, torrent: Torrent) -> bool:
        wanted, live = self.until_copies, torrent.live
        return wanted is not None and live is not None and live.copies_elsewhere >= wanted

    async def _report_until(
        self,
        stop: asyncio.Event,
        session: Session,
        torrent: Torrent,
        report: Callable[[Session, Torrent], None],
    ) -> None:
        while not stop.is_set():
            report(session, torrent)
            if self._are_enough_elsewhere(torrent):
                return
            try:
                async with asyncio.timeout(REPORT_S):
                    await stop.wait()
            except TimeoutError:
                continue
        report(session, torrent)
