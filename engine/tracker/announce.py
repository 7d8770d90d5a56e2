"""HTTP announces and scrapes as a tracker reads and answers them (BEP 3, 7, 23, 31, 48).

Contract of the parsers: a raw query string (percent-encoded, without the `?`) gives a typed value
or TrackerFailure, whose text is for the person behind the client. Nothing in a query costs more
than its own length. The asker's address is the socket's; `ip` counts only where the caller says so.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from engine.core import bencode
from engine.core.compact import endpoint
from engine.errors import InputError, TrackerFailure
from engine.tracker.swarm_table import (
    COMPACT_IPV4_BYTES,
    Announce,
    Chosen,
    Event,
    SwarmCount,
    Told,
)

_EVENTS = {
    "started": Event.STARTED,
    "stopped": Event.STOPPED,
    "completed": Event.COMPLETED,
}
_MAX_DIGITS = 20
_HASH_BYTES = 20
_PEER_ID_BYTES = 20
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class AnnouncePolicy:
    """What every reply says, and how many peers it may hold."""

    interval_s: int = 1800
    """Seconds until a peer should announce again."""
    min_interval_s: int = 60
    """Seconds before which it must not."""
    default_numwant: int = 50
    max_numwant: int = 200

    def numwant(self, wanted: int | None) -> int:
        """Clamp what a peer asked for; unsaid or negative is the default (BEP 15 has -1 for it)."""
        if wanted is None or wanted < 0:
            return self.default_numwant
        return min(wanted, self.max_numwant)


class AnnounceQuery(NamedTuple):
    """An announce and the form that its reply should have."""

    announce: Announce
    compact: bool
    no_peer_id: bool


def pack_host(host: str) -> bytes:
    """Pack a socket's numeric address into 4 or 16 bytes; IPv4 mapped into IPv6 becomes IPv4."""
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return packed[12:] if packed.startswith(_MAPPED_PREFIX) else packed


def parse_announce(
    query: str, host: bytes, policy: AnnouncePolicy, *, may_name_ip: bool = False
) -> AnnounceQuery:
    """Read an announce from the packed address `host` (4 or 16 bytes).

    Optional parameters that make no sense count as unsaid; required ones raise TrackerFailure.
    """
    given: dict[str, str] = {}
    for name, value in _parameters(query):
        given.setdefault(name, value)
    info_hash = _fixed(given, "info_hash", _HASH_BYTES)
    peer_id = _fixed(given, "peer_id", _PEER_ID_BYTES)
    port = _number(given.get("port"))
    if port is None or not 0 < port < 65536:
        raise TrackerFailure(
            "port is missing" if "port" not in given else "port is not 1 to 65535", math.inf
        )
    left = _number(given.get("left"))
    if left is None and given.get("left"):
        raise TrackerFailure("left is no number of bytes", math.inf)
    if may_name_ip and given.get("ip"):
        host = _named_host(given["ip"])
    announce = Announce(
        info_hash,
        peer_id,
        host + port.to_bytes(2, "big"),
        # Whoever does not say what it lacks is no seed: seeds would not be told about it.
        1 if left is None else left,
        _EVENTS.get(given.get("event", ""), Event.NONE),
        policy.numwant(_number(given.get("numwant"))),
    )
    return AnnounceQuery(announce, given.get("compact") != "0", given.get("no_peer_id") == "1")


def parse_scrape(query: str, max_hashes: int) -> list[bytes]:
    """Read the info-hashes of a scrape, none included. Raises TrackerFailure."""
    hashes = []
    for name, value in _parameters(query):
        if name == "info_hash":
            hashes.append(_fixed({name: value}, name, _HASH_BYTES))
    if len(hashes) > max_hashes:
        raise TrackerFailure(f"at most {max_hashes} torrents in one scrape", math.inf)
    return hashes


