"""A flood is folded: a newer message stands for the older ones of its kind."""

from __future__ import annotations

from tests.fakes.fake_engine import FakeEngine
from tui.link import Topic
from tui.messages import DetailsChanged, EngineTold, LinkDown, LinkUp, WindowChanged
from tui.store import Window

STATUS = FakeEngine(0).status()


def test_newer_windows_replace_older_ones() -> None:
    window = WindowChanged(Window(), STATUS)
    assert window.can_replace(WindowChanged(Window(), STATUS))
    assert not window.can_replace(LinkUp("engine"))
    assert LinkDown("a").can_replace(LinkDown("b"))
    assert not LinkDown("a").can_replace(window)


def test_details_replace_only_their_own_kind() -> None:
    def details(info_hash: str, topic: Topic) -> DetailsChanged:
        return DetailsChanged(info_hash, topic, [])

    peers = details("a", Topic.PEERS)
    assert peers.can_replace(details("a", Topic.PEERS))
    assert not peers.can_replace(details("b", Topic.PEERS))
    assert not peers.can_replace(details("a", Topic.FILES))


def test_what_one_of_several_engines_says_replaces_only_its_own() -> None:
    def told(place: int) -> EngineTold:
        return EngineTold(place, WindowChanged(Window(), STATUS))

    assert told(0).can_replace(told(0))
    assert not told(0).can_replace(told(1))
    assert not told(0).can_replace(EngineTold(0, LinkUp("engine")))
    assert not EngineTold(0, LinkUp("engine")).can_replace(EngineTold(0, LinkUp("engine")))
