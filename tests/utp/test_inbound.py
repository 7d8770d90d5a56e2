"""The receiving half: any order in, one order out; never more than fits."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from engine.utp.arena import Arena
from engine.utp.inbound import MIN_WINDOW_BYTES, Inbound


def _inbound(arena_bytes: int = 1 << 16) -> Inbound:
    return Inbound(65_530, Arena(memoryview(bytearray(arena_bytes))), 0.0)


def _read(inbound: Inbound, most: int = 1 << 20) -> bytes:
    got = b""
    while inbound.ready_bytes:
        got += inbound.read(most)
    return got


@given(
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.integers(0, 200),
    st.integers(1, 30),
)
def test_any_order_becomes_the_one_order(
    payloads: list[bytes], rng: random.Random, arena_bytes: int, most: int
) -> None:
    inbound = _inbound(arena_bytes)
    packets = [(65_530 + n, data) for n, data in enumerate(payloads)]
    fin = 65_530 + len(payloads)
    shuffled: list[tuple[int, bytes | None]] = [*packets, *rng.choices(packets, k=5), (fin, None)]
    rng.shuffle(shuffled)
    got = b""
    for number, data in shuffled:
        if data is None:
            assert inbound.take_fin(number, 0.0)
        else:
            inbound.take(number, memoryview(data), 0.0)
        early = {known - inbound.next - 1 for known in inbound._waiting}
        if inbound.end is not None and inbound.end > inbound.next:
            early.add(inbound.end - inbound.next - 1)
        assert inbound.early == sum(1 << bit for bit in early)
        if rng.random() < 0.3:
            got += _read(inbound, most)
        if rng.random() < 0.3:
            inbound.keep()
            inbound._arena.empty()
    got += _read(inbound, most)
    assert got == b"".join(payloads)
    assert inbound.is_at_end
    assert inbound.window == inbound.limit


def test_what_is_read_may_be_changed_wherever_it_lies() -> None:
    inbound = _inbound(arena_bytes=10)
    for n in range(3):
        inbound.take(65_530 + n, memoryview(b"12345678"), 0.0)
    while inbound.ready_bytes:
        inbound.read(5)[:1] = b"x"  # as a cipher does


def test_a_run_closes_a_gap_and_goes_on_behind_it() -> None:
    inbound = _inbound()
    for offset in (4, 5, 8):
        assert inbound.take(65_530 + offset, memoryview(b"%d" % offset), 0.0)
    assert inbound.take_run(b"01234", 5, 0.0), "4 came twice"
    assert _read(inbound) == b"012345"
    assert inbound.early == 0b10
    assert inbound.take_run(b"67", 2, 0.0)
    assert _read(inbound) == b"678"
    assert inbound.window == inbound.limit


def test_what_does_not_fit_or_cannot_be_is_refused() -> None:
    inbound = _inbound()
    assert inbound.take(65_530 + 9_000, memoryview(b"far"), 0.0) is False
    assert inbound.take(65_529, memoryview(b"old"), 0.0) is None
    big = memoryview(bytes(32_000))
    taken = sum(inbound.take(65_531 + n, big, 0.0) is True for n in range(20))
    assert taken * len(big) <= MIN_WINDOW_BYTES + 64 * 1024
    assert not inbound.take_run(bytes(60_000), 50, 0.0)
    assert inbound.window == 0


def test_tiny_packets_that_come_early_cost_no_more_than_large_ones() -> None:
    inbound = _inbound()
    one = memoryview(b"x")
    tracemalloc.start()
    taken = sum(inbound.take(65_531 + n, one, 0.0) is True for n in range(8_000))
    cost, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cost < MIN_WINDOW_BYTES + 64 * 1024
    assert 500 < taken < 2_000, "as many as an honest peer says in a round trip"
    assert inbound.window == 0
    assert inbound.take(65_530, memoryview(bytes(1_452)), 0.0), "what all wait for has room"
    assert len(_read(inbound)) == 1_452 + taken
    assert inbound.window == inbound.limit


def test_what_came_early_is_forgotten_when_nobody_will_read() -> None:
    inbound = _inbound()
    assert inbound.take(65_532, memoryview(b"c"), 0.0)
    inbound.drop()
    assert inbound.window == inbound.limit
    assert inbound.take(65_530, memoryview(b""), 0.0)
    assert inbound.take(65_531, memoryview(b""), 0.0)
    assert inbound.next == 65_533


def test_the_end_is_where_it_was_said_to_be() -> None:
    inbound = _inbound()
    assert inbound.take(65_533, memoryview(b"d"), 0.0)
    assert not inbound.take_fin(65_532, 0.0), "more was sent than that"
    assert inbound.take_fin(65_534, 0.0)
    assert not inbound.take_fin(65_535, 0.0)
    assert inbound.take(65_534, memoryview(b"e"), 0.0) in (None, False)
    assert inbound.take(65_540, memoryview(b"z"), 0.0) is False
    assert not inbound.take_run(b"abcdef", 6, 0.0)


def test_the_window_grows_where_it_is_filled_fast() -> None:
    fast, slow, unread = _inbound(), _inbound(), _inbound()
    for n in range(100):
        for inbound, now in ((fast, n / 100), (slow, n * 1.0)):
            assert inbound.take_run(bytes(60_000), 44, now)
            _read(inbound)
        unread.take_run(bytes(60_000), 44, n / 100)
    assert unread.limit == MIN_WINDOW_BYTES
    assert slow.limit == MIN_WINDOW_BYTES
    assert fast.limit > 4 * MIN_WINDOW_BYTES
