"""UDP trackers without I/O: packets, connection ids and one exchange with its time-outs (BEP 15).

Contract of the parsers: a value, or TrackerReplyError. An exchange never trusts a datagram whose
transaction id is not its own; it ignores it and goes on waiting.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from engine.core.compact import unpack_ipv4, unpack_ipv6
from engine.core.identifiers import InfoHash
from engine.discovery.announce import (
    MAX_PEERS,
    AnnounceEvent,
    AnnounceReply,
    AnnounceRequest,
    ScrapeReply,
    SwarmCounts,
    checked_interval_s,
    clean_text,
)
from engine.errors import TrackerFailure, TrackerReplyError, TrackerUnreachable

if TYPE_CHECKING:
    from random import Random

CONNECTION_LIFETIME_S = 60.0
FIRST_TIMEOUT_S = 15.0
MAX_DOUBLINGS = 8
ATTEMPTS = 2
"""Sends of the connect, and of the request, before an exchange gives up: 45 s in all when nothing
answers. BEP 15 allows nine, which is two hours; the announce schedule takes over from here."""

SCRAPE_HASHES_PER_REQUEST = 74

_PROTOCOL_ID = 0x41727101980
_CONNECT, _ANNOUNCE, _SCRAPE, _ERROR = range(4)
_EVENTS = {
    AnnounceEvent.NONE: 0,
    AnnounceEvent.COMPLETED: 1,
    AnnounceEvent.STARTED: 2,
    AnnounceEvent.STOPPED: 3,
    AnnounceEvent.PAUSED: 0,
}
_HEAD = struct.Struct(">QII")
_REPLY_HEAD_BYTES = 8
_CONNECTION_ID = struct.Struct(">Q")
_ANNOUNCE_BODY = struct.Struct(">20s20sQQQI4sIiH")
_ANNOUNCE_REPLY = struct.Struct(">iII")
_SCRAPE_ENTRY = struct.Struct(">III")
_MAX_U64 = (1 << 64) - 1

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def tracker_address(url: str) -> tuple[str, int]:
    """Split udp://host:port/… into host and port. Raises TrackerReplyError."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TrackerReplyError(f"not the URL of a tracker: {error}") from error
    if parts.scheme != "udp" or not host or not port:
        raise TrackerReplyError("a UDP tracker's URL is udp://HOST:PORT")
    return host, port


def connect_question(transaction: int) -> bytes:
    """The datagram that asks a tracker for a connection."""
    return _HEAD.pack(_PROTOCOL_ID, _CONNECT, transaction)


def is_connect_answer(datagram: bytes | memoryview, transaction: int) -> bool:
    """True for what a tracker says to `connect_question`."""
    expected = _CONNECT.to_bytes(4, "big") + transaction.to_bytes(4, "big")
    return len(datagram) >= 16 and bytes(datagram[:8]) == expected


class Connection(NamedTuple):
    """The right to ask a tracker, from when it was given for CONNECTION_LIFETIME_S."""

    id: int
    expires_at: float


class UdpQuestion(Protocol[T_co]):
    """What a connected exchange asks."""

    @property
    def action(self) -> int: ...

    def body(self) -> bytes:
        """The request behind its 16 bytes of head."""

    def parse(self, body: bytes) -> T_co:
        """The answer in a reply behind its 8 bytes of head. Raises TrackerReplyError."""


