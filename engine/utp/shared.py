"""What all uTP connections of a port have in common, and the states of each (BEP 29)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from engine.utp.arena import Arena
from engine.utp.counters import Counters
from engine.utp.flight import FlightPool


class State(enum.Enum):
    """Where a connection is in its life."""

    IDLE = enum.auto()
    """Neither dialled nor answered."""
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    """Answered; the other side has not shown that it is where it says to be."""
    CONNECTED = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Shared:
    """Memory and counters."""

    arena: Arena
    pool: FlightPool = field(default_factory=FlightPool)
    counters: Counters = field(default_factory=Counters)
