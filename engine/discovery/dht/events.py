"""What a DHT node has to tell its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.purpose import Purpose


@dataclass(frozen=True, slots=True)
class PeersFound:
    """Peers that a lookup met since the last event of this kind; more may come."""

    lookup: int
    info_hash: bytes
    peers: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class LookupFinished:
    """`purpose` is the object that the lookup was started with, and holds what it found."""

    lookup: int
    purpose: Purpose
    closest: tuple[Contact, ...] = ()
    """The nearest nodes that answered."""
    hops: int = 0
    queries: int = 0
    replies: int = 0
    timeouts: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Joined:
    """The neighbourhood of our own id was found."""

    node_count: int


@dataclass(frozen=True, slots=True)
class ContactsNeeded:
    """Nobody is known, or nobody answers: call `bootstrap` with addresses, fresh ones if any."""


@dataclass(frozen=True, slots=True)
class AddressLearned:
    """The address from which others see us come (BEP 42)."""

    host: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Who was asked by `ping` says who it is."""

    endpoint: Endpoint
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class NodeIdChanged:
    """Our id follows from our address now (BEP 42)."""

    node_id: NodeId


Event: TypeAlias = (
    PeersFound
    | LookupFinished
    | Joined
    | ContactsNeeded
    | AddressLearned
    | Answered
    | NodeIdChanged
)
