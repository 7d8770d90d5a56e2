"""The swarm table: who is counted, who is chosen, who is forgotten, and what bounds it."""

from __future__ import annotations

import itertools
import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import TrackerFailure
from engine.tracker.swarm_table import Announce, Event, Families, Limits, SwarmTable

HASH = b"h" * 20
OTHER = b"o" * 20


def compact(number: int, port: int = 6881) -> bytes:
    return struct.pack(">IH", 0x0A000000 + number, port)


def compact6(number: int, port: int = 6881) -> bytes:
    return b"\x20\x01\x0d\xb8" + struct.pack(">III", number, 0, 0) + struct.pack(">H", port)


def say(
    at: bytes,
    *,
    left: int = 1,
    event: Event = Event.NONE,
    info_hash: bytes = HASH,
    numwant: int = 50,
    families: Families = Families.BOTH,
    peer_id: bytes | None = None,
) -> Announce:
    return Announce(info_hash, peer_id or at.rjust(20, b"-"), at, left, event, numwant, families)


def table(**options: object) -> SwarmTable:
    return SwarmTable(random.Random(7), **options)  # type: ignore[arg-type]


def addresses(chosen: list[object]) -> set[bytes]:
    found = [peer.compact for peer in chosen]  # type: ignore[attr-defined]
    assert len(found) == len(set(found)), "nobody is told twice of one peer"
    return set(found)


def test_a_peer_is_told_of_the_others_and_never_of_itself() -> None:
    swarms = table()
    assert swarms.announce(say(compact(1)), 0).peers == []
    chosen = swarms.announce(say(compact(2)), 0)
    assert addresses(chosen.peers) == {compact(1)}
    assert (chosen.seeds, chosen.leechers) == (0, 2)


def test_seeds_are_not_handed_to_seeds() -> None:
    swarms = table()
    swarms.announce(say(compact(1), left=0), 0)
    swarms.announce(say(compact(2), left=0), 0)
    swarms.announce(say(compact(3)), 0)
    seed = swarms.announce(say(compact(2), left=0), 0)
    assert addresses(seed.peers) == {compact(3)}
    assert (seed.seeds, seed.leechers) == (2, 1)
    leecher = swarms.announce(say(compact(3)), 0)
    assert addresses(leecher.peers) == {compact(1), compact(2)}


def test_families_are_answered_as_asked() -> None:
    swarms = table()
    for at in (compact(1), compact6(1)):
        swarms.announce(say(at), 0)
    asked = {
        families: addresses(swarms.announce(say(compact(9), families=families), 0).peers)
        for families in Families
    }
    assert asked == {
        Families.BOTH: {compact(1), compact6(1)},
        Families.IPV4: {compact(1)},
        Families.IPV6: {compact6(1)},
    }


def test_a_dual_stack_peer_does_not_hear_of_itself() -> None:
    swarms = table()
    swarms.announce(say(compact(1), peer_id=b"both" * 5), 0)
    swarms.announce(say(compact(2)), 0)
    reply = swarms.announce(say(compact6(1), peer_id=b"both" * 5), 0)
    assert addresses(reply.peers) == {compact(2)}


