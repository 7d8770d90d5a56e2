"""`seedwright get`: download one torrent in the foreground, verify, say so."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.logs import log_nowhere, log_to_stderr
from engine.core.file_wishes import FileWishes


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
    from engine.commands.transferring import download  # the engine: --help does without it
    from engine.net.loop import run

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
