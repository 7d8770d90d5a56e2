"""What commands print: lines, tables that fit the terminal, facts, JSON; nothing that a name from
the network could steer a terminal with."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import rich_click as click

from tui.format import clean, fit

GAP: Final = "  "
_MIN_GROWING: Final = 10


class Styled(NamedTuple):
    """A cell with a colour of its own."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    right: bool = False
    grows: bool = False
    """Takes what the others leave, and is cut short where that is too little."""
    from_width: int = 0
    """Shown only in terminals at least so wide, and outside of terminals."""


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line at once, safe to show."""
    click.echo(clean(text), err=err)


@contextlib.contextmanager
def waiting_for(text: str) -> Iterator[None]:
    """Show a line in the terminal that standard error is while inside, gone afterwards; elsewhere
    nothing."""
    if not sys.stderr.isatty():
        yield
        return
    room = shutil.get_terminal_size().columns - 1
    click.echo(f"\r{fit(clean(text), room).rstrip()}\x1b[K", nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def say_json(value: Any) -> None:
    """Print a struct, a list of them or plain values as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def terminal_width() -> int | None:
    """Cells of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say_table(columns: Sequence[Column], rows: Sequence[Sequence[str | Styled]]) -> None:
    """Print a table with a head. Outside of a terminal nothing is cut short."""
    width = terminal_width()
    shown = [
        number
        for number, column in enumerate(columns)
        if width is None or width >= column.from_width
    ]
    cells = [[_cell(row[number]) for number in shown] for row in rows]
    kept = [columns[number] for number in shown]
    widths = [
        max(len(column.title), *(_width(row[at].text) for row in cells)) if cells else 0
        for at, column in enumerate(kept)
    ]
    if width is not None:
        excess = sum(widths) + len(GAP) * (len(kept) - 1) - width
        for at, column in enumerate(kept):
            if column.grows and excess > 0:
                cut = min(excess, max(0, widths[at] - max(_MIN_GROWING, len(column.title))))
                widths[at] -= cut
                excess -= cut
    head = [Styled(column.title, "bright_black") for column in kept]
    for row in [head, *cells] if cells else []:
        line = GAP.join(
            click.style(fit(cell.text, size, right=column.right), fg=cell.colour or None)
            for cell, column, size in zip(row, kept, widths, strict=True)
        )
        click.echo(line.rstrip())


def say_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values below each other; what is empty is left out."""
    told = [(name, value) for name, value in facts if value]
    size = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        first, *rest = value.split("\n")
        click.echo(f"{click.style(name.rjust(size), fg='bright_black')}  {clean(first)}")
        for line in rest:
            click.echo(f"{' ' * size}  {clean(line)}")


def _cell(cell: str | Styled) -> Styled:
    text, colour = cell if isinstance(cell, Styled) else (cell, "")
    return Styled(clean(text), colour)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def date(at: float | None) -> str:
    """Seconds since the epoch as local date and time; empty for None, "?" for what is no time."""
    if at is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return "?"
