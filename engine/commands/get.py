"""`seedwright get`: download one torrent in the foreground, verify, say so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.engine_options import hint_where_a_port_is_taken, session_options
from engine.commands.help import command, option
from engine.commands.logs import log_nowhere, log_to_stderr
from engine.commands.output import say
from engine.commands.progress import Display, transfer_text
from engine.control.why import reason_for
from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.foreground import Foreground, Interrupted
from engine.net.loop import run
from engine.session.adding import chosen
from engine.session.session import Session
from engine.session.source import load_torrent
from engine.settings import Effective
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tui.format import duration, percent, plural, rate, ratio, size

STUCK_S: Final = 2.0
WITHOUT_LISTEN: Final = "without --listen a free one is taken"


@command(
    "get",
    examples=(
        ("seedwright get debian.torrent", "Download to the current folder"),
        ("seedwright get https://example.org/a.torrent -o ~/iso --seed", "… and go on seeding"),
        (
            "seedwright get a.torrent --peer 192.0.2.7:6881 --isolated",
            "From this peer, and from those that the trackers know",
        ),
        ("seedwright get 'magnet:?xt=urn:btih:…'", "By a magnet link, in quotes because of its &"),
        ("seedwright get show.torrent --only '*.mkv' --skip 3-5", "Some of its files"),
    ),
)
@click.argument("source", help="A .torrent file, the http(s) address of one, or a magnet link.")
@options.together(
    option(
        "-o",
        "--output",
        "folder",
        type=options.FILE,
        default=Path(),
        default_text="the current folder",
        metavar="DIR",
        help="Folder to save in; made if need be.",
    ),
    option("--seed", is_flag=True, help="Go on seeding when complete, until Ctrl-C."),
    option("--preallocate", is_flag=True, help="Reserve the space at once."),
    *options.file_options,
    options.peer_option,
    options.listen_option,
    options.interface_option,
    options.proxy_option,
    options.isolated_option,
    options.encryption_option,
    options.down_limit_option,
    options.up_limit_option,
    options.config_option,
    options.set_option,
)
@click.pass_context
def get(
    ctx: click.Context,
    source: str,
    folder: Path,
    seed: bool,
    preallocate: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    high: tuple[str, ...],
    peers: tuple[str, ...],
    listen: str | None,
    interface: str | None,
    proxy: str | None,
    isolated: bool,
    encryption: str | None,
    down_limit: str | None,
    up_limit: str | None,
    config_path: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Download a torrent, verify every piece, and exit.

    What is there of it already is verified and not fetched again: after an interruption run the
    same command again. FILES are numbers as `show` lists them (0,2,4-6), folders, or patterns
    (quote them); those that a magnet link selects count where nothing else is said.
    """
    log_to_stderr("debug") if ctx.obj.debug else log_nowhere()
    flags = options.overrides(
        assignments,
        network__listen=("--listen", listen),
        network__interface=("--interface", interface),
        network__proxy=("--proxy", proxy),
        network__isolated=("--isolated", isolated),
        network__encryption=("--encryption", encryption),
        transfer__down_limit=("--down-limit", down_limit),
        transfer__up_limit=("--up-limit", up_limit),
        storage__preallocate=("--preallocate", preallocate),
    )

    async def main() -> None:
        effective = await options.load_settings(config_path, flags)
        wishes = FileWishes(only=only, skip=skip, high=high)
        await download(effective, source, folder, peers, wishes, stay=seed)

    run(main())


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
    session = session_options(
        effective.settings, any_port=effective.origins["network.listen"].name != "--listen"
    )
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
