"""What servers ask of the swarms in a tracker's own memory."""

from __future__ import annotations

import random

from engine.tracker.swarm_table import SwarmCount, SwarmTable
from engine.tracker.swarms import OwnSwarms, largest_of
from tests.tracker.test_swarm_table import HASH, OTHER, compact, compact6, say


def test_own_swarms_answer_at_once_and_forget_in_time() -> None:
    swarms = OwnSwarms(SwarmTable(random.Random(1), expiry_s=60))
    swarms.announce(say(compact(1), left=0), 0)
    swarms.announce(say(compact6(2)), 50)
    swarms.announce(say(compact(3), info_hash=OTHER), 50)
    assert swarms.counts([HASH, b"?" * 20], 50) == [(HASH, 1, 1, 0), (b"?" * 20, 0, 0, 0)]
    census = swarms.census(1, 50)
    assert census == (2, 3, 1, 2, 1, 0, [(HASH, 1, 1, 0)])
    assert swarms.counts([HASH], 61) == [(HASH, 0, 1, 0)]
    assert swarms.census(5, 200).torrents == 0


def test_an_allow_list_holds_for_them() -> None:
    swarms = OwnSwarms(SwarmTable(random.Random(1)))
    assert swarms.is_open
    swarms.allow([HASH])
    assert not swarms.is_open


def test_the_largest_come_first() -> None:
    counts = [
        SwarmCount(b"a", 1, 0, 9),
        SwarmCount(b"b", 1, 1, 0),
        SwarmCount(b"c", 0, 2, 3),
        SwarmCount(b"d", 0, 0, 0),
    ]
    assert [each.info_hash for each in largest_of(counts, 3)] == [b"c", b"b", b"a"]