@given(
    seeds=st.integers(0, 30),
    leechers=st.integers(0, 30),
    seeds6=st.integers(0, 10),
    leechers6=st.integers(0, 10),
    numwant=st.integers(0, 90),
    is_seed=st.booleans(),
    rng=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_any_choice_is_distinct_allowed_and_full(
    *, seeds: int, leechers: int, seeds6: int, leechers6: int, numwant: int, is_seed: bool, rng: int
) -> None:
    swarms = SwarmTable(random.Random(rng))
    wanted = set()
    for count, make, left in (
        (seeds, lambda n: compact(n + 1), 0),
        (leechers, lambda n: compact(n + 1000), 1),
        (seeds6, lambda n: compact6(n + 1), 0),
        (leechers6, lambda n: compact6(n + 1000), 1),
    ):
        for number in range(count):
            at = make(number)
            swarms.announce(say(at, left=left, numwant=0), 0)
            if left or not is_seed:
                wanted.add(at)
    reply = swarms.announce(say(compact(9999), left=0 if is_seed else 1, numwant=numwant), 0)
    got = addresses(reply.peers)
    assert got <= wanted
    assert len(got) == min(numwant, len(wanted))


@pytest.mark.parametrize("numwant", [3, 17])
def test_every_peer_is_equally_likely(numwant: int) -> None:
    swarms = table()
    for number in range(20):
        swarms.announce(say(compact(number), left=number % 2), 0)
    asker = say(compact(4), numwant=numwant)
    told: Counter[bytes] = Counter()
    rounds = 4000
    for _ in range(rounds):
        told.update(addresses(swarms.announce(asker, 0).peers))
    assert len(told) == 19
    expected = rounds * numwant / 19
    assert all(0.8 * expected < count < 1.2 * expected for count in told.values())


def test_stopped_takes_a_peer_out_and_tells_it_nothing() -> None:
    swarms = table()
    swarms.announce(say(compact(1)), 0)
    swarms.announce(say(compact(2)), 0)
    gone = swarms.announce(say(compact(1), event=Event.STOPPED), 0)
    assert (gone.leechers, gone.peers) == (1, [])
    again = swarms.announce(say(compact(1), event=Event.STOPPED), 0)
    assert again.leechers == 1
    nowhere = swarms.announce(say(compact(1), event=Event.STOPPED, info_hash=OTHER), 0)
    assert nowhere == (0, 0, 0, [])
    assert swarms.torrents == 1


def test_downloads_count_once_per_completion() -> None:
    swarms = table()
    swarms.announce(say(compact(1), event=Event.STARTED), 0)
    for _ in range(3):
        swarms.announce(say(compact(1), left=0, event=Event.COMPLETED), 0)
    swarms.announce(say(compact(2), left=5, event=Event.COMPLETED), 0)
    swarms.announce(say(compact(3), left=0, event=Event.STARTED), 0)
    assert swarms.count(HASH) == (HASH, 2, 1, 1)
    assert swarms.downloads == 1


def test_a_completion_that_comes_late_counts_and_a_seed_completes_nothing() -> None:
    swarms = table()
    for left, event in ((1, Event.STARTED), (0, Event.NONE), (0, Event.COMPLETED)):
        swarms.announce(say(compact(1), left=left, event=event), 0)
    assert swarms.count(HASH).downloads == 1
    for left, event in ((1, Event.NONE), (0, Event.COMPLETED)):
        swarms.announce(say(compact(1), left=left, event=event), 0)
    assert swarms.count(HASH).downloads == 2
    for event in (Event.STARTED, Event.COMPLETED):
        swarms.announce(say(compact(2), left=0, event=event), 0)
    assert swarms.count(HASH).downloads == 2


def test_a_swarm_keeps_its_downloads_when_all_have_left() -> None:
    swarms = table()
    swarms.announce(say(compact(1), left=0, event=Event.COMPLETED), 0)
    swarms.announce(say(compact(1), event=Event.STOPPED), 0)
    assert swarms.count(HASH) == (HASH, 0, 0, 1)
    assert swarms.torrents == 0
    swarms.announce(say(compact(2)), 0)
    assert swarms.count(HASH) == (HASH, 0, 1, 1)
    assert swarms.torrents == 1


def test_silence_expires_and_speaking_does_not() -> None:
    swarms = table(expiry_s=100)
    swarms.announce(say(compact(1)), 0)
    swarms.announce(say(compact(2)), 0)
    swarms.announce(say(compact(2)), 60)
    assert swarms.expire(99.9) == 0
    assert swarms.expire(100) == 1
    assert swarms.count(HASH).leechers == 1
    assert swarms.expire(160) == 1
    assert (swarms.peers, swarms.torrents) == (0, 0)


def test_announces_clear_the_expired_as_they_come() -> None:
    swarms = table(expiry_s=100)
    for number in range(40):
        swarms.announce(say(compact(number)), 0)
    swarms.announce(say(compact(99)), 200)
    assert swarms.peers == 40 - 16 + 1
    for _ in range(2):
        swarms.announce(say(compact(99)), 200)
    assert swarms.peers == 1


def test_a_flood_of_torrents_is_refused_and_pushes_nobody_out() -> None:
    swarms = table(limits=Limits(max_torrents=3))
    for number in range(3):
        swarms.announce(say(compact(1), info_hash=bytes([number]) * 20), 0)
    with pytest.raises(TrackerFailure, match="full") as failure:
        swarms.announce(say(compact(1)), 0)
    assert failure.value.retry_in_s == 1800
    assert swarms.torrents == 3
    assert swarms.announce(say(compact(2), info_hash=bytes(20)), 0).leechers == 2


@pytest.mark.parametrize("make", [compact, compact6])
def test_one_host_cannot_fill_the_table(make: Callable[..., bytes]) -> None:
    swarms = table(limits=Limits(max_torrents=40, max_torrents_per_host=5), expiry_s=100)
    hashes = (number.to_bytes(20, "big") for number in itertools.count())
    for number in range(20):  # while there is room for all it may have as many as it likes
        swarms.announce(say(make(1, 1 + number), info_hash=next(hashes)), 0)
    with pytest.raises(TrackerFailure, match="too many torrents from your address") as failure:
        swarms.announce(say(make(1), info_hash=next(hashes)), 0)
    assert failure.value.retry_in_s == 1800
    swarms.announce(say(make(1), info_hash=bytes(20)), 0)  # one that is there
    for number in range(2, 22):
        swarms.announce(say(make(number), info_hash=next(hashes)), 50)
    assert swarms.torrents == 40
    swarms.expire(140)
    assert swarms.torrents == 20
    for _ in range(5):
        swarms.announce(say(make(1), info_hash=next(hashes)), 140)
    with pytest.raises(TrackerFailure, match="from your address"):
        swarms.announce(say(make(1), info_hash=next(hashes)), 140)
    swarms.expire(10_000)
    assert not swarms._founded


def test_who_starts_without_knowing_what_it_lacks_is_told_of_seeds() -> None:
    """aria2 says that nothing is left while it has a magnet link only."""
    swarms = table()
    for number in range(8):
        swarms.announce(say(compact(number), left=0), 0)
    swarms.announce(say(compact6(1), left=0), 0)
    swarms.announce(say(compact(50)), 0)
    unknowing = say(compact(99), left=0, event=Event.STARTED, numwant=4)
    for _ in range(5):
        told = addresses(swarms.announce(unknowing, 0).peers)
        assert len(told) == 4
        assert compact(50) in told  # who surely wants something goes first
        assert compact(99) not in told
    everybody = unknowing._replace(numwant=50)
    assert len(swarms.announce(everybody, 0).peers) == 10
    assert len(swarms.announce(everybody._replace(families=Families.IPV4), 0).peers) == 9
    assert swarms.announce(everybody._replace(numwant=0), 0).peers == []
    assert addresses(swarms.announce(say(compact(99), left=0), 0).peers) == {compact(50)}


def test_forgotten_downloads_make_room_for_a_torrent() -> None:
    swarms = table(limits=Limits(max_torrents=1))
    swarms.announce(say(compact(1), left=0, event=Event.COMPLETED), 0)
    swarms.announce(say(compact(1), event=Event.STOPPED), 0)
    swarms.announce(say(compact(1), info_hash=OTHER), 0)
    assert swarms.count(HASH).downloads == 0
    assert swarms.downloads == 1


def test_a_flood_of_peers_is_bounded() -> None:
    swarms = table(limits=Limits(max_peers=10, max_peers_per_torrent=6, max_peers_per_host=4))
    for number in range(100):
        swarms.announce(say(compact(number)), number)
    assert swarms.count(HASH).leechers == 6
    for number in range(100):
        swarms.announce(say(compact(number), info_hash=OTHER), 100 + number)
    assert swarms.peers == 10
    assert swarms.count(OTHER).leechers == 6


def test_the_longest_silent_makes_room_for_all_torrents() -> None:
    swarms = table(limits=Limits(max_peers=2))
    swarms.announce(say(compact(1)), 0)
    swarms.announce(say(compact(2), info_hash=OTHER), 1)
    swarms.announce(say(compact(1)), 2)
    swarms.announce(say(compact(3)), 3)
    assert swarms.count(OTHER).leechers == 0
    assert swarms.count(HASH).leechers == 2


def test_the_last_peer_of_a_swarm_may_make_room_for_the_next() -> None:
    swarms = table(limits=Limits(max_peers=1))
    swarms.announce(say(compact(1)), 0)
    swarms.announce(say(compact(2)), 1)
    assert swarms.count(HASH) == (HASH, 0, 1, 0)
    assert swarms.torrents == 1


@pytest.mark.parametrize("make", [lambda n: compact(1, 1 + n), lambda n: compact6(1, 1 + n)])
def test_one_host_cannot_fill_a_swarm(make: object) -> None:
    swarms = table(limits=Limits(max_peers_per_host=3))
    for number in range(3):
        swarms.announce(say(make(number)), 0)  # type: ignore[operator]
    with pytest.raises(TrackerFailure, match="too many peers from your address"):
        swarms.announce(say(make(3)), 0)  # type: ignore[operator]
    swarms.announce(say(make(1), event=Event.STOPPED), 0)  # type: ignore[operator]
    swarms.announce(say(make(3)), 0)  # type: ignore[operator]
    swarms.announce(say(compact(77)), 0)


def test_a_refused_first_peer_leaves_no_swarm_with_peers() -> None:
    swarms = table(limits=Limits(max_peers_per_host=0))
    with pytest.raises(TrackerFailure):
        swarms.announce(say(compact(1)), 0)
    assert swarms.torrents == 0


def test_only_listed_torrents_are_served_and_the_list_can_change() -> None:
    swarms = table(allowed=[HASH])
    swarms.announce(say(compact(1)), 0)
    with pytest.raises(TrackerFailure, match="does not serve"):
        swarms.announce(say(compact(1), info_hash=OTHER), 0)
    assert not swarms.is_open
    swarms.allow([OTHER])
    assert swarms.peers == 0
    with pytest.raises(TrackerFailure):
        swarms.announce(say(compact(1)), 0)
    swarms.announce(say(compact(1), info_hash=OTHER), 0)
    swarms.allow(None)
    swarms.announce(say(compact(1)), 0)
    assert swarms.torrents == 2


def test_the_largest_swarms_come_first() -> None:
    swarms = table()
    for at in range(3):
        swarms.announce(say(compact(at)), 0)
    swarms.announce(say(compact(1), info_hash=OTHER), 0)
    assert [count.info_hash for count in swarms.largest(5)] == [HASH, OTHER]
    assert swarms.largest(1) == [(HASH, 0, 3, 0)]
    assert swarms.largest(0) == []


class TableAgainstModel(RuleBasedStateMachine):
    """Any order of announces, expiry and lists against a dictionary of who should be there."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SwarmTable(random.Random(1), expiry_s=50)
        self.now = 0.0
        self.model: dict[tuple[bytes, bytes], tuple[float, bool]] = {}

    @rule(
        info_hash=st.sampled_from([HASH, OTHER]),
        at=st.one_of(st.integers(1, 6).map(compact), st.integers(1, 3).map(compact6)),
        left=st.integers(0, 1),
        event=st.sampled_from(Event),
        numwant=st.integers(0, 5),
    )
    def announce(self, info_hash: bytes, at: bytes, left: int, event: Event, numwant: int) -> None:
        self._expire()
        reply = self.table.announce(
            say(at, info_hash=info_hash, left=left, event=event, numwant=numwant), self.now
        )
        if event == Event.STOPPED:
            self.model.pop((info_hash, at), None)
            assert reply.peers == []
            return
        self.model[info_hash, at] = (self.now, left == 0)
        others = {
            address
            for (h, address), (_, is_seed) in self.model.items()
            if h == info_hash and address != at and (left or not is_seed or event == Event.STARTED)
        }
        got = addresses(reply.peers)
        assert got <= others
        assert len(got) == min(numwant, len(others))

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._expire()

    @rule()
    def drop_other(self) -> None:
        self.table.allow([HASH])
        self.table.allow(None)
        self.model = {key: value for key, value in self.model.items() if key[0] == HASH}

    def _expire(self) -> None:
        self.table.expire(self.now)
        alive = {k: v for k, v in self.model.items() if v[0] > self.now - 50}
        self.model = alive

    @invariant()
    def counts_agree(self) -> None:
        for info_hash in (HASH, OTHER):
            kinds = [seed for (h, _), (_, seed) in self.model.items() if h == info_hash]
            count = self.table.count(info_hash)
            assert (count.seeds, count.leechers) == (sum(kinds), len(kinds) - sum(kinds))
        assert self.table.peers == len(self.model) == self.table.seeds + self.table.leechers
        assert self.table.ipv6_peers == sum(len(at) == 18 for _, at in self.model)
        assert self.table.torrents == len({h for h, _ in self.model})


TestTableAgainstModel = TableAgainstModel.TestCase
TestTableAgainstModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
