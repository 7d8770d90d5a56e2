"""`info`, `magnet`, `peers`, `trackers` and `log`: what there is to know of a torrent."""

from __future__ import annotations

from typing import Any, Final

from engine.commands import options
from engine.commands.acting import torrent_argument
from engine.commands.connection import ask
from engine.commands.help import command
from engine.commands.output import Column, Styled, date, say, say_facts, say_json, say_table
from engine.control import schema
from engine.errors import ControlError, InputError
from tui.format import NO_MAGNET, duration, limit, percent, plural, rate, ratio, short_rate, size

TRACKER_COLOURS: Final = {
    schema.TrackerState.IDLE: "bright_black",
    schema.TrackerState.ANNOUNCING: "cyan",
    schema.TrackerState.WORKING: "green",
    schema.TrackerState.WARNING: "yellow",
    schema.TrackerState.FAILING: "red",
}
LOG_COLOURS: Final = {"debug": "bright_black", "info": "", "warning": "yellow", "error": "red"}

_shared = options.together(torrent_argument, options.engine_option, options.json_option)


@command("info", examples=(("seedwright info debian", "Everything but its lists"),))
@_shared
def info(torrent: str, engine: str | None, as_json: bool) -> None:
    """Tell all about a torrent: progress, rates, totals, dates, pieces."""
    told: schema.TorrentInfo = ask(engine, schema.GetTorrent(torrent=torrent))
    if as_json:
        say_json(told)
        return
    row = told.row
    pieces = f"{told.pieces_have:,} of {told.piece_count:,} pieces of {size(told.piece_length)}"
    is_known = told.piece_length > 0  # else only a magnet link is there
    created = " ".join(filter(None, (date(told.created_at), _by(told.created_by))))
    say_facts(
        [
            ("name", row.name),
            ("info-hash", row.info_hash),
            ("magnet", NO_MAGNET if row.is_private else told.magnet),
            ("state", _state(row)),
            ("error", row.error),
            ("why nothing moves", "" if row.error else row.reason),
            (
                "size",
                f"{size(told.total_size)} in {plural(told.files, 'file')}" if is_known else "",
            ),
            ("wanted", _wanted(told)),
            ("verified", f"{size(row.have)}, {pieces}" if is_known else ""),
            ("time left", duration(row.eta_s)),
            ("down", f"{rate(row.down_rate)}, {size(row.downloaded)} in all"),
            ("up", f"{rate(row.up_rate)}, {size(row.uploaded)} in all, ratio {ratio(row.ratio)}"),
            ("wasted", size(told.wasted) if told.wasted else ""),
            ("limits", f"down {limit(told.down_limit)}, up {limit(told.up_limit)}"),
            ("peers", f"{row.peers}, {row.seeds} of them complete" if row.peers else "none"),
            ("availability", f"{told.availability:.2f} copies among the peers"),
            ("private", "yes" if row.is_private else "no"),
            ("save path", told.save_path),
            ("comment", told.comment),
            ("created", created),
            ("added", date(row.added_at)),
            ("completed", date(row.completed_at)),
            ("active for", duration(told.active_s)),
        ]
    )


def _state(row: schema.TorrentRow) -> str:
    if row.state is schema.TorrentState.METADATA:
        return "fetching metadata"
    return f"{row.state.value} {percent(row.progress, 1)}"


def _wanted(told: schema.TorrentInfo) -> str:
    if not told.files_skipped:
        return ""
    files = plural(told.files, "file")
    return f"{size(told.row.size)}, {told.files - told.files_skipped} of {files}"


def _by(name: str) -> str:
    return f"by {name}" if name else ""


