"""How fast a uTP connection sends: LEDBAT, which fills a path and yields to others (BEP 29).

The one-way delay of our packets, as the other side measures it, less the lowest seen, is the time
that they wait in queues. The window grows while that is below TARGET_US and shrinks in proportion
above it. From RFC 6817 and LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus) come the slow start, the
multiplicative decrease and the slowdown: a flow that has seen no empty queue for long lets it drain
once, so that none mistakes the queue of others for the length of the path.

Where the queue overflows before it is twice the target, half of what it held is aimed at instead:
who aims at more than a router keeps never yields, and takes from TCP as TCP does.

A lost packet halves the window of TCP. Here it counts as congestion only where the queue is filled
or losses are many: on a lossy path with an empty queue yielding would serve nobody.
"""

from __future__ import annotations

from collections import deque

TARGET_US = 100_000
"""The queueing delay that we aim at, in microseconds."""
_LEAST_TARGET_US = 20_000
"""However short the queue is: less than this is not told from jitter."""
MAX_WINDOW_BYTES = 16 * 1024 * 1024

_INITIAL_PACKETS = 10
_MIN_PACKETS = 2
_GAIN_PACKETS = 2
_GAIN_SHARE = 32
"""The window grows by so many packets or by one in so many of its bytes in a round trip."""
_SLOW_START_END_US = TARGET_US * 3 // 4
_CURRENT_SAMPLES = 4
"""The least of so many samples is the delay now: single ones are noisy."""
_SLOT_S = 20.0
_SLOTS = 6
"""The lowest delay of the last two minutes is the base (BEP 29)."""
_MAX_DRIFT_US = 10_000
_FULL_QUEUE_US = 5_000
"""A queue shorter than this is taken for noise."""
_LOSSES_ALLOWED = 0.04
_LOSS_MEMORY_PACKETS = 200.0
_LEAST_CUT, _MOST_CUT = 0.85, 0.5
_UNCONFIRMED_S = 30.0
_UNCONFIRMED_US = TARGET_US // 4
_SLOWDOWN_TRIPS = 2


