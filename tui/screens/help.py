"""The help screen: every action of the registry with its keys, and what the signs mean."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import format as fmt
from tui.actions import Scope, helped
from tui.keymap import all_keys, bindings
from tui.widgets.cells import LOOKS
from tui.widgets.overview import COLOURS

FLAGS = {
    "D d": "we download from them; d: we want to and they choke us",
    "U u": "they download from us; u: they want to and we choke them",
    "O": "optimistically unchoked",
    "S": "snubbed: they sent nothing for a minute",
    "I": "they connected to us",
    "X": "speaks the fast extension",
    "H": "has all pieces",
    "E e": "encrypted; e: only the handshake was",
    "P": "connected by uTP, which yields to other traffic",
}
MEANINGS = {
    "downloading": "pieces are coming in, or will be",
    "waiting": "a download that cannot go on; the overview says why",
    "seeding": "complete, and offered to others",
    "metadata": "a magnet link: names, sizes and hashes are being fetched from peers",
    "checking": "what is on the disk is being verified",
    "paused": "stopped by you",
    "error": "stopped by a problem; the overview says which",
}
KEY_WIDTH = 15
NARROWEST = 20
"""Cells for a meaning beside its sign; on a narrower screen it stands below."""
TWO_COLUMNS_FROM = 104

Entry = tuple[str, str, str]
"""A sign, what it means, and a style for the sign."""


def _section(title: str, entries: Iterable[Entry], width: int) -> list[Content]:
    lines = [Content.styled(title, "bold $accent")]
    for sign, meaning, style in entries:
        if width - KEY_WIDTH < NARROWEST:
            lines.append(Content.styled(fmt.truncate(sign, width), style))
            lines.extend(Content(part) for part in _wrap(meaning, width, "  "))
            continue
        for number, part in enumerate(_wrap(meaning, width - KEY_WIDTH)):
            lines.append(
                Content.assemble((fmt.fit("" if number else sign, KEY_WIDTH), style), (part, ""))
            )
    return [*lines, Content()]


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, max(10, width), initial_indent=indent, subsequent_indent=indent)


def pages(width: int, *, has_fleet: bool = False, in_fleet: bool = False) -> list[list[Content]]:
    """The sections, each a list of lines at most `width` cells wide."""
    sections: list[tuple[str, list[Entry]]] = [
        (group, [(all_keys(action), action.help, "bold") for action in actions])
        for group, actions in helped(has_fleet=has_fleet, in_fleet=in_fleet)
    ]
    looks = [
        (f"{look.glyph} {look.word}", MEANINGS[name], COLOURS.get(look.style, ""))
        for name, look in LOOKS.items()
    ]
    sections.append(("States", looks))
    sections.append(("Flags of peers", [(sign, text, "bold") for sign, text in FLAGS.items()]))
    return [_section(title, entries, width) for title, entries in sections]


class HelpScreen(ModalScreen[None]):
    BINDINGS = bindings(Scope.DIALOG)

    def __init__(self, *, has_fleet: bool = False, in_fleet: bool = False) -> None:
        super().__init__()
        self._fleet = {"has_fleet": has_fleet, "in_fleet": in_fleet}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialogue -wide"):
            yield Static("Keys", classes="title")
            with VerticalScroll(id="help-pages"), Horizontal():
                yield Static(id="help-left")
                yield Static(id="help-right")
            yield Static(Content.styled("↑ ↓ scroll · Esc closes", "$muted"), classes="hint")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        width = self.query_one(VerticalScroll).scrollable_content_region.width
        is_double = width >= TWO_COLUMNS_FROM
        left = pages(width // 2 - 3 if is_double else width - 2, **self._fleet)
        right: list[list[Content]] = []
        if is_double:
            while sum(map(len, right)) + len(left[-1]) <= sum(map(len, left[:-1])):
                right.insert(0, left.pop())
        for name, part in (("#help-left", left), ("#help-right", right)):
            side = self.query_one(name, Static)
            side.display = bool(part)
            side.update(Content("\n").join(line for page in part for line in page))

    def action_cancel(self) -> None:
        self.dismiss(None)
