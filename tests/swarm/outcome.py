"""What a run came to, and whether that is what its scenario expects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from tests.swarm import law
from tests.swarm.links import Link
from tests.swarm.scenario import Expect, Role, Scenario


@dataclass(slots=True)
class MemberOutcome:
    """One member in the end. Times are seconds since all were let go."""

    name: str
    role: Role
    link: Link
    applied: str
    """How its link was made."""
    joined_s: float | None = None
    completed_s: float | None = None
    progress: float = 0.0
    uploaded: int = 0
    """Payload, as it counts itself."""
    wire_sent: int = 0
    """Bytes on the wire until the last one had everything."""
    is_identical: bool | None = None
    """None: it did not come so far that there is something to compare."""
    suffered: list[str] = field(default_factory=list)
    """What events did to it."""
    has_left: bool = False
    """It went for good, so that nothing is expected of it."""
    error: str = ""

    @property
    def took_s(self) -> float | None:
        return None if self.completed_s is None else self.completed_s - (self.joined_s or 0.0)


class Sample(NamedTuple):
    at_s: float
    progress: dict[str, float]
    """By member."""
    wire: int
    """Bytes that all members had sent by then."""


@dataclass(slots=True)
class Outcome:
    scenario: Scenario
    runtime: str
    members: list[MemberOutcome]
    samples: list[Sample] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """In whose log there is a traceback."""
    notes: list[str] = field(default_factory=list)
    """What about the network is not as asked for, and on what it ran."""
    problem: str = ""
    """Why it was ended before its time; empty = it was not."""

    @property
    def awaited(self) -> list[MemberOutcome]:
        return [each for each in self.members if each.role.is_awaited and not each.has_left]

    @property
    def publishers(self) -> list[MemberOutcome]:
        return [m for m in self.members if m.role.has_all and m.role.behaviour == "honest"]

    @property
    def last_s(self) -> float | None:
        """When the last one had everything; None if one never had."""
        times = [each.completed_s for each in self.awaited]
        known = [each for each in times if each is not None]
        return max(known) if known and len(known) == len(times) else None

    @property
    def least_s(self) -> float:
        """T_min of what was planned."""
        awaited = [each for each in self.members if each.role.is_awaited]
        givers = [each for each in awaited if each.role.behaviour != "free-rider"]
        return law.least_time_s(
            self.scenario.payload.size,
            [each.link.up for each in self.publishers],
            [each.link.up for each in givers],
            [each.link.down for each in awaited],
        )

    @property
    def ratio(self) -> float | None:
        last = self.last_s
        return last / self.least_s if last is not None and self.least_s else None

    @property
    def copies(self) -> float:
        """Payload that the publishers sent, in copies."""
        return sum(each.uploaded for each in self.publishers) / self.scenario.payload.size

    @property
    def overhead(self) -> float:
        return law.overhead(self._wire, self.scenario.payload.size, len(self.awaited))

    @property
    def utilisation(self) -> float:
        ups = [
            each.link.up
            for each in self.members
            if each.role.has_all or each.role.behaviour != "free-rider"
        ]
        return law.utilisation(self._wire, ups, self.last_s or 0.0)

    @property
    def _wire(self) -> int:
        return sum(each.wire_sent for each in self.members)


class Verdict(NamedTuple):
    """One expectation: was it met, and what was seen."""

    what: str
    is_met: bool
    seen: str


def judge(outcome: Outcome) -> list[Verdict]:
    """Hold the outcome against everything that the scenario expects."""
    expect = outcome.scenario.expect
    found = [_all_complete(outcome), _no_faults(outcome)]
    for wanted, judged in (
        (expect.complete_by_s is not None, _in_time),
        (expect.is_identical, _identical),
        (expect.publisher_copies is not None, _few_copies),
        (expect.ratio is not None, _quick),
        (expect.no_leak, _nothing_leaks),
        (expect.recovered, _recovered),
        (bool(expect.never), _never),
        (expect.riders_slower is not None, _riders_slower),
    ):
        if wanted:
            found.append(judged(outcome, expect))
    return found


def _all_complete(outcome: Outcome) -> Verdict:
    awaited = outcome.awaited
    lacking = [each for each in awaited if each.completed_s is None]
    seen = f"{len(awaited) - len(lacking)} of {len(awaited)}"
    if lacking:
        seen += "; not " + _names(f"{each.name} ({each.progress:.0%})" for each in lacking)
    if outcome.problem:
        seen += f"; {outcome.problem}"
    return Verdict("everybody complete", not lacking and not outcome.problem, seen)


def _no_faults(outcome: Outcome) -> Verdict:
    faults = outcome.faults
    return Verdict("no traceback in a log", not faults, _names(faults) if faults else "none")


def _in_time(outcome: Outcome, expect: Expect) -> Verdict:
    last, limit = outcome.last_s, expect.complete_by_s or 0.0
    seen = "never" if last is None else f"{last:.1f} s"
    return Verdict(f"complete by {limit:g} s", last is not None and last <= limit, seen)


def _identical(outcome: Outcome, expect: Expect) -> Verdict:
    done = [each for each in outcome.members if each.completed_s is not None and not each.has_left]
    wrong = [each.name for each in done if not each.is_identical]
    seen = f"{len(done) - len(wrong)} of {len(done)} compared equal"
    return Verdict("identical", not wrong, f"{seen}; not {_names(wrong)}" if wrong else seen)


def _few_copies(outcome: Outcome, expect: Expect) -> Verdict:
    most = expect.publisher_copies or 0.0
    copies = outcome.copies
    return Verdict(f"publisher's upload ≤ {most:g} copies", copies <= most, f"{copies:.2f}")


def _quick(outcome: Outcome, expect: Expect) -> Verdict:
    most, ratio = expect.ratio or 0.0, outcome.ratio
    seen = "never complete" if ratio is None else f"{ratio:.2f}"
    return Verdict(f"T_last/T_min ≤ {most:g}", ratio is not None and ratio <= most, seen)


def _nothing_leaks(outcome: Outcome, expect: Expect) -> Verdict:
    leaks = outcome.leaks
    return Verdict("nothing leaks", not leaks, _names(leaks) if leaks else "nothing seen")


def _recovered(outcome: Outcome, expect: Expect) -> Verdict:
    hit = [each for each in outcome.awaited if each.suffered]
    lost = [each.name for each in hit if each.completed_s is None]
    seen = f"{len(hit) - len(lost)} of {len(hit)} that were hit"
    return Verdict(
        "recovered", bool(hit) and not lost, seen + (f"; not {_names(lost)}" if lost else "")
    )


def _never(outcome: Outcome, expect: Expect) -> Verdict:
    got = [m.name for m in outcome.members if m.role.name in expect.never and m.progress > 0]
    seen = f"{_names(got)} got something" if got else "nothing"
    return Verdict(f"{' and '.join(expect.never)} get nothing", not got, seen)


def _riders_slower(outcome: Outcome, expect: Expect) -> Verdict:
    least = expect.riders_slower or 0.0
    riders = _mean(outcome, lambda role: role.behaviour == "free-rider")
    givers = _mean(outcome, lambda role: role.behaviour == "honest")
    what = f"free riders take ≥ {least:g} times as long"
    if riders is None or givers is None:
        return Verdict(what, False, "no times to compare")
    return Verdict(
        what, riders / givers >= least, f"{riders:.1f} s / {givers:.1f} s = {riders / givers:.2f}"
    )


def _mean(outcome: Outcome, is_one: Callable[[Role], bool]) -> float | None:
    times = [
        each.took_s for each in outcome.awaited if is_one(each.role) and each.took_s is not None
    ]
    return fmean(times) if times else None


def _names(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
