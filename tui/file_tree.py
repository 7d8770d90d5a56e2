"""The files of a torrent as a tree of lines: folders that fold, sums, and what is wanted of them.

Pure: no Textual. The rows are what the engine said; a choice is made on them at once, and sent by
whoever shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.link import FileRow

SKIP: Final = "skip"
NORMAL: Final = "normal"
HIGH: Final = "high"
LEVELS: Final = (SKIP, NORMAL, HIGH)
"""The values of schema.FilePriority, rising."""
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line: a file, or a folder with the sums of what is in it."""

    path: str
    name: str
    depth: int
    numbers: tuple[int, ...]
    """The files that it stands for, as the engine numbers them."""
    size: int
    have: int
    level: str
    """One of LEVELS, or MIXED."""
    wanted: int
    """How many of its files are not skipped."""
    is_folder: bool = False
    is_open: bool = False


@dataclass(slots=True)
class _Folder:
    entries: dict[str, _Folder | _File] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    number: int
    size: int
    have: int
    level: str


class FileTree:
    """The files of one torrent. Which folders are folded stays when the rows are told anew."""

    def __init__(self, rows: Iterable[FileRow] = ()) -> None:
        self._files: list[tuple[str, _File]] = []
        self._folded: set[str] = set()
        self.lines: list[FileLine] = []
        self.show(rows)

    def show(self, rows: Iterable[FileRow]) -> None:
        """Take what the engine says; padding is no file to anybody."""
        self._files = [
            (row.path, _File(row.index, row.size, row.have, str(row.priority)))
            for row in rows
            if not row.is_pad
        ]
        self._lay_out()

    def fold(self, line: FileLine) -> bool:
        """Fold a folder, or unfold it; False for a file."""
        if line.is_folder:
            self._folded ^= {line.path}
            self._lay_out()
        return line.is_folder

    def choose(self, numbers: Iterable[int], level: str) -> None:
        """Give some files a level."""
        chosen = set(numbers)
        self._files = [
            (path, replace(file, level=level) if file.number in chosen else file)
            for path, file in self._files
        ]
        self._lay_out()

    # ── what is asked of it ──

    @property
    def levels(self) -> dict[int, str]:
        """Every file's number and level."""
        return {file.number: file.level for _, file in self._files}

    @property
    def wanted(self) -> tuple[int, int, int]:
        """(files wanted, files in all, bytes wanted)"""
        wanted = [file.size for _, file in self._files if file.level != SKIP]
        return len(wanted), len(self._files), sum(wanted)

    # ── inside ──

    def _lay_out(self) -> None:
        root = _Folder()
        for path, file in self._files:
            *above, name = path.split("/")
            folder = root
            for part in above:
                entry = folder.entries.get(part)
                if not isinstance(entry, _Folder):
                    entry = folder.entries[part] = _Folder()
                folder = entry
            folder.entries[name] = file
        self.lines = []
        self._add_lines(root)

    def _add_lines(self, root: _Folder) -> None:
        """Depth first and not recursive: a path may have more elements than Python likes calls."""
        lines: list[FileLine] = []
        spans: list[tuple[int, int]] = []
        stack: list[tuple[str, str, int, _Folder | _File, int]] = [
            (name, name, 0, entry, -1) for name, entry in reversed(root.entries.items())
        ]
        while stack:
            path, name, depth, entry, begun = stack.pop()
            if begun >= 0:  # all that is in this folder has been laid out
                spans.append((begun, len(lines)))
                continue
            if isinstance(entry, _File):
                lines.append(_file_line(path, name, depth, entry))
                continue
            at = len(lines)
            lines.append(FileLine(path, name, depth, (), 0, 0, MIXED, 0, True))
            stack.append((path, name, depth, entry, at))
            stack += [
                (f"{path}/{below}", below, depth + 1, inside, -1)
                for below, inside in reversed(entry.entries.items())
            ]
        for begun, end in spans:  # the deepest first
            lines[begun] = self._summed(lines[begun], lines[begun + 1 : end])
        self.lines = self._without_folded(lines)

    def _summed(self, folder: FileLine, inside: Sequence[FileLine]) -> FileLine:
        direct = [line for line in inside if line.depth == folder.depth + 1]
        levels = {line.level for line in direct}
        return replace(
            folder,
            numbers=tuple(number for line in direct for number in line.numbers),
            size=sum(line.size for line in direct),
            have=sum(line.have for line in direct),
            level=levels.pop() if len(levels) == 1 else MIXED,
            wanted=sum(line.wanted for line in direct),
            is_open=folder.path not in self._folded,
        )

    def _without_folded(self, lines: Iterable[FileLine]) -> list[FileLine]:
        shown: list[FileLine] = []
        hidden_below: int | None = None
        for line in lines:
            if hidden_below is not None and line.depth > hidden_below:
                continue
            hidden_below = line.depth if line.is_folder and not line.is_open else None
            shown.append(line)
        return shown


def _file_line(path: str, name: str, depth: int, file: _File) -> FileLine:
    is_wanted = int(file.level != SKIP)
    return FileLine(path, name, depth, (file.number,), file.size, file.have, file.level, is_wanted)


def toggled(line: FileLine) -> str:
    """The level that one key gives: what is wanted, be it in part only, all of it or nothing."""
    return SKIP if line.wanted == len(line.numbers) else NORMAL


def stepped(line: FileLine, step: int) -> str:
    """The level above (1) or below (-1); of a mixed folder the nearest that all can have."""
    if line.level == MIXED:
        return HIGH if step > 0 else NORMAL if line.wanted == len(line.numbers) else SKIP
    return LEVELS[max(0, min(len(LEVELS) - 1, LEVELS.index(line.level) + step))]


def as_words(numbers: Iterable[int]) -> str:
    """Numbers as a request takes them, as "0,2,4-6"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
