"""What front ends ask of the DHT: status, lookups, pings, items (BEP 5, 44).

Lookups are told as they go: the client asks again for news. Few are kept, and each ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Final

from engine.control import schema
from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.core.identifiers import InfoHash
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.items import (
    KEY_BYTES,
    MAX_SALT_BYTES,
    MAX_SEQ,
    SIGNATURE_BYTES,
    ImmutableItem,
    MutableItem,
    is_storable,
)
from engine.discovery.dht.node import DhtNode
from engine.discovery.dht.node_id import distance, is_bound_to
from engine.discovery.dht.purpose import FindItem, FindMutableItem, FindPeers, Purpose
from engine.errors import BadRequestError, ControlError, InputError
from engine.session.dht import Dht, Search
from engine.session.session import Session
from engine.session.signatures import verify
from engine.torrent.torrent import Torrent

MAX_LOOKUPS: Final = 32
NEWS_WITHIN_S: Final = 5.0
_NEAREST: Final = 8


class _Lookup:
    """One lookup of a client, and what it was not told yet."""

    def __init__(self, dht: Dht, number: int, info_hash: bytes) -> None:
        self.number = number
        self.info_hash = info_hash
        self.is_finished = False
        self._seen: set[Endpoint] = set()
        self._fresh: list[Endpoint] = []
        self._news = asyncio.Event()
        self.search = dht.search(lambda: FindPeers(info_hash), self._on_end, self._on_peers)

    def _on_peers(self, peers: tuple[Endpoint, ...]) -> None:
        self._fresh += [peer for peer in peers if peer not in self._seen]
        self._seen.update(peers)
        self._news.set()

    def _on_end(self, _search: Search) -> None:
        self.is_finished = True
        self._news.set()

    async def tell(self) -> schema.DhtLookup.Reply:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_WITHIN_S):
                await self._news.wait()
        self._news.clear()
        fresh, self._fresh = self._fresh, []
        told, parts = [str(peer) for peer in fresh], self.search.finished
        if not self.is_finished:
            return schema.DhtLookup.Reply(lookup=self.number, peers=told)
        return schema.DhtLookup.Reply(
            lookup=self.number,
            peers=told,
            is_finished=True,
            hops=max((part.hops for part in parts), default=0),
            asked=sum(part.queries for part in parts),
            answered=sum(part.replies for part in parts),
            nearest=_nearest([c for part in parts for c in part.closest], self.info_hash),
        )


class DhtRequests:
    """Serves the requests about the DHT of one session."""

    def __init__(self, dht: Dht) -> None:
        self._dht = dht
        self._lookups: dict[int, _Lookup] = {}
        self._last_number = 0

    async def serve(self, request: schema.DhtRequest) -> object:
        """Raises BadRequestError, InputError, NoAnswer, and ControlError while it is off."""
        if isinstance(request, schema.DhtStatus):
            return self._status()
        if not self._dht.is_running:
            raise ControlError("the DHT is off (setting dht.enabled, or the engine is isolated)")
        match request:
            case schema.DhtLookup():
                return await self._look_up(request)
            case schema.DhtPing():
                node_id, took_s = await self._dht.ping(_node(request.node))
                return schema.DhtPing.Reply(node_id=str(node_id), took_s=took_s)
            case schema.DhtAdd():
                self._dht.add(_node(request.node))
                return schema.Empty()
            case schema.DhtGet():
                return await self._get(request)
            case schema.DhtPut():
                return await self._put(request)
        raise BadRequestError(f"{request.METHOD} is not served")

    def _status(self) -> schema.DhtInfo:
        return schema.DhtInfo(
            port=self._dht.port,
            is_read_only=self._dht.options.is_read_only,
            nodes=[
                _node_info(node, is_joined=is_ipv6 in self._dht.joined)
                for is_ipv6, node in sorted(self._dht.nodes.items())
            ],
        )

    async def _look_up(self, request: schema.DhtLookup) -> schema.DhtLookup.Reply:
        if request.lookup is None:
            try:
                info_hash = bytes(InfoHash.parse(request.info_hash)[:20])
            except InputError as error:
                raise BadRequestError(str(error)) from error
            self._last_number += 1
            if len(self._lookups) >= MAX_LOOKUPS:  # whose client went away
                self._dht.cancel(self._lookups.pop(next(iter(self._lookups))).search)
            lookup = _Lookup(self._dht, self._last_number, info_hash)
            self._lookups[lookup.number] = lookup
        elif (found := self._lookups.get(request.lookup)) is None:
            raise BadRequestError(f"there is no lookup {request.lookup}")
        else:
            lookup = found
        reply = await lookup.tell()
        if reply.is_finished:
            self._lookups.pop(lookup.number, None)
        return reply

    async def _get(self, request: schema.DhtGet) -> schema.DhtGet.Reply:
        try:
            target = bytes.fromhex(request.target)
        except ValueError as error:
            raise BadRequestError(f"{request.target[:80]!r} is not hexadecimal") from error
        if len(target) not in (20, KEY_BYTES) or len(request.salt) > MAX_SALT_BYTES:
            raise BadRequestError(
                "dht.get: 40 hexadecimal digits of a hash, or 64 of a public key and its salt"
            )
        if len(target) == KEY_BYTES:
            search = await self._search(lambda: FindMutableItem(target, verify, salt=request.salt))
        else:
            search = await self._search(lambda: FindItem(target))
        best: ImmutableItem | MutableItem | None = None
        for part in search.finished:
            assert isinstance(part.purpose, FindItem | FindMutableItem)
            if (item := part.purpose.item) is not None and _seq(item) >= _seq(best):
                best = item
        return schema.DhtGet.Reply(
            target=search.finished[0].purpose.target.hex(),
            value=best.value if best else None,
            seq=best.seq if isinstance(best, MutableItem) else None,
            answered=search.replies,
        )

    async def _put(self, request: schema.DhtPut) -> schema.DhtPut.Reply:
        if not is_storable(request.value):
            raise BadRequestError("dht.put: not a bencoded value of at most 1000 bytes")
        make, target = self._storing(request)
        search = await self._search(make)
        stored = sum(part.purpose.stored_count for part in search.finished)
        return schema.DhtPut.Reply(target=target.hex(), stored=stored)

    def _storing(self, request: schema.DhtPut) -> tuple[Callable[[], Purpose], bytes]:
        if not request.key:
            item = ImmutableItem(request.value)
            return lambda: FindItem(item.target, item), item.target
        signed = MutableItem(
            request.key, request.seq, request.value, request.signature, request.salt
        )
        if (
            len(request.key) != KEY_BYTES
            or len(request.salt) > MAX_SALT_BYTES
            or not 0 <= request.seq <= MAX_SEQ
            or len(request.signature) != SIGNATURE_BYTES
            or not signed.is_genuine(verify)
        ):
            raise BadRequestError("dht.put: not signed by the key")

        def newer(known: MutableItem | None) -> MutableItem | None:
            return signed if known is None or known.seq <= signed.seq else None

        return (
            lambda: FindMutableItem(request.key, verify, salt=request.salt, publish=newer),
            signed.target,
        )

    async def _search(self, make: Callable[[], Purpose]) -> Search:
        ended: asyncio.Future[Search] = asyncio.get_running_loop().create_future()
        search = self._dht.search(make, ended.set_result)
        try:
            return await ended
        finally:
            self._dht.cancel(search)


def dht_row(session: Session, torrent: Torrent) -> schema.TrackerRow:
    """The DHT as one more line in a torrent's list of trackers."""
    record = session.dht_announcing.record_of(torrent)
    state, message = schema.TrackerState.IDLE, ""
    wait: float | None = None
    last: float | None = None
    if torrent.summary.is_private or (record is not None and record.is_private):
        message = "not used: the torrent is private"
    elif record is not None:
        facilities = session.facilities
        wait = session.dht_announcing.next_in_s(record)
        if record.searched_at is not None:
            state = schema.TrackerState.WORKING
            last = facilities.wall_clock() - (facilities.loop.time() - record.searched_at)
            message = f"{record.peers} peer{'' if record.peers == 1 else 's'}"
        if record.search is not None:
            state = schema.TrackerState.ANNOUNCING
        if not session.dht.joined:
            message = "no node of the DHT answers yet"
    return schema.TrackerRow(
        url="DHT",
        tier=-1,
        state=state,
        message=message,
        peers=record.peers if record else 0,
        next_announce_in_s=wait,
        last_announce_at=last,
    )


def _node_info(node: DhtNode, *, is_joined: bool) -> schema.DhtNodeInfo:
    host = node.host or ""
    running, waiting = node.lookup_counts
    return schema.DhtNodeInfo(
        family="IPv6" if node.is_ipv6 else "IPv4",
        node_id=str(node.node_id),
        nodes=len(node.table),
        good=node.table.good_count(asyncio.get_running_loop().time()),
        is_joined=is_joined,
        address=host,
        is_bound=bool(host) and is_bound_to(node.node_id, Endpoint(host, 1).packed_host()),
        lookups=running,
        lookups_waiting=waiting,
        torrents=node.peers.torrent_count,
        items=len(node.items),
        counters=dataclasses.asdict(node.counters),
    )


def _node(text: str) -> Endpoint:
    try:
        return endpoint(*split_host_port(text))
    except InputError as error:
        raise BadRequestError(str(error)) from error


def _nearest(contacts: list[Contact], target: bytes) -> list[str]:
    contacts.sort(key=lambda contact: distance(contact.id, target))
    return [str(contact.endpoint) for contact in contacts[:_NEAREST]]


def _seq(item: ImmutableItem | MutableItem | None) -> int:
    return -1 if item is None else item.seq if isinstance(item, MutableItem) else 0
