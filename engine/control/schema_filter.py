"""Requests about the IP filter: whom the engine does not speak with."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Request


class FilterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The IP filter: whom the engine does not speak with."""

    source: str
    """Where the list comes from; empty = there is no filter."""
    is_open: bool
    """False while the list is not there yet: nobody is dialled or let in."""
    ipv4_ranges: int = 0
    ipv6_ranges: int = 0
    """After those that overlap or touch were merged."""
    memory_bytes: int = 0
    read_at: float | None = None
    """When the list in force was read from its source."""
    nonsense: int = 0
    """Lines that could not be read."""
    error: str = ""
    """Why the source could not be read the last time; else empty."""
    allow: list[str] = []
    """Never blocked."""
    unlearned: int = 0
    """Addresses that were told to us and not taken."""
    refused: int = 0
    """Hosts that connected and were hung up on."""
    closed: int = 0
    """Connections that a new list ended."""


class GetFilter(Request, frozen=True, kw_only=True):
    METHOD = "filter.status"
    reply: ClassVar[Any] = FilterStatus


class ReloadFilter(Request, frozen=True, kw_only=True):
    """Read the list from its source now; an error leaves the one in force."""

    METHOD = "filter.reload"
    reply: ClassVar[Any] = FilterStatus


class IsBlocked(Request, frozen=True, kw_only=True):
    """Ask whether the filter blocks an address, numeric."""

    METHOD = "filter.test"
    address: str

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        address: str
        """In its canonical form."""
        is_listed: bool
        """It is in a range of the list."""
        is_blocked: bool
        """And nothing allows it all the same; True for all while the list is not there yet."""

    reply: ClassVar[Any] = Reply
