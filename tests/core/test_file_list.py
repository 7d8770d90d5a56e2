from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.file_list import FileEntry, FileList

NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(tuple)


@st.composite
def entries(draw: st.DrawFn) -> list[FileEntry]:
    lengths = draw(st.lists(st.integers(0, 1 << 45) | st.just(0), max_size=12))
    offsets = accumulate(lengths, initial=0)
    return [
        FileEntry(
            draw(PATHS),
            length,
            offset,
            is_pad=draw(st.booleans()),
            is_executable=draw(st.booleans()),
            is_hidden=draw(st.booleans()),
            symlink=draw(st.none() | PATHS),
        )
        for length, offset in zip(lengths, offsets, strict=False)
    ]


@given(entries())
def test_a_list_gives_back_what_was_put_in(listed: list[FileEntry]) -> None:
    files = FileList(iter(listed))
    assert list(files) == listed
    assert [files[number] for number in range(len(files))] == listed
    assert files == listed
    assert files == FileList(listed)
    assert files[1:-1] == tuple(listed[1:-1])
    assert files[::-2] == tuple(listed[::-2])
    assert files[-len(listed) :] == tuple(listed)


@given(entries())
def test_the_columns_say_what_the_entries_say(listed: list[FileEntry]) -> None:
    files = FileList(listed)
    assert files.total_length == sum(entry.length for entry in listed)
    assert files.real_count == sum(not entry.is_pad for entry in listed)
    assert list(files.paths()) == [entry.path for entry in listed]
    assert list(files.starts) == [*(entry.offset for entry in listed), files.total_length]
    assert files.names(0, len(files)) == [entry.path[-1] for entry in listed]
    assert len(set(files.folders)) == len(files.folders)
    for number, entry in enumerate(listed):
        assert files.folders[files.folder_numbers[number]] == entry.path[:-1]
        assert files.name(number) == entry.path[-1]
        assert files.path(number) == entry.path
        assert files.length(number) == entry.length
        assert files.is_pad(number) == entry.is_pad
        assert files.is_executable(number) == entry.is_executable
        assert files.symlink(number) == entry.symlink
        has_any = entry.is_pad or entry.is_executable or entry.is_hidden or bool(entry.symlink)
        assert bool(files.attributes[number]) == has_any


@given(entries(), st.data())
def test_names_of_files_in_a_row(listed: list[FileEntry], data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(listed)))
    first = data.draw(st.integers(0, end))
    assert FileList(listed).names(first, end) == [entry.path[-1] for entry in listed[first:end]]


def test_lists_of_other_files_differ() -> None:
    files = FileList([FileEntry(("t", "a"), 1, 0), FileEntry(("t", "b"), 2, 1)])
    assert files != [files[0]]
    assert files != FileList([files[0], FileEntry(("t", "b"), 3, 1)])
    assert files != "ab"
    assert files != 2


@pytest.mark.parametrize("number", [2, -3])
def test_there_is_no_file_behind_the_last(number: int) -> None:
    files = FileList([FileEntry(("t", "a"), 1, 0), FileEntry(("t", "b"), 2, 1)])
    with pytest.raises(IndexError):
        files[number]


@given(entries(), NAMES)
def test_files_are_put_below_a_folder(listed: list[FileEntry], name: str) -> None:
    files = FileList(listed)
    files.put_below(name)
    assert files == [
        entry._replace(
            path=(name, *entry.path), symlink=(name, *entry.symlink) if entry.symlink else None
        )
        for entry in listed
    ]