class AnnounceQuestion:
    """An announce; `ipv6`, the family of the tracker's address, decides the form of the reply."""

    action = _ANNOUNCE

    def __init__(self, request: AnnounceRequest, ipv6: bool) -> None:
        self._request = request
        self._ipv6 = ipv6

    def body(self) -> bytes:
        request = self._request
        return _ANNOUNCE_BODY.pack(
            request.info_hash[:20],
            request.peer_id,
            min(max(request.downloaded, 0), _MAX_U64),
            min(max(request.left, 0), _MAX_U64),
            min(max(request.uploaded, 0), _MAX_U64),
            _EVENTS[request.event],
            self._listed_ip(),
            request.key & 0xFFFFFFFF,
            request.peers_wanted,
            request.port,
        )

    def _listed_ip(self) -> bytes:
        address = self._request.ip or self._request.ipv4
        try:
            return bytes(4) if self._ipv6 else ipaddress.IPv4Address(address or 0).packed
        except ValueError:
            return bytes(4)

    def parse(self, body: bytes) -> AnnounceReply:
        if len(body) < _ANNOUNCE_REPLY.size:
            raise TrackerReplyError(f"an announce reply of only {len(body) + 8} bytes")
        interval, leechers, seeders = _ANNOUNCE_REPLY.unpack_from(body)
        packed = body[_ANNOUNCE_REPLY.size :]
        width = 18 if self._ipv6 else 6
        # BEP 15: do not expect packets to be exactly of a certain size.
        packed = packed[: min(len(packed) // width, MAX_PEERS) * width]
        return AnnounceReply(
            interval_s=checked_interval_s(interval),
            peers=unpack_ipv6(packed) if self._ipv6 else unpack_ipv4(packed),
            seeders=seeders,
            leechers=leechers,
        )


class ScrapeQuestion:
    """A scrape of at most SCRAPE_HASHES_PER_REQUEST torrents."""

    action = _SCRAPE

    def __init__(self, info_hashes: Sequence[InfoHash]) -> None:
        self._info_hashes = info_hashes[:SCRAPE_HASHES_PER_REQUEST]

    def body(self) -> bytes:
        return b"".join(info_hash[:20] for info_hash in self._info_hashes)

    def parse(self, body: bytes) -> ScrapeReply:
        size = _SCRAPE_ENTRY.size * len(self._info_hashes)
        if len(body) < size:
            raise TrackerReplyError(
                f"a scrape reply of {len(body) + 8} bytes for {len(self._info_hashes)} torrents"
            )
        entries = _SCRAPE_ENTRY.iter_unpack(body[:size])
        return ScrapeReply(
            {
                info_hash: SwarmCounts(seeders, leechers, downloads)
                for info_hash, (seeders, downloads, leechers) in zip(
                    self._info_hashes, entries, strict=True
                )
            }
        )


class UdpExchange(Generic[T]):
    """One question to one tracker address: connect if need be, ask, repeat what is not answered.

    The owner sends what `poll` returns, calls it again at `next_at`, and hands every datagram that
    came from that address to `received`. Both raise TrackerError when the exchange has failed.
    """

    __slots__ = (
        "_attempts",
        "_borrowed",
        "_first_timeout_s",
        "_has_connected",
        "_question",
        "_rng",
        "_sends",
        "connection",
        "next_at",
        "reply",
        "transaction_id",
    )

    def __init__(
        self,
        question: UdpQuestion[T],
        *,
        now: float,
        rng: Random,
        connection: Connection | None = None,
        first_timeout_s: float = FIRST_TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        """`connection` is one that an earlier exchange with this address obtained."""
        self._question = question
        self._rng = rng
        self._first_timeout_s = first_timeout_s
        self._attempts = attempts
        self._sends = 0
        self.connection = connection
        """None once it has proved useless; whoever shares connections must forget it then."""
        self._borrowed = connection is not None
        self._has_connected = False
        self.transaction_id = rng.getrandbits(32)
        self.next_at = now
        self.reply: T | None = None

    def poll(self, now: float) -> bytes | None:
        """Return the datagram that is due, or None. Raises TrackerUnreachable after the last."""
        if self.reply is not None or now < self.next_at:
            return None
        if self.connection is not None and (
            now >= self.connection.expires_at or (self._borrowed and self._sends)
        ):
            # A tracker that was restarted drops the ids it gave before without a word.
            self._disconnect()
        if self._sends >= self._attempts:
            raise TrackerUnreachable("the tracker does not answer")
        self.next_at = now + self._first_timeout_s * (1 << min(self._sends, MAX_DOUBLINGS))
        self._sends += 1
        if self.connection is None:
            return _HEAD.pack(_PROTOCOL_ID, _CONNECT, self.transaction_id)
        head = _HEAD.pack(self.connection.id, self._question.action, self.transaction_id)
        return head + self._question.body()

    def expects(self, datagram: bytes) -> bool:
        """Say whether a datagram carries our transaction id."""
        return len(datagram) >= _REPLY_HEAD_BYTES and (
            int.from_bytes(datagram[4:8], "big") == self.transaction_id
        )

    def received(self, datagram: bytes, now: float) -> bool:
        """Take a datagram; True if it was the answer waited for, after which `poll` may send at
        once and `reply` may be there. Raises TrackerFailure and TrackerReplyError."""
        if self.reply is not None or not self.expects(datagram):
            return False
        action = int.from_bytes(datagram[:4], "big")
        body = bytes(datagram[_REPLY_HEAD_BYTES:])
        if action == _ERROR:
            if self._borrowed and self.connection is not None:
                self._disconnect()
                self.next_at = now
                return True
            raise TrackerFailure(clean_text(body) or "refused without a reason")
        if self.connection is None:
            self._connected(action, body, now)
        elif action == self._question.action:
            self.reply = self._question.parse(body)
        else:
            raise TrackerReplyError(f"a reply of kind {action} to {self._question.action}")
        return True

    def _connected(self, action: int, body: bytes, now: float) -> None:
        if action != _CONNECT:
            raise TrackerReplyError(f"a reply of kind {action} to a connect")
        if len(body) < _CONNECTION_ID.size:
            raise TrackerReplyError(f"a connect reply of only {len(body) + 8} bytes")
        (connection_id,) = _CONNECTION_ID.unpack_from(body)
        self.connection = Connection(connection_id, now + CONNECTION_LIFETIME_S)
        self.transaction_id = self._rng.getrandbits(32)
        self.next_at = now
        self._borrowed = False
        if not self._has_connected:
            # Only once, or a tracker that connects but never answers would be asked for ever.
            self._has_connected = True
            self._sends = 0

    def _disconnect(self) -> None:
        self.connection = None
        self.transaction_id = self._rng.getrandbits(32)
