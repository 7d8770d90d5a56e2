"""What front ends are told of the IP filter."""

from __future__ import annotations

from engine.control import schema
from engine.session.filtering import Filtering


def filter_status(filtering: Filtering) -> schema.FilterStatus:
    gate = filtering.gate
    return schema.FilterStatus(
        source=filtering.options.source,
        is_open=gate.is_open,
        ipv4_ranges=gate.blocked.ipv4_ranges,
        ipv6_ranges=gate.blocked.ipv6_ranges,
        memory_bytes=gate.blocked.memory_bytes,
        read_at=filtering.read_at,
        nonsense=filtering.nonsense,
        error=filtering.error,
        allow=list(filtering.options.allow),
        unlearned=gate.unlearned,
        refused=gate.refused,
        closed=gate.closed,
    )


def is_blocked(filtering: Filtering, host: str) -> schema.IsBlocked.Reply:
    """`host` is canonical."""
    gate = filtering.gate
    return schema.IsBlocked.Reply(
        address=host,
        is_listed=host in gate.blocked,
        is_blocked=gate.is_shut_to(host),
    )
