from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode, metainfo
from engine.core.metainfo import (
    MAX_PIECE_LENGTH,
    MAX_TORRENT_BYTES,
    MAX_TOTAL_LENGTH,
    Info,
    Metainfo,
)
from engine.errors import BencodeError, InputError, MetainfoError, UnsafePathError

Dict = dict[str, Any]


def single(**changes: Any) -> Dict:
    """A sound info dictionary of one file of 100,000 bytes; a value of None leaves a key out."""
    info: Dict = {"name": "song", "piece length": 32768, "length": 100_000, "pieces": b"x" * 80}
    info |= {key.replace("_", " "): value for key, value in changes.items()}
    return {key: value for key, value in info.items() if value is not None}


def many(*files: Dict, piece_length: int = 32768, **changes: Any) -> Dict:
    """A sound info dictionary of many files; `pieces` fits them unless it is given."""
    total = sum(file["length"] for file in files if isinstance(file.get("length"), int))
    pieces = bytes(max(0, -(-total // piece_length)) * 20)
    info = {"name": "album", "piece length": piece_length, "files": list(files), "pieces": pieces}
    return info | changes


def file(*path: str | bytes, length: int = 10, **more: Any) -> Dict:
    return {"path": list(path), "length": length} | {
        key.replace("_", " "): value for key, value in more.items()
    }


def parse(info: Dict) -> Info:
    return Info.parse(bencode.encode(info))


def torrent(**around: Any) -> bytes:
    return bencode.encode({"info": single()} | around)


# ── what sound torrents say ─────────────────────────────────────────────────────────────────────


def test_a_single_file() -> None:
    info = parse(single())
    assert info.name == "song"
    assert info.is_single_file
    assert info.total_length == 100_000
    assert info.geometry.piece_count == 4
    assert [(entry.path, entry.length, entry.offset) for entry in info.files] == [
        (("song",), 100_000, 0)
    ]


def test_many_files_lie_end_to_end_below_the_name() -> None:
    info = parse(many(file("a"), file("d", "b", length=0), file("d", "c", length=70_000)))
    assert not info.is_single_file
    assert [(entry.path, entry.offset, entry.end) for entry in info.files] == [
        (("album", "a"), 0, 10),
        (("album", "d", "b"), 10, 10),
        (("album", "d", "c"), 10, 70_010),
    ]
    assert info.total_length == 70_010


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=12), st.integers(1, 1 << 17))
def test_any_lengths_make_a_sound_layout(lengths: list[int], piece_length: int) -> None:
    files = [file(f"f{number}", length=length) for number, length in enumerate(lengths)]
    info = parse(many(*files, piece_length=piece_length))
    assert [entry.length for entry in info.files] == lengths
    assert info.files[0].offset == 0
    assert all(a.end == b.offset for a, b in zip(info.files, info.files[1:], strict=False))
    assert info.geometry.total_length == sum(lengths)
    assert len(info.pieces) == info.geometry.piece_count * 20


def test_piece_hashes_are_twenty_bytes_each() -> None:
    pieces = b"".join(bytes([number]) * 20 for number in range(4))
    info = parse(single(pieces=pieces))
    assert [info.piece_hash(index) for index in range(4)] == [bytes([n]) * 20 for n in range(4)]


def test_the_info_hash_is_that_of_the_raw_bytes_with_unknown_keys() -> None:
    raw = bencode.encode(single() | {"source": "x", "zzz": [1, {"a": b"\xff"}]})
    data = b"d4:info" + raw + b"e"
    parsed = Metainfo.parse(data)
    assert parsed.info.raw == raw
    assert parsed.info_hash == hashlib.sha1(raw).digest()


@pytest.mark.parametrize(
    ("value", "private"), [(None, False), (0, False), (1, True), (b"1", False)]
)
def test_private(value: object, private: bool) -> None:
    assert parse(single(private=value)).is_private is private


def test_utf8_paths_are_preferred() -> None:
    info = parse(many({"path": [b"\xff"], "path.utf-8": ["é"], "length": 1}))
    assert info.files[0].path == ("album", "é")


# ── BEP 47 ──────────────────────────────────────────────────────────────────────────────────────


def test_attributes() -> None:
    info = parse(
        many(
            file("run", attr="x"),
            file("dark", attr="h"),
            file(".pad", "22", length=22, attr="p"),
            file("both", attr="xh"),
            file("odd", attr=7),
        )
    )
    flags = [(entry.is_executable, entry.is_hidden, entry.is_pad) for entry in info.files]
    assert flags == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (True, True, False),
        (False, False, False),
    ]


