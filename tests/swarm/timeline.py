"""When events happen: at a moment, or once something is true of the swarm. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tests.swarm.quantities import share
from tests.swarm.scenario import UNDOES, Event


@dataclass(frozen=True, slots=True)
class Swarm:
    """What conditions look at; of the awaited peers that have joined."""

    mean: float = 0.0
    first_is_complete: bool = False
    all_are_complete: bool = False
    copies_held: float = 0.0
    """Whole copies that the peers hold together, without whoever had all from the start."""


class Due(NamedTuple):
    """What is to be done now. `members` are the names that it concerns; None = still to choose."""

    do: str
    event: Event
    members: tuple[str, ...] | None = None


class Timeline:
    """The events of one run."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self._timed: list[tuple[float, Due]] = []
        self._waiting: list[Event] = []
        for event in events:
            if event.at_s is None:
                self._waiting.append(event)
            else:
                self._schedule(event, event.at_s)

    @property
    def is_over(self) -> bool:
        """Nothing is scheduled any more; what waits for a condition is not."""
        return not self._timed

    @property
    def waiting(self) -> list[Event]:
        """Events whose condition has not come true."""
        return list(self._waiting)

    def due(self, now_s: float, swarm: Swarm) -> list[Due]:
        """Take what is to be done now, in the order of its time."""
        for event in [each for each in self._waiting if holds(each.when, swarm)]:
            self._waiting.remove(event)
            self._schedule(event, now_s + event.after_s)
        self._timed.sort(key=lambda timed: timed[0])
        found = [due for at_s, due in self._timed if at_s <= now_s]
        self._timed = [timed for timed in self._timed if timed[0] > now_s]
        return found

    def done(self, due: Due, members: tuple[str, ...], now_s: float) -> None:
        """Tell whom it concerned, so that it is taken back of the same ones."""
        if due.members is None and due.event.back_after_s is not None:
            undo = Due(UNDOES[due.do], due.event, members)
            self._timed.append((now_s + due.event.back_after_s, undo))

    def _schedule(self, event: Event, at_s: float) -> None:
        for turn in range(event.times):
            self._timed.append((at_s + turn * (event.every_s or 0.0), Due(event.do, event)))


def holds(condition: str, swarm: Swarm) -> bool:
    match condition:
        case "first complete":
            return swarm.first_is_complete
        case "all complete":
            return swarm.all_are_complete
        case "copy held":
            return swarm.copies_held >= 1.0
        case _:
            return swarm.mean >= share(condition.removesuffix(" complete"))
