from __future__ import annotations

import os.path
import tracemalloc
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.safe_path import (
    MAX_DEPTH,
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    check_distinct,
    safe_name,
    safe_path,
    safe_torrent_name,
)
from engine.errors import MetainfoError, UnsafePathError

plain = st.text("abcXYZ019 _-+()é世", min_size=1, max_size=12)


@pytest.mark.parametrize(
    "name",
    ["a", "file.txt", "...", "..a", "a..", ".hidden", "a b", "世界", "xy:z", "1:", "console"],
)
def test_ordinary_names_are_kept_as_they_are(name: str) -> None:
    assert safe_name(name.encode()) == name


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b".", "leave"),
        (b"..", "leave"),
        (b"/", "hides a path"),
        (b"/etc", "hides a path"),
        (b"a/b", "hides a path"),
        (b"../a", "hides a path"),
        (b"a\\b", "hides a path"),
        (b"..\\a", "hides a path"),
        (b"\\\\host\\share", "hides a path"),
        (b"C:", "drive"),
        (b"c:x", "drive"),
        (b"a\0b", "control"),
        (b"a\nb", "control"),
        (b"\x1b[2J", "control"),
        (b"a\x7f", "control"),
        (b"a\xc2\x85", "control"),
        (b"\xff", "not UTF-8"),
        (b"a\xc0\xafb", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"a" * 256, "more than 255"),
        ("é".encode() * 128, "more than 255"),
        (b"con", "reserved"),
        (b"CON", "reserved"),
        (b"nul.txt", "reserved"),
        (b"Aux .c", "reserved"),
        (b"com1", "reserved"),
        (b"LPT9.tar.gz", "reserved"),
        (b"con .txt", "reserved"),
        (b"plain\n", "control"),
    ],
)
def test_bad_names_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(UnsafePathError, match=why):
        safe_name(raw)
    with pytest.raises(UnsafePathError, match=why):
        safe_path([b"fine", raw])


def test_the_longest_name_passes() -> None:
    assert safe_name(b"a" * MAX_NAME_BYTES) == "a" * MAX_NAME_BYTES


@given(
    st.binary(max_size=30) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_what_passes_is_one_element_that_stays_in_its_folder(raw: bytes) -> None:
    try:
        name = safe_name(raw)
    except UnsafePathError:
        return
    assert name.encode() == raw
    assert os.path.normpath(os.path.join("/save", name)) == f"/save/{name}"
    assert not any(unicodedata.category(char) == "Cc" for char in name)


@given(
    st.lists(st.sampled_from([b"..", b".", b"", b"a", b"/", b"b\\", b"a/..", b"nul"]), max_size=5)
)
def test_no_path_climbs(raw: list[bytes]) -> None:
    if raw and all(name == b"a" for name in raw):
        assert safe_path(raw) == ("a",) * len(raw)
    else:
        with pytest.raises(UnsafePathError):
            safe_path(raw)


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(UnsafePathError, match="empty path"):
        safe_path([])


def test_depth_and_length_are_limited() -> None:
    assert len(safe_path([b"a"] * MAX_DEPTH)) == MAX_DEPTH
    with pytest.raises(UnsafePathError, match="65 folders"):
        safe_path([b"a"] * (MAX_DEPTH + 1))
    longest = [b"a" * 255] * (MAX_PATH_BYTES // 256)
    assert safe_path(longest)
    with pytest.raises(UnsafePathError, match="path of more than"):
        safe_path([*longest, b"aa"])


@given(st.lists(plain.map(str.encode), min_size=1, max_size=5))
def test_a_safe_path_is_kept_element_by_element(raw: list[bytes]) -> None:
    assert [name.encode() for name in safe_path(raw)] == raw


@given(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=9))
def test_distinct_files_pass(paths: set[tuple[str, ...]]) -> None:
    check_distinct(sorted(paths))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a",), ("a",)),
        (("a", "b"), ("a", "b")),
        (("a", "b"), ("A", "b")),
        (("a", "README"), ("a", "readme")),
        (("straße",), ("STRASSE",)),
        (("é",), ("e\u0301",)),
        (("É",), ("e\u0301",)),
        (("Σ",), ("ς",)),
    ],
)
def test_one_name_twice_is_refused_also_where_case_is_folded(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    for pair in ([first, second], [second, first]):
        with pytest.raises(UnsafePathError, match="two files"):
            check_distinct(pair)


@pytest.mark.parametrize(
    ("file", "other"),
    [(("a",), ("a", "b")), (("A",), ("a", "b")), (("a", "b"), ("a", "B", "c", "d"))],
)
def test_a_file_that_is_also_a_folder_is_refused(
    file: tuple[str, ...], other: tuple[str, ...]
) -> None:
    for pair in ([file, other], [other, file]):
        with pytest.raises(UnsafePathError, match="a file and a folder"):
            check_distinct(pair)


def test_it_is_a_torrents_fault() -> None:
    assert issubclass(UnsafePathError, MetainfoError)


@given(st.lists(st.lists(st.sampled_from("abA"), min_size=1, max_size=3).map(tuple), max_size=6))
def test_any_set_of_paths_is_judged_as_a_file_system_would(paths: list[tuple[str, ...]]) -> None:
    files = [tuple(name.lower() for name in path) for path in paths]
    folders = {path[:depth] for path in files for depth in range(1, len(path))}
    if len(set(files)) < len(files) or folders & set(files):
        with pytest.raises(UnsafePathError):
            check_distinct(paths)
    else:
        check_distinct(paths)


def test_many_deep_paths_cost_little_memory() -> None:
    paths = [(*[f"{number:x}"] * (MAX_DEPTH - 1), "f") for number in range(2_000)]
    tracemalloc.start()
    try:
        check_distinct(paths)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_torrent_is_not_named_as_the_part_file_of_another() -> None:
    for digits in (40, 64):
        for name in (f".{'0a' * (digits // 2)}.parts", f".{'0A' * (digits // 2)}.PARTS"):
            with pytest.raises(UnsafePathError, match="part file"):
                safe_torrent_name(name.encode())
            assert safe_path([b"t", name.encode()]) == ("t", name), "below a folder it is a name"
    assert safe_torrent_name(b".parts") == ".parts"
