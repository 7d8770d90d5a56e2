"""Several engines as the list of them shows: one row each, and what they come to together.

Rows are values: what an engine tells makes a new one, and a row that says the same is equal. Pure:
no Textual, and of the engine's schema only the names of its types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.link import SessionStatus


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine. It is connecting until it answers or is found not to."""

    name: str
    address: str
    engine: str = ""
    """Name and version, as "seedwright 0.1.0"; empty while it does not answer."""
    trouble: str = ""
    """Why it does not answer."""
    status: SessionStatus | None = None

    def up(self, engine: str) -> EngineRow:
        return replace(self, engine=engine, trouble="")

    def down(self, why: str) -> EngineRow:
        """It does not answer (any more): what it told is no longer true."""
        return replace(self, engine="", trouble=why, status=None)

    def told(self, status: SessionStatus) -> EngineRow:
        return replace(self, status=status)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the engines that answer come to."""

    engines: int = 0
    up: int = 0
    down: int = 0
    """Engines that do not answer."""
    torrents: int = 0
    peers: int = 0
    down_rate: int = 0
    up_rate: int = 0
    """Bytes a second."""


def totals(rows: Iterable[EngineRow]) -> Totals:
    known = list(rows)
    told = [row.status for row in known if row.status is not None]
    return Totals(
        engines=len(known),
        up=len(told),
        down=sum(bool(row.trouble) for row in known),
        torrents=sum(status.torrents for status in told),
        peers=sum(status.peers for status in told),
        down_rate=sum(status.down_rate for status in told),
        up_rate=sum(status.up_rate for status in told),
    )
