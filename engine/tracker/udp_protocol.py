"""The tracker's side of the UDP tracker protocol (BEP 15): one datagram in, at most one out.

Contract: `handle` returns the reply, what it waits for where swarms are shared, or None, and raises
nothing. A connection id is a keyed hash of
the asker's address and the minute, so nothing is kept for who only connects, and whoever forges a
source address gets no more bytes sent there than it spent. IPv6 askers get IPv6 peers (18 bytes
each), IPv4 askers IPv4 peers; BEP 41's options behind an announce are ignored.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, TypeVar

from engine.errors import TrackerFailure
from engine.tracker.announce import AnnouncePolicy
from engine.tracker.statistics import Statistics
from engine.tracker.swarm_table import Announce, Chosen, Event, Families, SwarmCount
from engine.tracker.swarms import Swarms

PROTOCOL_ID = 0x41727101980
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)
MAX_SCRAPE = 74
"""Info-hashes of one scrape (BEP 15)."""
MAX_IPV6_PEERS = 66
"""Keeps a reply inside 1280 bytes, which every IPv6 path carries; IPv4's 200 peers need 1220."""
_MAX_IPV4_PEERS = 240

_HEAD = struct.Struct(">QI4s")
_ANNOUNCE = struct.Struct(">QI4s20s20sQQQI4sIiH")
_CONNECT_REPLY = struct.Struct(">I4s8s")
_ANNOUNCE_REPLY = struct.Struct(">I4sIII")
_SCRAPE_ENTRY = struct.Struct(">III")
_EVENTS = tuple(Event)

T = TypeVar("T")


class Later(NamedTuple):
    """A reply that waits for swarms which are shared. Somebody must await `asked`, or close it."""

    asked: Coroutine[Any, Any, Any]
    answer: Callable[[Any], bytes]
    """Makes the reply of what was found."""
    refuse: Callable[[TrackerFailure], bytes]
    """Makes it of what `asked` raised."""


Reply = bytes | Later


class ConnectionIds:
    """Issues and checks connection ids without keeping any: valid for one to two rotations."""

    def __init__(self, secret: bytes, rotation_s: float = 60) -> None:
        """`secret`: 16 to 64 random bytes. BEP 15 wants ids taken for two minutes, used for one."""
        self._secret = secret
        self._rotation_s = rotation_s

    def issue(self, host: bytes, now: float) -> bytes:
        return self._of(host, int(now // self._rotation_s))

    def check(self, connection_id: bytes, host: bytes, now: float) -> bool:
        period = int(now // self._rotation_s)
        return connection_id == self._of(host, period) or connection_id == self._of(
            host, period - 1
        )

    def _of(self, host: bytes, period: int) -> bytes:
        message = period.to_bytes(8, "big", signed=True) + host
        return hashlib.blake2b(message, digest_size=8, key=self._secret).digest()


class UdpProtocol:
    """Answers datagrams."""

    def __init__(
        self,
        swarms: Swarms,
        policy: AnnouncePolicy,
        statistics: Statistics,
        secret: bytes,
        *,
        may_name_ip: Callable[[bytes], bool] = lambda _host: False,
    ) -> None:
        """`may_name_ip`: whether the asker at that packed address may announce another one."""
        self._swarms = swarms
        self._policy = policy
        self._statistics = statistics
        self._ids = ConnectionIds(secret)
        self._may_name_ip = may_name_ip

    def use_secret(self, secret: bytes) -> None:
        """Issue connection ids by another secret, as one that several trackers share."""
        self._ids = ConnectionIds(secret)

    def handle(self, data: bytes, host: bytes, now: float) -> Reply | None:
        """Answer one datagram from the packed address `host` (4 or 16 bytes)."""
        if len(data) < _HEAD.size:
            self._statistics.ignored += 1
            return None
        first, action, transaction = _HEAD.unpack_from(data)
        if action == CONNECT and first == PROTOCOL_ID:
            self._statistics.connects += 1
            return _CONNECT_REPLY.pack(CONNECT, transaction, self._ids.issue(host, now))
        if action == ANNOUNCE and len(data) >= _ANNOUNCE.size:
            answer: Callable[[bytes, bytes, bytes, float], Reply] = self._announce
        elif action == SCRAPE and len(data) >= _HEAD.size + 20:
            answer = self._scrape
        else:
            self._statistics.ignored += 1
            return None
        try:
            if not self._ids.check(data[:8], host, now):
                raise TrackerFailure("connect again")
            return answer(data, transaction, host, now)
        except TrackerFailure as failure:
            return self._refuse(transaction, failure)

    def _refuse(self, transaction: bytes, failure: TrackerFailure) -> bytes:
        self._statistics.refused += 1
        return struct.pack(">I4s", ERROR, transaction) + str(failure).encode()

    def _later(
        self, transaction: bytes, asked: Coroutine[Any, Any, T], answer: Callable[[T], bytes]
    ) -> Later:
        return Later(asked, answer, partial(self._refuse, transaction))

    def _announce(self, data: bytes, transaction: bytes, host: bytes, now: float) -> Reply:
        (_, _, _, info_hash, peer_id, _, left, _, event, address, _, numwant, port) = (
            _ANNOUNCE.unpack_from(data)
        )
        if not port:
            raise TrackerFailure("port is not 1 to 65535")
        is_ipv6 = len(host) == 16
        most = MAX_IPV6_PEERS if is_ipv6 else _MAX_IPV4_PEERS
        if any(address) and not is_ipv6 and self._may_name_ip(host):
            host = address
        chosen = self._swarms.announce(
            Announce(
                info_hash,
                peer_id,
                host + port.to_bytes(2, "big"),
                left,
                _EVENTS[event] if event < len(_EVENTS) else Event.NONE,
                min(self._policy.numwant(numwant), most),
                Families.IPV6 if is_ipv6 else Families.IPV4,
            ),
            now,
        )
        if isinstance(chosen, Chosen):
            return self._announced(transaction, now, chosen)
        return self._later(transaction, chosen, partial(self._announced, transaction, now))

    def _announced(self, transaction: bytes, now: float, chosen: Chosen) -> bytes:
        self._statistics.count_announce(now, is_udp=True)
        head = _ANNOUNCE_REPLY.pack(
            ANNOUNCE, transaction, self._policy.interval_s, chosen.leechers, chosen.seeds
        )
        return head + b"".join([peer.compact for peer in chosen.peers])

    def _scrape(self, data: bytes, transaction: bytes, _host: bytes, now: float) -> Reply:
        end = min(len(data), _HEAD.size + 20 * MAX_SCRAPE)
        hashes = [data[at : at + 20] for at in range(_HEAD.size, end - 19, 20)]
        counts = self._swarms.counts(hashes, now)
        if isinstance(counts, list):
            return self._scraped(transaction, counts)
        return self._later(transaction, counts, partial(self._scraped, transaction))

    def _scraped(self, transaction: bytes, counts: list[SwarmCount]) -> bytes:
        self._statistics.udp_scrapes += 1
        parts = [struct.pack(">I4s", SCRAPE, transaction)]
        parts += [
            _SCRAPE_ENTRY.pack(count.seeds, count.downloads, count.leechers) for count in counts
        ]
        return b"".join(parts)
