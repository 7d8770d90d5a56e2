"""What uTP packets were that no honest peer sends; for all connections of a port (BEP 29)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Packets that were dropped, by why."""

    malformed: int = 0
    unknown: int = 0
    """For no connection of ours."""
    out_of_window: int = 0
    bogus_acks: int = 0
    """They speak of what was never sent."""
    forged_resets: int = 0
    duplicates: int = 0
    """Of which a network makes some by itself."""
    refused: int = 0
    """Beginnings of connections for which there was no place."""
