"""Magnet links ↔ values (BEP 9, 53): the info-hash of a torrent and hints where to find it.

Only the info-hash is indispensable. Hints that cannot be used (a tracker of another scheme, a peer
without a port, parameters of other networks) are left out, so that a link of any program works;
what would change the meaning (two torrents, an unreadable file selection) raises InputError.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus, urlsplit

from engine.core.compact import split_host_port
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.errors import InputError

MAX_LINK_CHARS = 65_536
MAX_HINTS = 100
"""Trackers, peers and web seeds of one link: each of them is asked, so nobody names thousands."""
MAX_NAME_CHARS = 255
MAX_FILE_INDEX = 2**31 - 1
MAX_SELECTED_RANGES = 10_000

TRACKER_SCHEMES = frozenset({"http", "https", "udp"})
WEB_SEED_SCHEMES = frozenset({"http", "https"})

_SCHEME = "magnet:?"
_V1 = "urn:btih:"
_V2 = "urn:btmh:"


@dataclass(frozen=True, slots=True)
class Magnet:
    info_hash: InfoHash
    name: str = ""
    """What to show until the metadata is there; not the name of a file."""
    trackers: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()
    """(host, port); the host is a name or a numeric address."""
    web_seeds: tuple[str, ...] = ()
    selected: tuple[range, ...] = ()
    """Indices of the files to download, as ascending ranges with gaps between; empty = all."""

    @classmethod
    def parse(cls, text: str) -> Magnet:
        """Read a link. Raises InputError, with text fit for a user."""
        parameters = list(_parameters(text))
        return cls(
            _info_hash([value for key, value in parameters if key == "xt"]),
            _name(next((value for key, value in parameters if key == "dn"), "")),
            _urls((value for key, value in parameters if key == "tr"), TRACKER_SCHEMES),
            _peers(value for key, value in parameters if key == "x.pe"),
            _urls((value for key, value in parameters if key == "ws"), WEB_SEED_SCHEMES),
            _selected(",".join(value for key, value in parameters if key == "so")),
        )

    @classmethod
    def of(cls, metainfo: Metainfo) -> Magnet:
        """Make the link of a torrent; what no link can say, as the tiers, is left out."""
        return cls(
            metainfo.info_hash,
            _name(metainfo.info.name),
            _urls((url for tier in metainfo.trackers for url in tier), TRACKER_SCHEMES),
            web_seeds=_urls(metainfo.web_seeds, WEB_SEED_SCHEMES),
        )

    @property
    def tiers(self) -> tuple[tuple[str, ...], ...]:
        """The trackers as tiers (BEP 12): a link has no word for them, each stands alone."""
        return tuple((url,) for url in self.trackers)

    @property
    def selection(self) -> str:
        """The selected files as a link writes them; empty = all."""
        return ",".join(map(_as_text, self.selected))

    def selects(self, index: int) -> bool:
        """Say whether the file of this index is to be downloaded."""
        return not self.selected or any(index in indices for indices in self.selected)

    def encode(self) -> bytes:
        """The link as it is kept."""
        return str(self).encode()

    def __str__(self) -> str:
        """The link; parsing it gives this value again."""
        parts = [f"{_SCHEME}xt={_V1}{self.info_hash.hex()}"]
        if self.name:
            parts.append(f"dn={quote(self.name, safe='')}")
        parts += [f"tr={quote(url, safe='')}" for url in self.trackers]
        parts += [
            f"x.pe=[{host}]:{port}" if ":" in host else f"x.pe={quote(host, safe='')}:{port}"
            for host, port in self.peers
        ]
        parts += [f"ws={quote(url, safe='')}" for url in self.web_seeds]
        if self.selected:
            parts.append(f"so={self.selection}")
        return "&".join(parts)


def is_magnet(text: str) -> bool:
    """Say whether a SOURCE is meant as a magnet link, well formed or not."""
    return text.lstrip()[: len("magnet:")].lower() == "magnet:"


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    text = text.strip()
    if text[: len(_SCHEME)].lower() != _SCHEME:
        raise InputError(f"{_clip(text)} is no magnet link: it does not begin with {_SCHEME}")
    if len(text) > MAX_LINK_CHARS:
        raise InputError(f"magnet link of {len(text)} characters; {MAX_LINK_CHARS} are allowed")
    for part in text[len(_SCHEME) :].split("&"):
        key, _, value = part.partition("=")
        # Links copied from the source of a web page have their & written as &amp;.
        key = key.lower().removeprefix("amp;")
        stem, dot, number = key.rpartition(".")
        if dot and number.isascii() and number.isdigit():
            key = stem
        yield key, unquote_plus(value, errors="replace").strip()


def _info_hash(topics: list[str]) -> InfoHash:
    digests = [topic[len(_V1) :] for topic in topics if topic[: len(_V1)].lower() == _V1]
    if not digests:
        if any(topic[: len(_V2)].lower() == _V2 for topic in topics):
            raise InputError("this magnet link is of version 2 only; an urn:btih: is needed")
        raise InputError("magnet link without an info-hash (xt=urn:btih:…)")
    hashes = {_digest(digest) for digest in digests}
    if len(hashes) > 1:
        raise InputError("magnet link that names more than one torrent")
    return hashes.pop()


def _digest(text: str) -> InfoHash:
    if len(text) == 40:
        return InfoHash.parse(text)
    if len(text) == 32 and text.isascii():
        try:
            return InfoHash(base64.b32decode(text.upper()))
        except binascii.Error:
            pass
    raise InputError(
        f"magnet link: {_clip(text)} is no info-hash: not 40 hexadecimal digits nor 32 of base32"
    )


def _name(text: str) -> str:
    shown = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    return " ".join(shown.split())[:MAX_NAME_CHARS].rstrip()


def _urls(found: Iterable[str], schemes: frozenset[str]) -> tuple[str, ...]:
    kept: dict[str, None] = {}
    for url in found:
        if len(kept) < MAX_HINTS and _is_url(url, schemes):
            kept[url] = None
    return tuple(kept)


def _is_url(url: str, schemes: frozenset[str]) -> bool:
    # urlsplit would drop line ends and tabs from the middle of a URL without a word.
    if not all(c.isprintable() and c != " " for c in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _peers(found: Iterable[str]) -> tuple[tuple[str, int], ...]:
    kept: dict[tuple[str, int], None] = {}
    for text in found:
        try:
            host, port = split_host_port(text)
        except InputError:
            continue
        is_clean = len(host) <= 253 and all(c.isalnum() or c in "-._:%" for c in host)
        if len(kept) < MAX_HINTS and port and is_clean:
            kept[host, port] = None
    return tuple(kept)


def _selected(text: str) -> tuple[range, ...]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > MAX_SELECTED_RANGES:
        raise InputError(f"magnet link that selects {len(parts)} ranges of files")
    merged: list[range] = []
    for indices in sorted(map(_range, parts), key=lambda indices: indices.start):
        if merged and indices.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, indices.stop))
        else:
            merged.append(indices)
    return tuple(merged)


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first, first]
    if all(number.isascii() and number.isdigit() and len(number) <= 10 for number in numbers):
        low, high = map(int, numbers)
        if low <= high <= MAX_FILE_INDEX:
            return range(low, high + 1)
    raise InputError(f"{_clip(text)} selects no files: write so=0,2,6-8")


def _as_text(indices: range) -> str:
    first, last = indices[0], indices[-1]
    return str(first) if first == last else f"{first}-{last}"


def _clip(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
