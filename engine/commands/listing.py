"""`seedwright list` and `status`: all torrents, and the engine as a whole."""

from __future__ import annotations

import time
from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.connection import ask
from engine.commands.help import command, option
from engine.commands.output import Column, Styled, say, say_facts, say_json, say_table
from engine.control.schema import (
    ListTorrents,
    SessionStatus,
    Status,
    TorrentRow,
    TorrentState,
)
from tui.format import duration, limit, percent, plural, rate, ratio, short_rate, short_size, size

COLOURS: Final = {
    TorrentState.PAUSED: "bright_black",
    TorrentState.METADATA: "yellow",
    TorrentState.CHECKING: "yellow",
    TorrentState.DOWNLOADING: "cyan",
    TorrentState.SEEDING: "green",
    TorrentState.ERROR: "red",
}
SORTS: Final = ("name", "size", "progress", "added", "down", "up")
COLUMNS: Final = (
    Column("ID"),
    Column("NAME", grows=True),
    Column("SIZE", right=True),
    Column("STATE"),
    Column("DOWN", right=True),
    Column("UP", right=True),
    Column("PEERS", right=True),
    Column("LEFT", right=True),
    Column("RATIO", right=True, from_width=90),
)


@command(
    "list",
    examples=(
        ("seedwright list", "A table"),
        (
            "seedwright list --json | jq -r '.[] | select(.state == \"error\") | .name'",
            "Names of those that failed",
        ),
    ),
)
@options.together(
    option(
        "--sort",
        type=click.Choice(SORTS),
        default="added",
        metavar="COLUMN",
        help="Order: name, size, progress, added, down or up; the largest first.",
    ),
    options.engine_option,
    options.json_option,
)
def list_torrents(sort: str, engine: str | None, as_json: bool) -> None:
    """List the torrents of the engine.

    ID is the beginning of the info-hash: enough to name a torrent in other commands.
    """
    rows: list[TorrentRow] = ask(engine, ListTorrents())
    rows = in_order(rows, sort)
    if as_json:
        say_json(rows)
    elif rows:
        say_table(COLUMNS, [_cells(row) for row in rows])
    else:
        say("no torrents yet; `seedwright add FILE` adds one")


def in_order(rows: list[TorrentRow], sort: str) -> list[TorrentRow]:
    """Sort rows for people: names and times upwards, amounts downwards."""
    match sort:
        case "name":
            return sorted(rows, key=lambda row: row.name.casefold())
        case "size":
            return sorted(rows, key=lambda row: -row.size)
        case "progress":
            return sorted(rows, key=lambda row: -row.progress)
        case "down":
            return sorted(rows, key=lambda row: -row.down_rate)
        case "up":
            return sorted(rows, key=lambda row: -row.up_rate)
        case _:
            return sorted(rows, key=lambda row: row.added_at)


def state_text(row: TorrentRow) -> str:
    """What it does, in at most eleven cells, with how far it is where that says something."""
    match row.state:
        case TorrentState.DOWNLOADING if row.is_waiting:
            return f"waiting {percent(row.progress)}"
        case TorrentState.DOWNLOADING:
            return percent(row.progress, 1)
        case TorrentState.CHECKING:
            return f"check {percent(row.progress)}"
        case TorrentState.PAUSED if row.have < row.size:
            return f"paused {percent(row.progress)}"
        case _:
            return row.state.value


def _cells(row: TorrentRow) -> list[str | Styled]:
    return [
        Styled(row.info_hash[:8], "bright_black"),
        row.name,
        short_size(row.size) if row.is_size_known else "",
        Styled(state_text(row), "yellow" if row.is_waiting else COLOURS[row.state]),
        short_rate(row.down_rate),
        short_rate(row.up_rate),
        str(row.peers) if row.peers else "",
        duration(row.eta_s),
        ratio(row.ratio),
    ]


@command("status", examples=(("seedwright status", "Rates, totals, addresses"),))
@options.together(options.engine_option, options.json_option)
def status(engine: str | None, as_json: bool) -> None:
    """Tell how the engine is doing: rates, totals, limits, addresses."""
    told: SessionStatus = ask(engine, Status())
    if as_json:
        say_json(told)
        return
    say_facts(
        [
            ("version", told.version),
            ("running for", duration(time.time() - told.started_at)),
            ("way out", told.way_out or "any"),
            ("listening at", "\n".join(told.listen) or told.waiting or "nothing"),
            ("seen at", "\n".join(told.external)),
            ("reachability", told.reachability),
            ("port mapping", told.port_mapping),
            ("torrents", str(told.torrents)),
            ("peers", str(told.peers)),
            ("DHT", "off" if told.dht_nodes is None else plural(told.dht_nodes, "node")),
            ("down", f"{rate(told.down_rate)}, {size(told.downloaded)} in all"),
            ("up", f"{rate(told.up_rate)}, {size(told.uploaded)} in all"),
            ("limits", f"down {limit(told.down_limit)}, up {limit(told.up_limit)}"),
            ("disk queue", str(told.disk_queue)),
            ("isolated", "yes" if told.is_isolated else "no"),
        ]
    )
