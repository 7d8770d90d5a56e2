from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.discovery.dht.bloom import BloomFilter
from engine.discovery.dht.peer_store import (
    MAX_PEERS_PER_TORRENT,
    MAX_SAMPLES,
    MAX_TORRENTS_PER_HOST,
    PEER_LIFETIME_S,
    SAMPLE_INTERVAL_S,
    SCRAPE_INTERVAL_S,
    PeerStore,
)

ONE = b"1" * 20


def _hash(number: int) -> bytes:
    return number.to_bytes(20, "big")


def _peer(number: int, port: int = 1) -> Endpoint:
    return Endpoint(f"20.{number >> 16}.{number >> 8 & 255}.{number & 255}", port)


def test_peers_are_found_until_they_expire() -> None:
    store = PeerStore(Random(1))
    assert store.announce(ONE, _peer(1), 0.0, is_seed=False)
    assert store.announce(ONE, _peer(2), 100.0, is_seed=True)
    assert store.peers(ONE, 10, 100.0) == [_peer(1), _peer(2)]
    assert store.peers(ONE, 10, 100.0, no_seeds=True) == [_peer(1)]
    assert store.peers(ONE, 10, PEER_LIFETIME_S) == [_peer(2)]
    assert store.peers(_hash(2), 10, 0.0) == []
    store.expire(PEER_LIFETIME_S)
    assert store.torrent_count == 1
    store.expire(PEER_LIFETIME_S + 100)
    assert store.torrent_count == 0


def test_an_address_is_one_peer_whatever_its_port() -> None:
    store = PeerStore(Random(1))
    store.announce(ONE, _peer(1, 1), 0.0, is_seed=False)
    store.announce(ONE, _peer(1, 2), 10.0, is_seed=True)
    assert store.peers(ONE, 10, PEER_LIFETIME_S + 5) == [_peer(1, 2)]
    assert store.peers(ONE, 10, 10.0, no_seeds=True) == []


def test_local_peers_share_addresses() -> None:
    store = PeerStore(Random(1))
    peers = [Endpoint("127.0.0.1", port) for port in (1, 2)]
    for peer in peers:
        assert store.announce(ONE, peer, 0.0, is_seed=False)
    assert store.peers(ONE, 10, 0.0) == peers


def test_many_peers_are_chosen_from_by_chance() -> None:
    store = PeerStore(Random(1))
    for n in range(100):
        store.announce(ONE, _peer(n), 0.0, is_seed=False)
    found = store.peers(ONE, 20, 0.0)
    assert len(set(found)) == 20
    assert found != store.peers(ONE, 20, 0.0)


def test_a_torrent_is_bounded_and_says_so() -> None:
    store = PeerStore(Random(1))
    for n in range(MAX_PEERS_PER_TORRENT):
        assert store.takes(ONE, _peer(n))
        assert store.announce(ONE, _peer(n), 0.0, is_seed=False)
    late = _peer(MAX_PEERS_PER_TORRENT)
    assert not store.takes(ONE, late)
    assert not store.announce(ONE, late, 0.0, is_seed=False)
    assert store.takes(ONE, _peer(3))
    assert store.announce(ONE, _peer(3), 0.0, is_seed=True)
    assert store.announce(ONE, late, PEER_LIFETIME_S, is_seed=False)


def test_one_host_cannot_fill_it() -> None:
    store = PeerStore(Random(1))
    taken = [store.announce(_hash(n), _peer(1), 0.0, is_seed=False) for n in range(150)]
    assert sum(taken) == MAX_TORRENTS_PER_HOST
    assert not store.takes(_hash(999), _peer(1))
    assert store.takes(_hash(999), _peer(2))
    store.expire(PEER_LIFETIME_S)
    assert store.announce(_hash(999), _peer(1), PEER_LIFETIME_S, is_seed=False)


def test_small_swarms_make_room() -> None:
    store = PeerStore(Random(1), max_torrents=50)
    for n in range(30):
        store.announce(ONE, _peer(n), 0.0, is_seed=False)
    for n in range(1000):
        assert store.announce(_hash(n), _peer(100 + n), 0.0, is_seed=False)
    assert store.torrent_count == 50
    assert len(store.peers(ONE, 100, 0.0)) == 30


def test_scrapes() -> None:
    store = PeerStore(Random(1))
    assert store.scrape(ONE, 0.0) is None
    for n in range(30):
        store.announce(ONE, _peer(n), 0.0, is_seed=n < 10)
    seeds, others = store.scrape(ONE, 0.0) or (b"", b"")
    assert seeds == bytes(BloomFilter.of(_peer(n).packed_host() for n in range(10)))
    assert others == bytes(BloomFilter.of(_peer(n).packed_host() for n in range(10, 30)))
    store.announce(ONE, _peer(99), 0.0, is_seed=True)
    assert store.scrape(ONE, SCRAPE_INTERVAL_S - 1) == (seeds, others)
    assert store.scrape(ONE, SCRAPE_INTERVAL_S) != (seeds, others)


def test_samples() -> None:
    store = PeerStore(Random(1))
    assert store.sample(0.0) == ((), 0)
    for n in range(MAX_SAMPLES):
        store.announce(_hash(n), _peer(1), 0.0, is_seed=False)
    samples, interval_s = store.sample(1.0)
    assert set(samples) == {_hash(n) for n in range(MAX_SAMPLES)}
    assert interval_s == 0
    for n in range(MAX_SAMPLES, 2 * MAX_SAMPLES):
        store.announce(_hash(n), _peer(1), 1.0, is_seed=False)
    store.sample(1.0 + SAMPLE_INTERVAL_S)
    samples, interval_s = store.sample(2.0 + SAMPLE_INTERVAL_S)
    assert len(set(samples)) == MAX_SAMPLES
    assert interval_s == SAMPLE_INTERVAL_S - 1
    assert store.sample(2 * SAMPLE_INTERVAL_S)[0] == samples
    assert store.sample(3 * SAMPLE_INTERVAL_S)[0] != samples


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 5), st.booleans(), st.floats(0, 1000)),
        max_size=60,
    )
)
def test_it_agrees_with_a_plain_dictionary(
    steps: list[tuple[int, int, bool, float]],
) -> None:
    store = PeerStore(Random(1))
    model: dict[tuple[int, int], tuple[bool, float]] = {}
    now = 0.0
    for torrent, peer, is_seed, wait_s in steps:
        now += wait_s
        if torrent == 6:
            store.expire(now)
        else:
            store.announce(_hash(torrent), _peer(peer), now, is_seed=is_seed)
            model[torrent, peer] = is_seed, now + PEER_LIFETIME_S
    for torrent in range(6):
        live = {p: s for (t, p), (s, until) in model.items() if t == torrent and until > now}
        assert set(store.peers(_hash(torrent), 99, now)) == set(map(_peer, live))
        wanted = {_peer(p) for p, is_seed in live.items() if not is_seed}
        assert set(store.peers(_hash(torrent), 99, now, no_seeds=True)) == wanted
