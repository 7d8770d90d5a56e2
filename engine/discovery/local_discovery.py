"""Finding peers in the local network by multicast: what is said when, and what is heard (BEP 14).

Datagrams ↔ values, and which torrents to announce when. Invariants: at most one datagram a second,
of at most MAX_DATAGRAM_BYTES; each torrent about every five minutes, unless there are so many that
this takes longer. What is announced again travels together, so that few torrents cost a datagram a
minute at most.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.core.compact import Endpoint
from engine.core.rates import TokenBucket
from engine.errors import ProtocolError

if TYPE_CHECKING:
    from random import Random

IPV4_GROUP: Final = Endpoint("239.192.152.143", 6771)
IPV6_GROUP: Final = Endpoint("ff15::efc0:988f", 6771)
MAX_DATAGRAM_BYTES: Final = 1400
INTERVAL_S: Final = 300.0
PACE_S: Final = 1.0

TOGETHER_S: Final = 60.0
"""What is due so soon goes with what is due now."""
ANSWER_S: Final = 10.0
"""Whatever others ask, no torrent is announced twice in so long."""

_HASH_CHARS = 40
_MAX_LINES = 64
_MAX_HEARD_A_SECOND = 50
_BURST_S = 4.0


@dataclass(frozen=True, slots=True)
class LocalAnnounce:
    """What one client says to its network."""

    port: int
    """Where it listens for peers."""
    info_hashes: tuple[bytes, ...]
    """20 bytes each, at least one."""
    cookie: str = ""
    """By which a client knows its own announces."""


def encode(announce: LocalAnnounce, group: Endpoint) -> bytes:
    """Make the datagram for one group."""
    hashes = "".join(f"Infohash: {info_hash.hex()}\r\n" for info_hash in announce.info_hashes)
    cookie = f"cookie: {announce.cookie}\r\n" if announce.cookie else ""
    head = f"BT-SEARCH * HTTP/1.1\r\nHost: {group}\r\nPort: {announce.port}\r\n"
    return f"{head}{hashes}{cookie}\r\n\r\n".encode()


_COOKIE_CHARS = 8
MAX_HASHES: Final = (
    MAX_DATAGRAM_BYTES - len(encode(LocalAnnounce(65535, (), "x" * _COOKIE_CHARS), IPV6_GROUP))
) // len(f"Infohash: {'x' * _HASH_CHARS}\r\n")
"""In one datagram."""


def decode(datagram: bytes) -> LocalAnnounce:
    """Read a datagram; headers and info-hashes of other kinds are stepped over.

    Raises ProtocolError.
    """
    if len(datagram) > MAX_DATAGRAM_BYTES:
        raise ProtocolError(f"local announce of {len(datagram)} bytes")
    first, *lines = datagram.decode("latin-1").split("\r\n", _MAX_LINES)
    if first.split() != ["BT-SEARCH", "*", "HTTP/1.1"]:
        raise ProtocolError("no local announce")
    port, cookie = 0, ""
    hashes: dict[bytes, None] = {}
    for line in lines[:_MAX_LINES]:
        name, _, value = line.partition(":")
        value = value.strip()
        match name.strip().lower():
            case "port":
                port = _port(value)
            case "cookie":
                cookie = value
            case "infohash" if len(value) == _HASH_CHARS:
                try:
                    hashes[bytes.fromhex(value)] = None
                except ValueError:
                    continue
    if not port or not hashes:
        raise ProtocolError("local announce without a port or an info-hash")
    return LocalAnnounce(port, tuple(each for each in hashes if len(each) == 20), cookie)


def _port(value: str) -> int:
    is_number = value.isascii() and value.isdigit() and len(value) <= 5
    return int(value) if is_number and int(value) < 65536 else 0


class LocalDiscovery:
    """What to announce and when, and what announces of others mean."""

    __slots__ = ("_answers", "_budget", "_cookie", "_fresh", "_later", "_sent_at")

    def __init__(self, rng: Random, now: float) -> None:
        self._cookie = f"{rng.getrandbits(4 * _COOKIE_CHARS):0{_COOKIE_CHARS}x}"
        self._fresh: dict[bytes, None] = {}
        """Never announced, or not in the network that we are in now."""
        self._later: dict[bytes, float] = {}
        """When each is due again; the soonest first."""
        self._answers: dict[bytes, float] = {}
        """Those of `_later` that are to be announced sooner, since somebody new asked, and when."""
        self._sent_at = -math.inf
        self._budget = TokenBucket(_MAX_HEARD_A_SECOND, now, burst_s=_BURST_S)

    def __len__(self) -> int:
        return len(self._fresh) + len(self._later)

    def __contains__(self, info_hash: bytes) -> bool:
        return info_hash in self._later or info_hash in self._fresh

    def want(self, info_hash: bytes) -> None:
        """Announce this torrent from now on."""
        if info_hash not in self._later:
            self._fresh[info_hash] = None

    def forget(self, info_hash: bytes) -> None:
        self._fresh.pop(info_hash, None)
        self._later.pop(info_hash, None)
        self._answers.pop(info_hash, None)

    def answer(self, info_hash: bytes, now: float) -> None:
        """Announce this torrent soon: somebody came who may not have heard of us."""
        due_at = self._later.get(info_hash)
        if due_at is not None:
            self._answers[info_hash] = max(now, due_at - INTERVAL_S + ANSWER_S)

    def begin_again(self) -> None:
        """Announce all anew: the network is another one."""
        self._fresh |= dict.fromkeys(self._later)
        self._later.clear()
        self._answers.clear()

    @property
    def next_at(self) -> float:
        """When `batch` has something; inf = never, as things are; may lie in the past."""
        if self._fresh:
            return self._sent_at + PACE_S
        soonest = min(self._answers.values(), default=math.inf)
        soonest = min(next(iter(self._later.values()), math.inf), soonest)
        return max(soonest, self._sent_at + PACE_S)

    def batch(self, now: float, port: int) -> LocalAnnounce | None:
        """Return what to announce now, which counts as announced; None before `next_at`."""
        if now < self.next_at:
            return None
        asked = (each for each, due_at in self._answers.items() if due_at <= now)
        soon = (each for each, due_at in self._later.items() if due_at <= now + TOGETHER_S)
        everything = itertools.chain(self._fresh, asked, soon)
        hashes = list(itertools.islice(dict.fromkeys(everything), MAX_HASHES))
        for info_hash in hashes:
            self.forget(info_hash)
            self._later[info_hash] = now + INTERVAL_S
        self._sent_at = now
        return LocalAnnounce(port, tuple(hashes), self._cookie)

    def heard(self, datagram: bytes, now: float) -> LocalAnnounce | None:
        """Return what somebody else announces; None for ourselves, and for more than anybody can
        mean. Raises ProtocolError."""
        if self._budget.available(now) < 1:
            return None
        self._budget.take(1, now)
        announce = decode(datagram)
        return None if announce.cookie == self._cookie else announce
