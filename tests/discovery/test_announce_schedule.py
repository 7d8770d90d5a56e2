"""One tracker over time: intervals, back-off, and events that must arrive."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.discovery.announce import AnnounceEvent, AnnounceReply
from engine.discovery.announce_schedule import (
    FIRST_BACK_OFF_S,
    JITTER,
    MAX_BACK_OFF_S,
    MIN_INTERVAL_S,
    STOPPED_ATTEMPTS,
    AnnounceSchedule,
)
from engine.errors import TrackerFailure, TrackerUnreachable

NONE, STARTED, COMPLETED, STOPPED = (
    AnnounceEvent.NONE,
    AnnounceEvent.STARTED,
    AnnounceEvent.COMPLETED,
    AnnounceEvent.STOPPED,
)
REPLY = AnnounceReply(interval_s=1800.0)
DEAD = TrackerUnreachable("dead")


def _schedule() -> AnnounceSchedule:
    return AnnounceSchedule(random.Random(1))


def _say(
    schedule: AnnounceSchedule,
    now: float,
    reply: AnnounceReply | TrackerUnreachable | TrackerFailure,
) -> AnnounceEvent:
    """One announce that is due, and how it ended."""
    assert schedule.is_due(now)
    event = schedule.begin()
    assert schedule.is_announcing
    assert not schedule.is_due(now)
    if isinstance(reply, AnnounceReply):
        schedule.succeeded(reply, now)
    else:
        schedule.failed(reply, now)
    return event


def _working(now: float = 0.0, reply: AnnounceReply = REPLY) -> AnnounceSchedule:
    schedule = _schedule()
    schedule.start(now)
    assert _say(schedule, now, reply) is STARTED
    return schedule


def test_nothing_is_said_before_the_start() -> None:
    schedule = _schedule()
    for tell in (schedule.completed, schedule.stop, schedule.want, schedule.forgive):
        tell(5.0)
        assert schedule.next_at == math.inf
        assert not schedule.owes_event


def test_a_life() -> None:
    schedule = _schedule()
    schedule.start(10.0)
    assert _say(schedule, 10.0, REPLY) is STARTED
    assert schedule.next_at == 1810.0
    assert _say(schedule, 1810.0, REPLY) is NONE
    schedule.completed(2000.0)
    assert _say(schedule, 2000.0, REPLY) is COMPLETED
    assert schedule.next_at == 3800.0
    schedule.stop(2001.0)
    assert _say(schedule, 2001.0, REPLY) is STOPPED
    assert schedule.next_at == math.inf
    schedule.start(2002.0)
    assert _say(schedule, 2002.0, REPLY) is STARTED


@pytest.mark.parametrize(
    ("interval_s", "min_interval_s", "next_s", "earliest_s"),
    [
        (1800, None, 1800, MIN_INTERVAL_S),
        (1800, 600, 1800, 600),
        (600, 900, 900, 900),
        (0, None, MIN_INTERVAL_S, MIN_INTERVAL_S),
        (5, 1, MIN_INTERVAL_S, MIN_INTERVAL_S),
    ],
)
def test_the_reply_sets_the_pace(
    interval_s: float, min_interval_s: float | None, next_s: float, earliest_s: float
) -> None:
    schedule = _working(100.0, AnnounceReply(interval_s=interval_s, min_interval_s=min_interval_s))
    assert schedule.next_at == 100 + next_s
    assert schedule.earliest_at == 100 + earliest_s


def test_a_shorter_floor_may_be_given() -> None:
    schedule = AnnounceSchedule(random.Random(1), min_interval_s=1.0)
    schedule.start(0.0)
    _say(schedule, 0.0, AnnounceReply(interval_s=2.0))
    assert schedule.next_at == 2.0


def test_wanted_announces_wait_for_the_min_interval() -> None:
    schedule = _working(0.0, AnnounceReply(interval_s=1800, min_interval_s=600))
    assert schedule.want(10.0) == schedule.next_at == 600.0
    assert schedule.earliest_at == 600.0
    assert schedule.want(700.0) == 600.0
    assert _say(schedule, 700.0, REPLY) is NONE
    assert schedule.want(900.0) == 900.0


def test_a_wish_during_an_announce_is_remembered() -> None:
    schedule = _working()
    schedule.want(100.0)
    schedule.begin()
    schedule.want(100.5)
    schedule.succeeded(REPLY, 101.0)
    assert schedule.next_at == 101.0 + MIN_INTERVAL_S


def test_events_do_not_wait_for_the_min_interval() -> None:
    schedule = _working(0.0, AnnounceReply(interval_s=1800, min_interval_s=600))
    schedule.completed(1.0)
    assert schedule.next_at == 1.0
    assert _say(schedule, 1.0, REPLY) is COMPLETED


def test_failures_back_off_with_jitter_up_to_a_limit() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    now, waits = 0.0, []
    for _ in range(40):
        assert _say(schedule, now, DEAD) is STARTED
        waits.append(schedule.next_at - now)
        assert schedule.earliest_at == schedule.next_at
        now = schedule.next_at
    for number, wait_s in enumerate(waits):
        plain_s = min(FIRST_BACK_OFF_S * 2**number, MAX_BACK_OFF_S)
        assert plain_s * (1 - JITTER) <= wait_s <= plain_s * (1 + JITTER)
    assert len(set(waits)) > 30
    assert schedule.failures == 40
    _say(schedule, now, REPLY)
    assert (schedule.failures, schedule.next_at) == (0, now + 1800)


def test_a_wish_does_not_break_a_back_off_but_forgiveness_does() -> None:
    schedule = _working()
    _say(schedule, 1800.0, DEAD)
    retry_at = schedule.next_at
    assert schedule.want(1801.0) == retry_at > 1801.0
    schedule.forgive(1802.0)
    assert schedule.next_at == 1802.0
    assert schedule.failures == 0


def test_forgiveness_does_not_break_a_min_interval() -> None:
    schedule = _working(0.0, AnnounceReply(interval_s=1800, min_interval_s=600))
    schedule.forgive(5.0)
    assert (schedule.next_at, schedule.want(6.0)) == (1800, 600)


@pytest.mark.parametrize(("retry_in_s", "waits_s"), [(300.0, 300.0), (0.0, MIN_INTERVAL_S)])
def test_a_refusal_says_when_to_come_back(retry_in_s: float, waits_s: float) -> None:
    schedule = _working()
    _say(schedule, 1800.0, TrackerFailure("later", retry_in_s))
    assert schedule.next_at == schedule.want(1801.0) == 1800 + waits_s


def test_never_means_never_until_forgiven() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    _say(schedule, 0.0, TrackerFailure("not a tracker", math.inf))
    assert schedule.next_at == schedule.want(1e9) == math.inf
    schedule.stop(1.0)
    schedule.start(2.0)
    assert schedule.next_at == math.inf
    schedule.forgive(3.0)
    assert _say(schedule, 3.0, REPLY) is STARTED


def test_owed_events_survive_failures() -> None:
    schedule = _working()
    schedule.completed(10.0)
    for _ in range(6):
        assert _say(schedule, schedule.next_at, DEAD) is COMPLETED
    assert _say(schedule, schedule.next_at, REPLY) is COMPLETED
    assert not schedule.owes_event


def test_completed_and_stopped_in_a_row_are_both_told() -> None:
    schedule = _working()
    schedule.completed(10.0)
    schedule.stop(11.0)
    assert _say(schedule, 11.0, REPLY) is COMPLETED
    assert _say(schedule, 11.0, REPLY) is STOPPED
    assert schedule.next_at == math.inf


def test_completion_while_started_is_under_way_is_told() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    schedule.begin()
    schedule.completed(1.0)
    schedule.succeeded(REPLY, 2.0)
    assert _say(schedule, 2.0, REPLY) is COMPLETED


def test_a_tracker_that_never_heard_of_us_is_told_nothing() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    _say(schedule, 0.0, DEAD)
    schedule.completed(1.0)
    schedule.stop(2.0)
    assert schedule.next_at == math.inf
    assert not schedule.owes_event


def test_a_stop_during_started_is_told_afterwards() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    schedule.begin()
    schedule.stop(1.0)
    assert not schedule.is_due(1.0)
    schedule.succeeded(REPLY, 2.0)
    assert _say(schedule, 2.0, REPLY) is STOPPED


def test_a_cancelled_announce_may_have_arrived() -> None:
    schedule = _schedule()
    schedule.start(0.0)
    schedule.begin()
    schedule.stop(1.0)
    schedule.abandoned(1.0)
    assert _say(schedule, 1.0, REPLY) is STOPPED
    schedule.start(2.0)
    schedule.begin()
    schedule.abandoned(3.0)
    assert _say(schedule, 3.0, REPLY) is STARTED


def test_a_start_overtakes_a_stop() -> None:
    schedule = _working()
    schedule.stop(10.0)
    schedule.start(11.0)
    assert _say(schedule, 11.0, REPLY) is STARTED
    schedule.stop(12.0)
    schedule.begin()
    schedule.start(13.0)
    schedule.completed(13.0)
    schedule.succeeded(REPLY, 14.0)
    assert _say(schedule, 14.0, REPLY) is STARTED
    assert not schedule.owes_event


def test_a_stopped_is_let_go_after_a_few_tries() -> None:
    schedule = _working()
    schedule.stop(10.0)
    for _ in range(STOPPED_ATTEMPTS):
        assert _say(schedule, schedule.next_at, DEAD) is STOPPED
    assert schedule.next_at == math.inf
    assert not schedule.owes_event


def test_a_stopped_that_is_refused_for_ever_is_let_go() -> None:
    schedule = _working()
    schedule.stop(10.0)
    _say(schedule, 10.0, TrackerFailure("go away", math.inf))
    assert not schedule.owes_event


def test_the_tracker_id_is_kept_until_it_changes() -> None:
    schedule = _working(0.0, AnnounceReply(interval_s=60, tracker_id=b"one"))
    _say(schedule, 60.0, REPLY)
    assert schedule.tracker_id == b"one"
    schedule.want(120.0)
    _say(schedule, 120.0, AnnounceReply(interval_s=60, tracker_id=b"two"))
    assert schedule.tracker_id == b"two"


class _Life(RuleBasedStateMachine):
    """Whatever happens in whatever order: a tracker that lists us hears that we stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule = AnnounceSchedule(random.Random(2))
        self.is_running = False
        self.is_listed = False
        self.in_flight: AnnounceEvent | None = None
        self.last_ok_at = -math.inf

    @rule(seconds=st.floats(min_value=0, max_value=4000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def start(self) -> None:
        self.schedule.start(self.now)
        self.is_running = True

    @rule()
    def stop(self) -> None:
        self.schedule.stop(self.now)
        self.is_running = False

    @rule()
    def complete(self) -> None:
        self.schedule.completed(self.now)

    @rule()
    def want(self) -> None:
        self.schedule.want(self.now)

    @rule()
    def forgive(self) -> None:
        self.schedule.forgive(self.now)

    @precondition(lambda self: self.schedule.is_due(self.now))
    @rule()
    def begin(self) -> None:
        self.in_flight = self.schedule.begin()
        if self.in_flight is NONE:
            assert self.now >= self.last_ok_at + MIN_INTERVAL_S
        assert self.is_running or self.in_flight in (COMPLETED, STOPPED)

    @precondition(lambda self: self.in_flight is not None)
    @rule()
    def succeed(self) -> None:
        self.is_listed = self.in_flight is not STOPPED
        self.in_flight = None
        self.last_ok_at = self.now
        self.schedule.succeeded(REPLY, self.now)

    @precondition(lambda self: self.in_flight is not None)
    @rule(retry_in_s=st.none() | st.floats(min_value=0, max_value=9000))
    def fail(self, retry_in_s: float | None) -> None:
        self.in_flight = None
        self.schedule.failed(TrackerFailure("no", retry_in_s), self.now)
        if not self.is_running and not self.schedule.owes_event:
            self.is_listed = False  # given up after several tries

    @precondition(lambda self: self.in_flight is not None)
    @rule()
    def abandon(self) -> None:
        self.in_flight = None
        self.schedule.abandoned(self.now)

    @invariant()
    def what_is_owed_is_due_some_time(self) -> None:
        schedule = self.schedule
        if self.in_flight is None:
            if self.is_running or schedule.owes_event:
                assert schedule.next_at < math.inf
            else:
                assert schedule.next_at == math.inf
            if self.is_listed and not self.is_running:
                assert schedule.owes_event
        if not self.is_running:
            assert schedule.event in (NONE, COMPLETED, STOPPED)


TestLife = _Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=30)
