"""What `get` and `seed` do, and what they tell meanwhile; loads the engine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from engine.commands import options
from engine.commands.engine_options import hint_where_a_port_is_taken, session_options
from engine.commands.output import say
from engine.commands.progress import Display, transfer_text
from engine.control.why import reason_for
from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Info
from engine.errors import StorageError, StorageMissingError
from engine.foreground import Foreground, Interrupted
from engine.session.adding import chosen
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.session.source import load_source, load_torrent
from engine.settings import Effective
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tui.format import duration, percent, plural, rate, ratio, size

STUCK_S: Final = 2.0
WITHOUT_LISTEN: Final = "without --listen a free one is taken"


async def download(
    effective: Effective,
    source: str,
    folder: Path,
    peers: tuple[str, ...],
    wishes: FileWishes,
    *,
    stay: bool,
) -> None:
    """Do it. Raises Interrupted with how to go on, and why it could not be done."""
    session = _session(effective)
    route = session.route()
    found = await load_torrent(source, route)
    if not isinstance(found, Magnet):
        chosen(found.info, wishes)  # what is wrong with it is known before anything is touched
        say(contents(found.info.name, found.info.total_length, len(found.info.files)))
    task = Foreground(
        options=session,
        source=found,
        save_path=folder,
        peers=tuple(await options.resolve_peers(peers, route)),
        wishes=wishes,
        stay=stay,
    )
    with hint_where_a_port_is_taken(WITHOUT_LISTEN), Display() as display:
        report = Report(display, folder, stay=stay, tells_contents=isinstance(found, Magnet))
        try:
            await task.run(report)
        except Interrupted as error:
            raise Interrupted(f"{report.how_far()}; run the same command again to go on") from error
    report.finish()


async def serve(
    effective: Effective,
    source: str,
    data: Path,
    peers: tuple[str, ...],
    until_copies: float | None,
) -> None:
    """Seed what is there until a signal, or until the others hold enough. Raises why it cannot."""
    session = _session(effective)
    route = session.route()
    metainfo = await load_source(source, route)
    folder = save_path_of(metainfo.info, data)
    task = Foreground(
        options=session,
        source=metainfo,
        save_path=folder,
        peers=tuple(await options.resolve_peers(peers, route)),
        stay=True,
        must_be_complete=True,
        until_copies=until_copies,
    )
    with hint_where_a_port_is_taken(WITHOUT_LISTEN), Display() as display:
        await task.run(Announcement(display, Report(display, folder, stay=True)))


def _session(effective: Effective) -> SessionOptions:
    """Its options; where nobody named a port on the command line, any free one will do."""
    is_named = effective.origins["network.listen"].name == "--listen"
    return session_options(effective.settings, any_port=not is_named)


def contents(name: str, total: int, files: int) -> str:
    return f"{name}: {size(total)} in {plural(files, 'file')}"


class Report:
    """Tells on a display what a torrent does; called some times a second."""

    def __init__(
        self, display: Display, folder: Path, *, stay: bool, tells_contents: bool = False
    ) -> None:
        """`tells_contents`: say what is in the torrent once that is known."""
        self.progress = 0.0
        self._display = display
        self._folder = folder
        self._stay = stay
        self._began_at = self._moved_at = time.monotonic()
        self._received = 0
        self._is_told = False
        self._torrent: Torrent | None = None
        self._tells_contents = tells_contents
        self._tells_choice = True

    def __call__(self, session: Session, torrent: Torrent) -> None:
        self._torrent = torrent
        if not torrent.has_info:
            self._display.show(None, reason_for(torrent) or "fetching metadata")
            return
        if self._tells_contents:
            self._tells_contents = False
            summary = torrent.summary
            self._display.say(contents(summary.name, summary.size, summary.file_count))
        if self._tells_choice and torrent.choice is not None:
            self._tells_choice = False
            wanted = torrent.summary.file_count - len(torrent.choice.skipped)
            files = plural(torrent.summary.file_count, "file")
            self._display.say(f"wanted: {wanted} of {files}, {size(torrent.wanted_bytes)}")
        if torrent.state is State.CHECKING:
            self._display.show(torrent.progress, f"checking {percent(torrent.progress, 1)}")
            return
        self.progress = torrent.progress
        connected = len(torrent.live.peers.connected) if torrent.live else 0
        if torrent.state is State.SEEDING:
            self._on_seeding(torrent, connected)
        else:
            why = reason_for(torrent) if self._is_stuck(torrent) else ""
            self._display.show(
                torrent.progress,
                transfer_text(
                    torrent.wanted_have_bytes,
                    torrent.wanted_bytes,
                    torrent.down_rate.rate,
                    connected,
                    why,
                ),
            )

    def how_far(self) -> str:
        """Say how far it came, for who ends it early."""
        torrent = self._torrent
        if torrent is None or not torrent.has_info:
            return "stopped before the metadata was there"
        return f"stopped at {percent(self.progress, 1)} of {torrent.name}"

    def finish(self) -> None:
        """Say the result for good."""
        if self._torrent is not None and self._torrent.is_finished:
            self._tell_complete(self._torrent)

    def _is_stuck(self, torrent: Torrent) -> bool:
        """True if nothing has come for some seconds: the rate is an average, and late."""
        now = time.monotonic()
        if torrent.down_rate.total != self._received:
            self._received, self._moved_at = torrent.down_rate.total, now
        return now - self._moved_at > STUCK_S

    def _on_seeding(self, torrent: Torrent, connected: int) -> None:
        self._tell_complete(torrent)
        if not self._stay:
            return
        sent = torrent.up_rate.total
        self._display.show(
            1.0,
            f"seeding  {size(sent)} sent  ratio {ratio(sent / torrent.size if torrent.size else 0)}"
            f"  {rate(torrent.up_rate.rate)}  {plural(connected, 'peer')}",
        )

    def _tell_complete(self, torrent: Torrent) -> None:
        if self._is_told:
            return
        self._is_told = True
        received = torrent.down_rate.total
        seconds = max(time.monotonic() - self._began_at, 0.001)
        took = duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"
        how = (
            f"{size(received)} received in {took} ({rate(received / seconds)})"
            if received
            else "nothing was missing"
        )
        where = self._folder / torrent.name
        what = "complete" if torrent.is_complete else "all wanted files are complete"
        self._display.say(f"{what} and verified: {where}; {how}")


class Announcement:
    """Says once where peers can connect; the rest is the report's."""

    def __init__(self, display: Display, report: Report) -> None:
        self._display = display
        self._report = report
        self._is_told = False

    def __call__(self, session: Session, torrent: Torrent) -> None:
        if not self._is_told and torrent.state is State.SEEDING:
            self._is_told = True
            where = ", ".join(str(endpoint) for endpoint in session.endpoints)
            how = f"on {where}" if where else f"is {session.route.waiting or 'not listening'}"
            if session.route.proxy is not None:
                how = f"by {session.route.way_out}"
            self._display.say(f"seeding {torrent.name} ({size(torrent.size)}) {how}")
        self._report(session, torrent)


_WHERE: Final = "--data names the folder that holds the torrent's file or folder"


def save_path_of(info: Info, data: Path) -> Path:
    """The folder that the torrent's paths lie below, when `data` is that or the content itself.

    Raises StorageMissingError for the first file that is not there, StorageError for one of the
    wrong size: a seed must not make files.
    """
    is_content_itself = data.resolve().name == info.name and not (data / info.name).exists()
    folder = data.resolve().parent if is_content_itself else data
    for file in info.files:
        if file.is_pad or file.symlink is not None:
            continue
        path = folder.joinpath(*file.path)
        try:
            found = os.stat(path).st_size
        except OSError as error:
            hint = "" if folder.joinpath(info.name).exists() else f": {_WHERE}"
            raise StorageMissingError(f"{path}: {error.strerror}{hint}") from error
        if found != file.length:
            raise StorageError(f"{path} has {found} bytes, the torrent says {file.length}")
    return folder
