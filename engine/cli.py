"""The command line: which command lives where, what errors become; no logic.

A command's module is loaded when the command runs, so that `--help` and `list` start quickly.
Every error is one line on standard error and an exit code of EXIT_CODES.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn

import rich_click as click

from engine.commands import help as help_page
from engine.errors import SeedwrightError

PROGRAM: Final = "seedwright"
VERSION: Final = "0.1.0"
INTERNAL_ERROR: Final = 70
INTERRUPTED: Final = 130
_MOST_CHARS: Final = 2000
"""Of an error, which may quote what somebody pasted."""

EXIT_CODES: Final[tuple[help_page.Line, ...]] = (
    ("0", "done"),
    ("1", "something else failed"),
    ("2", "wrong usage, or input that cannot be used: torrent, setting, source"),
    ("3", "the engine refused: no such torrent, there already, bad request"),
    ("4", "the tracker failed"),
    ("5", "the storage failed: full, missing, damaged, not permitted"),
    ("6", "no engine answers on the socket"),
    ("70", "an error of seedwright itself"),
    ("124", "`wait`: the time ran out"),
    ("130", "interrupted"),
)


class Entry(NamedTuple):
    """Where a command is, and its one line in the list of commands."""

    module: str
    attribute: str
    summary: str


_TRANSFER: Final = "One torrent, here and now"
_CONTROL: Final = "A running engine"
_TORRENT: Final = "Torrents of a running engine"
_SERVE: Final = "Run and set up"

PANELS: Final[dict[str, dict[str, Entry]]] = {
    _TRANSFER: {
        "get": Entry("get", "get", "Download a torrent with a progress bar."),
        "seed": Entry("seed", "seed", "Seed data that is there already."),
        "create": Entry("create", "create", "Make a torrent of a file or a folder."),
        "show": Entry("show", "show", "Tell what is in a torrent."),
    },
    _SERVE: {
        "daemon": Entry("daemon", "daemon", "Run the engine."),
        "tracker": Entry("tracker", "tracker", "Run a tracker."),
        "config": Entry("config", "config", "Show and change the settings."),
        "demo": Entry("demo", "demo", "Watch a swarm of your own; needs no torrent."),
    },
    _CONTROL: {
        "add": Entry("adding", "add", "Add torrents."),
        "list": Entry("listing", "list_torrents", "List the torrents."),
        "status": Entry("listing", "status", "Tell how the engine is doing."),
        "health": Entry("health", "health", "Tell whether the engine can do its work."),
        "limits": Entry("acting", "limits", "Show or set rate limits."),
        "dht": Entry("dht", "dht", "Look into the DHT; find peers, keep items."),
        "filter": Entry("filtering", "filter_group", "Look at the IP filter, or read it again."),
        "shutdown": Entry("shutdown", "shutdown", "End the engine."),
    },
    _TORRENT: {
        "info": Entry("details", "info", "Tell all about a torrent."),
        "magnet": Entry("details", "magnet", "Print its magnet link."),
        "files": Entry("files", "files", "List its files, and choose which are wanted."),
        "peers": Entry("details", "peers", "List its connected peers."),
        "trackers": Entry("details", "trackers", "List its trackers and what they said."),
        "log": Entry("details", "log", "Tell what happened to it."),
        "pause": Entry("acting", "pause", "Leave the swarm and keep everything."),
        "resume": Entry("acting", "resume", "Go on; also after an error."),
        "recheck": Entry("acting", "recheck", "Verify all pieces on the disk."),
        "announce": Entry("acting", "announce", "Ask the trackers for peers now."),
        "add-peer": Entry("adding", "add_peer", "Connect to a peer."),
        "remove": Entry("removing", "remove", "Forget a torrent, or delete it with its data."),
        "wait": Entry("waiting", "wait", "Wait until it is complete."),
    },
}
HIDDEN: Final = {
    "connect": Entry("connect", "connect", "Lead to an engine; what ssh:// runs at the far end.")
}
"""What programs call."""
COMMANDS: Final = {name: entry for panel in PANELS.values() for name, entry in panel.items()}


@dataclass(slots=True)
class Globals:
    """What the options before the command say; `ctx.obj`."""

    debug: bool = False


class LazyCommand(click.RichCommand):
    """Stands for a command in the list; becomes the real one when it is to run."""

    def __init__(self, name: str, entry: Entry, *, hidden: bool = False) -> None:
        super().__init__(name=name, short_help=entry.summary, help=entry.summary, hidden=hidden)
        self._entry = entry

    def load(self) -> click.Command:
        module = importlib.import_module(f"engine.commands.{self._entry.module}")
        found: click.Command = getattr(module, self._entry.attribute)
        return found

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return self.load().make_context(*args, **kwargs)


class Root(help_page.Group):
    """The group of all commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for title, entries in PANELS.items():
            self.add_panel(click.RichCommandPanel(title, commands=list(entries)))
            for name, entry in entries.items():
                self.add_command(LazyCommand(name, entry))
        for name, entry in HIDDEN.items():
            self.add_command(LazyCommand(name, entry, hidden=True))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click itself would print an empty line, too
            raise click.Abort from None

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        examples = [
            ("seedwright get debian.torrent -o ~/Downloads", "Download, verify, exit"),
            ("seedwright create photos --tracker udp://tracker.example:6969", "Publish"),
            ("seedwright add debian.torrent && seedwright wait debian", "Leave it to the engine"),
            ("seedwright -e ssh://me@box -e ssh://me@other", "Watch engines elsewhere"),
            (
                'eval "$(_SEEDWRIGHT_COMPLETE=bash_source seedwright)"',
                "Complete commands and torrents in bash (or zsh_source, fish_source)",
            ),
        ]
        help_page.write_section(formatter, "Examples", help_page.lines(examples, "green"))
        help_page.write_section(formatter, "Exit codes", help_page.lines(EXIT_CODES, "bold"))


