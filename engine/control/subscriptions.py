"""The subscriptions of one connection: what to tell it, and when (pure; `now` is an argument).

Invariant: a client that applies every notification of a subscription in order holds exactly the
window that the engine would show at the moment of the last one. A notification is made from what
was told before, not from what happened since, so whoever asks rarely (a slow client) is told less
and nothing piles up.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.control.port import ViewSource
from engine.control.schema import Delta, SessionStatus, Snapshot, Subscribe, TorrentRow, View
from engine.control.view_order import ViewOrder
from engine.errors import BadRequestError

MAX_SUBSCRIPTIONS = 32
MIN_INTERVAL_S = 0.05
MAX_INTERVAL_S = 60.0


class Subscriptions:
    """All subscriptions of one connection. When `due` is asked late, nothing is lost."""

    __slots__ = ("_all", "_last_id", "_source")

    def __init__(self, source: ViewSource) -> None:
        self._source = source
        self._all: dict[int, _Subscription] = {}
        self._last_id = 0

    def open(self, request: Subscribe) -> int:
        """Open or change a subscription, return its id; its Snapshot is due at once. Raises
        BadRequestError."""
        view = request.view
        if view.offset < 0 or view.limit < 0:
            raise BadRequestError("a window has no negative offset or limit")
        interval_s = min(max(request.interval_s, MIN_INTERVAL_S), MAX_INTERVAL_S)
        if request.id is not None:
            subscription = self._all.get(request.id)
            if subscription is None:
                raise BadRequestError(f"there is no subscription {request.id}")
            subscription.change(view, interval_s)
            return request.id
        if len(self._all) >= MAX_SUBSCRIPTIONS:
            raise BadRequestError(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions")
        self._last_id += 1
        self._all[self._last_id] = _Subscription(self._last_id, self._source, view, interval_s)
        return self._last_id

    def close(self, subscription_id: int) -> None:
        """End a subscription. Raises BadRequestError when there is none of that id."""
        if self._all.pop(subscription_id, None) is None:
            raise BadRequestError(f"there is no subscription {subscription_id}")

    def next_due_at(self) -> float | None:
        """When to ask `due` again; None while there is no subscription."""
        return min((each.due_at for each in self._all.values()), default=None)

    def due(self, now: float) -> Iterator[Snapshot | Delta]:
        """Yield what is to be told now, each made when it is asked for; between two of them
        subscriptions may be opened, changed and closed."""
        for subscription_id, subscription in tuple(self._all.items()):
            if subscription.due_at <= now and subscription_id in self._all:
                note = subscription.tell(now)
                if note is not None:
                    yield note


class _Subscription:
    __slots__ = (
        "_id",
        "_interval_s",
        "_is_snapshot_owed",
        "_order",
        "_revision",
        "_seq",
        "_source",
        "_status",
        "_told",
        "_total",
        "_view",
        "_window",
        "due_at",
    )

    def __init__(
        self, subscription_id: int, source: ViewSource, view: View, interval_s: float
    ) -> None:
        self.due_at = 0.0
        self._id = subscription_id
        self._source = source
        self._view = view
        self._interval_s = interval_s
        self._seq = 0
        self._is_snapshot_owed = True
        self._revision = source.revision
        self._order = ViewOrder(source, view)
        self._window: list[str] = []
        self._told: dict[str, TorrentRow] = {}
        """The rows of `_window` as the client has them."""
        self._total = 0
        self._status: SessionStatus | None = None

    def change(self, view: View, interval_s: float) -> None:
        if not ViewOrder.is_same(view, self._view):
            self._revision = self._source.revision
            self._order = ViewOrder(self._source, view)
        self._view = view
        self._interval_s = interval_s
        self._is_snapshot_owed = True
        self.due_at = 0.0

    def tell(self, now: float) -> Snapshot | Delta | None:
        self.due_at = now + self._interval_s
        changes = self._source.changes(self._revision)
        self._revision = changes.revision
        if changes.is_reset or changes.changed or changes.removed:
            self._order.update(changes)
        order = self._order.order
        window = order[self._view.offset : self._view.offset + self._view.limit]
        status = self._source.status()
        if self._is_snapshot_owed or changes.is_reset:
            return self._snapshot(window, len(order), status)
        rows = []
        for info_hash in window:
            told = self._told.get(info_hash)
            if told is None or info_hash in changes.changed:
                row = self._source.row(info_hash)
                if row is not None and row != told:
                    rows.append(row)
                    self._told[info_hash] = row
        is_moved = window != self._window
        if not (rows or is_moved or len(order) != self._total or status != self._status):
            return None
        if is_moved:
            self._told = {each: self._told[each] for each in window}
            self._window = window
        self._seq += 1
        note = Delta(
            id=self._id,
            seq=self._seq,
            total=len(order),
            rows=rows,
            order=window if is_moved else None,
            status=status if status != self._status else None,
        )
        self._total = len(order)
        self._status = status
        return note

    def _snapshot(self, window: list[str], total: int, status: SessionStatus) -> Snapshot:
        rows = [row for each in window if (row := self._source.row(each)) is not None]
        self._is_snapshot_owed = False
        self._window = window
        self._told = {row.info_hash: row for row in rows}
        self._total = total
        self._status = status
        self._seq += 1
        return Snapshot(
            id=self._id,
            seq=self._seq,
            offset=self._view.offset,
            total=total,
            rows=rows,
            status=status,
        )
