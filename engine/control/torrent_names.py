"""How people name torrents: an info-hash, the beginning of one, or the exact name."""

from __future__ import annotations

from collections.abc import Iterable

from engine.control.port import ViewSource
from engine.errors import UnknownTorrentError

MIN_PREFIX_DIGITS = 4


def find_torrent(source: ViewSource, text: str) -> str:
    """Return the info-hash of the one torrent that `text` means. A whole info-hash wins over a
    name, a name over a prefix. Raises UnknownTorrentError for none and for several."""
    folded = text.lower()
    if source.brief(folded) is not None:
        return folded
    named: list[str] = []
    prefixed: list[str] = []
    is_prefix = len(folded) >= MIN_PREFIX_DIGITS and not folded.strip("0123456789abcdef")
    for info_hash in source.info_hashes():
        brief = source.brief(info_hash)
        if brief is not None and brief.name == text:
            named.append(info_hash)
        if is_prefix and info_hash.startswith(folded):
            prefixed.append(info_hash)
    found = named or prefixed
    if not found:
        raise UnknownTorrentError(f"no torrent {text!r}")
    if len(found) > 1:
        raise UnknownTorrentError(f"{text!r} means {len(found)} torrents: give more of the hash")
    return found[0]


def find_torrents(source: ViewSource, texts: Iterable[str] | None) -> list[str]:
    """Return the info-hashes that `texts` mean, each once, in their order; None means all."""
    if texts is None:
        return list(source.info_hashes())
    return list(dict.fromkeys(find_torrent(source, text) for text in texts))
