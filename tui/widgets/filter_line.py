"""The line in which a filter is typed; the list follows every key."""

from __future__ import annotations

from textual.message import Message
from textual.widgets import Input

from tui.actions import Scope
from tui.keymap import bindings


class FilterLine(Input):
    BINDINGS = bindings(Scope.FILTER)

    class Left(Message):
        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    def __init__(self) -> None:
        super().__init__(placeholder="part of a name", compact=True)
        self.cursor_blink = False
        self.display = False

    def action_keep_filter(self) -> None:
        self.post_message(self.Left(keep=True))

    def action_drop_filter(self) -> None:
        self.post_message(self.Left(keep=False))
