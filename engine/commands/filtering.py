"""`seedwright filter`: the addresses that the engine does not speak with."""

from __future__ import annotations

from typing import Final

import rich_click as click

from engine.commands import options
from engine.commands.connection import ask
from engine.commands.help import Group, command
from engine.commands.output import date, say, say_facts, say_json
from engine.control.schema import FilterStatus, GetFilter, IsBlocked, ReloadFilter
from tui.format import plural, size

_PATIENCE_S: Final = 600.0
"""A list of millions of lines comes from far away and is read in seconds."""

_shared = options.together(options.engine_option, options.json_option)


@click.group(
    "filter",
    cls=Group,
    context_settings={"show_default": True},
    examples=(
        ("seedwright config set filter.source ~/level1.p2p.gz", "Filter by a list, from now on"),
        ("seedwright filter status", "What is blocked, and how often it was met"),
        ("seedwright filter reload", "Read the list again"),
        ("seedwright filter test 198.51.100.7", "Is it blocked?"),
    ),
)
def filter_group() -> None:
    """Look at the IP filter of the engine, or read its list again.

    The setting filter.source says where the list comes from: a file or an http(s) address, of
    eMule's, PeerGuardian's or any plain kind, gzip and zip too. Until it is loaded nobody is
    dialled and nobody let in; when it cannot be read again the last good one stays in force. Peers
    and nodes of the DHT are filtered; trackers and web addresses, which you chose, are not.
    """


@command("status", examples=(("seedwright filter status", "Ranges, age, what was refused"),))
@_shared
def status(engine: str | None, as_json: bool) -> None:
    """Tell what is blocked, by which list, and how often such addresses were met."""
    _tell(ask(engine, GetFilter()), as_json=as_json)


@command("reload", examples=(("seedwright filter reload", "As after a change of the file"),))
@_shared
def reload(engine: str | None, as_json: bool) -> None:
    """Read the list from its source now. Connected peers that it blocks are disconnected."""
    _tell(ask(engine, ReloadFilter(), timeout_s=_PATIENCE_S), as_json=as_json)


@command("test", examples=(("seedwright filter test 2001:db8::7", "IPv4 and IPv6"),))
@click.argument("address", help="A numeric address.")
@_shared
def test_address(address: str, engine: str | None, as_json: bool) -> None:
    """Tell whether an address is blocked."""
    told: IsBlocked.Reply = ask(engine, IsBlocked(address=address))
    if as_json:
        say_json(told)
    elif told.is_blocked:
        say(f"{told.address} is blocked" + ("" if told.is_listed else ": no list is loaded yet"))
    else:
        say(f"{told.address} is " + ("listed, but allowed" if told.is_listed else "not blocked"))


def _tell(told: FilterStatus, *, as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    ranges = f"{told.ipv4_ranges:,} of IPv4, {told.ipv6_ranges:,} of IPv6"
    say_facts(
        [
            ("source", told.source or "none: nobody is blocked"),
            ("loaded", "" if told.is_open else "not yet: nobody is dialled or let in"),
            ("ranges", f"{ranges}, in {size(told.memory_bytes)} of memory" if told.source else ""),
            ("read", date(told.read_at)),
            ("not understood", plural(told.nonsense, "line") if told.nonsense else ""),
            ("last error", told.error),
            ("always allowed", ", ".join(told.allow)),
            ("refused", f"{told.refused:,} that connected" if told.source else ""),
            ("not learned", f"{told.unlearned:,} told by others" if told.source else ""),
            ("disconnected", f"{told.closed:,} connected peers" if told.closed else ""),
        ]
    )


for subcommand in (status, reload, test_address):
    filter_group.add_command(subcommand)