@command("magnet", examples=(("seedwright magnet debian | wl-copy", "To give it to somebody"),))
@_shared
def magnet(torrent: str, engine: str | None, as_json: bool) -> None:
    """Print the magnet link of a torrent.

    A private torrent has none: its peers come by its own tracker alone.
    """
    told: schema.TorrentInfo = ask(engine, schema.GetTorrent(torrent=torrent))
    if told.row.is_private:
        name = told.row.name
        raise InputError(f"{name} is private: no magnet link leads to it, give its .torrent")
    if not told.magnet:
        raise ControlError("the engine there is too old to tell a magnet link")
    if as_json:
        say_json({"info_hash": told.row.info_hash, "magnet": told.magnet})
    else:
        say(told.magnet)


@command("peers", examples=(("seedwright peers debian", "Who, how fast, by what way found"),))
@_shared
def peers(torrent: str, engine: str | None, as_json: bool) -> None:
    """List the connected peers of a torrent.

    Flags: D we download, d they choke us; U we upload, u we choke them; O optimistic unchoke,
    S snubbed, I they connected to us, X fast extension, H they have everything,
    E encrypted, e only the handshake was, P by uTP.
    """
    told: list[schema.PeerRow] = ask(engine, schema.GetPeers(torrent=torrent))
    if as_json:
        say_json(told)
    elif not told:
        say("no peer is connected")
    else:
        say_table(PEER_COLUMNS, [_peer_cells(peer) for peer in told])


PEER_COLUMNS: Final = (
    Column("ADDRESS"),
    Column("CLIENT", grows=True),
    Column("HAS", right=True),
    Column("DOWN", right=True),
    Column("UP", right=True),
    Column("RECEIVED", right=True, from_width=96),
    Column("SENT", right=True, from_width=96),
    Column("FLAGS"),
    Column("FOUND BY"),
)


def _peer_cells(peer: schema.PeerRow) -> list[str]:
    return [
        peer.address,
        peer.client,
        percent(peer.progress),
        short_rate(peer.down_rate),
        short_rate(peer.up_rate),
        size(peer.downloaded),
        size(peer.uploaded),
        peer.flags,
        peer.source,
    ]


@command("trackers", examples=(("seedwright trackers debian", "Which work, what they said"),))
@_shared
def trackers(torrent: str, engine: str | None, as_json: bool) -> None:
    """List the trackers of a torrent and what they said last."""
    told: list[schema.TrackerRow] = ask(engine, schema.GetTrackers(torrent=torrent))
    if as_json:
        say_json(told)
    elif not told:
        say("it has no tracker")
    else:
        say_table(TRACKER_COLUMNS, [_tracker_cells(tracker) for tracker in told])
        for tracker in told:
            if tracker.message:
                say(f"{tracker.url}: {tracker.message}")


TRACKER_COLUMNS: Final = (
    Column("TIER", right=True),
    Column("TRACKER", grows=True),
    Column("STATE"),
    Column("SEEDS", right=True),
    Column("LEECHERS", right=True),
    Column("PEERS", right=True),
    Column("NEXT", right=True),
)


def _tracker_cells(tracker: schema.TrackerRow) -> list[str | Styled]:
    return [
        str(tracker.tier + 1) if tracker.tier >= 0 else "",
        tracker.url,
        Styled(tracker.state.value, TRACKER_COLOURS[tracker.state]),
        _number(tracker.seeders),
        _number(tracker.leechers),
        str(tracker.peers),
        duration(tracker.next_announce_in_s),
    ]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,}"


@command("log", examples=(("seedwright log debian", "Its last 200 events"),))
@_shared
def log(torrent: str, engine: str | None, as_json: bool) -> None:
    """Tell what happened to a torrent, oldest first."""
    told: list[schema.LogLine] = ask(engine, schema.GetLog(torrent=torrent))
    if as_json:
        say_json(told)
        return
    columns = (Column("TIME"), Column("LEVEL"), Column("WHAT"))
    say_table(
        columns,
        [
            (date(line.at), Styled(line.level, LOG_COLOURS.get(line.level, "")), line.text)
            for line in told
        ],
    )
