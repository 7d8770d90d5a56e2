"""Requests about the DHT: our nodes in it, peers of any torrent, items that it keeps."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Empty, Request


class DhtNodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Our node of one family of addresses, and what it has counted since the start."""

    family: str
    """IPv4 or IPv6."""
    node_id: str
    nodes: int
    """In its table."""
    good: int
    """Of them, those that were heard lately."""
    is_joined: bool
    address: str = ""
    """Ours as other nodes see it; empty until enough of them agree."""
    is_bound: bool = False
    """The id follows from that address, as BEP 42 wants it."""
    lookups: int = 0
    lookups_waiting: int = 0
    torrents: int = 0
    """That others announced to it."""
    items: int = 0
    """That others keep with it (BEP 44)."""
    counters: dict[str, int] = {}


class DhtInfo(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    """UDP; 0 = the DHT is off."""
    is_read_only: bool
    nodes: list[DhtNodeInfo]
    """One for each family; none while it is off."""


class DhtRequest(Request, frozen=True, kw_only=True):
    """What the DHT is asked; all but `dht.status` fail while it is off."""


class DhtStatus(DhtRequest, frozen=True, kw_only=True):
    METHOD = "dht.status"
    reply: ClassVar[Any] = DhtInfo


class DhtLookup(DhtRequest, frozen=True, kw_only=True):
    """Look for the peers of a torrent; ask again with the `lookup` of the reply for what came
    meanwhile, until it is finished. An answer comes when there is news, or after some seconds."""

    METHOD = "dht.lookup"
    info_hash: str
    lookup: int | None = None

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        lookup: int
        peers: list[str]
        """HOST:PORTs since the last reply."""
        is_finished: bool = False
        hops: int = 0
        """From us to the nearest node that answered. This and what follows is known at the end."""
        asked: int = 0
        answered: int = 0
        nearest: list[str] = []
        """HOST:PORTs of the nearest nodes that answered."""

    reply: ClassVar[Any] = Reply


class DhtPing(DhtRequest, frozen=True, kw_only=True):
    METHOD = "dht.ping"
    node: str
    """HOST:PORT, numeric."""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        node_id: str
        took_s: float

    reply: ClassVar[Any] = Reply


class DhtAdd(DhtRequest, frozen=True, kw_only=True):
    """Make acquaintance with a node, and join by it where that is still to be done."""

    METHOD = "dht.add"
    node: str
    reply: ClassVar[Any] = Empty


class DhtGet(DhtRequest, frozen=True, kw_only=True):
    """Look for an item (BEP 44): an immutable one by its hash of 40 hexadecimal digits, a mutable
    one by its public key of 64."""

    METHOD = "dht.get"
    target: str
    salt: bytes = b""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        target: str
        value: bytes | None = None
        """Bencoded; None = nobody has it."""
        seq: int | None = None
        answered: int = 0
        """Nodes."""

    reply: ClassVar[Any] = Reply


class DhtPut(DhtRequest, frozen=True, kw_only=True):
    """Store an item; with a `key` a mutable one, signed by its owner."""

    METHOD = "dht.put"
    value: bytes = b""
    """Bencoded."""
    key: bytes = b""
    salt: bytes = b""
    seq: int = 0
    signature: bytes = b""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        target: str
        stored: int
        """Nodes that keep it."""

    reply: ClassVar[Any] = Reply