def test_pad_files_of_one_name_are_allowed_but_not_their_climbing() -> None:
    pads = [file(".pad", "5", length=5, attr="p") for _ in range(3)]
    assert sum(entry.is_pad for entry in parse(many(*pads, file("a"))).files) == 3
    with pytest.raises(UnsafePathError):
        parse(many(file("..", "5", length=5, attr="p")))


def test_a_symlink_points_below_the_torrents_folder() -> None:
    info = parse(many(file("a"), file("l", length=0, attr="l", symlink_path=["d", "a"])))
    assert info.files[1].symlink == ("album", "d", "a")
    assert info.files[0].symlink is None


@pytest.mark.parametrize(
    "target",
    [None, [], "a", [1], ["..", "etc"], ["/etc/passwd"], [""], ["a", ".."], [b"\xff"]],
    ids=repr,
)
def test_a_symlink_without_a_safe_target_is_refused(target: object) -> None:
    link = file("l", length=0, attr="l")
    if target is not None:
        link["symlink path"] = target
    with pytest.raises(MetainfoError):
        parse(many(file("a"), link))


def test_a_symlink_with_bytes_of_its_own_is_refused() -> None:
    with pytest.raises(MetainfoError, match="symlink"):
        parse(many(file("l", length=1, attr="l", symlink_path=["a"])))


def test_a_file_behind_a_symlink_is_refused() -> None:
    link = file("l", length=0, attr="l", symlink_path=["a"])
    with pytest.raises(UnsafePathError, match="a file and a folder"):
        parse(many(file("a"), link, file("l", "x")))


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["name", "piece length", "length", "pieces"])
@pytest.mark.parametrize("value", [None, [], {}, b"text", 1 << 62, -1])
def test_a_missing_or_wrong_value_of_each_key_is_refused(key: str, value: object) -> None:
    if key == "name" and value == b"text":
        parse(single() | {key: value})
        return
    info = {name: item for name, item in single().items() if name != key}
    if value is not None:
        info[key] = value
    with pytest.raises(MetainfoError):
        parse(info)


@pytest.mark.parametrize("piece_length", [0, -1, -16384, MAX_PIECE_LENGTH + 1, 1 << 40])
def test_absurd_piece_lengths_are_refused(piece_length: int) -> None:
    with pytest.raises(MetainfoError, match="piece length"):
        parse(single(piece_length=piece_length))


@pytest.mark.parametrize("size", [0, 1, 19, 20, 60, 79, 81, 100, 8000])
def test_pieces_of_a_wrong_length_are_refused(size: int) -> None:
    with pytest.raises(MetainfoError, match=f"pieces of {size} bytes where 80 belong"):
        parse(single(pieces=bytes(size)))


def test_the_last_partial_piece_needs_its_hash() -> None:
    assert parse(single(length=98_304, pieces=bytes(60))).geometry.last_piece_length == 32768
    with pytest.raises(MetainfoError):
        parse(single(length=98_305, pieces=bytes(60)))
    assert parse(single(length=98_305, pieces=bytes(80))).geometry.last_piece_length == 1


@pytest.mark.parametrize("length", [-1, -(10**18)])
def test_negative_sizes_are_refused(length: int) -> None:
    with pytest.raises(MetainfoError, match=str(length)):
        parse(single(length=length))
    with pytest.raises(MetainfoError, match=str(length)):
        parse(many(file("a", length=100), file("b", length=length), pieces=bytes(20)))


def test_sums_beyond_reason_are_refused() -> None:
    with pytest.raises(MetainfoError, match="bytes in all"):
        parse(single(length=MAX_TOTAL_LENGTH + 1))
    half = MAX_TOTAL_LENGTH // 2
    with pytest.raises(MetainfoError, match="bytes in all"):
        parse(many(file("a")) | {"files": [file("a", length=half), file("b", length=half + 1)]})


def test_an_empty_file_is_a_torrent_without_pieces() -> None:
    info = parse(single(length=0, pieces=b""))
    assert info.geometry.piece_count == 0
    with pytest.raises(MetainfoError):
        parse(single(length=0, pieces=bytes(20)))