@click.group(
    PROGRAM,
    cls=Root,
    invoke_without_command=True,
    context_settings={"rich_help_config": help_page.STYLE, "show_default": True},
)
@help_page.option(
    "-e",
    "--engine",
    "--socket",
    "engines",
    multiple=True,
    metavar="ENGINE",
    default_text=r"the one here, and all of \[engines]",
    help="Engine to look at, may be repeated: "
    r"a name of \[engines], a socket's path, ssh://HOST or exec:COMMAND.",
)
@help_page.option(
    "--start/--no-start",
    default=None,
    default_text=r"start, but not with \[engines]",
    help="Start an engine here in the background if none runs.",
)
@help_page.option("--debug", is_flag=True, help="Print the traceback of an error, too.")
@click.version_option(VERSION, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context, engines: tuple[str, ...], start: bool | None, debug: bool) -> None:
    """BitTorrent for people who live in a terminal.

    Without a command the full-screen interface opens.
    """
    ctx.obj.debug = debug
    if ctx.invoked_subcommand is None:
        from engine.commands.interface import open_interface

        open_interface(engines, start=start)
    elif engines:
        # Else the command would ask another engine than the one that was named.
        name = ctx.invoked_subcommand
        raise click.UsageError(f"say `seedwright {name} … -e {engines[0]}`: -e follows a command")


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    shared = Globals()
    try:
        code = root.main(list(args), prog_name=PROGRAM, standalone_mode=False, obj=shared)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else PROGRAM
        hint = f" (`{where} --help` says more)" if isinstance(error, click.UsageError) else ""
        return _fail(f"{_without_brackets(error.format_message())}{hint}", error.exit_code)
    except click.Abort:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        return _on_error(_only_cause(error), shared)
    return code if isinstance(code, int) else 0


def _without_brackets(message: str) -> str:
    """What Click says, without those around "(Did you mean one of …?)": a hint in some follows."""
    said, bracket, meant = message.partition(" (Did you mean")
    return f"{said} Did you mean{meant.removesuffix(')')}" if bracket else message


def _on_error(error: BaseException, shared: Globals) -> int:
    if shared.debug:
        traceback.print_exception(error)
    if isinstance(error, SeedwrightError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, BaseExceptionGroup) and error.split(SeedwrightError)[1] is None:
        # Of a command that went on past what failed.
        first, *_ = [_fail(str(each), each.exit_code) for each in _leaves(error)]
        return first
    where = "the traceback is above"
    if not shared.debug:
        import tempfile  # loaded late: it brings random and hashlib with it

        with tempfile.NamedTemporaryFile(
            "w", prefix="seedwright-error-", suffix=".txt", delete=False
        ) as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    return _fail(f"internal error: {type(error).__name__}: {error}; {where}", INTERNAL_ERROR)


def _only_cause(error: BaseException) -> BaseException:
    """The one error in a group of one: what a TaskGroup wraps."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _leaves(error: BaseException) -> Iterator[Any]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for each in error.exceptions:
        yield from _leaves(each)


def _fail(text: str, code: int) -> int:
    from tui.format import clean, excerpt

    click.echo(f"{PROGRAM}: {clean(excerpt(' '.join(text.split()), _MOST_CHARS))}", err=True)
    return code
