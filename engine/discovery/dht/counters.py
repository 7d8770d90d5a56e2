"""What a DHT node did and what it dropped, for those who look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    received: int = 0
    sent: int = 0
    sent_bytes: int = 0
    answered: int = 0
    malformed: int = 0
    """Dropped: no KRPC, or of the wrong family."""
    flooding: int = 0
    """Dropped unread: too many from one network, or altogether."""
    unasked: int = 0
    """Answers to nothing that we asked there: late, or spoofed."""
    impostors: int = 0
    """Answers with another id than was expected, or with ours."""
    unanswered: int = 0
    """Queries for whose answer there was no bandwidth, or that were our own, reflected."""
    timeouts: int = 0