def encode_reply(chosen: Chosen, query: AnnounceQuery, policy: AnnouncePolicy) -> bytes:
    """Write the reply to an announce, its keys in bencode's order."""
    head = b"d8:completei%de10:downloadedi%de10:incompletei%de8:intervali%de12:min intervali%de" % (
        chosen.seeds,
        chosen.downloads,
        chosen.leechers,
        policy.interval_s,
        policy.min_interval_s,
    )
    if not query.compact:
        peers = [_peer_dictionary(peer, query.no_peer_id) for peer in chosen.peers]
        return b"%b5:peers%be" % (head, bencode.encode(peers))
    ipv4 = b"".join([peer.compact for peer in chosen.peers if len(peer.compact) == 6])
    ipv6 = b"".join([peer.compact for peer in chosen.peers if len(peer.compact) != 6])
    if not ipv6:
        return b"%b5:peers%d:%be" % (head, len(ipv4), ipv4)
    return b"%b5:peers%d:%b6:peers6%d:%be" % (head, len(ipv4), ipv4, len(ipv6), ipv6)


def encode_scrape(counts: Iterable[SwarmCount]) -> bytes:
    """Write the reply to a scrape (BEP 48)."""
    files: dict[bytes, bencode.Encodable] = {
        count.info_hash: {
            b"complete": count.seeds,
            b"downloaded": count.downloads,
            b"incomplete": count.leechers,
        }
        for count in counts
    }
    return bencode.encode({b"files": files})


def encode_failure(failure: TrackerFailure) -> bytes:
    """Write a failure with BEP 31's `retry in`: whole minutes, or `never` for nonsense."""
    reply: dict[bytes, bencode.Encodable] = {b"failure reason": str(failure)}
    if failure.retry_in_s is not None:
        reply[b"retry in"] = (
            b"never"
            if math.isinf(failure.retry_in_s)
            else max(1, math.ceil(failure.retry_in_s / 60))
        )
    return bencode.encode(reply)


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in query.split("&"):
        name, _, value = part.partition("=")
        yield name, value


def _fixed(given: dict[str, str], name: str, length: int) -> bytes:
    raw = given.get(name)
    if not raw:
        raise TrackerFailure(f"{name} is missing", math.inf)
    # Three characters make one byte at most; more cannot be right and need not be decoded.
    if len(raw) > 3 * length:
        raise TrackerFailure(f"{name} has more than {length} bytes", math.inf)
    if len(raw) == 3 * length and raw.count("%") == length:
        # Many clients escape every byte; this is several times quicker.
        with contextlib.suppress(ValueError):
            value = bytes.fromhex(raw.replace("%", ""))
            if len(value) == length:
                return value
    value = unquote_to_bytes(raw.replace("+", " ").encode("utf-8", "surrogateescape"))
    if len(value) != length:
        raise TrackerFailure(f"{name} has {len(value)} bytes, not {length}", math.inf)
    return value


def _number(text: str | None) -> int | None:
    """Read a number of sane length, or None; a sign is allowed for numwant=-1."""
    if not text:
        return None
    digits = text[1:] if text[0] == "-" else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) > _MAX_DIGITS:
        return -1 if text[0] == "-" else 10**_MAX_DIGITS
    return int(text)


def _named_host(text: str) -> bytes:
    try:
        named = endpoint(unquote_to_bytes(text).decode("ascii"), 1)
    except (InputError, UnicodeDecodeError) as error:
        raise TrackerFailure("ip is no address", math.inf) from error
    return named.packed_host()


def _peer_dictionary(peer: Told, no_peer_id: bool) -> dict[bytes, bencode.Encodable]:
    is_ipv4 = len(peer.compact) == COMPACT_IPV4_BYTES
    family = socket.AF_INET if is_ipv4 else socket.AF_INET6
    entry: dict[bytes, bencode.Encodable] = {
        b"ip": socket.inet_ntop(family, peer.compact[:-2]),
        b"port": int.from_bytes(peer.compact[-2:], "big"),
    }
    if not no_peer_id:
        entry[b"peer id"] = peer.peer_id
    return entry
