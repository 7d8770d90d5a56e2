"""Small files that come all at once: each made, written and closed in a row (BEP 3). HOT.

Of thousands of files none would stay in the pool, and none is written to again. What is new needs
no looking at; what is there already is written over, by the same rules as in filesystem.py. Between
the system calls next to nothing is done: each lets go of the interpreter, and who then has to wait
for it waits longer than the call takes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TypeAlias

from engine.core.file_list import FileList
from engine.errors import StorageError
from engine.storage.backend import WritableView
from engine.storage.file_pool import FilePool
from engine.storage.save_folder import FileMaker, SaveFolder
from engine.storage.views import write_all

Content: TypeAlias = tuple[int, str, memoryview]
"""Number of a file, its name in its folder, all that it holds."""


class WholeFiles:
    """Writes small files of one torrent. Makes the folders that are missing; opens and closes, and
    keeps nothing open. Usable from any thread."""

    __slots__ = ("_files", "_folder", "_pool")

    def __init__(self, folder: SaveFolder, files: FileList, pool: FilePool) -> None:
        self._folder = folder
        self._files = files
        self._pool = pool

    def write_row(self, numbers: range, view: memoryview) -> None:
        """Write files in a row, none of which has attributes, from all of `view`. Those without
        bytes are left alone. Raises StorageError. HOT."""
        files = self._files
        first, end = numbers.start, numbers.stop
        base = files.starts[first]
        parts = [view[at - base : to - base] for at, to in pairwise(files.starts[first : end + 1])]
        row = list(zip(numbers, files.names(first, end), parts, strict=True))
        folders = files.folder_numbers[first:end]
        if folders.count(folders[0]) == len(folders):
            self._write_in(folders[0], row)
            return
        for folder, of_folder in groupby(row, lambda content: folders[content[0] - first]):
            self._write_in(folder, list(of_folder))

    def write(self, contents: Iterable[tuple[int, list[WritableView]]]) -> None:
        """Write files, each with all that it holds. Raises StorageError."""
        files = self._files
        by_folder: dict[tuple[int, int], list[Content]] = {}
        for number, parts in contents:
            view = parts[0] if len(parts) == 1 else b"".join(parts)
            content = number, files.path(number)[-1], memoryview(view)
            group = files.folder_numbers[number], file_mode(files, number)
            by_folder.setdefault(group, []).append(content)
        for (folder, mode), inside in by_folder.items():
            self._write_in(folder, inside, mode)

    def _write_in(self, folder: int, contents: Sequence[Content], mode: int = 0o666) -> None:
        """Write files of one folder."""
        opened, pwrite, close = self._pool.opened, os.pwrite, os.close
        number = contents[0][0]
        try:
            with opened(FileMaker, self._folder, self._files.folders[folder]) as maker:
                make = maker.make
                for number, name, part in contents:
                    if not part:
                        continue
                    try:
                        fd = make(name, mode)
                    except OSError as error:
                        if error.errno not in (errno.EMFILE, errno.ENFILE):
                            raise
                        fd = opened(make, name, mode)
                    if fd is None:
                        self._write_over(number, part)
                        continue
                    try:
                        count = pwrite(fd, part, 0)
                        if count != len(part):
                            write_all(fd, count, [part[count:]])
                    finally:
                        close(fd)
        except OSError as error:
            doing = f"writing {self._folder.full_path(self._files.path(number))}"
            raise StorageError.from_os_error(error, doing) from error

    def _write_over(self, number: int, content: memoryview) -> None:
        """Write all of a file that may be there already."""
        path, mode = self._files.path(number), file_mode(self._files, number)
        fd = self._pool.opened(self._folder.open_file, path, writable=True, mode=mode)
        try:
            write_all(fd, 0, [content])
            if os.fstat(fd).st_size > len(content):
                os.ftruncate(fd, len(content))
        finally:
            os.close(fd)


def file_mode(files: FileList, number: int) -> int:
    """With what permissions a file is made, before the umask."""
    return 0o777 if files.is_executable(number) else 0o666