class DelayHistory:
    """Samples of a one-way delay between two clocks that do not agree, in microseconds.

    Only differences mean anything, and the wire's 32 bits wrap: samples are unwrapped against the
    one before.
    """

    __slots__ = ("_last", "_lows", "_slot_ends", "base")

    def __init__(self) -> None:
        self._last: int | None = None
        self._lows: deque[int] = deque(maxlen=_SLOTS)
        self._slot_ends = 0.0
        self.base = 0
        """The lowest of the last two minutes."""

    def add(self, wire: int, now: float) -> int:
        """Take a sample; return how far it lies above the lowest."""
        last = self._last
        if last is None:
            sample = wire
        else:
            sample = last + ((wire - last + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        self._last = sample
        if now >= self._slot_ends or not self._lows:
            self._lows.append(sample)
            self._slot_ends = now + _SLOT_S
            self.base = min(self._lows)
        elif sample < self._lows[-1]:
            self._lows[-1] = sample
            self.base = min(self.base, sample)
        return sample - self.base

    def shift(self, amount: int) -> None:
        """Raise the base: the other clock runs away from ours by this much."""
        self._lows = deque((low + amount for low in self._lows), maxlen=_SLOTS)
        self.base += amount


class Ledbat:
    """The congestion window of one connection, in bytes of payload."""

    __slots__ = (
        "_confirmed_at",
        "_depth",
        "_depth_before",
        "_depth_until",
        "_lost",
        "_overflow",
        "_overflow_before",
        "_passed",
        "_recent",
        "_slow_until",
        "_theirs",
        "is_slow_start",
        "ours",
        "packet_bytes",
        "queue_us",
        "target_us",
        "threshold",
        "window",
    )

    def __init__(self, packet_bytes: int) -> None:
        """`packet_bytes`: payload of a packet; may be set anew."""
        self.packet_bytes = packet_bytes
        self.window: float = _INITIAL_PACKETS * packet_bytes
        self.threshold: float = MAX_WINDOW_BYTES
        """Slow start ends here."""
        self.is_slow_start = True
        self.ours = DelayHistory()
        self._theirs = DelayHistory()
        self.queue_us = 0
        """How long our packets wait in queues now."""
        self._recent: deque[int] = deque(maxlen=_CURRENT_SAMPLES)
        self._depth = self._depth_before = 0
        """The longest queue seen in this and in the last minute."""
        self._overflow = self._overflow_before = 0
        """The longest queue when packets were lost for it, in this and in the last minute."""
        self._depth_until = 0.0
        self.target_us = TARGET_US
        self._lost = 0.0
        self._passed = _LOSS_MEMORY_PACKETS / 2
        """Packets of late; the sum is halved when it is twice the memory."""
        self._confirmed_at: float | None = None
        """When the queue was last seen as good as empty."""
        self._slow_until = 0.0

    # ── what is measured ────────────────────────────────────────────────────────────────────────

    def their_sample(self, delay: int, now: float) -> None:
        """Take the delay of a packet that came to us. When the lowest of those falls, it is either
        a shorter queue there or the other clock running away; ours is moved along, a little."""
        theirs = self._theirs
        before, known = theirs.base, bool(theirs._lows)
        theirs.add(delay, now)
        if known and 0 < before - theirs.base <= _MAX_DRIFT_US:
            self.ours.shift(before - theirs.base)

    def sample(self, delay: int, now: float) -> None:
        """Take the delay of a packet of ours, as the other side says that it was."""
        queue = max(0, self.ours.add(delay, now))
        self._recent.append(queue)
        self.queue_us = queue = min(self._recent)
        if now >= self._depth_until:
            self._depth_before, self._depth, self._depth_until = self._depth, 0, now + 60.0
            self._overflow_before, self._overflow = self._overflow, 0
            self._aim()
        self._depth = max(self._depth, queue)
        if queue < _UNCONFIRMED_US or self._confirmed_at is None:
            self._confirmed_at = now

    def _aim(self) -> None:
        longest = max(self._overflow, self._overflow_before)
        half = max(_LEAST_TARGET_US, longest // 2) if longest else TARGET_US
        self.target_us = min(TARGET_US, half)

    # ── what follows from it ────────────────────────────────────────────────────────────────────

    def acked(self, amount: int, *, is_limited: bool, round_trip_s: float, now: float) -> None:
        """`amount` bytes of ours have arrived; `is_limited`: the window kept more from leaving."""
        self._count(amount / self.packet_bytes, 0)
        if now < self._slow_until:
            return
        queue = self.queue_us
        if self.is_slow_start and queue >= _SLOW_START_END_US:
            self.is_slow_start = False
        if self.is_slow_start:
            if is_limited:
                self.window = min(self.window + amount, MAX_WINDOW_BYTES)
                self.is_slow_start = self.window < self.threshold
            return
        off_target = (self.target_us - queue) / self.target_us
        share = min(1.0, amount / self.window)
        if off_target >= 0:
            if is_limited:
                gain = max(_GAIN_PACKETS * self.packet_bytes, self.window / _GAIN_SHARE)
                self.window = min(self.window + gain * off_target * share, MAX_WINDOW_BYTES)
        else:
            self._shrink_to(self.window * (1 + max(off_target, -0.5) * share))
        self._slow_down_if_due(round_trip_s, now)

    def _slow_down_if_due(self, round_trip_s: float, now: float) -> None:
        confirmed_at = self._confirmed_at
        if confirmed_at is not None and now - confirmed_at > _UNCONFIRMED_S:
            self.threshold = self.window
            self.window = _MIN_PACKETS * self.packet_bytes
            self.is_slow_start = True
            self._slow_until = now + _SLOWDOWN_TRIPS * round_trip_s
            self._confirmed_at = now

    def _count(self, passed: float, lost: int) -> None:
        self._passed += passed
        self._lost += lost
        if self._passed + self._lost > 2 * _LOSS_MEMORY_PACKETS:
            scale = _LOSS_MEMORY_PACKETS / (self._passed + self._lost)
            self._passed *= scale
            self._lost *= scale

    def lost(self, packets: int) -> None:
        """Packets were lost. Must be told at once, whether or not the window was cut for them."""
        self._count(0, packets)

    def cut(self, round_trip_s: float) -> bool:
        """Yield to a loss if it means congestion. Must be called once a round trip at most.

        Where the queue is known the window is cut to what the path holds without one."""
        depth = max(self._depth, self._depth_before)
        is_queue_full = self.queue_us >= max(_FULL_QUEUE_US, depth // 2)
        is_lossy = self._lost > (self._lost + self._passed) * _LOSSES_ALLOWED
        if not is_queue_full and not is_lossy:
            return False
        if is_queue_full:
            self._overflow = max(self._overflow, depth)
            self._aim()
        self.is_slow_start = False
        empty = 1 - self.queue_us / max(1.0, round_trip_s * 1e6)
        self._shrink_to(self.window * min(_LEAST_CUT, max(_MOST_CUT, empty)))
        if is_lossy:
            self._lost /= 2  # what was answered
        return True

    def timed_out(self) -> None:
        """Nothing arrives any more: begin anew, carefully."""
        self.threshold = max(self.window / 2, _MIN_PACKETS * self.packet_bytes)
        self.window = _MIN_PACKETS * self.packet_bytes
        self.is_slow_start = True

    def _shrink_to(self, window: float) -> None:
        self.window = max(window, _MIN_PACKETS * self.packet_bytes)
