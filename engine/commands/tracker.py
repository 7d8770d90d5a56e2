"""`seedwright tracker`: run the bundled tracker in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.logs import log_to_stderr
from engine.commands.output import say, say_json
from engine.errors import SettingsError, SourceError
from engine.setting_kinds import Seconds
from engine.storage.small_file import read_small_file

if TYPE_CHECKING:
    from engine.tracker.app import TrackerApp

_MAX_URL_BYTES = 4096
_TIME = options.Parsed(Seconds(1.0, 86_400.0))


@command(
    "tracker",
    examples=(
        ("seedwright tracker", "For this machine alone, over HTTP and UDP"),
        ("seedwright tracker --http 0.0.0.0:80 --udp 0.0.0.0:6969", "For everybody"),
        ("seedwright tracker --udp 0.0.0.0:6969 --allow-list hashes.txt", "For these torrents"),
        ("seedwright tracker --http 0.0.0.0:80 --valkey valkey://swarms:6379", "One of several"),
    ),
)
@options.together(
    option(
        "--http",
        metavar="HOST:PORT",
        default_text="127.0.0.1:6969; off when only --udp is given",
        help="Address of announces over HTTP and of the statistics page; [::] is IPv4 as well, "
        "port 0 any free one.",
    ),
    option(
        "--udp",
        metavar="HOST:PORT",
        default_text="127.0.0.1:6969; off when only --http is given",
        help="Address of announces over UDP.",
    ),
    option(
        "--allow-list",
        type=options.FILE,
        metavar="FILE",
        default_text="any torrent",
        help="Serve only these: an info-hash in hex a line, # begins a comment. Read again on "
        "SIGHUP.",
    ),
    option(
        "--interval",
        type=_TIME,
        default="30min",
        metavar="TIME",
        help="Time between the announces of a peer, such as 90s, 30min or 1h.",
    ),
    option(
        "--min-interval",
        type=_TIME,
        default="1min",
        metavar="TIME",
        help="Time before which a peer must not announce again.",
    ),
    option(
        "--trust-proxy",
        multiple=True,
        metavar="NETWORK",
        default_text="none",
        help="Believe X-Forwarded-For of these, such as 10.0.0.0/8; may be repeated.",
    ),
    option(
        "--valkey",
        metavar="URL|FILE",
        default_text="swarms are kept in memory",
        help="Keep the swarms in this Valkey or Redis, such as valkey://HOST:6379/0, so that "
        "several trackers share them; or a file that holds the URL, for one with a password.",
    ),
    option("--hide-torrents", is_flag=True, help="Keep info-hashes off the statistics page."),
    option("--json", "as_json", is_flag=True, help="Print the addresses as JSON for programs."),
)
@click.pass_context
def tracker(
    ctx: click.Context,
    http: str | None,
    udp: str | None,
    allow_list: Path | None,
    interval: float,
    min_interval: float,
    trust_proxy: tuple[str, ...],
    valkey: str | None,
    hide_torrents: bool,
    as_json: bool,
) -> None:
    """Run a tracker until SIGTERM or Ctrl-C.

    Its HTTP address in a browser shows statistics; programs read them at /stats.json.
    """
    from engine.net.loop import run  # here, so that --help does without it
    from engine.tracker.app import TrackerSettings, run_tracker

    log_to_stderr("debug" if ctx.obj.debug else "info")
    defaults = TrackerSettings()
    if http is None and udp is None:
        http, udp = defaults.http, defaults.udp
    settings = TrackerSettings(
        http=http,
        udp=udp,
        allow_list=allow_list,
        interval_s=round(interval),
        min_interval_s=round(min(min_interval, interval)),
        trust_forwarded_from=trust_proxy,
        show_torrents=not hide_torrents,
        shared=None if valkey is None else _url(valkey),
    )

    def started(app: TrackerApp) -> None:
        addresses = app.addresses
        if as_json:
            say_json(
                {
                    "http": str(addresses.http) if addresses.http else None,
                    "udp": str(addresses.udp) if addresses.udp else None,
                    "announce": addresses.announce_urls,
                }
            )
            return
        for url in addresses.announce_urls:
            say(f"announce to {url}")
        if addresses.http:
            say(f"statistics at http://{addresses.http}/")

    run(run_tracker(settings, started=started))


def _url(given: str) -> str:
    """The URL itself, or from the file that holds it. Raises SettingsError."""
    from engine.tracker.shared_swarms import is_url

    if is_url(given):
        return given
    try:
        return read_small_file(Path(given).expanduser(), _MAX_URL_BYTES).decode().strip()
    except (SourceError, UnicodeDecodeError) as error:
        why = error if isinstance(error, SourceError) else "it is no text"
        raise SettingsError(f"flag --valkey: neither a URL nor a file: {given}: {why}") from error
