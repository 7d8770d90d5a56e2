"""The messages of the peer wire protocol as values (BEP 3, 5, 6, 10).

Invariant: a message that exists has the length its id demands; whether it is legal on its
connection is peer_protocol.py's question. Integers are those of the wire: 0 to 2^32 - 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

MAX_BLOCK_BYTES = 128 * 1024
"""Longest block that may be asked for or sent; nearly everybody asks for 16 KiB (BEP 3)."""
MAX_JOINED_BYTES = 1024 * 1024
"""Neighbouring blocks that we take in one `piece` message from who was told so, see
ExtensionHandshake.max_joined."""


class MessageId(IntEnum):
    """The byte behind the length prefix."""

    CHOKE = 0
    UNCHOKE = 1
    INTERESTED = 2
    NOT_INTERESTED = 3
    HAVE = 4
    BITFIELD = 5
    REQUEST = 6
    PIECE = 7
    CANCEL = 8
    PORT = 9
    SUGGEST = 13
    HAVE_ALL = 14
    HAVE_NONE = 15
    REJECT = 16
    ALLOWED_FAST = 17
    EXTENDED = 20


@dataclass(frozen=True, slots=True)
class KeepAlive:
    pass


@dataclass(frozen=True, slots=True)
class Choke:
    pass


@dataclass(frozen=True, slots=True)
class Unchoke:
    pass


@dataclass(frozen=True, slots=True)
class Interested:
    pass


@dataclass(frozen=True, slots=True)
class NotInterested:
    pass


@dataclass(frozen=True, slots=True)
class Have:
    index: int


@dataclass(frozen=True, slots=True)
class BitfieldMessage:
    bits: bytes


class Request(NamedTuple):
    """Asks for a block. A tuple because it is made per block; offsets and lengths are bytes."""

    index: int  # type: ignore[assignment] # the field's word; nobody searches this tuple
    begin: int
    length: int


class RequestRun(NamedTuple):
    """What a row of requests says: `count` blocks of BLOCK_LENGTH, maybe one, without a gap and
    through the ends of pieces. The first begins at a multiple of BLOCK_LENGTH."""

    index: int  # type: ignore[assignment]
    begin: int
    count: int  # type: ignore[assignment] # nobody counts in this tuple


class Block(NamedTuple):
    """The `piece` message. `view` is borrowed: it is valid until the decoder is fed again."""

    index: int  # type: ignore[assignment]
    begin: int
    view: memoryview


class BlockRun(NamedTuple):
    """What a row of `piece` messages says: blocks of BLOCK_LENGTH of one piece, without a gap. The
    views are borrowed as that of a Block."""

    index: int  # type: ignore[assignment]
    begin: int
    views: list[memoryview]


class JoinedBlocks(NamedTuple):
    """What is here of a `piece` message of several blocks of BLOCK_LENGTH: one or more of them,
    whole. The view is borrowed as that of a Block."""

    index: int  # type: ignore[assignment]
    begin: int
    view: memoryview


@dataclass(frozen=True, slots=True)
class Cancel:
    index: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class Port:
    """Where the peer's DHT node listens (BEP 5)."""

    port: int


@dataclass(frozen=True, slots=True)
class Suggest:
    index: int


@dataclass(frozen=True, slots=True)
class HaveAll:
    pass


@dataclass(frozen=True, slots=True)
class HaveNone:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    index: int
    begin: int
    length: int


@dataclass(frozen=True, slots=True)
class AllowedFast:
    index: int


@dataclass(frozen=True, slots=True)
class Extended:
    """`ext_id` is 0 for the extension handshake, else one that the receiver handed out (BEP 10)."""

    ext_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of an id that we do not speak, skipped; `length` is its payload's bytes."""

    message_id: int
    length: int


Message: TypeAlias = (
    KeepAlive
    | Choke
    | Unchoke
    | Interested
    | NotInterested
    | Have
    | BitfieldMessage
    | Request
    | RequestRun
    | Block
    | BlockRun
    | JoinedBlocks
    | Cancel
    | Port
    | Suggest
    | HaveAll
    | HaveNone
    | Reject
    | AllowedFast
    | Extended
    | Unknown
)
