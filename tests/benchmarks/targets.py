"""What seedwright is to reach, as data. Targets live here and in no test: a test must not depend on
the load of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.figures import REFERENCE, LegResult, spread

OURS = "seedwright"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the median of a figure of ours, or of its ratio to another client's."""

    leg: str
    figure: str
    bound: float
    at_least: bool
    over: str | None = REFERENCE
    """Whose figure ours is divided by; None: the figure itself."""

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g}" + (f" × {self.over}" if self.over else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    target: Target
    value: float
    is_met: bool


def _at_least(leg: str, figure: str, bound: float, over: str | None = REFERENCE) -> Target:
    return Target(leg, figure, bound, True, over)


def _at_most(leg: str, figure: str, bound: float, over: str | None = None) -> Target:
    return Target(leg, figure, bound, False, over)


TARGETS: tuple[Target, ...] = (
    _at_least("download", "speed", 1.3),
    _at_most("download", "cpu", 0.85, REFERENCE),
    _at_most("download", "rss", 64),
    _at_most("download-large", "rss", 64),
    _at_most("pieces-16k", "rss", 64),
    _at_most("pieces-256k", "rss", 64),
    _at_most("pieces-4m", "rss", 64),
    _at_least("seed", "speed", 1.0),
    _at_most("seed", "cpu", 0.5, REFERENCE),
    _at_least("same", "speed", 1.5),
    _at_least("utp", "speed", 2.0),
    _at_most("utp", "cpu", 0.5, REFERENCE),
    _at_least("rc4", "speed", 1.2),
    _at_most("rc4-download", "cpu", 1.0, REFERENCE),
    _at_most("rc4-seed", "cpu", 1.0, REFERENCE),
    _at_least("files", "speed", 1.0),
    _at_most("first-byte", "first_byte", 0.1),
    _at_least("recheck", "speed", 0.9, "plain"),
    _at_least("create", "speed", 0.9, "plain"),
    _at_most("torrents-1k", "start", 0.5),
    _at_most("torrents-1k", "resident", 60),
    _at_most("torrents-10k", "start", 3.0),
    _at_most("torrents-10k", "resident", 150),
    _at_most("torrents-10k", "idle_cpu", 1.0),
)


def judge(result: LegResult) -> list[Verdict]:
    """Hold one leg against its targets; those that could not be measured are left out."""
    verdicts = []
    for target in TARGETS:
        if target.leg != result.leg or OURS not in result.rows:
            continue
        if target.over is None:
            values = result.rows[OURS].values(target.figure)
        else:
            values = result.ratios(OURS, target.figure, target.over)
        if not values:
            continue
        value = spread(values).middle
        is_met = value >= target.bound if target.at_least else value <= target.bound
        verdicts.append(Verdict(target, value, is_met))
    return verdicts
