"""What nodes say to each other, as values (BEP 5, 32, 33, 43, 44, 51); krpc.py has their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, IntEnum
from typing import TypeAlias

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.items import Item
from engine.discovery.dht.node_id import NodeId


class Want(Flag):
    """Which node lists a reply should have, whatever family it travels over (BEP 32)."""

    IPV4 = 1
    IPV6 = 2


class ErrorCode(IntEnum):
    GENERIC = 201
    SERVER = 202
    PROTOCOL = 203
    METHOD_UNKNOWN = 204
    VALUE_TOO_BIG = 205
    INVALID_SIGNATURE = 206
    SALT_TOO_BIG = 207
    CAS_MISMATCH = 301
    OUTDATED = 302


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class FindNode:
    target: bytes


@dataclass(frozen=True, slots=True)
class GetPeers:
    info_hash: bytes
    no_seeds: bool = False
    scrape: bool = False


@dataclass(frozen=True, slots=True)
class AnnouncePeer:
    info_hash: bytes
    token: bytes
    port: int
    """May be 0 when it is implied."""
    implied_port: bool = False
    """The peer listens where the datagram comes from; `port` is for those who do not know this."""
    is_seed: bool = False


@dataclass(frozen=True, slots=True)
class GetItem:
    target: bytes
    newer_than: int | None = None
    """Leave the value out when its sequence number is not above this."""


@dataclass(frozen=True, slots=True)
class PutItem:
    item: Item
    token: bytes
    cas: int | None = None


@dataclass(frozen=True, slots=True)
class SampleInfohashes:
    target: bytes


Body: TypeAlias = Ping | FindNode | GetPeers | AnnouncePeer | GetItem | PutItem | SampleInfohashes


@dataclass(frozen=True, slots=True)
class Query:
    transaction: bytes
    sender: NodeId
    body: Body
    want: Want | None = None
    is_read_only: bool = False
    """The sender answers no queries: it must not enter routing tables (BEP 43)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Every field of every reply; which ones are there depends on what was asked."""

    transaction: bytes
    sender: NodeId
    nodes: tuple[Contact, ...] | None = None
    nodes6: tuple[Contact, ...] | None = None
    token: bytes = b""
    values: tuple[Endpoint, ...] = ()
    seeds_filter: bytes = b""
    """256 bytes or none (BEP 33), like `peers_filter`."""
    peers_filter: bytes = b""
    value: bytes | None = None
    """Bencoded and canonical (BEP 44)."""
    key: bytes = b""
    seq: int | None = None
    signature: bytes = b""
    samples: tuple[bytes, ...] | None = None
    """None = this node knows nothing of BEP 51."""
    sample_interval_s: int = 0
    torrent_count: int = 0
    your_address: Endpoint | None = None
    """How the sender sees whom it answers (BEP 42)."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    transaction: bytes
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class BadQuery:
    """A query that can be answered with an error and nothing else."""

    transaction: bytes
    code: ErrorCode
    text: str


Message: TypeAlias = Query | Reply | ErrorReply | BadQuery
