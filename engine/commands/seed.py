"""`seedwright seed`: serve data that is there already, in the foreground, until a signal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.engine_options import hint_where_a_port_is_taken, session_options
from engine.commands.get import WITHOUT_LISTEN, Report
from engine.commands.help import command, option
from engine.commands.logs import log_nowhere, log_to_stderr
from engine.commands.progress import Display
from engine.core.metainfo import Info
from engine.errors import StorageError, StorageMissingError
from engine.foreground import Foreground
from engine.net.loop import run
from engine.session.session import Session
from engine.session.source import load_source
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tui.format import size


@command(
    "seed",
    examples=(
        ("seedwright seed photos.torrent --data ~", "Seed ~/photos to whoever asks the tracker"),
        (
            "seedwright seed photos.torrent --data ~ --super-seed --until-copies 1",
            "Publish: send little more than one copy, and end when the peers hold it",
        ),
        (
            "seedwright seed photos.torrent --data ~/photos --listen 0.0.0.0:6881",
            "On a port that others can be told",
        ),
    ),
)
@click.argument("torrent", help="A .torrent file, or the http(s) address of one.")
@options.together(
    option(
        "--data",
        type=options.FILE,
        default=Path(),
        default_text="the current folder",
        metavar="DIR",
        help="The folder that holds the torrent's file or folder, or that itself.",
    ),
    option(
        "--super-seed",
        is_flag=True,
        help="Send each piece once and let the peers pass it on: for the first seed alone.",
    ),
    option(
        "--until-copies",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        default_text="until Ctrl-C",
        help="End when the others together hold so many whole copies, as 1.",
    ),
    options.peer_option,
    options.listen_option,
    options.interface_option,
    options.proxy_option,
    options.isolated_option,
    options.encryption_option,
    options.up_limit_option,
    options.config_option,
    options.set_option,
)
@click.pass_context
def seed(
    ctx: click.Context,
    torrent: str,
    data: Path,
    super_seed: bool,
    until_copies: float | None,
    peers: tuple[str, ...],
    listen: str | None,
    interface: str | None,
    proxy: str | None,
    isolated: bool,
    encryption: str | None,
    up_limit: str | None,
    config_path: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Seed data that is there already, until Ctrl-C or until enough others have it.

    All of it is verified first; what is missing or damaged is an error, and nothing is written.
    """
    log_to_stderr("debug") if ctx.obj.debug else log_nowhere()
    flags = options.overrides(
        assignments,
        transfer__super_seed=("--super-seed", super_seed),
        network__listen=("--listen", listen),
        network__interface=("--interface", interface),
        network__proxy=("--proxy", proxy),
        network__isolated=("--isolated", isolated),
        network__encryption=("--encryption", encryption),
        transfer__up_limit=("--up-limit", up_limit),
    )

    async def main() -> None:
        effective = await options.load_settings(config_path, flags)
        session = session_options(
            effective.settings, any_port=effective.origins["network.listen"].name != "--listen"
        )
        route = session.route()
        metainfo = await load_source(torrent, route)
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

    run(main())


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
