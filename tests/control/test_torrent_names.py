"""Names of torrents: hash, name, prefix, in this order, and never a guess."""

from __future__ import annotations

import pytest

from engine.control.torrent_names import find_torrent, find_torrents
from engine.errors import UnknownTorrentError
from tests.fakes.fake_engine import FakeEngine


def test_hash_name_and_prefix_mean_the_torrent() -> None:
    engine = FakeEngine(12)
    for info_hash, torrent in engine.torrents.items():
        assert find_torrent(engine, info_hash.upper()) == info_hash
        assert find_torrent(engine, info_hash[:10]) == info_hash
        assert find_torrent(engine, torrent.name) == info_hash


def test_a_name_wins_over_a_prefix() -> None:
    engine = FakeEngine(2)
    first, second = engine.torrents.values()
    first.name = second.info_hash[:6]
    assert find_torrent(engine, first.name) == first.info_hash


@pytest.mark.parametrize("text", ["", "abc", "nothing like it", "0" * 40, "ffffffff"])
def test_what_means_nothing_is_unknown(text: str) -> None:
    with pytest.raises(UnknownTorrentError, match="no torrent"):
        find_torrent(FakeEngine(12), text)


def test_what_means_several_is_refused_with_their_number() -> None:
    engine = FakeEngine(3)
    for torrent in engine.torrents.values():
        torrent.name = "twin"
    with pytest.raises(UnknownTorrentError, match="3 torrents"):
        find_torrent(engine, "twin")


def test_the_beginning_of_a_name_is_enough_if_it_is_the_only_one() -> None:
    engine = FakeEngine(3)
    one, two, three = engine.torrents.values()
    one.name, two.name, three.name = "Debian-12.iso", "debian-13.iso", "Straße"
    assert find_torrent(engine, "DEBIAN-12") == one.info_hash
    assert find_torrent(engine, "STRASSE") == three.info_hash
    with pytest.raises(UnknownTorrentError, match="2 torrents") as caught:
        find_torrent(engine, "deb")
    for each in (one, two):
        assert f"{each.name} ({each.info_hash[:8]})" in str(caught.value)
    with pytest.raises(UnknownTorrentError, match="seedwright list"):
        find_torrent(engine, "st")
    two.name = "deb"
    assert find_torrent(engine, "deb") == two.info_hash


def test_the_beginning_of_a_hash_wins_over_that_of_a_name() -> None:
    engine = FakeEngine(2)
    one, two = engine.torrents.values()
    one.name = f"{two.info_hash[:6]} and more"
    assert find_torrent(engine, two.info_hash[:6]) == two.info_hash


def test_lists_are_resolved_whole_or_not_at_all() -> None:
    engine = FakeEngine(3)
    one, two, three = engine.torrents
    assert find_torrents(engine, None) == [one, two, three]
    assert find_torrents(engine, []) == []
    assert find_torrents(engine, [two, one[:8], two[:12]]) == [two, one]
    with pytest.raises(UnknownTorrentError):
        find_torrents(engine, [one, "nobody"])