def test_one_file_and_many_and_none_are_refused() -> None:
    with pytest.raises(MetainfoError, match="both"):
        parse(single() | {"files": [file("a")]})
    with pytest.raises(MetainfoError, match="no files"):
        parse(single(length=None))
    with pytest.raises(MetainfoError, match="v2 only"):
        parse(single(length=None) | {"file tree": {}})


@pytest.mark.parametrize(
    "files",
    [
        [],
        {},
        b"a",
        7,
        [7],
        [[]],
        [{}],
        [{"length": 1}],
        [{"path": ["a"]}],
        [{"length": 1, "path": []}],
        [{"length": 1, "path": b"a"}],
        [{"length": 1, "path": ["a", 1]}],
        [{"length": 1, "path": [["a"]]}],
        [{"length": b"1", "path": ["a"]}],
    ],
    ids=repr,
)
def test_lists_of_files_that_are_none_are_refused(files: object) -> None:
    with pytest.raises(MetainfoError):
        parse(many(pieces=bytes(20)) | {"files": files})


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metainfo, "MAX_FILES", 3)
    files = [file(f"f{number}") for number in range(4)]
    parse(many(*files[:3]))
    with pytest.raises(MetainfoError, match="more than 3 files"):
        parse(many(*files))


BAD_NAMES = [
    b"..",
    b".",
    b"",
    b"/etc/passwd",
    b"a/b",
    b"..\\x",
    b"C:",
    b"nul",
    b"COM1.txt",
    b"a\0b",
    b"\xff\xfe",
    b"n" * 256,
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name[:12]))
@pytest.mark.parametrize(
    "place",
    [
        lambda name: single(name=name),
        lambda name: many(file("a")) | {"name": name},
        lambda name: many(file(name)),
        lambda name: many(file("ok"), file("d", name)),
        lambda name: many(file(name, "a")),
    ],
    ids=["name of one", "name of many", "file", "file in a folder", "folder"],
)
def test_a_bad_name_is_refused_wherever_it_stands(
    name: bytes, place: Callable[[bytes], Dict]
) -> None:
    with pytest.raises(UnsafePathError):
        parse(place(name))


@pytest.mark.parametrize(
    "paths",
    [
        [("a",), ("a",)],
        [("d", "a"), ("b",), ("d", "a")],
        [("Readme",), ("README",)],
        [("d", "x"), ("D", "X")],
        [("a",), ("a", "b")],
        [("a", "b"), ("a",)],
        [("a", "b"), ("A",)],
    ],
)
def test_files_that_collide_are_refused(paths: list[tuple[str, ...]]) -> None:
    with pytest.raises(UnsafePathError):
        parse(many(*(file(*path) for path in paths)))


def test_over_deep_and_over_long_paths_are_refused() -> None:
    with pytest.raises(UnsafePathError, match="folders"):
        parse(many(file(*["d"] * 65)))
    with pytest.raises(UnsafePathError, match="bytes"):
        parse(many(file(*["d" * 250] * 9)))


def test_an_info_out_of_order_or_with_a_key_twice_is_refused() -> None:
    pieces = b"6:pieces80:" + b"x" * 80
    with pytest.raises(BencodeError, match="out of order"):
        Info.parse(b"d4:name4:song6:lengthi100000e12:piece lengthi32768e" + pieces + b"e")
    with pytest.raises(BencodeError):
        Info.parse(b"d6:lengthi1e6:lengthi100000e4:name1:a12:piece lengthi32768e" + pieces + b"e")


def test_sizes_of_files_are_limited() -> None:
    with pytest.raises(MetainfoError, match="a torrent of"):
        Metainfo.parse(b"d" + bytes(MAX_TORRENT_BYTES))
    with pytest.raises(MetainfoError, match="info dictionary of"):
        Info.parse(b"d" + bytes(MAX_TORRENT_BYTES))


