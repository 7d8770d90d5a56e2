"""LEDBAT on a simulated bottleneck: it fills a path alone, yields beside others, minds no drift."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.utp.ledbat import TARGET_US, DelayHistory, Ledbat
from tests.utp.simulated_path import Clock, GreedyFlow, Link, Side, pair

RATE = 1_250_000.0
"""10 Mbit/s."""
DELAY_S = 0.025
STEP = 1452


class Bottleneck:
    """A greedy uTP flow over a link of 10 Mbit/s and 50 ms there and back."""

    def __init__(
        self, *, queue_s: float = 0.5, loss: float = 0.0, skew_s: float = 0.0, drift: float = 0.0
    ) -> None:
        self.clock = Clock()
        self.link = Link(
            self.clock, rate=RATE, delay_s=DELAY_S, queue_bytes=queue_s * RATE, loss=loss
        )
        self.sides: list[tuple[Side, Side]] = []
        self.waits: list[float] = []
        self.add(skew_s=skew_s, drift=drift)

    def add(self, *, skew_s: float = 0.0, drift: float = 0.0) -> None:
        back = Link(self.clock, delay_s=DELAY_S)
        sides = pair(self.clock, self.link, back, skew_s=skew_s, drift=drift)
        sides[0].is_greedy = True
        self.sides.append(sides)
        sides[0].dial()

    def run(self, seconds: float) -> list[float]:
        """Return each flow's share of the path meanwhile; `waits` has the queue's lengths."""
        before = [theirs.received_bytes for _, theirs in self.sides]
        self.waits = []
        end = self.clock.now + seconds
        while self.clock.now < end - 1e-9:
            self.clock.run(min(end, self.clock.now + 0.05))
            self.waits.append(self.link.queue_s)
        return [
            (theirs.received_bytes - was) / seconds / RATE
            for (_, theirs), was in zip(self.sides, before, strict=True)
        ]


@pytest.mark.parametrize("loss", [0.0, 0.01])
@pytest.mark.parametrize("queue_s", [0.03, 0.5])
def test_alone_it_takes_the_path_and_makes_no_longer_queue_than_it_aims_at(
    loss: float, queue_s: float
) -> None:
    path = Bottleneck(queue_s=queue_s, loss=loss)
    path.run(5)
    (share,) = path.run(15)
    assert share >= 0.9
    assert sorted(path.waits)[int(0.95 * len(path.waits))] <= 1.2 * TARGET_US / 1e6


def test_beside_a_greedy_flow_it_yields_and_comes_back() -> None:
    path = Bottleneck()
    path.run(5)
    greedy = GreedyFlow(path.clock, path.link, DELAY_S)
    greedy.start()
    path.run(10)
    before = greedy.delivered
    (share,) = path.run(10)
    assert share <= 0.1
    assert (greedy.delivered - before) / 10 / RATE >= 0.85
    greedy.is_stopped = True
    path.run(5)
    assert path.run(5)[0] >= 0.9


@pytest.mark.parametrize("queue_s", [0.06, 0.09, 0.12])
def test_a_queue_that_overflows_below_the_target_is_left_to_others(queue_s: float) -> None:
    """Half of what it holds is aimed at; alone the whole path is taken all the same."""
    path = Bottleneck(queue_s=queue_s)
    path.run(5)
    greedy = GreedyFlow(path.clock, path.link, DELAY_S)
    greedy.start()
    path.run(20)
    before = greedy.delivered
    (share,) = path.run(30)
    assert share <= 0.25
    assert (greedy.delivered - before) / 30 / RATE >= 0.7
    greedy.is_stopped = True
    path.run(10)
    assert path.run(10)[0] >= 0.9
    assert sorted(path.waits)[len(path.waits) // 2] <= 0.6 * queue_s


def test_what_a_queue_held_is_forgotten_after_two_minutes() -> None:
    ledbat = Ledbat(STEP)
    for delay in (1_000, 61_000, 61_000, 61_000, 61_000):
        ledbat.sample(delay, 1.0)
    assert ledbat.target_us == TARGET_US
    assert ledbat.cut(0.1)
    assert ledbat.target_us == 30_000
    for now in range(2, 60):
        ledbat.sample(1_000, float(now))
    assert ledbat.target_us == 30_000
    for now in range(60, 130):
        ledbat.sample(1_000, float(now))
    assert ledbat.target_us == TARGET_US


def test_where_the_queue_is_too_short_to_be_seen_it_is_no_greedier_than_tcp() -> None:
    path = Bottleneck(queue_s=0.03)
    path.run(5)
    greedy = GreedyFlow(path.clock, path.link, DELAY_S)
    greedy.start()
    path.run(10)
    before = greedy.delivered
    path.run(30)
    assert (greedy.delivered - before) / 30 / RATE >= 0.3


def test_who_comes_later_does_not_starve_who_was_there() -> None:
    """It took the other's queue for the length of the path, until one of them lets it drain."""
    path = Bottleneck()
    path.run(10)
    path.add()
    path.run(90)
    shares = path.run(60)
    assert sum(shares) >= 0.85
    assert min(shares) >= 0.1


@pytest.mark.parametrize("drift", [200e-6, -200e-6])
def test_clocks_that_run_apart_are_no_queue(drift: float) -> None:
    path = Bottleneck(skew_s=-5_000.0, drift=drift)
    path.run(30)
    assert path.run(20)[0] >= 0.85
    assert max(path.waits) <= 2 * TARGET_US / 1e6


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=100), st.integers(0, 2**32 - 1))
def test_delays_are_measured_from_the_lowest_whatever_the_clocks_say(
    delays: list[int], offset: int
) -> None:
    history = DelayHistory()
    found = [history.add((delay + offset) & 0xFFFFFFFF, 0.0) for delay in delays]
    lowest = [min(delays[: n + 1]) for n in range(len(delays))]
    assert found == [delay - low for delay, low in zip(delays, lowest, strict=True)]


def test_the_base_is_forgotten_after_two_minutes() -> None:
    history = DelayHistory()
    history.add(1_000, 0.0)
    assert history.add(50_000, 100.0) == 49_000
    for now in range(110, 300, 10):
        late = history.add(50_000, float(now))
    assert late == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sample"), st.integers(0, 2**32 - 1)),
            st.tuples(st.just("theirs"), st.integers(0, 2**32 - 1)),
            st.tuples(st.just("acked"), st.integers(1, 1 << 24)),
            st.tuples(st.just("lost"), st.integers(1, 1000)),
            st.tuples(st.just("cut"), st.integers(0, 1 << 20)),
            st.tuples(st.just("late"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_the_window_stays_a_window_whatever_is_claimed(events: list[tuple[str, int]]) -> None:
    ledbat = Ledbat(STEP)
    rng, now = random.Random(1), 0.0
    for what, value in events:
        now += rng.random() * 10
        if what == "sample":
            ledbat.sample(value, now)
        elif what == "theirs":
            ledbat.their_sample(value, now)
        elif what == "acked":
            ledbat.acked(value, is_limited=rng.random() < 0.5, round_trip_s=0.1, now=now)
        elif what == "lost":
            ledbat.lost(value)
        elif what == "cut":
            ledbat.cut(value / 1e6)
        else:
            ledbat.timed_out()
        assert 2 * STEP <= ledbat.window <= 16 * 1024 * 1024
