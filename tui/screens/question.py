"""A yes-or-no question; a grave one has the safe answer ready under Enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.actions import Scope
from tui.keymap import bindings


@dataclass(frozen=True, slots=True)
class Question:
    title: str
    body: str
    yes: str
    no: str = "Cancel"
    things: Sequence[str] = ()
    """What it is about, one a line."""
    is_grave: bool = False


STOP_THE_ENGINE: Final = Question(
    title="Stop the engine?",
    body=(
        "All transfers end, for everybody who uses this engine. Nothing is lost: the "
        "torrents go on when it is started again."
    ),
    yes="Stop the engine",
    no="Leave it running",
    is_grave=True,
)


class QuestionScreen(ModalScreen[bool]):
    BINDINGS = bindings(Scope.QUESTION)

    def __init__(self, question: Question) -> None:
        super().__init__(classes="-grave" if question.is_grave else "")
        self._question = question

    def compose(self) -> ComposeResult:
        asked = self._question
        with Vertical(classes="dialogue"):
            yield Static(Content(asked.title), classes="title")
            if asked.things:
                with VerticalScroll(classes="things", can_focus=False):
                    yield Static(Content("\n".join(asked.things)))
            yield Static(Content(asked.body), classes="body")
            with Horizontal(classes="buttons"):
                yield Button(Content(asked.no), id="no", compact=True)
                yes = Button(Content(asked.yes), id="yes", compact=True)
                yes.variant = "error" if asked.is_grave else "primary"
                yield yes

    def on_mount(self) -> None:
        self.query_one("#no" if self._question.is_grave else "#yes", Button).focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def action_other(self) -> None:
        self.focus_next()
