"""When a uTP connection must act though nothing came: time-outs, late acks, probes (BEP 29).

Times are absolute, in seconds; None = not set.
"""

from __future__ import annotations

TRIES = 7
"""A packet that was sent so often, each time after a longer wait, ends the connection."""
SYN_TRIES = 3
LINGER_S = 30.0
"""How long a closed connection may go on to bring its last bytes there."""
KEEP_ALIVE_S = 29.0
"""Routers forget who speaks over UDP sooner than over TCP."""
ACK_DELAY_S = 0.02
"""A single packet is acknowledged so late that another may be with it."""

_FIRST_TIMEOUT_S = 1.0
_MIN_TIMEOUT_S = 0.5
_MAX_TIMEOUT_S = 30.0
_MIN_PROBE_S = 0.02


class Timing:
    """The round trip of a connection, and its timers."""

    __slots__ = (
        "_timed",
        "_variance_s",
        "ack_at",
        "keep_alive_at",
        "linger_until",
        "persist_at",
        "persist_s",
        "probe_at",
        "retry_at",
        "round_trip_s",
        "timeouts",
    )

    def __init__(self, now: float) -> None:
        self.round_trip_s = 0.0
        """Smoothed; 0 = not measured yet."""
        self.timeouts = 0
        """In a row."""
        self.retry_at: float | None = None
        """What is under way counts as lost."""
        self.probe_at: float | None = None
        """The last packet is sent again, to hear what is missing: a loss at the end of a burst is
        overtaken by nothing."""
        self.ack_at: float | None = None
        self.persist_at: float | None = None
        """A byte is sent against a window of 0: the news of a larger one may have been lost."""
        self.persist_s = _MIN_TIMEOUT_S
        self.linger_until: float | None = None
        self.keep_alive_at = now + KEEP_ALIVE_S
        self._variance_s = 0.0
        self._timed: tuple[int, float] | None = None
        """A packet and when it left."""

    # ── the round trip ──────────────────────────────────────────────────────────────────────────

    def sent(self, number: int, now: float) -> None:
        """Packets up to this number left, for the first time."""
        self.keep_alive_at = now + KEEP_ALIVE_S
        if self._timed is None:
            self._timed = number, now
        if self.retry_at is None:
            self.restart(now)

    def sent_again(self) -> None:
        """What is acknowledged next may be either copy, so that it measures nothing."""
        self._timed = None

    def acked(self, number: int, now: float) -> None:
        """All packets up to this number arrived (BEP 29, "timeouts")."""
        if self._timed is None or number < self._timed[0]:
            return
        sample = max(1e-6, now - self._timed[1])
        self._timed = None
        if self.round_trip_s:
            self._variance_s += (abs(self.round_trip_s - sample) - self._variance_s) / 4
            self.round_trip_s += (sample - self.round_trip_s) / 8
        else:
            self.round_trip_s, self._variance_s = sample, sample / 2

    @property
    def resent_before(self) -> float:
        """Less a time: what was sent again since then may still be on its way."""
        return 1.25 * self.round_trip_s + _MIN_PROBE_S

    # ── timers ──────────────────────────────────────────────────────────────────────────────────

    def restart(self, now: float) -> None:
        """Wait anew for what is under way."""
        if self.round_trip_s:
            wait_s = max(_MIN_TIMEOUT_S, self.round_trip_s + 4 * self._variance_s)
        else:
            wait_s = _FIRST_TIMEOUT_S
        wait_s = min(_MAX_TIMEOUT_S, wait_s * (1 << self.timeouts))
        self.retry_at = now + wait_s
        probe_s = max(_MIN_PROBE_S, 2 * self.round_trip_s) + ACK_DELAY_S
        can_probe = self.round_trip_s and not self.timeouts and probe_s < wait_s
        self.probe_at = now + probe_s if can_probe else None

    def stop(self) -> None:
        """Nothing is under way."""
        self.retry_at = self.probe_at = None

    def timed_out(self, now: float) -> None:
        """Wait longer from now on."""
        self.timeouts += 1
        self._timed = None
        self.restart(now)

    def persist(self, now: float) -> None:
        """The peer's window is 0 and nothing is under way that it would answer."""
        if self.persist_at is None:
            self.persist_at = now + self.persist_s

    def persisted(self, *, is_open: bool) -> None:
        self.persist_at = None
        self.persist_s = _MIN_TIMEOUT_S if is_open else min(_MAX_TIMEOUT_S, 2 * self.persist_s)

    @property
    def next_at(self) -> float:
        due = self.keep_alive_at
        for at in (self.retry_at, self.probe_at, self.ack_at, self.persist_at, self.linger_until):
            if at is not None and at < due:
                due = at
        return due
