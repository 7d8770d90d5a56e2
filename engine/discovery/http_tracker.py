"""HTTP trackers without I/O: announce and scrape URLs, and replies (BEP 3, 7, 23, 24, 31, 48).

Contract of the parsers: a reply, or TrackerFailure when the tracker refuses, or TrackerReplyError
when the body is no reply. Whoever fetched the body has bounded its size.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, quote_from_bytes, urlsplit, urlunsplit

from engine.core import bencode
from engine.core.bencode import Value
from engine.core.compact import Endpoint, endpoint, unpack_ipv4, unpack_ipv6
from engine.core.identifiers import InfoHash
from engine.discovery.announce import (
    DEFAULT_INTERVAL_S,
    MAX_INTERVAL_S,
    MAX_PEERS,
    MAX_TRACKER_ID_BYTES,
    AnnounceReply,
    AnnounceRequest,
    ScrapeReply,
    SwarmCounts,
    checked_interval_s,
    clean_text,
)
from engine.errors import BencodeError, InputError, TrackerFailure, TrackerReplyError

SCRAPE_HASHES_PER_REQUEST = 50
"""Keeps the URL below 4 KiB, which every server takes."""

_URL_SAFE = "%/:=&?~+!$,;'@()*[]"


def announce_url(url: str, request: AnnounceRequest) -> str:
    """Append the announce parameters to the query of `url`. Raises TrackerReplyError."""
    parameters: list[tuple[str, str | int]] = [
        ("info_hash", quote_from_bytes(request.info_hash[:20], safe="")),
        ("peer_id", quote_from_bytes(request.peer_id, safe="")),
        ("port", request.port),
        ("uploaded", request.uploaded),
        ("downloaded", request.downloaded),
        ("left", request.left),
        ("compact", 1),
        ("no_peer_id", 1),
        ("numwant", request.peers_wanted),
        ("key", f"{request.key & 0xFFFFFFFF:08X}"),
    ]
    if request.event:
        parameters.append(("event", request.event.value))
    if request.supports_encryption:
        parameters.append(("supportcrypto", 1))
    if request.requires_encryption:
        parameters.append(("requirecrypto", 1))
    if request.tracker_id:
        parameters.append(("trackerid", quote_from_bytes(request.tracker_id, safe="")))
    for name in ("ip", "ipv4", "ipv6"):
        address: str | None = getattr(request, name)
        if address is not None:
            parameters.append((name, quote(address, safe="")))
    return _with_query(_ascii_url(url), parameters)


def scrape_url(url: str, info_hashes: Iterable[InfoHash]) -> str | None:
    """Derive the scrape URL of an announce URL (BEP 48); None if its path has no `announce`.

    Raises TrackerReplyError.
    """
    scheme, host, path, query, _ = urlsplit(_ascii_url(url))
    before, found, after = path.rpartition("announce")
    if not found:
        return None
    base = urlunsplit((scheme, host, f"{before}scrape{after}", query, ""))
    return _with_query(
        base, [("info_hash", quote_from_bytes(each[:20], safe="")) for each in info_hashes]
    )


def _with_query(url: str, parameters: Iterable[tuple[str, str | int]]) -> str:
    query = "&".join(f"{name}={value}" for name, value in parameters)
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{query}"


def _ascii_url(url: str) -> str:
    """Escape what may not stand in a request line; escapes that are there stay as they are."""
    try:
        scheme, _, path, query, _ = parts = urlsplit(url.strip())
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
        port = parts.port
    except (ValueError, UnicodeError) as error:
        raise TrackerReplyError(f"not the URL of a tracker: {error}") from error
    if scheme not in ("http", "https") or not host:
        raise TrackerReplyError("not the URL of an HTTP tracker")
    login, at, _ = parts.netloc.rpartition("@")
    place = f"[{host}]" if ":" in host else quote(host, safe="")
    place = f"{quote(login, safe=_URL_SAFE)}{at}{place}" + ("" if port is None else f":{port}")
    path, query = quote(path or "/", safe=_URL_SAFE), quote(query, safe=_URL_SAFE)
    return f"{scheme}://{place}{path}" + (f"?{query}" if query else "")


def parse_announce(body: bytes) -> AnnounceReply:
    """Read an announce reply."""
    reply = _decode(body)
    if not reply.keys() & {b"interval", b"peers", b"peers6"}:
        raise TrackerReplyError("the reply has neither an interval nor peers")
    interval_s = _interval(reply, b"interval")
    return AnnounceReply(
        interval_s=DEFAULT_INTERVAL_S if interval_s is None else interval_s,
        min_interval_s=_interval(reply, b"min interval"),
        peers=_peers(reply)[:MAX_PEERS],
        seeders=_count(reply, b"complete"),
        leechers=_count(reply, b"incomplete"),
        downloads=_count(reply, b"downloaded"),
        warning=_text(reply, b"warning message"),
        tracker_id=_tracker_id(reply),
        external_ip=_external_ip(reply),
    )


def parse_scrape(body: bytes, info_hashes: Sequence[InfoHash]) -> ScrapeReply:
    """Read the counts of `info_hashes` from a scrape reply (BEP 48)."""
    files = _decode(body).get(b"files")
    if not isinstance(files, dict):
        raise TrackerReplyError("the scrape reply has no files")
    swarms = {}
    for info_hash in info_hashes:
        entry = files.get(bytes(info_hash[:20]))
        if isinstance(entry, dict):
            swarms[info_hash] = SwarmCounts(
                seeders=_count(entry, b"complete"),
                leechers=_count(entry, b"incomplete"),
                downloads=_count(entry, b"downloaded"),
            )
    return ScrapeReply(swarms)


def is_failure(body: bytes) -> bool:
    """Say whether `body`, perhaps that of a 4xx or 5xx, holds a `failure reason` to be parsed."""
    try:
        return b"failure reason" in _dictionary(body)
    except BencodeError:
        return False


def _decode(body: bytes) -> dict[bytes, Value]:
    try:
        reply = _dictionary(body)
    except BencodeError as error:
        raise TrackerReplyError(f"the reply is no bencode: {error}") from error
    if b"failure reason" in reply:
        raise TrackerFailure(
            _text(reply, b"failure reason") or "refused without a reason", _retry_in_s(reply)
        )
    return reply


def _dictionary(body: bytes) -> dict[bytes, Value]:
    """Decode leniently: trackers that are scripts send keys unsorted and empty lines around."""
    return bencode.decode_dict(body.strip(), strict=False)


def _retry_in_s(reply: Mapping[bytes, Value]) -> float | None:
    """BEP 31: minutes, as an integer or as its digits, or "never"."""
    value = reply.get(b"retry in")
    if isinstance(value, bytes):
        if value.strip().lower() == b"never":
            return math.inf
        value = int(value) if value.isdigit() and len(value) < 10 else None
    if not isinstance(value, int) or value < 0:
        return None
    return min(value * 60.0, MAX_INTERVAL_S)


def _interval(reply: Mapping[bytes, Value], key: bytes) -> float | None:
    value = reply.get(key)
    if value is None:
        return None
    if isinstance(value, bytes) and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int):
        raise TrackerReplyError(f"the tracker's {key.decode()} is no number")
    return checked_interval_s(value, key.decode())


def _peers(reply: Mapping[bytes, Value]) -> list[Endpoint]:
    peers = reply.get(b"peers", b"")
    peers6 = reply.get(b"peers6", b"")
    if isinstance(peers, list):
        found = _listed_peers(peers)
    elif isinstance(peers, bytes):
        found = _compact_peers(peers, ipv6=False)
    else:
        raise TrackerReplyError("the reply's peers are neither a string nor a list")
    if isinstance(peers6, list):
        return found + _listed_peers(peers6)
    if not isinstance(peers6, bytes):
        raise TrackerReplyError("the reply's peers6 is no string")
    return found + _compact_peers(peers6, ipv6=True)


def _compact_peers(packed: bytes, *, ipv6: bool) -> list[Endpoint]:
    width = 18 if ipv6 else 6
    if len(packed) % width:
        raise TrackerReplyError(f"compact peers of {len(packed)} bytes, not a multiple of {width}")
    packed = packed[: MAX_PEERS * width]
    return unpack_ipv6(packed) if ipv6 else unpack_ipv4(packed)


def _listed_peers(entries: Sequence[Value]) -> list[Endpoint]:
    """BEP 3's dictionaries. An entry with a name for an address is left out: a tracker must not
    make us look up names of its choice."""
    found = []
    for entry in entries[:MAX_PEERS]:
        if not isinstance(entry, dict):
            continue
        host, port = entry.get(b"ip"), entry.get(b"port")
        if isinstance(host, bytes) and isinstance(port, int):
            try:
                found.append(endpoint(host.decode("ascii", "replace"), port))
            except InputError:
                continue
    return found


def _count(source: Mapping[bytes, Value], key: bytes) -> int | None:
    value = source.get(key)
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else None


def _text(reply: Mapping[bytes, Value], key: bytes) -> str | None:
    value = reply.get(key)
    return clean_text(value) or None if isinstance(value, bytes) else None


def _tracker_id(reply: Mapping[bytes, Value]) -> bytes | None:
    value = reply.get(b"tracker id")
    return value if isinstance(value, bytes) and 0 < len(value) <= MAX_TRACKER_ID_BYTES else None


def _external_ip(reply: Mapping[bytes, Value]) -> str | None:
    value = reply.get(b"external ip")
    if isinstance(value, bytes) and len(value) in (4, 16):
        return str(ipaddress.ip_address(value))
    return None
