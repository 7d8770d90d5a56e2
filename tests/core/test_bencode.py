from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import bencode
from engine.core.bencode import MAX_DEPTH, MAX_VALUES, Value
from engine.errors import BencodeError

values: st.SearchStrategy[Value] = st.recursive(
    st.integers(-(10**19), 10**19) | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
dictionaries = st.dictionaries(st.binary(max_size=6), values, max_size=5)
both_modes = pytest.mark.parametrize("strict", [True, False])


@given(values, st.booleans())
def test_round_trip(value: Value, strict: bool) -> None:
    assert bencode.decode(bencode.encode(value), strict=strict) == value


@settings(max_examples=60)
@given(values)
def test_no_proper_prefix_is_a_value(value: Value) -> None:
    raw = bencode.encode(value)
    for end in range(len(raw)):
        for strict in (True, False):
            with pytest.raises(BencodeError):
                bencode.decode(raw[:end], strict=strict)
            with pytest.raises(BencodeError):
                bencode.decode_prefix(raw[:end], strict=strict)


@given(values, st.binary(min_size=1, max_size=9))
def test_rubbish_behind_a_value_is_refused_or_left_to_the_caller(
    value: Value, rubbish: bytes
) -> None:
    raw = bencode.encode(value)
    with pytest.raises(BencodeError, match="rubbish"):
        bencode.decode(raw + rubbish)
    assert bencode.decode_prefix(raw + rubbish) == (value, len(raw))


@given(st.binary(max_size=40))
def test_what_is_decoded_strictly_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = bencode.decode(data)
    except BencodeError:
        return
    assert bencode.encode(value) == data


@given(st.text("0123456789-:ilde ax", max_size=30))
def test_near_misses_are_refused_or_canonical(text: str) -> None:
    data = text.encode()
    try:
        value = bencode.decode(data)
    except BencodeError:
        return
    assert bencode.encode(value) == data


@given(dictionaries)
def test_spans_are_the_raw_values(source: dict[bytes, Value]) -> None:
    raw = bencode.encode(source)
    spans = bencode.spans(raw)
    assert spans.keys() == source.keys()
    for key, (start, end) in spans.items():
        assert bencode.decode(raw[start:end]) == source[key]


@settings(max_examples=40)
@given(dictionaries)
def test_spans_of_a_truncated_dictionary_are_refused(source: dict[bytes, Value]) -> None:
    raw = bencode.encode(source)
    for end in range(len(raw)):
        with pytest.raises(BencodeError):
            bencode.spans(raw[:end])


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (b"spam", b"4:spam"),
        (b"", b"0:"),
        (3, b"i3e"),
        (-3, b"i-3e"),
        (0, b"i0e"),
        ([b"spam", b"eggs"], b"l4:spam4:eggse"),
        ({b"cow": b"moo", b"spam": b"eggs"}, b"d3:cow3:moo4:spam4:eggse"),
        ({b"spam": [b"a", b"b"]}, b"d4:spaml1:a1:bee"),
        ([], b"le"),
        ({}, b"de"),
    ],
)
def test_the_examples_of_the_specification(value: Value, raw: bytes) -> None:
    assert bencode.encode(value) == raw
    assert bencode.decode(raw) == value


