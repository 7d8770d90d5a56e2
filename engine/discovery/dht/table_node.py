"""What we know of one node in the routing table, and whether it is good (BEP 5)."""

from __future__ import annotations

import math

from engine.core.scope import is_local, network_of
from engine.discovery.dht.contact import Contact

FRESH_S = 900.0
"""A node that was heard within this time is good; after it, questionable."""
BAD_AFTER_FAILURES = 2
"""Queries in a row without an answer that make a node bad."""
GONE_AFTER_FAILURES = 6
"""A bad node that nobody replaced is forgotten after so many."""


class TableNode:
    __slots__ = (
        "contact",
        "failures",
        "is_doubted",
        "key",
        "network",
        "not_before",
        "pinged_at",
        "queried_at",
        "replied_at",
    )

    def __init__(self, contact: Contact) -> None:
        self.contact = contact
        self.key = int.from_bytes(contact.id, "big")
        host = contact.endpoint.host
        # Of local networks nothing can be said: all nodes of a test or a house may be on one host.
        self.network = b"" if is_local(host) else network_of(host)
        self.replied_at = -math.inf
        self.queried_at = -math.inf
        self.pinged_at = -math.inf
        self.not_before = -math.inf
        """It is not asked earlier than this."""
        self.failures = 0
        self.is_doubted = False
        """A query with its address and another id was seen."""

    @property
    def is_verified(self) -> bool:
        """It answered at this address with this id: others may be told of it."""
        return self.replied_at > -math.inf

    @property
    def is_bad(self) -> bool:
        return self.failures >= BAD_AFTER_FAILURES

    @property
    def seen_at(self) -> float:
        return max(self.replied_at, self.queried_at)

    def is_good(self, now: float) -> bool:
        if self.failures or self.replied_at == -math.inf:
            return False
        return now - self.replied_at <= FRESH_S or now - self.queried_at <= FRESH_S

    def needs_answer(self, now: float) -> bool:
        return self.is_doubted or not self.is_good(now)

    def may_be_pinged(self, now: float) -> bool:
        """Say whether it was left alone for long enough: longer with every failure."""
        return now >= self.not_before and now - self.pinged_at >= 15.0 * 4.0 ** min(
            self.failures, 4
        )
