"""`seedwright get`: download one torrent in the foreground, verify, say so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.engine_options import session_options
from engine.commands.help import command, option
from engine.commands.logs import log_nowhere, log_to_stderr
from engine.commands.output import say
from engine.commands.progress import Display, transfer_text
from engine.control.why import reason_for
from engine.core.magnet import Magnet
from engine.foreground import Foreground, Interrupted
from engine.net.loop import run
from engine.session.session import Session
from engine.session.source import load_torrent
from engine.settings import Effective
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tui.format import duration, percent, plural, rate, ratio, size

STUCK_S: Final = 2.0


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
    options.peer_option,
    options.listen_option,
    options.isolated_option,
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
    peers: tuple[str, ...],
    listen: str | None,
    isolated: bool,
    down_limit: str | None,
    up_limit: str | None,
    config_path: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Download a torrent, verify every piece, and exit.

    What is there of it already is verified and not fetched again: after an interruption run the
    same command again.
    """
    log_to_stderr("debug") if ctx.obj.debug else log_nowhere()
    flags = options.overrides(
        assignments,
        network__listen=("--listen", listen),
        network__isolated=("--isolated", isolated),
        transfer__down_limit=("--down-limit", down_limit),
        transfer__up_limit=("--up-limit", up_limit),
        storage__preallocate=("--preallocate", preallocate),
    )

    async def main() -> None:
        effective = await options.load_settings(config_path, flags)
        await download(effective, source, folder, peers, stay=seed)

    run(main())


async def download(
    effective: Effective, source: str, folder: Path, peers: tuple[str, ...], *, stay: bool
) -> None:
    """Do it. Raises Interrupted with how to go on, and why it could not be done."""
    session = session_options(
        effective.settings, any_port=effective.origins["network.listen"].name != "--listen"
    )
    found = await load_torrent(source, session.local_host)
    if not isinstance(found, Magnet):
        say(contents(found.info.name, found.info.total_length, len(found.info.files)))
    task = Foreground(
        options=session,
        source=found,
        save_path=folder,
        peers=tuple(await options.resolve_peers(peers)),
        stay=stay,
    )
    with Display() as display:
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

    def __call__(self, session: Session, torrent: Torrent) -> None:
        self._torrent = torrent
        if not torrent.has_info:
            self._display.show(None, reason_for(torrent) or "fetching metadata")
            return
        if self._tells_contents:
            self._tells_contents = False
            summary = torrent.summary
            say(contents(summary.name, summary.size, summary.file_count))
        if torrent.state is State.CHECKING:
            self._display.show(torrent.progress, f"checking {percent(torrent.progress, 1)}")
            return
        self.progress = torrent.progress
        connected = len(torrent.live.peers.connected) if torrent.live else 0
        if torrent.state is State.SEEDING:
            self._on_seeding(torrent, connected)
        else:
            text = transfer_text(
                torrent.have_bytes, torrent.size, torrent.down_rate.rate, connected
            )
            if (why := reason_for(torrent)) and self._is_stuck(torrent):
                text += f"  {why}"
            self._display.show(torrent.progress, text)

    def how_far(self) -> str:
        """Say how far it came, for who ends it early."""
        torrent = self._torrent
        if torrent is None or not torrent.has_info:
            return "stopped before the metadata was there"
        return f"stopped at {percent(self.progress, 1)} of {torrent.name}"

    def finish(self) -> None:
        """Say the result for good."""
        if self._torrent is not None and self._torrent.is_complete:
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
        say(f"complete and verified: {where}; {how}")
