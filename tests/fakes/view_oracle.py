"""What a view should show, said as plainly as possible, and a way to shake a FakeEngine."""

from __future__ import annotations

from math import inf
from random import Random

from hypothesis import strategies as st

from engine.control.schema import Sort, TorrentState, View
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.fake_torrent import FakeTorrent

VIEWS = st.builds(
    View,
    states=st.lists(st.sampled_from(TorrentState), max_size=2),
    text=st.sampled_from(["", "A", "open", "ß", "nothing has this"]),
    sort=st.sampled_from(Sort),
    descending=st.booleans(),
    offset=st.integers(0, 12),
    limit=st.integers(0, 12),
)


def shake(engine: FakeEngine, rng: Random) -> None:
    """Change something at random: a rate, a state, a name; remove; add back; tick."""
    torrents = list(engine.torrents.values())
    for torrent in rng.sample(torrents, min(3, len(torrents))):
        match rng.randrange(6):
            case 0:
                torrent.down_rate, torrent.up_rate = rng.randrange(3), rng.randrange(3)
            case 1:
                torrent.state = rng.choice(list(TorrentState))
            case 2:
                torrent.name = rng.choice(["Straße", "open", "A", torrent.name])
            case 3:
                engine.torrents.pop(torrent.info_hash)
                engine.log_changes.remove(torrent.info_hash)
                continue
            case 4:
                engine.tick(rng.random())
            case 5:
                torrent.uploaded += rng.randrange(10**9)
        engine.touch(torrent.info_hash)


def expected(engine: FakeEngine, view: View) -> list[str]:
    """The specification, as plainly as it can be said."""

    def number(torrent: FakeTorrent) -> float:
        sign = -1 if view.descending else 1
        match view.sort:
            case Sort.NAME:
                return 0
            case Sort.ETA:
                return inf if torrent.eta_s is None else sign * torrent.eta_s
            case Sort.STATE:
                order = ["error", "checking", "metadata", "downloading", "seeding", "paused"]
                return sign * order.index(torrent.state)
            case Sort.ADDED:
                return sign * torrent.added_at
            case _:
                return float(sign * getattr(torrent, view.sort))

    matching = [
        torrent
        for torrent in engine.torrents.values()
        if (not view.states or torrent.state in view.states)
        and view.text.casefold() in torrent.name.casefold()
    ]
    matching.sort(
        key=lambda each: (number(each), each.name.casefold(), each.info_hash),
        reverse=view.descending and view.sort is Sort.NAME,
    )
    return [torrent.info_hash for torrent in matching]
