"""A switch that also tells without colour whether it is on, by the boxes of the file tree."""

from __future__ import annotations

from textual.widgets import Checkbox

from tui.widgets.file_table import BOXES


class Tick(Checkbox):
    BUTTON_LEFT = BUTTON_RIGHT = ""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802 - Textual's name
        return BOXES["all" if self.value else "none"][0]
