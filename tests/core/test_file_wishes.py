"""Words for files: numbers, ranges, patterns, folders; what names nothing is an error."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.file_wishes import MAX_WORDS, FileWishes, as_ranges
from engine.errors import InputError
from tests.storage.torrents import Layout, sample

INFO = sample(
    [
        Layout("Season 1/one.MKV", 10),
        Layout("Season 1/one.nfo", 10),
        Layout("pad", 12, "p"),
        Layout("Season 2/two.mkv", 10),
        Layout("Season 2/extras/a, b.txt", 10),
        Layout("2024", 10),
    ],
    16,
    name="Show",
).info
ALL = bytes([1]) * 6


def wanted(wishes: FileWishes, before: bytes = ALL) -> set[int]:
    return {number for number, level in enumerate(wishes.applied(INFO, before)) if level}


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (("*.mkv",), {0, 3}),
        (("0", "3-4"), {0, 3, 4}),
        (("0,3-4",), {0, 3, 4}),
        (("season 1",), {0, 1}),
        (("Season 2/",), {3, 4}),
        (("show/season 2/extras",), {4}),
        (("show",), {0, 1, 3, 4, 5}),
        (("two.mkv",), {3}),
        (("a, b.txt",), {4}),
        (("*a, b*",), {4}),
        (("*.nfo, 5",), {1, 5}),
        (("2024",), {5}),
        (("?ne.*",), {0, 1}),
    ],
)
def test_what_words_name(words: tuple[str, ...], files: set[int]) -> None:
    assert wanted(FileWishes(only=words)) == files


@pytest.mark.parametrize("word", ["*.avi", "6", "3-9", "4-3", "", " , ", "0,*.avi", "[", "pad"])
def test_what_names_nothing_is_refused(word: str) -> None:
    with pytest.raises(InputError):
        FileWishes(only=(word,)).applied(INFO, ALL)


def test_the_error_says_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no file 6: they are numbered 0 to 5"):
        FileWishes(skip=("6",)).applied(INFO, ALL)
    with pytest.raises(InputError, match=r"no file matches '\*\.avi'"):
        FileWishes(skip=("*.avi",)).applied(INFO, ALL)


def test_words_are_heeded_in_their_order() -> None:
    wishes = FileWishes(only=("Season*",), skip=("*.nfo",), high=("0",))
    assert wishes.applied(INFO, ALL) == bytes([2, 0, 0, 1, 1, 0])
    assert FileWishes(normal=("1",)).applied(INFO, bytes(6)) == bytes([0, 1, 0, 0, 0, 0])
    assert FileWishes(only=("0-1",)).applied(INFO, bytes([2, 0, 1, 1, 1, 1])) == bytes(
        [2, 1, 0, 0, 0, 0]
    ), "what is high stays so"


def test_a_link_is_heeded_where_nothing_else_is_said() -> None:
    link = (range(1), range(4, 1000))
    assert wanted(FileWishes(link=link)) == {0, 4, 5}
    assert wanted(FileWishes(link=link, skip=("0",))) == {1, 2, 3, 4, 5}
    with pytest.raises(InputError, match="selects no file"):
        FileWishes(link=(range(6, 9),)).applied(INFO, ALL)


WORDS = st.lists(st.text(max_size=8), max_size=3).map(tuple)


@given(
    st.builds(
        FileWishes,
        only=WORDS,
        skip=WORDS,
        normal=WORDS,
        high=WORDS,
        link=st.lists(st.builds(range, st.integers(0, 9), st.integers(10, 20)), max_size=2).map(
            tuple
        ),
        waits=st.booleans(),
    )
)
def test_wishes_are_kept_and_never_break(wishes: FileWishes) -> None:
    assert FileWishes.decode(wishes.encode()) == wishes
    assert bool(wishes.encode()) == bool(wishes)
    with contextlib.suppress(InputError):
        assert len(wishes.applied(INFO, ALL)) == len(ALL)


@given(st.sets(st.integers(0, 5)))
def test_ranges_name_the_same_files(numbers: set[int]) -> None:
    if numbers:
        named = wanted(FileWishes(only=(as_ranges(numbers),)))
        assert named == numbers
    assert as_ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_too_many_words_are_refused() -> None:
    with pytest.raises(InputError):
        FileWishes(only=("x",) * (MAX_WORDS + 1)).check()
