from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, Span
from engine.swarm.request_queue import (
    MAX_DEPTH,
    MIN_DEPTH,
    SNUB_S,
    START_DEPTH,
    TARGET_S,
    RequestQueue,
)


def blocks(first: int, count: int) -> list[Span]:
    return [(n // 64, n % 64 * BLOCK_LENGTH, BLOCK_LENGTH) for n in range(first, first + count)]


def spans(batch: list[Span]) -> list[Span]:
    """The same, blocks in a row of one piece as one."""
    joined: list[Span] = []
    for index, begin, length in batch:
        if joined and joined[-1][0] == index and sum(joined[-1][1:]) == begin:
            joined[-1] = index, joined[-1][1], joined[-1][2] + length
        else:
            joined.append((index, begin, length))
    return joined


def test_what_is_taken_back_is_lost_and_may_come_late() -> None:
    queue = RequestQueue(0.0)
    queue.requested([(0, 0, 2 * BLOCK_LENGTH), (1, 0, BLOCK_LENGTH)], 0.0)
    queue.requested([(2, 0, BLOCK_LENGTH)], 5.0)
    assert queue.take_back(4.0, lambda index: index == 0) == [*blocks(0, 2)]
    assert (queue.outstanding, queue.depth) == (2, 1)
    assert not queue.take_back(4.0, lambda index: index == 2)
    assert queue.received(0, 0, 6.0)
    assert not queue.received(0, 0, 6.0)
    assert not queue.cancelled(0, BLOCK_LENGTH)
    assert queue.cancelled(2, 0)


def test_who_is_quick_and_left_one_block_out_keeps_its_depth() -> None:
    """It answers what was asked for later; who does not, or leaves out much, does not keep it."""
    queue = RequestQueue(0.0)
    queue.requested(spans(blocks(0, 200)), 0.0)
    for number in range(1, 200):
        assert queue.received(number // 64, number % 64 * BLOCK_LENGTH, 1.0)
    queue.requested(spans(blocks(200, 200)), 7.0)
    queue.received_run(3, range(8 * BLOCK_LENGTH, 64 * BLOCK_LENGTH, BLOCK_LENGTH), 8.0)
    assert not queue.tick(8.0, 200.0 * BLOCK_LENGTH)
    depth = queue.depth
    assert depth > 200
    assert queue.take_back(0.0, lambda index: True) == blocks(0, 1)
    assert queue.depth == depth
    assert queue.room(8.0)
    queue.requested([(9, 0, BLOCK_LENGTH)], 8.0)
    assert queue.received(9, 0, 9.0)
    assert queue.take_back(7.0, lambda index: True) == blocks(256, 144)
    assert queue.depth == 1


def test_who_answers_nothing_that_was_asked_for_later_is_slow() -> None:
    queue = RequestQueue(0.0)
    queue.requested(spans(blocks(0, 16)), 0.0)
    for number in range(15):
        assert queue.received(0, number * BLOCK_LENGTH, 1.0)
    assert queue.take_back(0.0, lambda index: True) == blocks(15, 1)
    assert queue.depth == 1


def test_each_piece_that_is_overdue_is_asked_about_once() -> None:
    """And no other: another peer may be looked for among hundreds each time."""
    queue, asked_about = RequestQueue(0.0), list[int]()
    queue.requested([(0, 0, 60 * BLOCK_LENGTH), (1, 0, 60 * BLOCK_LENGTH)], 0.0)
    queue.requested([(2, 0, 60 * BLOCK_LENGTH)], 5.0)
    assert not queue.take_back(4.0, asked_about.append)  # type: ignore[arg-type]
    assert asked_about == [0, 1]
    assert queue.outstanding == 180


class Link:
    """A peer behind a link of `rate` bytes a second and `rtt_s`, that serves in order."""

    def __init__(self, *, rate: float, rtt_s: float, peer_limit: int = MAX_DEPTH) -> None:
        self.queue = RequestQueue(0.0)
        self.queue.set_peer_limit(peer_limit)
        self.rate, self.rtt_s = rate, rtt_s
        self.now = 0.0
        self.free_at = 0.0
        self.flying: deque[tuple[float, Span]] = deque()
        self.asked = 0
        self.arrived = 0

    def fill(self) -> None:
        batch = blocks(self.asked, self.queue.room(self.now))
        self.asked += len(batch)
        self.queue.requested(batch, self.now)
        for request in batch:
            start = max(self.free_at, self.now + self.rtt_s)
            self.free_at = start + BLOCK_LENGTH / self.rate
            self.flying.append((self.free_at, request))

    def run(self, until: float) -> list[Span]:
        """Let time pass, ticking each second; returns what was given up."""
        lost: list[Span] = []
        self.fill()
        next_tick = int(self.now) + 1.0
        while self.now < until:
            arrival = self.flying[0][0] if self.flying else until
            self.now = min(arrival, next_tick, until)
            if self.now == next_tick:
                lost += self.queue.tick(self.now, 0.0)
                next_tick += 1
            while self.flying and self.flying[0][0] <= self.now:
                _, (index, begin, _) = self.flying.popleft()
                assert self.queue.received(index, begin, self.now)
                self.arrived += 1
            self.fill()
        return lost


@pytest.mark.parametrize("rtt_s", [0.001, 0.1, 3.0])
@pytest.mark.parametrize("rate", [50e3, 1e6, 20e6])
def test_the_queue_fills_the_link_and_no_more(rate: float, rtt_s: float) -> None:
    link = Link(rate=rate, rtt_s=rtt_s)
    assert link.run(20) == []
    before = link.arrived
    link.run(30)
    got = (link.arrived - before) * BLOCK_LENGTH / 10
    product = rate * (rtt_s + TARGET_S) / BLOCK_LENGTH
    if product < MAX_DEPTH * 0.9:
        assert got > 0.9 * rate
        assert link.queue.depth < 1.5 * product + MIN_DEPTH
    assert link.queue.depth >= MIN_DEPTH


def test_the_queue_grows_again_when_the_link_does() -> None:
    link = Link(rate=100e3, rtt_s=0.2)
    link.run(20)
    slow = link.queue.depth
    link.rate = 5e6
    link.run(40)
    assert link.queue.depth > 20 * slow
    link.rate = 100e3
    link.run(140)
    assert link.queue.depth < 3 * slow


def test_slow_start_doubles_each_round_trip() -> None:
    queue = RequestQueue(0.0)
    queue.set_peer_limit(MAX_DEPTH)
    asked = 0
    for trip in range(5):
        room = queue.room(trip)
        assert queue.outstanding + room == START_DEPTH * 2**trip
        batch = blocks(asked, room)
        asked += room
        queue.requested(batch, trip)
        for index, begin, _ in batch:
            assert queue.received(index, begin, trip + 0.9)


@pytest.mark.parametrize("ticks", [0, 3])
@pytest.mark.parametrize("peer_limit", [20, 2000])
def test_a_run_counts_as_its_blocks(peer_limit: int, ticks: int) -> None:
    ends = []
    for is_run in (False, True):
        queue = RequestQueue(0.0)
        queue.set_peer_limit(peer_limit)
        for number in range(ticks):
            queue.tick(1.0 + number, 1e6)
        queue.requested(blocks(0, 18), 4.0)
        begins = range(3 * BLOCK_LENGTH, 12 * BLOCK_LENGTH, BLOCK_LENGTH)
        if is_run:
            queue.received_run(0, begins, 5.0)
        else:
            assert all(queue.received(0, begin, 5.0) for begin in begins)
        assert queue.tick(6.0, 1e6) == []
        ends.append((queue.depth, queue.rtt_s, queue.asked(), queue.room(6.0)))
    assert ends[0] == ends[1]


@settings(max_examples=25)
@given(st.integers(-5, 10**9))
def test_the_peers_limit_is_kept(reqq: int) -> None:
    queue = RequestQueue(0.0)
    queue.set_peer_limit(reqq)
    for n in range(300):
        batch = blocks(n * MAX_DEPTH, queue.room(0.0))
        queue.requested(batch, 0.0)
        assert 1 <= queue.outstanding <= max(1, min(reqq, MAX_DEPTH))
        for index, begin, _ in batch:
            queue.received(index, begin, 0.0)
        if queue.depth >= 600:
            break


def test_requests_are_topped_up_in_batches() -> None:
    queue = RequestQueue(0.0)
    queue.depth = 400
    queue.requested(blocks(0, 400), 0.0)
    queue._is_slow_start = False
    for n in range(63):
        queue.received(*blocks(n, 1)[0][:2], 0.0)
        assert queue.room(0.0) == 0
    queue.received(*blocks(63, 1)[0][:2], 0.0)
    assert queue.room(0.0) == 64


def test_a_peer_that_says_nothing_is_snubbed_and_may_come_back() -> None:
    queue = RequestQueue(0.0)
    asked = blocks(0, 10)
    queue.requested(asked, 5.0)
    for second in range(6, 65):
        assert queue.tick(float(second), 0.0) == []
    assert queue.tick(5.0 + SNUB_S, 0.0) == asked
    assert queue.is_snubbed
    assert not queue.outstanding
    assert queue.room(66.0) == 1

    assert queue.received(0, 0, 70.0), "a late block is of use"
    assert not queue.received(0, 0, 70.0)
    assert not queue.is_snubbed
    assert queue.room(70.0) == START_DEPTH


def test_patience_can_be_shorter() -> None:
    queue = RequestQueue(0.0)
    queue.requested([(0, 0, BLOCK_LENGTH)], 0.0)
    assert queue.tick(7.0, 0.0, patience_s=8.0) == []
    assert queue.tick(8.0, 0.0, patience_s=8.0) == [(0, 0, BLOCK_LENGTH)]
    assert queue.is_snubbed
    assert queue.received(0, 0, 9.0)  # late, and welcome


def test_an_idle_peer_is_not_snubbed() -> None:
    queue = RequestQueue(0.0)
    queue.requested(blocks(0, 1), 0.0)
    queue.received(0, 0, 1.0)
    assert queue.tick(500.0, 0.0) == []
    queue.requested(blocks(1, 1), 500.0)
    assert queue.tick(501.0, 0.0) == []
    assert not queue.is_snubbed


def test_a_request_that_was_dropped_is_given_up_and_the_peer_is_asked_less() -> None:
    queue = RequestQueue(0.0)
    queue.requested(blocks(0, 16), 0.0)
    for n in range(16):
        if n not in (3, 4):
            queue.received(*blocks(n, 1)[0][:2], 1.0)
    queue.requested(blocks(16, 20), 12.0)
    assert queue.tick(12.5, 0.0) == [], "not while nothing younger has come"
    queue.received(*blocks(16, 1)[0][:2], 13.0)
    assert queue.tick(14.0, 0.0) == blocks(3, 2)
    assert queue.outstanding == 19
    assert queue.depth == START_DEPTH
    assert queue.received(*blocks(3, 1)[0][:2], 15.0)


def test_only_what_was_cancelled_or_cleared_is_forgiven() -> None:
    queue = RequestQueue(0.0)
    assert not queue.received(0, 0, 0.0)
    assert not queue.forgive_late()
    queue.requested(blocks(0, 3), 0.0)
    queue.cancelled(0, 0)
    queue.cancelled(0, 0)
    assert queue.clear() == blocks(1, 2)
    assert [queue.forgive_late() for _ in range(4)] == [True, True, True, False]


def test_a_cancel_that_is_rejected_is_answered() -> None:
    queue = RequestQueue(0.0)
    queue.requested(blocks(0, 2), 0.0)
    queue.cancelled(0, 0)
    assert not queue.rejected(0, 0)
    assert not queue.forgive_late()
    assert queue.rejected(0, BLOCK_LENGTH)
    assert not queue.outstanding


@pytest.mark.parametrize("chokes", [False, True])
def test_a_peer_that_rejects_everything_is_asked_ever_less_often(chokes: bool) -> None:
    """Or drops everything, by a choke without the fast extension."""
    queue = RequestQueue(0.0)
    now, batches = 0.0, 0
    while now < 100:
        room = queue.room(now)
        if room:
            batch = blocks(0, room)
            queue.requested(batch, now)
            batches += 1
            if chokes:
                assert len(queue.clear()) == len(batch)
            else:
                assert all(queue.rejected(index, begin) for index, begin, _ in batch)
        else:
            now += 0.25
    assert batches < 15
    queue.requested(blocks(0, 2), now)
    queue.received(0, 0, now)
    assert queue.room(now) > 0
    assert queue.rejected(0, BLOCK_LENGTH)
    assert queue.room(now) > 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "receive", "receive_run", "reject", "cancel", "clear", "tick"]),
            st.integers(0, 30),
        ),
        max_size=80,
    )
)
def test_every_request_ends_exactly_once(steps: list[tuple[str, int]]) -> None:
    queue = RequestQueue(0.0)
    out: dict[tuple[int, int], Span] = {}
    late: set[tuple[int, int]] = set()
    now, asked = 0.0, 0
    for what, number in steps:
        known = list(out)
        request = known[number % len(known)] if known else (999, 0)
        if what == "ask":
            batch = blocks(asked, min(number, queue.room(now)))
            asked += len(batch)
            if batch:
                assert queue.requested(spans(batch), now) == len(batch)
                out.update({block[:2]: block for block in batch})
        elif what == "receive":
            assert queue.received(*request, now) == (out.pop(request, None) is not None)
        elif what == "receive_run":
            index, begin = request
            begins = range(begin, begin + (1 + number // 8) * BLOCK_LENGTH, BLOCK_LENGTH)
            if all((index, each) in out for each in begins):
                queue.received_run(index, begins, now)
                for each in begins:
                    del out[index, each]
        elif what == "reject":
            assert queue.rejected(*request) == (out.pop(request, None) is not None)
        elif what == "cancel":
            queue.cancelled(*request)
            out.pop(request, None)
        elif what == "clear":
            assert queue.clear() == list(out.values())
            out.clear()
        else:
            now += number * 3
            for block in queue.tick(now, 1e6):
                assert out.pop(block[:2]) == block
                late.add(block[:2])
        assert queue.asked() == list(out.values())
        assert queue.outstanding == len(out)
    for index, begin in late:
        assert queue.received(index, begin, now)
        assert not queue.received(index, begin, now)
