"""What this node answers to the queries of others (BEP 5, 32, 33, 42, 44, 51).

An answer fits in one unfragmented datagram, and storing something takes a token that was given to
the same address: nobody makes us send, or keep, anything in another's name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeAlias

from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.item_store import ItemStore
from engine.discovery.dht.items import Item, MutableItem
from engine.discovery.dht.messages import (
    AnnouncePeer,
    BadQuery,
    Body,
    ErrorCode,
    ErrorReply,
    FindNode,
    GetItem,
    GetPeers,
    Message,
    Ping,
    PutItem,
    Query,
    Reply,
    SampleInfohashes,
    Want,
)
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.peer_store import PeerStore
from engine.discovery.dht.tokens import TokenIssuer

MAX_REPLY_BYTES = 1024
"""Of BEP 32."""
MAX_ITEM_REPLY_BYTES = 1400
"""An item of 1000 bytes with its key, signature and nodes does not fit in BEP 32's limit."""
MAX_VALUES = 60
K = 8

_REFUSALS = {
    ErrorCode.SERVER: "full",
    ErrorCode.INVALID_SIGNATURE: "invalid signature",
    ErrorCode.CAS_MISMATCH: "the sequence number is another by now",
    ErrorCode.OUTDATED: "the sequence number is not newer",
}


class KnowsNodes(Protocol):
    """A routing table, as far as answers need one."""

    def closest(self, target: bytes, now: float, count: int) -> list[Contact]: ...


Tables: TypeAlias = tuple[KnowsNodes | None, KnowsNodes | None]
"""Of IPv4 and of IPv6."""


class Responder:
    def __init__(self, tokens: TokenIssuer, peers: PeerStore, items: ItemStore) -> None:
        self._tokens = tokens
        self.peers = peers
        self.items = items

    def answer(
        self,
        query: Query | BadQuery,
        source: Endpoint,
        now: float,
        own_id: NodeId,
        tables: Tables,
    ) -> bytes:
        """Serve a query and return the datagram for `source`; `tables` have the nodes."""
        if isinstance(query, BadQuery):
            return krpc.encode(ErrorReply(query.transaction, query.code, query.text))
        reply = self._answer(query, source, now, own_id, tables)
        if isinstance(reply, Reply):
            limit = MAX_REPLY_BYTES if reply.value is None else MAX_ITEM_REPLY_BYTES
            return krpc.encode_reply_within(reply, limit)
        return krpc.encode(reply)

    def _answer(
        self,
        query: Query,
        source: Endpoint,
        now: float,
        own_id: NodeId,
        tables: Tables,
    ) -> Message:
        host = source.packed_host()
        reply = Reply(query.transaction, own_id, your_address=source)
        target = _target(query.body)
        if target is not None:
            nodes, nodes6 = self._nodes(query, target, source, now, tables)
            reply = replace(reply, nodes=nodes, nodes6=nodes6)
        match query.body:
            case Ping() | FindNode():
                return reply
            case GetPeers(info_hash, no_seeds, scrape):
                is_taken = self.peers.takes(info_hash, source)
                filters = self.peers.scrape(info_hash, now) if scrape else None
                seeds_filter, peers_filter = filters or (b"", b"")
                return replace(
                    reply,
                    token=self._tokens.issue(host, info_hash, now) if is_taken else b"",
                    values=tuple(self.peers.peers(info_hash, MAX_VALUES, now, no_seeds=no_seeds)),
                    seeds_filter=seeds_filter,
                    peers_filter=peers_filter,
                )
            case AnnouncePeer(info_hash, token, port, implied_port, is_seed):
                if not self._tokens.accepts(token, host, info_hash, now):
                    return ErrorReply(query.transaction, ErrorCode.PROTOCOL, "bad token")
                peer = Endpoint(source.host, source.port if implied_port else port)
                if not self.peers.announce(info_hash, peer, now, is_seed=is_seed):
                    return ErrorReply(query.transaction, ErrorCode.SERVER, "full")
                return reply
            case GetItem(target, newer_than):
                reply = replace(reply, token=self._tokens.issue(host, target, now))
                return _with_item(reply, self.items.get(target, now), newer_than)
            case PutItem(item, token, cas):
                if not self._tokens.accepts(token, host, item.target, now):
                    return ErrorReply(query.transaction, ErrorCode.PROTOCOL, "bad token")
                code = self.items.put(item, source.host, now, cas=cas)
                if code:
                    return ErrorReply(query.transaction, code, _REFUSALS[ErrorCode(code)])
                return reply
            case SampleInfohashes():
                samples, interval_s = self.peers.sample(now)
                return replace(
                    reply,
                    samples=samples,
                    sample_interval_s=interval_s,
                    torrent_count=self.peers.torrent_count,
                )

    def _nodes(
        self,
        query: Query,
        target: bytes,
        source: Endpoint,
        now: float,
        tables: Tables,
    ) -> tuple[tuple[Contact, ...] | None, tuple[Contact, ...] | None]:
        want = query.want or (Want.IPV6 if source.is_ipv6 else Want.IPV4)
        nodes, nodes6 = (
            # The asker knows itself.
            tuple(c for c in table.closest(target, now, K + 1) if c.endpoint != source)[:K]
            if table is not None and family in want
            else None
            for family, table in zip((Want.IPV4, Want.IPV6), tables, strict=True)
        )
        return nodes, nodes6


def _target(body: Body) -> bytes | None:
    """The key that the asker looks for, if it does."""
    match body:
        case FindNode(target) | GetItem(target) | SampleInfohashes(target):
            return target
        case GetPeers(info_hash):
            return info_hash
    return None


def _with_item(reply: Reply, item: Item | None, newer_than: int | None) -> Reply:
    if not isinstance(item, MutableItem):
        return replace(reply, value=item.value) if item else reply
    if newer_than is not None and item.seq <= newer_than:
        return replace(reply, seq=item.seq)
    return replace(reply, value=item.value, key=item.key, seq=item.seq, signature=item.signature)
