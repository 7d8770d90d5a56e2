"""What a torrent can be doing, and which event leads from where to where, as data.

PAUSED ──check──► CHECKING ──download──► DOWNLOADING ──finish──► SEEDING
 │ ▲               ▲ │  └────────seed──────────────────────────────►│
 │ └──── pause ────┼─┴──────────────────┴───────────────────────────┘
 └─fetch► METADATA─┘check      a magnet link; pause leads back from it as from the others
SEEDING ──want──► DOWNLOADING   when more files are wanted than before
any running state ──fail──► ERROR;  a user's resume leads out of ERROR as out of PAUSED.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    PAUSED = "paused"
    METADATA = "metadata"
    """The info dictionary is being fetched: of the torrent only its info-hash is known."""
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    SEEDING = "seeding"
    """Nothing that is wanted is missing; that may be less than everything."""
    ERROR = "error"

    @property
    def is_running(self) -> bool:
        """True if the torrent takes part in its swarm."""
        return self in (State.METADATA, State.DOWNLOADING, State.SEEDING)


class Event(StrEnum):
    FETCH = "fetch"
    """Nothing is known but the info-hash: ask the swarm for the rest."""
    CHECK = "check"
    """Verify what is on disk."""
    DOWNLOAD = "download"
    """Something wanted is missing: join the swarm for it."""
    WANT = "want"
    """More files are wanted than before: stay in the swarm for them."""
    SEED = "seed"
    """All is there: join the swarm to serve it."""
    FINISH = "finish"
    """The last missing piece of those that are wanted was written."""
    PAUSE = "pause"
    FAIL = "fail"
    """The storage failed."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PAUSED, Event.FETCH): State.METADATA,
    (State.PAUSED, Event.CHECK): State.CHECKING,
    (State.PAUSED, Event.DOWNLOAD): State.DOWNLOADING,
    (State.PAUSED, Event.SEED): State.SEEDING,
    (State.PAUSED, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.FAIL): State.ERROR,
    (State.METADATA, Event.CHECK): State.CHECKING,
    (State.METADATA, Event.PAUSE): State.PAUSED,
    (State.METADATA, Event.FAIL): State.ERROR,
    (State.CHECKING, Event.DOWNLOAD): State.DOWNLOADING,
    (State.CHECKING, Event.SEED): State.SEEDING,
    (State.CHECKING, Event.PAUSE): State.PAUSED,
    (State.CHECKING, Event.FAIL): State.ERROR,
    (State.DOWNLOADING, Event.FINISH): State.SEEDING,
    (State.DOWNLOADING, Event.CHECK): State.CHECKING,
    (State.DOWNLOADING, Event.PAUSE): State.PAUSED,
    (State.DOWNLOADING, Event.FAIL): State.ERROR,
    (State.SEEDING, Event.CHECK): State.CHECKING,
    (State.SEEDING, Event.WANT): State.DOWNLOADING,
    (State.SEEDING, Event.PAUSE): State.PAUSED,
    (State.SEEDING, Event.FAIL): State.ERROR,
    (State.ERROR, Event.FETCH): State.METADATA,
    (State.ERROR, Event.CHECK): State.CHECKING,
    (State.ERROR, Event.DOWNLOAD): State.DOWNLOADING,
    (State.ERROR, Event.SEED): State.SEEDING,
    (State.ERROR, Event.PAUSE): State.PAUSED,
    (State.ERROR, Event.FAIL): State.ERROR,
}


def after(state: State, event: Event) -> State:
    """The state that `event` leads to. Raises KeyError where the table has no such transition."""
    return TRANSITIONS[state, event]
