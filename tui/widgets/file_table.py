"""The tree of a torrent's files, where they are chosen: one line for each file and open folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.message import Message

from tui import format as fmt
from tui.actions import Scope
from tui.columns import Column, Parts
from tui.file_tree import HIGH, MIXED, NORMAL, SKIP, FileLine, FileTree, stepped, toggled
from tui.keymap import bindings
from tui.link import FileRow
from tui.widgets import cells
from tui.widgets.table import ListTable

BOXES: Final = {"all": ("■", "accent"), "some": ("◧", "accent"), "none": ("□", "faint")}
LOOKS: Final = {HIGH: ("▲ high", "wait"), NORMAL: ("", ""), SKIP: ("skip", "faint")}
_INDENT: Final = 2


def _name(line: FileLine, width: int) -> Parts:
    """Box, fold and name; a deep path keeps half of the width for its name."""
    indent = min(_INDENT * line.depth, width // 2)
    kind = "none" if not line.wanted else "all" if line.wanted == len(line.numbers) else "some"
    box, style = BOXES[kind]
    fold = ("▾ " if line.is_open else "▸ ") if line.is_folder else "  "
    name = fmt.clean(line.name) + ("/" if line.is_folder else "")
    room = width - indent - len(fold) - 2
    if room <= 0:
        return cells.text(line.name, width)
    return [
        (" " * indent + fold, "muted"),
        (f"{box} ", style),
        (fmt.fit(name, room), "faint" if kind == "none" else "name"),
    ]


def _level(line: FileLine, width: int) -> Parts:
    text, style = ("mixed", "muted") if line.level == MIXED else LOOKS[line.level]
    return [(fmt.fit(text, width), style)]


def _progress(line: FileLine, width: int) -> Parts:
    share = line.have / line.size if line.size else 1.0
    if not line.wanted:
        text = fmt.percent(share) if line.have else "–"
        return cells.right(text, width, "faint")
    return cells.progress(share, width, "bar-done" if share >= 1 else "bar-in")


FILES: Final[tuple[Column[FileLine], ...]] = (
    Column("path", "File", 24, _name, flex=1),
    Column(
        "size",
        "Size",
        6,
        lambda line, w: cells.right(fmt.short_size(line.size), w, "muted"),
        right=True,
    ),
    Column("level", "Priority", 8, _level),
    Column("progress", "Done", 17, _progress, compact=6, drop=1),
)


class FileTable(ListTable[FileLine]):
    """Shows a FileTree and changes it; what was changed is told by `Chosen`."""

    BINDINGS = bindings(Scope.FILES)

    class Chosen(Message):
        """Files were given a level."""

        def __init__(self, numbers: tuple[int, ...], level: str) -> None:
            super().__init__()
            self.numbers = numbers
            self.level = level

    class Accepted(Message):
        """Enter, where that means to go on."""

    def __init__(
        self,
        columns: Sequence[Column[FileLine]] = FILES,
        *,
        id: str | None = None,  # noqa: A002
        accepts: bool = False,
    ) -> None:
        """`accepts`: Enter goes on; else it folds."""
        super().__init__(columns, id=id, empty="Its files are known once the metadata is here.")
        self.tree_of_files = FileTree()
        self._accepts = accepts

    def show_files(self, rows: Sequence[FileRow]) -> None:
        """Show what the engine says."""
        self.tree_of_files.show(rows)
        self.set_rows(self.tree_of_files.lines)

    def forget(self) -> None:
        """Show another torrent's files next: nothing of these is folded there."""
        self.tree_of_files = FileTree()
        super().forget()

    def action_fold(self) -> None:
        line = self.cursor_row
        if line is not None and self.tree_of_files.fold(line):
            self.set_rows(self.tree_of_files.lines)

    def action_open(self) -> None:
        if self._accepts:
            self.post_message(self.Accepted())
        else:
            self.action_fold()

    def action_want(self) -> None:
        if (line := self.cursor_row) is not None:
            self._choose(line, toggled(line))

    def action_step(self, step: int) -> None:
        if (line := self.cursor_row) is not None:
            self._choose(line, stepped(line, step))

    def _choose(self, line: FileLine, level: str) -> None:
        if line.level == level:
            return
        self.tree_of_files.choose(line.numbers, level)
        self.set_rows(self.tree_of_files.lines)
        self.post_message(self.Chosen(line.numbers, level))
