"""`seedwright daemon`: run the engine in the foreground, logging to standard error."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.logs import log_to_stderr
from engine.control.socket_path import default_socket_path, default_state_dir

if TYPE_CHECKING:
    from engine.session.session import Session

log = logging.getLogger("seedwright")

TAKE_A_FREE_PORT: Final = "`seedwright config set network.listen '*:0'` takes a free one"


@command(
    "daemon",
    examples=(
        ("seedwright daemon", "With the settings as they are"),
        (
            "seedwright daemon --listen 10.8.0.2:6881",
            "Only over this address, such as that of a VPN",
        ),
        (
            "seedwright daemon --set storage.save_path=/srv/torrents",
            "Another setting for this run",
        ),
    ),
)
@options.together(
    options.socket_option,
    option(
        "--state-dir",
        type=options.FILE,
        metavar="DIR",
        default_text="~/.local/state/seedwright",
        help="Folder of the database of torrents.",
    ),
    option(
        "--listen",
        metavar="HOST:PORT",
        default_text="the setting network.listen",
        help="Where peers connect to; `*` is every address, port 0 any free one. A specific HOST "
        "is the only address that any socket of the engine uses.",
        panel="Network",
    ),
    options.interface_option,
    options.proxy_option,
    options.isolated_option,
    option(
        "--log-level",
        metavar="LEVEL",
        default_text="the setting daemon.log_level",
        help="debug, info, warning or error.",
    ),
    options.config_option,
    options.set_option,
)
@click.pass_context
def daemon(
    ctx: click.Context,
    socket_path: Path | None,
    state_dir: Path | None,
    listen: str | None,
    interface: str | None,
    proxy: str | None,
    isolated: bool,
    log_level: str | None,
    config_path: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Run the engine until SIGTERM, Ctrl-C or `seedwright shutdown`.

    It logs to standard error, tells its trackers when it ends, and comes back with all of its
    torrents. A setting is taken from the first of: flag, SEEDWRIGHT_SECTION_KEY in the environment
    (or in the file that SEEDWRIGHT_SECTION_KEY_FILE names), config.d/*.toml beside the
    configuration file, that file, default.
    """
    # The engine: --help does without it.
    from engine.commands.engine_options import hint_where_a_port_is_taken, session_options
    from engine.daemon import run_daemon
    from engine.net.loop import run

    flags = options.overrides(
        assignments,
        daemon__socket=("--socket", socket_path),
        daemon__state_dir=("--state-dir", state_dir),
        daemon__log_level=("--log-level", "debug" if ctx.obj.debug else log_level),
        network__listen=("--listen", listen),
        network__interface=("--interface", interface),
        network__proxy=("--proxy", proxy),
        network__isolated=("--isolated", isolated),
    )

    async def main() -> None:
        effective = await options.load_settings(config_path, flags)
        settings = effective.settings
        log_to_stderr(settings.daemon.log_level, settings.daemon.log_format)
        for warning in effective.warnings:
            log.warning("%s", warning)
        socket = (settings.daemon.socket or default_socket_path(os.environ)).absolute()
        state = (settings.daemon.state_dir or default_state_dir(os.environ)).absolute()

        def ready(session: Session) -> None:
            where = f"peers at {', '.join(map(str, session.endpoints))}"
            if session.route.waiting and not session.endpoints:
                where = f"{session.route.waiting}, nothing is sent until then"
            if session.route.proxy is not None:
                where = f"all by {session.route.way_out}"
            log.info("ready: %s, control socket %s, state in %s", where, socket, state)

        with hint_where_a_port_is_taken(TAKE_A_FREE_PORT):
            await run_daemon(
                session_options(settings),
                socket_path=socket,
                state_dir=state,
                metrics=settings.metrics.listen,
                ready=ready,
            )

    run(main())
