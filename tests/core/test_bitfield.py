from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.core.bitfield import Bitfield
from engine.errors import ProtocolError


def of(size: int, pieces: set[int]) -> Bitfield:
    field = Bitfield(size)
    for index in pieces:
        field.add(index)
    return field


@st.composite
def sized_sets(draw: st.DrawFn, how_many: int = 1) -> tuple[int, list[set[int]]]:
    size = draw(st.integers(1, 70))
    indexes = st.sets(st.integers(0, size - 1)) | st.just(set(range(size)))
    return size, [draw(indexes) for _ in range(how_many)]


@given(sized_sets())
def test_it_is_a_set_of_indexes(case: tuple[int, list[set[int]]]) -> None:
    size, (pieces,) = case
    field = of(size, pieces)
    assert list(field) == sorted(pieces)
    assert list(field.missing()) == sorted(set(range(size)) - pieces)
    assert field.count == len(field) == len(pieces)
    assert field.is_full == (len(pieces) == size)
    assert [index in field for index in range(size)] == [index in pieces for index in range(size)]


@given(sized_sets())
def test_bytes_round_trip_in_the_order_of_the_wire(case: tuple[int, list[set[int]]]) -> None:
    size, (pieces,) = case
    raw = of(size, pieces).to_bytes()
    bits = "".join(f"{byte:08b}" for byte in raw)
    assert {index for index, bit in enumerate(bits) if bit == "1"} == pieces
    for data in (raw, memoryview(raw)):
        again = Bitfield.from_bytes(data, size)
        assert again == of(size, pieces)
        assert again.count == len(pieces)


@given(sized_sets(), st.integers(0, 70), st.integers(0, 70))
def test_a_range_is_set_at_once(case: tuple[int, list[set[int]]], first: int, stop: int) -> None:
    size, (pieces,) = case
    first, stop = min(first, size), min(stop, size)
    field = of(size, pieces)
    field.add_range(first, stop)
    assert field == of(size, pieces | set(range(first, stop)))
    assert field.count == len(pieces | set(range(first, stop)))


@given(sized_sets(2))
def test_what_two_have_in_common(case: tuple[int, list[set[int]]]) -> None:
    size, (mine, theirs) = case
    both = of(size, mine).common_with(of(size, theirs))
    assert both == of(size, mine & theirs)
    assert both.count == len(mine & theirs)


@given(sized_sets(2))
def test_what_one_has_and_another_has_not(case: tuple[int, list[set[int]]]) -> None:
    size, (mine, theirs) = case
    rest = of(size, mine).without(of(size, theirs))
    assert rest == of(size, mine - theirs)
    assert rest.count == len(mine - theirs)


@given(st.integers(0, 70), st.integers(0, 12))
def test_another_length_is_refused(size: int, length: int) -> None:
    if length == (size + 7) // 8:
        assert Bitfield.from_bytes(bytes(length), size).count == 0
    else:
        with pytest.raises(ProtocolError, match="bitfield of"):
            Bitfield.from_bytes(bytes(length), size)


@given(st.integers(1, 70))
def test_every_spare_bit_is_refused(size: int) -> None:
    full = Bitfield.full(size).to_bytes()
    for spare in range(size, len(full) * 8):
        raw = bytearray(full)
        raw[spare >> 3] |= 0x80 >> (spare & 7)
        with pytest.raises(ProtocolError, match="spare bits"):
            Bitfield.from_bytes(bytes(raw), size)


@given(st.integers(0, 70))
def test_full_has_all_and_no_spare_bit(size: int) -> None:
    field = Bitfield.full(size)
    assert list(field) == list(range(size))
    assert field.is_full
    assert Bitfield.from_bytes(field.to_bytes(), size) == field


@given(sized_sets(how_many=2))
def test_update_and_copy(case: tuple[int, list[set[int]]]) -> None:
    size, (before, more) = case
    field, other = of(size, before), of(size, more)
    twin = field.copy()
    assert field.update(other) is bool(more - before)
    assert field == of(size, before | more)
    assert field.count == len(before | more)
    assert twin == of(size, before)
    field.discard(0)
    field.add(size - 1)
    assert other == of(size, more)


def test_equality_minds_the_size() -> None:
    assert Bitfield(8) != Bitfield(7)
    assert Bitfield(8) != b"\0"


class Editing(RuleBasedStateMachine):
    """Adds and discards in any order keep count, bytes and set the same."""

    @initialize(size=st.integers(1, 40))
    def begin(self, size: int) -> None:
        self.size = size
        self.field = Bitfield(size)
        self.pieces: set[int] = set()

    @rule(number=st.integers(0, 1000))
    def add(self, number: int) -> None:
        index = number % self.size
        assert self.field.add(index) is (index not in self.pieces)
        self.pieces.add(index)

    @rule(number=st.integers(0, 1000))
    def discard(self, number: int) -> None:
        index = number % self.size
        assert self.field.discard(index) is (index in self.pieces)
        self.pieces.discard(index)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "field"):
            assert set(self.field) == self.pieces
            assert self.field.count == len(self.pieces)
            assert Bitfield.from_bytes(self.field.to_bytes(), self.size) == self.field


TestEditing = Editing.TestCase
TestEditing.settings = settings(max_examples=30, stateful_step_count=30)
