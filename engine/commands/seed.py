"""`seedwright seed`: serve data that is there already, in the foreground, until a signal."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.logs import log_nowhere, log_to_stderr


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
        help="Send each piece about once and let the peers pass it on; for the only seed there is.",
    ),
    option(
        "--until-copies",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        default_text="until Ctrl-C",
        help="End when the peers together hold this many whole copies, such as 1.",
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
    from engine.commands.transferring import serve  # the engine: --help does without it
    from engine.net.loop import run

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
        await serve(effective, torrent, data, peers, until_copies)

    run(main())
