"""The files of one torrent, kept in columns: ten thousand of them take 200 KiB (BEP 3, 47).

Invariant: each file begins where the one before it ends. An entry is made when it is asked for and
kept by nobody here; whoever goes through many files reads the columns.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias, overload

Path: TypeAlias = tuple[str, ...]

_PAD, _EXECUTABLE, _HIDDEN, _SYMLINK = 1, 2, 4, 8
_BORDER = "\0"
"""Behind each name; no name has one (safe_path.py)."""


class FileEntry(NamedTuple):
    """One file: where it goes below the save path, and where its bytes lie in the torrent."""

    path: Path
    """Elements below the save path, the torrent's name first: all there is of a lone file."""
    length: int
    offset: int
    """Bytes before this file in the torrent."""
    is_pad: bool = False
    """BEP 47: zeros that align the next file; never on disk."""
    is_executable: bool = False
    is_hidden: bool = False
    symlink: Path | None = None
    """BEP 47: target, below the torrent's own folder."""

    @property
    def end(self) -> int:
        return self.offset + self.length

    def pieces(self, piece_length: int) -> range:
        """The pieces that hold bytes of it; none for a file without bytes."""
        if not self.length:
            return range(0)
        return range(self.offset // piece_length, -(-self.end // piece_length))


class FileList(Sequence[FileEntry]):
    """Grows while a torrent is read; from then on it must be left as it is. Equal to any sequence
    of equal entries."""

    __slots__ = (
        "_flags",
        "_name_starts",
        "_names",
        "_numbers",
        "_symlinks",
        "folder_numbers",
        "folders",
        "starts",
    )

    def __init__(self, entries: Iterable[FileEntry] = ()) -> None:
        self.folders: list[Path] = []
        """What the files lie in, each once."""
        self.folder_numbers = array("I")
        """For each file the number of its folder."""
        self.starts = array("Q", (0,))
        """For each file the bytes before it in the torrent; one more, where the last one ends."""
        self._flags = bytearray()
        self._names = bytearray()
        self._name_starts = array("I", (0,))
        self._numbers: dict[Path, int] = {}
        """Of the folders, while the list grows."""
        self._symlinks: dict[int, Path] = {}
        for entry in entries:
            self.append(entry)

    def append(self, entry: FileEntry) -> None:
        """Take in the file that follows; it must begin where the last one ends."""
        folder = entry.path[:-1]
        number = self._numbers.get(folder, -1)
        if number < 0:
            number = self._numbers[folder] = len(self.folders)
            self.folders.append(folder)
        self.folder_numbers.append(number)
        if entry.symlink is not None:
            self._symlinks[len(self)] = entry.symlink
        self.starts.append(entry.offset + entry.length)
        self._names += (entry.path[-1] + _BORDER).encode()
        self._name_starts.append(len(self._names))
        self._flags.append(
            _PAD * entry.is_pad
            | _EXECUTABLE * entry.is_executable
            | _HIDDEN * entry.is_hidden
            | _SYMLINK * (entry.symlink is not None)
        )

    def put_below(self, name: str) -> None:
        """Put all files into a folder of the torrent's name. The last step of reading them."""
        self.folders = [(name, *folder) for folder in self.folders]
        self._symlinks = {file: (name, *target) for file, target in self._symlinks.items()}
        self._numbers = {}

    def __len__(self) -> int:
        return len(self._flags)

    @overload
    def __getitem__(self, number: int) -> FileEntry: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[FileEntry, ...]: ...

    def __getitem__(self, number: int | slice) -> FileEntry | tuple[FileEntry, ...]:
        if isinstance(number, slice):
            return tuple(self._entry(each) for each in range(*number.indices(len(self))))
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"no file {number} among {len(self)}")
        return self._entry(number)

    def __iter__(self) -> Iterator[FileEntry]:
        numbers = range(len(self))
        columns = zip(self.paths(), pairwise(self.starts), self._flags, numbers, strict=True)
        for path, (start, end), flags, number in columns:
            if flags:
                yield self._entry(number)
            else:
                yield FileEntry(path, end - start, start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            one == another for one, another in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FileList({list(self)!r})"

    @property
    def total_length(self) -> int:
        return self.starts[-1]

    @property
    def real_count(self) -> int:
        """Files that are no padding."""
        return len(self) - sum(flags & _PAD for flags in self._flags)

    def length(self, number: int) -> int:
        return self.starts[number + 1] - self.starts[number]

    def is_pad(self, number: int) -> bool:
        return bool(self._flags[number] & _PAD)

    def is_executable(self, number: int) -> bool:
        return bool(self._flags[number] & _EXECUTABLE)

    @property
    def attributes(self) -> Sequence[int]:
        """One byte for each file: 0 if BEP 47 says nothing of it."""
        return self._flags

    def symlink(self, number: int) -> Path | None:
        return self._symlinks.get(number)

    def path(self, number: int) -> Path:
        return (*self.folders[self.folder_numbers[number]], self.name(number))

    def name(self, number: int) -> str:
        """The last element of the path."""
        starts = self._name_starts
        return self._names[starts[number] : starts[number + 1] - 1].decode()

    def paths(self) -> Iterator[Path]:
        """Yield the path of each file."""
        folders = self.folders
        for folder, name in zip(self.folder_numbers, self.names(0, len(self)), strict=True):
            yield (*folders[folder], name)

    def names(self, first: int, end: int) -> list[str]:
        """The last elements of the paths of files in a row."""
        starts = self._name_starts
        return self._names[starts[first] : starts[end]].decode().split(_BORDER)[:-1]

    def _entry(self, number: int) -> FileEntry:
        flags = self._flags[number]
        return FileEntry(
            self.path(number),
            self.length(number),
            self.starts[number],
            bool(flags & _PAD),
            bool(flags & _EXECUTABLE),
            bool(flags & _HIDDEN),
            self._symlinks.get(number),
        )
