from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.rates import RateEstimate, TokenBucket

rates = st.integers(1, 10**9)
steps = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 200_000)), max_size=40)


@given(rates, st.floats(0.01, 2), steps)
def test_what_passes_never_exceeds_the_rate_and_one_burst(
    rate: int, burst_s: float, wishes: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, 0.0, burst_s=burst_s)
    now = passed = 0.0
    for pause, wish in wishes:
        now += pause
        allowed = min(wish, int(bucket.available(now)))
        bucket.take(allowed, now)
        passed += allowed
        assert passed <= rate * (now + burst_s) + 1


@given(rates, st.integers(0, 10**7), st.integers(1, 10**7))
def test_a_debt_is_repaid_by_time(rate: int, debt: int, amount: int) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.take(debt, 0.0)
    wait = bucket.ready_in(amount, 0.0)
    wanted = min(amount, rate * 0.25)
    assert bucket.available(0.0) >= 0
    assert (wait == 0) is (bucket.available(0.0) >= wanted)
    assert bucket.available(wait) >= wanted * (1 - 1e-6) - 1e-3


def test_a_greedy_sender_gets_the_rate() -> None:
    bucket = TokenBucket(100_000, 0.0)
    bucket.take(25_000, 0.0)
    now = passed = 0.0
    while now < 60:
        now += max(bucket.ready_in(16384, now), 1e-6)
        bucket.take(16384, now)
        passed += 16384
    assert passed / now == pytest.approx(100_000, rel=0.02)


def test_without_a_limit_everything_passes() -> None:
    bucket = TokenBucket(0, 0.0)
    bucket.take(10**12, 0.0)
    assert bucket.available(0.0) == math.inf
    assert bucket.ready_in(10**12, 0.0) == 0


def test_a_limit_that_is_set_later_holds_from_then_on() -> None:
    bucket = TokenBucket(0, 0.0)
    bucket.take(10**9, 5.0)
    bucket.set_rate(1000, 10.0)
    assert bucket.available(10.0) == 0
    assert bucket.available(10.1) == pytest.approx(100)
    assert bucket.available(99.0) == pytest.approx(250)
    bucket.set_rate(100, 99.0)
    assert bucket.available(99.0) == pytest.approx(25)
    bucket.set_rate(0, 99.0)
    assert bucket.available(99.0) == math.inf


def test_a_clock_that_steps_back_gives_nothing_twice() -> None:
    bucket = TokenBucket(1000, 10.0)
    bucket.take(250, 10.0)
    assert bucket.available(9.0) == 0
    assert bucket.available(10.1) == pytest.approx(100)


@given(st.integers(1, 10**9), st.floats(0.2, 3))
def test_a_steady_flow_is_measured(flow: int, step: float) -> None:
    estimate = RateEstimate(0.0)
    now = 0.0
    while now < 60:
        now += step
        estimate.add(round(flow * step))
        estimate.update(now)
    assert estimate.rate == pytest.approx(flow, rel=0.01, abs=1 / step)


@given(st.integers(1000, 10**9), st.floats(0.05, 1), st.floats(0, 10**6))
def test_a_flow_shows_its_true_rate_after_a_second(flow: int, step: float, quiet: float) -> None:
    estimate = RateEstimate(0.0)
    now = began_at = quiet
    estimate.update(now)
    while now < began_at + 1:
        now += step
        estimate.add(round(flow * step))
        estimate.update(now)
    assert estimate.rate == pytest.approx(flow, rel=0.01, abs=1 / step)


def test_a_flow_after_a_time_without_updates_is_not_spread_over_it() -> None:
    estimate = RateEstimate(0.0)
    for second in range(1000, 1004):
        estimate.add(1_000_000)
        estimate.update(float(second))
    assert estimate.rate == pytest.approx(1_000_000, rel=0.2)


def test_a_burst_in_an_instant_is_not_a_wild_rate() -> None:
    estimate = RateEstimate(0.0)
    estimate.add(16384)
    assert estimate.update(0.001) <= 16384 / 0.4


def test_a_flow_that_is_cut_is_zero_at_once_and_begins_anew() -> None:
    estimate = RateEstimate(0.0)
    for second in range(1, 31):
        estimate.add(1_000_000)
        estimate.update(float(second))
    estimate.stop()
    assert estimate.rate == estimate.update(31.0) == 0
    assert estimate.total == 30_000_000
    estimate.add(1000)
    assert estimate.update(32.0) == pytest.approx(1000)


def test_a_part_that_is_cut_leaves_the_rest() -> None:
    whole, one, other = (RateEstimate(0.0) for _ in range(3))
    for second in range(1, 31):
        for estimate in (whole, one):
            estimate.add(1_000_000)
        if second > 20:  # it began later, and is known as well
            for estimate in (whole, other):
                estimate.add(500_000)
        for estimate in (whole, one, other):
            estimate.update(float(second))
    for estimate in (whole, one):
        estimate.add(1000)
    whole.cut(one)
    assert one.rate == one.update(31.0) == 0
    assert whole.rate == pytest.approx(500_000, rel=0.15)
    whole.cut(other)
    assert whole.update(31.0) == pytest.approx(0, abs=50_000)
    assert whole.total == one.total + other.total
    whole.cut(one)
    assert whole.update(60.0) == 0


def test_the_past_fades_by_its_half_life() -> None:
    estimate = RateEstimate(0.0, half_life_s=3.0)
    for second in range(1, 61):
        estimate.add(1_000_000)
        estimate.update(float(second))
    assert estimate.update(63.0) == pytest.approx(500_000, rel=0.01)
    assert estimate.update(66.0) == pytest.approx(250_000, rel=0.01)
    assert estimate.update(600.0) == 0
    assert estimate.rate == 0


@given(st.lists(st.tuples(st.floats(-1, 5), st.integers(0, 10**6)), max_size=30))
def test_the_total_counts_every_byte_whatever_the_clock_does(
    flow: list[tuple[float, int]],
) -> None:
    estimate = RateEstimate(0.0)
    now = 0.0
    for step, amount in flow:
        now += step
        estimate.add(amount)
        assert estimate.update(now) >= 0
    assert estimate.total == sum(amount for _, amount in flow)


def test_what_flowed_long_ago_is_forgotten() -> None:
    estimate = RateEstimate(0.0, half_life_s=3.0)
    estimate.add(10**9)
    assert estimate.update(1.0) > 10**8
    assert estimate.update(18.0) > 0
    assert estimate.update(19.0) == 0
    estimate.add(1000)
    assert estimate.update(20.0) > 0


def test_an_update_at_the_same_moment_loses_nothing() -> None:
    estimate, other = RateEstimate(0.0), RateEstimate(0.0)
    estimate.add(500)
    estimate.update(0.0)
    estimate.add(500)
    other.add(1000)
    assert estimate.update(1.0) == other.update(1.0) > 0
