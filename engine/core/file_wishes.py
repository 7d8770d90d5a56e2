"""What a user says about files, in numbers and patterns → the priority of each file (BEP 53).

A word names files: a number (`3`), numbers (`0,2,4-6`, as a magnet link has them), a pattern
(`*.mkv`, case folded, of the name or of the path), or a folder. It can be kept until the metadata
is there. Invariant: a word that names nothing is an error, so that nothing is fetched or left out
because of a slip of the finger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from fnmatch import translate

from engine.core.file_choice import FilePriority
from engine.core.metainfo import Info
from engine.errors import InputError

MAX_WORDS = 10_000
MAX_WORD_CHARS = 4096
_NUMBERS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


@dataclass(frozen=True, slots=True)
class FileWishes:
    """Words, in the order in which they are heeded."""

    only: tuple[str, ...] = ()
    """These are wanted, all others are not."""
    skip: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    link: tuple[range, ...] = ()
    """What a magnet link selects; heeded where nothing else is said."""
    waits: bool = False
    """Stop as soon as the files are known, so that somebody can choose."""

    def __bool__(self) -> bool:
        return self != _NOTHING

    @property
    def chooses(self) -> bool:
        """True if they say something of files."""
        return bool(self.only or self.skip or self.normal or self.high or self.link)

    def check(self) -> FileWishes:
        """Return them if their number and length is sane. Raises InputError."""
        words = [*self.only, *self.skip, *self.normal, *self.high]
        if len(words) > MAX_WORDS or any(len(word) > MAX_WORD_CHARS for word in words):
            raise InputError("too many files are named one by one; name ranges or patterns")
        return self

    def applied(self, info: Info, priorities: bytes) -> bytes:
        """The priorities that follow from those before. Raises InputError: a word names nothing."""
        levels = bytearray(priorities)
        names = _Names(info)
        if self.only:
            chosen = names.files(self.only)
            for number in range(len(levels)):
                is_kept = number in chosen and levels[number]
                levels[number] = levels[number] if is_kept else number in chosen
        elif self.link and not (self.skip or self.normal or self.high):
            self._apply_link(levels)
        for words, level in (
            (self.skip, FilePriority.SKIP),
            (self.normal, FilePriority.NORMAL),
            (self.high, FilePriority.HIGH),
        ):
            for number in names.files(words):
                levels[number] = level
        return bytes(levels)

    def _apply_link(self, levels: bytearray) -> None:
        chosen = {n for numbers in self.link for n in numbers[: len(levels)] if n < len(levels)}
        if not chosen:
            raise InputError(f"the link selects no file that is there: {_are_numbered(levels)}")
        levels[:] = bytes(number in chosen for number in range(len(levels)))

    def encode(self) -> str:
        """As text, to be kept; empty for none."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        told["link"] = [(numbers.start, numbers.stop) for numbers in self.link]
        told = {name: value for name, value in told.items() if value}
        return json.dumps(told) if told else ""

    @classmethod
    def decode(cls, text: str) -> FileWishes:
        """Read what `encode` wrote. Raises ValueError, TypeError."""
        told = json.loads(text) if text else {}
        waits, link = bool(told.pop("waits", False)), told.pop("link", ())
        words = {name: tuple(value) for name, value in told.items()}
        return cls(**words, waits=waits, link=tuple(range(*ends) for ends in link))


_NOTHING = FileWishes()


class _Names:
    """The files of one torrent by what a word may call them."""

    def __init__(self, info: Info) -> None:
        self._files = info.files

    def files(self, words: Sequence[str]) -> set[int]:
        """The numbers of the files that words name. Raises InputError for one that names none."""
        return {number for word in words for number in self._of_word(word)}

    def _of_word(self, word: str) -> Iterable[int]:
        parts = [part.strip() for part in word.split(",") if part.strip()]
        if len(parts) > 1 and (found := self._matching(word)):  # a name may have a comma
            return found
        if not parts:
            raise InputError(f"{word!r} names no file")
        return [number for part in parts for number in self._of_part(part)]

    def _of_part(self, part: str) -> Iterable[int]:
        if numbers := _NUMBERS.fullmatch(part):
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            if first <= last < len(self._files):
                return range(first, last + 1)
            if not (found := self._matching(part)):
                raise InputError(f"there is no file {part}: {_are_numbered(self._files)}")
            return found
        found = self._matching(part)
        if not found:
            raise InputError(f"no file matches {part!r}")
        return found

    def _matching(self, pattern: str) -> list[int]:
        matches = re.compile(translate(pattern.strip().rstrip("/").casefold())).match
        return [
            number
            for number, file in enumerate(self._files)
            if not file.is_pad and any(map(matches, _called(file.path)))
        ]


def _called(path: tuple[str, ...]) -> Iterator[str]:
    """The name, the path with and without the torrent's own folder, and the folders above it."""
    folded = [name.casefold() for name in path]
    yield folded[-1]
    for end in range(len(folded), 0, -1):
        yield "/".join(folded[:end])
        if end > 1:
            yield "/".join(folded[1:end])


def _are_numbered(files: Sequence[object]) -> str:
    return "it has only file 0" if len(files) == 1 else f"they are numbered 0 to {len(files) - 1}"


def as_ranges(numbers: Iterable[int]) -> str:
    """Numbers as a word writes them, as "0,2,4-6"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
