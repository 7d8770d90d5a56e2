"""Framing: any cut of a stream gives the same lines; whatever is no request gets a coded error."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import errors
from engine.control import framing, schema
from engine.control.dispatch import decode_request
from engine.control.framing import SMALL_LINE_BYTES, STALLED_S, Budget, LineBuffer
from engine.errors import BadRequestError, ControlError, SeedwrightError


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 200)), st.binary(max_size=9))
def test_lines_do_not_depend_on_the_cuts(lines: list[bytes], cuts: list[int], rest: bytes) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    buffer = LineBuffer(100)
    marks = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    got = [line for start, end in pairwise(marks) for line in buffer.feed(stream[start:end])]
    assert got == [line for line in lines if line.strip()]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_line_over_the_limit_is_refused_after_those_before_it(step: int) -> None:
    buffer = LineBuffer(10)
    stream = b"0123456789\nshort\n01234567890\nnever\n"
    got: list[bytes] = []

    def feed_all() -> None:
        for at in range(0, len(stream), step):
            got.extend(buffer.feed(stream[at : at + step]))

    with pytest.raises(BadRequestError, match="more than 10 bytes"):
        feed_all()
    assert got == [b"0123456789", b"short"]


def test_an_endless_line_is_refused_before_its_newline() -> None:
    buffer = LineBuffer(1000)
    assert list(buffer.feed(b"x" * 600)) == []
    with pytest.raises(BadRequestError):
        list(buffer.feed(b"x" * 600))


def test_a_budget_gets_back_what_lines_took_however_they_end() -> None:
    budget = Budget(100)
    large = b"x" * (SMALL_LINE_BYTES + 90)
    first, second = LineBuffer(1 << 20, budget), LineBuffer(1 << 20, budget)
    for end in range(3):
        assert not list(first.feed(large))
        with pytest.raises(BadRequestError):
            list(second.feed(large))
        assert not list(second.feed(b"x" * SMALL_LINE_BYTES))
        second.close()
        if end == 0:
            assert list(first.feed(b"\n")) == [large]
        elif end == 1:
            first.close()
        else:
            with pytest.raises(BadRequestError):
                list(first.feed(b"x" * 11))


def test_a_line_of_which_nothing_comes_gives_way_when_another_needs_its_room() -> None:
    now, gone = 0.0, []
    budget = Budget(100, lambda: now)
    large = b"x" * (SMALL_LINE_BYTES + 49)
    a, b, c = lines = [LineBuffer(1 << 20, budget) for _ in range(3)]
    for name, line in zip("abc", lines, strict=True):
        line.given_up = partial(gone.append, name)
    assert not list(a.feed(large))
    assert not list(b.feed(large))
    now = STALLED_S - 1
    assert not list(a.feed(b"x"))
    with pytest.raises(BadRequestError):
        list(c.feed(large))
    now = STALLED_S
    assert not list(c.feed(large))
    assert gone == ["b"], "of the other something came later"
    now = 3 * STALLED_S
    assert list(c.feed(b"\n")) == [large]
    assert not list(c.feed(large))
    assert gone == ["b"], "there was room"
    assert not list(a.feed(b"x"))
    with pytest.raises(BadRequestError):
        list(c.feed(b"xx"))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"garbage", -32700),
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"a"}x', -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"hello"}]', -32600),
        (b"[]", -32600),
        (b"7", -32600),
        (b"{}", -32600),
        (b'{"id":1,"method":"hello"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"hello"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"hello"}', -32600),
    ],
)
def test_what_is_no_request_is_refused_with_its_code(line: bytes, code: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        framing.decode_call(line)
    assert caught.value.code == code


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_else(line: bytes) -> None:
    for decode in (framing.decode_call, framing.decode_incoming):
        with suppress(BadRequestError):
            decode(line)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000], ids=["[", "{"])
def test_a_deep_nest_is_refused(deep: bytes) -> None:
    for line in (deep, b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + deep):
        with pytest.raises(BadRequestError):
            decode_request(framing.decode_call(line))


def test_a_request_survives_the_wire() -> None:
    line = framing.encode_request(7, schema.AddTorrent(metainfo=b"\x00\xff", peers=["[::1]:80"]))
    call = framing.decode_call(line.removesuffix(b"\n"))
    assert line.count(b"\n") == 1
    assert (call.id, call.method) == (7, "torrent.add")
    assert json.loads(bytes(call.params))["metainfo"] == "AP8="


def test_a_request_without_id_wants_no_answer_and_null_is_an_id() -> None:
    assert framing.decode_call(b'{"jsonrpc":"2.0","method":"x"}').id is framing.NO_ID
    assert framing.decode_call(b'{"jsonrpc":"2.0","method":"x","id":null}').id is None


_ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SeedwrightError)
]


@pytest.mark.parametrize("kind", _ERRORS)
def test_every_error_class_survives_the_wire(kind: type[SeedwrightError]) -> None:
    incoming = framing.decode_incoming(framing.encode_error("id", kind("what: “happened”")))
    assert incoming.id == "id"
    assert incoming.error is not None
    error = framing.raised(incoming.error)
    assert type(error) is kind
    assert str(error) == "what: “happened”"
    if isinstance(error, ControlError):
        assert error.code == kind.code  # type: ignore[attr-defined]


def test_a_bug_travels_by_name_and_without_its_text() -> None:
    incoming = framing.decode_incoming(framing.encode_error(1, KeyError("secret")))
    assert incoming.error is not None
    assert incoming.error.code == -32603
    assert "KeyError" in incoming.error.message
    assert "secret" not in incoming.error.message
    assert type(framing.raised(incoming.error)) is ControlError


def test_an_error_class_of_a_newer_engine_is_a_control_error() -> None:
    body = framing.ErrorBody(-32050, "odd", framing.ErrorData("OddError"))
    error = framing.raised(body)
    assert type(error) is ControlError
    assert error.code == -32050
