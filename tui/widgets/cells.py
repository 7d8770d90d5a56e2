"""Cells that several tables draw: text, numbers, bars, and the look of a torrent's state.

Each fills its width exactly. A state is told by glyph and word as well as by colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from tui import format as fmt
from tui.columns import Parts

if TYPE_CHECKING:
    from tui.link import TorrentRow


@dataclass(frozen=True, slots=True)
class Look:
    glyph: str
    word: str
    short: str
    """For a narrow column."""
    style: str
    bar: str


LOOKS: Final = {
    "downloading": Look("↓", "downloading", "down", "in", "bar-in"),
    "waiting": Look("◌", "waiting", "wait", "wait", "bar-in"),
    "seeding": Look("↑", "seeding", "seed", "out", "bar-out"),
    "metadata": Look("◇", "metadata", "meta", "wait", "bar-wait"),
    "checking": Look("≡", "checking", "check", "wait", "bar-wait"),
    "paused": Look("‖", "paused", "pause", "muted", "bar-idle"),
    "error": Look("✗", "error", "error", "fail", "bar-fail"),
}


def look_of(row: TorrentRow) -> Look:
    """A download that cannot go on is shown as waiting; its reason is in the details."""
    return LOOKS["waiting" if row.is_waiting else row.state]


def text(value: str, width: int, style: str = "") -> Parts:
    return [(fmt.fit(fmt.clean(value), width), style)]


def right(value: str, width: int, style: str = "") -> Parts:
    return [(fmt.fit(value, width, right=True), style)]


def url(value: str, width: int) -> Parts:
    """An address, of which the host is kept longest: its path goes first, then what it begins
    with."""
    whole = fmt.clean(value)
    begin, colon, rest = whole.partition("://")
    host, slash, _ = rest.partition("/")
    cut = "/…" if slash else ""
    shorter = (f"{begin}{colon}{host}{cut}", f"{host}{cut}", host) if colon else ()
    fitting = (each for each in (whole, *shorter) if cell_len(each) <= width)
    return [(fmt.fit(next(fitting, host if colon else whole), width), "")]


def path(value: str, width: int, style: str = "") -> Parts:
    """A path, of which the end is kept."""
    return [(fmt.fit(fmt.truncate_start(fmt.clean(value), width), width), style)]


def state(row: TorrentRow, width: int) -> Parts:
    look = look_of(row)
    word = look.word if width >= 13 else look.short
    return [(fmt.fit(f"{look.glyph} {word}", width), look.style)]


def progress(value: float, width: int, bar_style: str, style: str = "") -> Parts:
    """A bar and its percentage; only the percentage where there is no room for a bar."""
    percent = fmt.percent(value)
    if width < 9:
        return right(percent, width, style)
    done, rest = fmt.bar(value, width - 5)
    return [(done + rest, bar_style), (fmt.fit(percent, 5, right=True), style)]
