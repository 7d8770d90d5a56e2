"""`seedwright files`: the files of a torrent as a tree, and which of them are wanted."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.commands import options
from engine.commands.acting import torrent_argument
from engine.commands.connection import ask
from engine.commands.help import command
from engine.commands.output import Column, Styled, say, say_json, say_table
from engine.control import schema
from engine.control.schema import FilePriority
from tui.format import percent, plural, size

COLOURS: Final = {FilePriority.SKIP: "bright_black", FilePriority.HIGH: "magenta"}
COLUMNS: Final = (
    Column("NO", right=True),
    Column("DONE", right=True),
    Column("SIZE", right=True),
    Column("PRIORITY"),
    Column("FILE", grows=True),
)
MIXED: Final = "mixed"


@command(
    "files",
    examples=(
        ("seedwright files debian", "What there is, and how much of it"),
        ("seedwright files debian --only '*.mkv'", "Fetch these and nothing else"),
        ("seedwright files debian --skip 3-5,'*.nfo' --high 0", "Leave some out, hurry one"),
        ("seedwright files debian --normal '*'", "Fetch everything after all"),
    ),
)
@options.together(
    torrent_argument,
    *options.rechoice_options,
    options.engine_option,
    options.json_option,
)
def files(
    torrent: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    high: tuple[str, ...],
    normal: tuple[str, ...],
    engine: str | None,
    as_json: bool,
) -> None:
    """List the files of a torrent, or choose which of them are wanted.

    FILES are numbers as they are listed (0,2,4-6), folders, or patterns (quote them); each option
    may be given several times. It can be done at any time: what is skipped is not fetched any more
    and what is there of it stays, what is wanted again is fetched then.
    """
    if only or skip or high or normal:
        request = schema.SetFiles(
            torrent=torrent, only=list(only), skip=list(skip), normal=list(normal), high=list(high)
        )
        reply: schema.SetFiles.Reply = ask(engine, request, timeout_s=None)
        if as_json:
            say_json(reply)
        else:
            _tell_changes(reply)
        return
    told: list[schema.FileRow] = ask(engine, schema.GetFiles(torrent=torrent))
    if as_json:
        say_json(told)
    elif not told:
        say("its files are not known yet: it was added by a magnet link, and has no metadata")
    else:
        say_files(told)


def say_files(told: Iterable[schema.FileRow]) -> None:
    """Print a tree with the sums of its folders."""
    say_table(COLUMNS, [_cells(line) for line in tree([row for row in told if not row.is_pad])])


def _tell_changes(reply: schema.SetFiles.Reply) -> None:
    if not reply.changes:
        say("nothing changed")
    undo: defaultdict[FilePriority, list[str]] = defaultdict(list)
    for change in reply.changes:
        count = plural(change.count, "file")
        say(f"{count} ({size(change.size)}): {change.before} → {change.after}")
        undo[change.before].append(change.files)
    row = reply.row
    say(f"{row.name}: {reply.wanted} of {plural(reply.files, 'file')} wanted, {size(row.size)}")
    if undo:
        words = " ".join(f"--{before} {','.join(numbers)}" for before, numbers in undo.items())
        say(f"undo: seedwright files {shlex.quote(row.name)} {words}")


# ── the tree ────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Line:
    """One line of the tree: a file, or a folder with the sums of what is in it."""

    text: str
    number: str = ""
    size: int = 0
    have: int = 0
    priorities: set[FilePriority] = field(default_factory=set)

    def add(self, row: schema.FileRow) -> None:
        self.size += row.size
        self.have += row.have
        self.priorities.add(row.priority)


@dataclass(slots=True)
class _Folder:
    line: Line
    entries: dict[str, _Folder | schema.FileRow] = field(default_factory=dict)


def tree(rows: Iterable[schema.FileRow]) -> Iterator[Line]:
    """The lines of the tree that the paths of files make, each folder before what is in it."""
    root = _Folder(Line(""))
    for row in rows:
        *above, name = row.path.split("/")
        folder = root
        for part in above:
            entry = folder.entries.setdefault(part, _Folder(Line("")))
            assert isinstance(entry, _Folder), "a file is no folder: core/safe_path.py"
            folder = entry
            folder.line.add(row)
        folder.entries[name] = row
    # Not recursive: a path may have more elements than Python likes calls.
    stack = [("", iter(list(root.entries.items())), len(root.entries))]
    while stack:
        inside, entries, left = stack.pop()
        for name, entry in entries:
            left -= 1
            mark = "" if not stack else "└─ " if not left else "├─ "
            if isinstance(entry, _Folder):
                line = entry.line
                line.text = f"{inside}{mark}{name}/"
                yield line
                below = "" if not stack else "   " if not left else "│  "
                stack.append((inside, entries, left))
                stack.append((inside + below, iter(entry.entries.items()), len(entry.entries)))
                break
            line = Line(f"{inside}{mark}{name}", str(entry.index))
            line.add(entry)
            yield line


def _cells(line: Line) -> list[str | Styled]:
    is_skipped = line.priorities == {FilePriority.SKIP}
    word = MIXED if len(line.priorities) > 1 else next(iter(line.priorities)).value
    colour = COLOURS.get(FilePriority(word), "") if word != MIXED else ""
    return [
        line.number,
        _done(line),
        size(line.size),
        Styled("" if word == FilePriority.NORMAL else word, colour),
        Styled(line.text, "bright_black" if is_skipped else ""),
    ]


def _done(line: Line) -> Styled:
    share = line.have / line.size if line.size else 1.0
    if line.priorities == {FilePriority.SKIP}:
        return Styled(percent(share) if line.have else "–", "bright_black")
    return Styled(percent(share), "green" if share >= 1 else "cyan" if share > 0 else "")