# ── the whole .torrent ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("around", "tiers"),
    [
        ({}, ()),
        ({"announce": "http://a/"}, (("http://a/",),)),
        ({"announce": " http://a/ \n"}, (("http://a/",),)),
        ({"announce": ""}, ()),
        ({"announce": 7}, ()),
        ({"announce": "http://a/", "announce-list": []}, (("http://a/",),)),
        ({"announce": "http://a/", "announce-list": [[]]}, (("http://a/",),)),
        ({"announce": "http://a/", "announce-list": b"x"}, (("http://a/",),)),
        (
            {"announce": "http://z/", "announce-list": [["http://a/", "udp://b"], ["http://c/"]]},
            (("http://a/", "udp://b"), ("http://c/",)),
        ),
        (
            {"announce-list": [["http://a/", "", 7, " "], 7, b"http://x/", [], ["http://c/"]]},
            (("http://a/",), ("http://c/",)),
        ),
    ],
)
def test_trackers(around: Dict, tiers: tuple[tuple[str, ...], ...]) -> None:
    assert Metainfo.parse(torrent(**around)).trackers == tiers


def test_what_stands_around_the_info() -> None:
    parsed = Metainfo.parse(
        torrent(
            comment="plain",
            **{
                "comment.utf-8": "schön",
                "created by": b"tool \xff",
                "creation date": 1_700_000_000,
                "url-list": ["http://s/", "", 7],
            },
        )
    )
    assert parsed.comment == "schön"
    assert parsed.created_by == "tool \ufffd"
    assert parsed.created_at == 1_700_000_000
    assert parsed.web_seeds == ("http://s/",)


def test_values_of_wrong_kinds_around_the_info_are_unsaid() -> None:
    parsed = Metainfo.parse(
        torrent(comment=7, **{"created by": [], "creation date": b"now", "url-list": 7})
    )
    assert parsed == Metainfo(parsed.info)


urls = st.sampled_from(["http://a/announce", "udp://b:80", "https://[::1]/x?y=1", "http://é/"])
texts = st.text(max_size=12)
metainfos = st.builds(
    Metainfo,
    info=st.just(parse(many(file("a"), file("d", "b")) | {"zzz": {"kept": 1}})),
    trackers=st.lists(st.lists(urls, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    web_seeds=st.lists(urls, max_size=2).map(tuple),
    comment=texts,
    created_by=texts,
    created_at=st.none() | st.integers(-(10**12), 10**12),
)


@given(metainfos)
def test_round_trip(written: Metainfo) -> None:
    raw = written.encode()
    assert Metainfo.parse(raw) == written
    assert bencode.encode(bencode.decode(raw)) == raw


def test_a_torrent_cut_anywhere_or_with_rubbish_behind_it_is_refused() -> None:
    raw = torrent(announce="http://a/", comment="c")
    Metainfo.parse(raw)
    for end in range(len(raw)):
        with pytest.raises(InputError):
            Metainfo.parse(raw[:end])
    for rubbish in (b"\n", b"e", b"de"):
        with pytest.raises(BencodeError):
            Metainfo.parse(raw + rubbish)


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>", b"le", b"i1e", b"de", b"d4:infoi1ee", b"d4:infolee", b"d4:info4:spame"],
)
def test_what_is_no_torrent_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        Metainfo.parse(raw)


json = st.recursive(
    st.integers(-5, 200_000) | st.sampled_from([b"", b"a", b"..", b"pieces", bytes(20)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "length", "attr", "symlink path"]), inner)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["name", "piece length", "length", "files", "pieces", "private"])


@given(st.dictionaries(keys, json), st.booleans())
def test_any_dictionary_is_sound_or_refused(changes: Dict, is_single: bool) -> None:
    base = single() if is_single else many(file("a"), file("b", length=50_000))
    try:
        info = parse(base | changes)
    except InputError:
        return
    assert len(info.pieces) == info.geometry.piece_count * 20
    assert all(".." not in entry.path and entry.length >= 0 for entry in info.files)


@pytest.mark.parametrize("data", [b"", b"hello", b"d4:info", b"d1:ai1ee"])
def test_what_is_no_torrent_is_called_so(data: bytes) -> None:
    with pytest.raises(InputError, match="not a torrent"):
        Metainfo.parse(data)


def test_of_thousands_of_trackers_the_first_count() -> None:
    urls = [f"http://tracker{number}.test/announce" for number in range(3 * metainfo.MAX_TRACKERS)]
    for tiers in (
        [[url] for url in urls],
        [urls],
        [[*urls[:7]], urls[7:]],
    ):
        listed = Metainfo.parse(torrent(**{"announce-list": tiers}))
        assert [url for tier in listed.trackers for url in tier] == urls[: metainfo.MAX_TRACKERS]
