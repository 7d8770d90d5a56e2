"""How people name torrents: an info-hash, a name, or the beginning of either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.control.port import ViewSource
from engine.errors import UnknownTorrentError

MIN_PREFIX_DIGITS = 4
MIN_PREFIX_LETTERS = 3
_MOST_NAMED = 5
"""Candidates that an error lists."""


def find_torrent(source: ViewSource, text: str) -> str:
    """Return the info-hash of the one torrent that `text` means. A whole info-hash wins over a
    name, a name over the beginning of a hash, that over the beginning of a name in any case. Raises
    UnknownTorrentError for none and for several."""
    folded = text.lower()
    if source.brief(folded) is not None:
        return folded
    beginning = text.casefold()
    named: list[str] = []
    prefixed: list[str] = []
    begun: list[str] = []
    is_prefix = len(folded) >= MIN_PREFIX_DIGITS and not folded.strip("0123456789abcdef")
    for info_hash in source.info_hashes():
        brief = source.brief(info_hash)
        if brief is not None:
            if brief.name == text:
                named.append(info_hash)
            if brief.name.casefold().startswith(beginning):
                begun.append(info_hash)
        if is_prefix and info_hash.startswith(folded):
            prefixed.append(info_hash)
    found = named or prefixed or (begun if len(text) >= MIN_PREFIX_LETTERS else [])
    if not found:
        raise UnknownTorrentError(
            f"no torrent {text!r}: `seedwright list` shows them; the first {MIN_PREFIX_LETTERS} "
            f"letters of a name or {MIN_PREFIX_DIGITS} of an ID are enough"
        )
    if len(found) > 1:
        raise UnknownTorrentError(
            f"{text!r} means {len(found)} torrents: {_candidates(source, found)}; give more of one"
        )
    return found[0]


def _candidates(source: ViewSource, info_hashes: Sequence[str]) -> str:
    """Names that tell them apart; twins are told apart by their hashes only."""
    listed = []
    for info_hash in info_hashes[:_MOST_NAMED]:
        brief = source.brief(info_hash)
        listed.append(f"{brief.name if brief else '?'} ({info_hash[:8]})")
    return ", ".join(listed) + (", …" if len(info_hashes) > _MOST_NAMED else "")


def find_torrents(source: ViewSource, texts: Iterable[str] | None) -> list[str]:
    """Return the info-hashes that `texts` mean, each once, in their order; None means all."""
    if texts is None:
        return list(source.info_hashes())
    return list(dict.fromkeys(find_torrent(source, text) for text in texts))