@both_modes
@pytest.mark.parametrize(
    "raw",
    [
        b"i03e",
        b"i-0e",
        b"i-03e",
        b"i00e",
        b"ie",
        b"i-e",
        b"i--1e",
        b"i+1e",
        b"i 1e",
        b"i1 e",
        b"i1.0e",
        b"i1_0e",
        b"i\xd9\xa1e",
        b"03:abc",
        b"00:",
        b"-1:a",
        b"+1:a",
        b"1_0:aaaaaaaaaa",
        b"4:abc",
        b"99999999999999999999:a",
        b"123456789012345678901:a",
        b"4spam",
        b":",
        b"",
        b"e",
        b"x",
        b"l",
        b"d",
        b"di1ei2ee",
        b"dle1:ae",
        b"d1:ae",
        b"d1:a",
        b"d1:a1:b",
        b"li1e",
        b"i1",
        b"i" + b"9" * 5000 + b"e",
        b"9" * 5000 + b":",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_no_bencode_is_refused(raw: bytes, strict: bool) -> None:
    with pytest.raises(BencodeError):
        bencode.decode(raw, strict=strict)


@given(dictionaries.filter(lambda source: len(source) > 1), st.data())
def test_unsorted_keys_are_taken_where_we_are_lenient_only(
    source: dict[bytes, Value], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(sorted(source)))
    raw = b"d%be" % b"".join(bencode.encode(key) + bencode.encode(source[key]) for key in order)
    assert bencode.decode(raw, strict=False) == source
    if order != sorted(source):
        with pytest.raises(BencodeError, match="out of order"):
            bencode.decode(raw)
        with pytest.raises(BencodeError, match="out of order"):
            bencode.decode(b"l" + raw + b"e")


def test_keys_are_sorted_as_raw_bytes() -> None:
    assert (
        bencode.encode({"a": 1, "B": 2, "é": 3, "aa": 4}) == b"d1:Bi2e1:ai1e2:aai4e2:\xc3\xa9i3ee"
    )


@both_modes
@pytest.mark.parametrize("raw", [b"d1:ai1e1:ai1ee", b"d1:ai1e1:bi2e1:ai3ee", b"d0:i1e0:i2ee"])
def test_a_key_twice_is_refused(raw: bytes, strict: bool) -> None:
    with pytest.raises(BencodeError, match=r"twice|out of order"):
        bencode.decode(raw, strict=strict)


@both_modes
@pytest.mark.parametrize(("opening", "closing"), [(b"l", b"e"), (b"d0:", b"e")])
def test_depth_is_limited(opening: bytes, closing: bytes, strict: bool) -> None:
    bencode.decode(opening * MAX_DEPTH + b"de" + closing * MAX_DEPTH, strict=strict)
    for depth in (MAX_DEPTH + 1, 200, 50_000):
        with pytest.raises(BencodeError, match="nested deeper"):
            bencode.decode(opening * depth + b"de" + closing * depth, strict=strict)


def test_spans_limit_depth_too() -> None:
    with pytest.raises(BencodeError, match="nested deeper"):
        bencode.spans(b"d1:a" + b"l" * 50_000 + b"e" * 50_000 + b"e")


def test_the_number_of_values_is_limited_wherever_they_stand() -> None:
    # One list of them would be found out by its length; lists in lists are only by their sum.
    raw = b"d1:al" + (b"l" + b"0:" * 999 + b"e") * (MAX_VALUES // 1000 + 1) + b"ee"
    with pytest.raises(BencodeError, match="values"):
        bencode.spans(raw)


@pytest.mark.parametrize("raw", [b"le", b"i1e", b"1:a"])
def test_a_dictionary_is_demanded(raw: bytes) -> None:
    with pytest.raises(BencodeError, match="not a dictionary"):
        bencode.decode_dict(raw)
    with pytest.raises(BencodeError, match="not a dictionary"):
        bencode.spans(raw)


@pytest.mark.parametrize("value", [True, None, 1.5, {"a": None}, [object()]])
def test_what_has_no_form_is_our_bug(value: object) -> None:
    with pytest.raises(TypeError):
        bencode.encode(value)  # type: ignore[arg-type]


def test_text_and_buffers_are_strings() -> None:
    assert bencode.encode("ü") == b"2:\xc3\xbc"
    assert bencode.encode([bytearray(b"ab"), memoryview(b"cd")]) == b"l2:ab2:cde"


ITEMS = [1, b"two", [3, [4]], {b"a": 5, b"files": [6]}]


@pytest.mark.parametrize("around", [{}, {b"a": {b"files": [7]}}, {b"z": [{b"files": [8]}]}])
def test_the_items_of_one_list_are_handed_over_as_they_are_read(
    around: dict[bytes, bencode.Value],
) -> None:
    info: dict[bytes, bencode.Value] = {
        b"dir": {b"files": [1], b"info": {b"files": [9]}},
        b"files": ITEMS,
    }
    data = bencode.encode({**around, b"info": info})
    taken: list[bencode.Value] = []
    way = (b"info", b"files")
    found, spans = bencode.decode_with_spans(data, handing=(way, taken.append))
    assert taken == ITEMS
    assert found == {**around, b"info": {**info, b"files": []}}
    assert spans == bencode.spans(data)


@pytest.mark.parametrize("files", [1, b"files", {b"files": [1]}])
def test_what_is_no_list_is_not_handed_over(files: bencode.Value) -> None:
    taken: list[bencode.Value] = []
    for top, way in (
        ({b"files": files}, (b"files",)),
        ({b"info": {b"files": files}}, (b"info", b"files")),
        ({b"info": [{b"files": [2]}]}, (b"info", b"files")),
        ({b"other": {b"files": [2]}}, (b"info", b"files")),
    ):
        data = bencode.encode(top)
        assert bencode.decode_with_spans(data, handing=(way, taken.append))[0] == top
    assert taken == []


@given(st.binary(max_size=40))
def test_handing_over_takes_and_refuses_what_reading_does(rubbish: bytes) -> None:
    """However the list ends, and whatever is in it."""
    for data in (b"d5:filesl" + rubbish, b"d5:filesl" + rubbish + b"ee", rubbish):
        taken: list[bencode.Value] = []
        handing = (b"files",), taken.append
        try:
            plain = bencode.decode_dict(data)
        except BencodeError as error:
            with pytest.raises(BencodeError, match=re.escape(str(error))):
                bencode.decode_with_spans(data, handing=handing)
        else:
            found, _ = bencode.decode_with_spans(data, handing=handing)
            files = plain.get(b"files")
            assert taken == (files if isinstance(files, list) else [])
            assert found == ({**plain, b"files": []} if isinstance(files, list) else plain)
