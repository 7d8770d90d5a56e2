"""The list of orders; choosing the present one turns it round."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.actions import Scope
from tui.keymap import bindings
from tui.store import SORTS, Query


class SortScreen(ModalScreen[str]):
    BINDINGS = bindings(Scope.DIALOG)

    def __init__(self, query: Query) -> None:
        super().__init__()
        self._query = query

    def compose(self) -> ComposeResult:
        arrow = "▼" if self._query.descending else "▲"
        with Vertical(classes="dialogue -narrow"):
            yield Static("Sort by", classes="title")
            yield OptionList(
                *(
                    Option(Content(f"{arrow if key == self._query.sort else ' '} {title}"), id=key)
                    for key, (title, _) in SORTS.items()
                ),
                compact=True,
            )

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = list(SORTS).index(self._query.sort)

    @on(OptionList.OptionSelected)
    def _pick(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_cancel(self) -> None:
        self.dismiss(None)
