"""What dialogues with input fields share: a frame, one line for what is wrong, Enter and Esc."""

from __future__ import annotations

from collections.abc import Awaitable

from textual import events, on
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from engine.errors import SeedwrightError
from tui import format as fmt
from tui.actions import Scope
from tui.keymap import bindings

_MOST_CHARS = 240
_MOST_OF_THE_SCREEN = 0.4
"""Of what is wrong: the line that it is about must stay on a small screen, and the buttons."""


class Dialogue(ModalScreen[None]):
    """A subclass has a Static of class `wrong`, buttons `ok` and `cancel`, and `command`."""

    BINDINGS = bindings(Scope.DIALOG)

    def __init__(self) -> None:
        super().__init__()
        self.typed_ahead: list[events.Key] | None = []
        """Keys that came before anything here had the focus; None once something had."""
        self._wrong = ""

    def command(self) -> Awaitable[object]:
        """What OK does. May raise, or its awaiting, SeedwrightError: that is shown, and the
        dialogue stays open."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self._say("")
        for line in self.query(Input):
            line.cursor_blink = False  # a blink is a redraw, and costs a packet over SSH

    @on(events.DescendantFocus)
    def _hand_on(self) -> None:
        early, self.typed_ahead = self.typed_ahead, None
        for event in early or ():
            if self.focused is not None:
                self.focused.post_message(events.Key(event.key, event.character))

    @on(Input.Submitted)
    def _submit(self) -> None:
        self._confirm()

    @on(Input.Changed)
    def _edited(self) -> None:
        self._say("")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "ok":
            self._confirm()
        else:
            self.action_cancel()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def on_resize(self) -> None:
        if self._wrong:
            self._say(self._wrong)

    def _say(self, wrong: str) -> None:
        self._wrong = wrong
        line = self.query_one(".wrong", Static)
        most = min(_MOST_CHARS, int(self.app.size.area * _MOST_OF_THE_SCREEN))
        line.update(_said(wrong, most))
        line.display = bool(wrong)
        self.set_class(bool(wrong), "-wrong")
        if wrong:
            self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Cut what is wrong to the lines there are for it: all that is below it stays in sight."""
        line, frame = self.query_one(".wrong", Static), self.query_one(".dialogue")
        bottom = max(child.region.bottom for child in frame.displayed_children)
        excess = bottom - frame.content_region.bottom
        width, most = line.content_size.width, max(1, line.size.height - excess)
        if excess > 0 and width:
            chars = width * most
            while len(_said(self._wrong, chars).wrap(width)) > most and chars > width:
                chars -= 1
            line.update(_said(self._wrong, chars))
        if self.focused is not None:  # with less room, it may have left the screen
            self.call_after_refresh(self.focused.scroll_visible, animate=False)

    def _confirm(self) -> None:
        self.run_worker(self._attempt(), group="confirm", exclusive=True)

    async def _attempt(self) -> None:
        try:
            await self.command()
        except SeedwrightError as error:
            self._say(str(error))
        else:
            self.dismiss(None)


def _said(wrong: str, most: int) -> Content:
    return Content(fmt.clean(fmt.excerpt(wrong, most)))
