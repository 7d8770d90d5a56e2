"""`seedwright pause`, `resume`, `recheck`, `announce` and `limits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from engine.commands import options
from engine.commands.connection import ask, complete_torrents
from engine.commands.help import Line, command, option
from engine.commands.output import say, say_facts, say_json
from engine.control import schema
from engine.setting_kinds import Rate
from tui.format import limit, plural

TORRENTS_HELP: Final = (
    "Names or the first letters of them (three or more), or of info-hashes (four or more)."
)

torrents_argument = click.argument(
    "torrents",
    nargs=-1,
    metavar="TORRENT...",
    shell_complete=complete_torrents,
    help=TORRENTS_HELP,
)
torrent_argument = click.argument(
    "torrent",
    shell_complete=complete_torrents,
    help="A name or the first letters of one (three or more), or of an info-hash (four or more).",
)
all_option = option("--all", "is_all", is_flag=True, help="All torrents.")


def named(torrents: tuple[str, ...], is_all: bool) -> list[str] | None:
    """What the request says: these, or None for all. Raises UsageError for neither and both."""
    if is_all == bool(torrents):
        raise click.UsageError("name torrents, or give --all")
    return None if is_all else list(torrents)


def _on_torrents(
    name: str,
    request: Callable[..., schema.Request],
    said: str,
    explanation: str,
    examples: tuple[Line, ...],
) -> click.Command:
    """Make a command that sends one request about some torrents or all of them."""

    @command(name, help=explanation, examples=examples)
    @torrents_argument
    @options.together(all_option, options.engine_option, options.json_option)
    def act(torrents: tuple[str, ...], is_all: bool, engine: str | None, as_json: bool) -> None:
        reply: schema.Accepted = ask(engine, request(torrents=named(torrents, is_all)))
        if as_json:
            say_json(reply)
        else:
            say(f"{said} {plural(len(reply.info_hashes), 'torrent')}")

    return act


pause: Final = _on_torrents(
    "pause",
    schema.Pause,
    "paused",
    "Leave the swarm and keep everything. A paused torrent stays so after a restart.",
    (("seedwright pause debian", "By its name"), ("seedwright pause --all", "Everything")),
)
resume: Final = _on_torrents(
    "resume",
    schema.Resume,
    "resumed",
    "Go on with paused torrents, and with those that an error has stopped.",
    (("seedwright resume 645e9c97", "By the beginning of its info-hash"),),
)
recheck: Final = _on_torrents(
    "recheck",
    schema.Recheck,
    "checking",
    "Verify all pieces on the disk, then go on. What is damaged is fetched again.",
    (("seedwright recheck debian && seedwright wait debian", "And wait for the end of it"),),
)
announce: Final = _on_torrents(
    "announce",
    schema.Announce,
    "announcing",
    "Ask the trackers for peers now, though never sooner than a tracker allows.",
    (("seedwright announce debian", "For one torrent"), ("seedwright announce --all", "For all")),
)


@command(
    "limits",
    examples=(
        ("seedwright limits", "Show those of the engine"),
        ("seedwright limits --down 10MiB/s --up 500kB/s", "Set them until it ends"),
        ("seedwright limits debian --up 0", "Lift one of a torrent"),
    ),
)
@click.argument(
    "torrent",
    required=False,
    shell_complete=complete_torrents,
    help="A name or an info-hash, or the beginning of one; without it the whole engine is meant.",
)
@options.together(
    option(
        "--down",
        type=options.Parsed(Rate()),
        metavar="RATE",
        default_text="as it is",
        help="Receive at most this much, such as 10MiB/s or 100Mbit/s; 0 is no limit.",
    ),
    option(
        "--up",
        type=options.Parsed(Rate()),
        metavar="RATE",
        default_text="as it is",
        help="Send at most this much; 0 is no limit.",
    ),
    options.engine_option,
    options.json_option,
)
def limits(
    torrent: str | None,
    down: int | None,
    up: int | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Show or set the rate limits of the engine or of one torrent.

    Those of a torrent are kept; those of the engine come from the settings when it starts again.
    """
    request = schema.SetLimits(torrent=torrent, down=down, up=up)
    reply: Any = ask(engine, request)
    if as_json:
        say_json(reply)
    else:
        say_facts([("down", limit(reply.down)), ("up", limit(reply.up))])
