"""Views: subscribe once, then be told what changes in the rows that are looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Empty, Request
from engine.control.schema_session import SessionStatus
from engine.control.schema_torrents import TorrentRow, TorrentState


class Sort(StrEnum):
    NAME = "name"
    SIZE = "size"
    PROGRESS = "progress"
    STATE = "state"
    DOWN_RATE = "down_rate"
    UP_RATE = "up_rate"
    PEERS = "peers"
    ETA = "eta"
    RATIO = "ratio"
    ADDED = "added"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Which torrents a subscriber wants to see, in which order, and which rows of those."""

    states: list[TorrentState] = []
    """Empty = all."""
    text: str = ""
    """Part of the name, case folded."""
    sort: Sort = Sort.NAME
    descending: bool = False
    offset: int = 0
    limit: int = 200


class Subscribe(Request, frozen=True, kw_only=True):
    """Open (or, with the id of one, change) a subscription. The reply is followed by one Snapshot
    and then, at most every `interval_s` and only when something changed, by Deltas."""

    METHOD = "view.subscribe"
    view: View = View()
    interval_s: float = 0.5
    id: int | None = None

    class Reply(msgspec.Struct, frozen=True):
        id: int

    reply: ClassVar[Any] = Reply


class Unsubscribe(Request, frozen=True, kw_only=True):
    METHOD = "view.unsubscribe"
    id: int
    reply: ClassVar[Any] = Empty


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Notification `view.snapshot`: the whole window."""

    METHOD: ClassVar[str] = "view.snapshot"
    id: int
    seq: int
    offset: int = 0
    """The view's: a client that scrolls on quickly has several changes under way."""
    total: int
    """Torrents that match the view, inside the window or not."""
    rows: list[TorrentRow]
    status: SessionStatus


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Notification `view.delta`: what changed since `seq` - 1. A gap in `seq` means:
    subscribe anew.

    `order` is None when the order of the window did not change; else all of its info-hashes, of
    which the new ones are in `rows`.
    """

    METHOD: ClassVar[str] = "view.delta"
    id: int
    seq: int
    total: int
    rows: list[TorrentRow]
    order: list[str] | None = None
    status: SessionStatus | None = None
