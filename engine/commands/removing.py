"""`seedwright remove`: forget torrents, and delete their data only when that is clearly meant."""

from __future__ import annotations

import asyncio
import sys

import rich_click as click

from engine.commands import options
from engine.commands.acting import torrents_argument
from engine.commands.connection import engine_at
from engine.commands.help import command, option
from engine.commands.output import say, say_json
from engine.control.client import ControlClient
from engine.control.schema import Accepted, GetTorrent, Remove, TorrentInfo
from tui.format import clean, plural, size


class _Declined(click.ClickException):
    exit_code = 130


@command(
    "remove",
    examples=(
        ("seedwright remove debian", "Its files stay"),
        ("seedwright remove debian --data --yes", "Its files go, without a question"),
    ),
)
@torrents_argument
@options.together(
    option("--data", is_flag=True, help="Delete its files, too: those, and nothing else."),
    option("--yes", is_flag=True, help="Do not ask."),
    options.engine_option,
    options.json_option,
)
def remove(
    torrents: tuple[str, ...], data: bool, yes: bool, engine: str | None, as_json: bool
) -> None:
    """Forget torrents, or delete them with their data.

    In a terminal it asks first. Elsewhere nobody can answer: there --data needs --yes.
    """
    if not torrents:
        raise click.UsageError("name the torrents to remove")
    can_ask = sys.stdin.isatty() and not as_json
    if data and not yes and not can_ask:
        raise click.UsageError("--data deletes files: outside of a terminal it needs --yes")
    reply = asyncio.run(_remove(torrents, data, engine, should_ask=can_ask and not yes))
    if as_json:
        say_json(reply)
    else:
        what = "with their data" if data else "their files are untouched"
        if len(reply.info_hashes) == 1:
            what = what.replace("their", "its")
        say(f"removed {plural(len(reply.info_hashes), 'torrent')}, {what}")


async def _remove(
    torrents: tuple[str, ...], data: bool, engine: str | None, *, should_ask: bool
) -> Accepted:
    async with engine_at(engine) as client:
        # What the user agreed to is what is removed, also if another torrent of that name comes.
        infos = [await _info(client, torrent) for torrent in torrents]
        if should_ask:
            for info in infos:
                if not click.confirm(_question(info, data)):
                    raise _Declined("nothing was removed")
        request = Remove(torrents=[info.row.info_hash for info in infos], delete_data=data)
        reply: Accepted = await client.call(request, timeout_s=None)
        return reply


async def _info(client: ControlClient, torrent: str) -> TorrentInfo:
    info: TorrentInfo = await client.call(GetTorrent(torrent=torrent))
    return info


def _question(info: TorrentInfo, data: bool) -> str:
    name = clean(info.row.name)
    if not data:
        return f"Remove {name}? Its files stay in {clean(info.save_path)}."
    what = f"{size(info.row.have)} in {plural(info.files, 'file')}"
    return f"Remove {name} and delete {what} from {clean(info.save_path)}?"
