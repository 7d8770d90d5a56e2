from __future__ import annotations

from engine.core.reachability import Reachability, Verdict


def test_several_networks_must_agree_on_where_we_are() -> None:
    learnt: list[list[str]] = []
    ours = Reachability()
    ours.on_change = lambda: learnt.append(ours.hosts)
    for last in range(9):
        ours.seen_at(f"20.0.0.{last}", "203.0.113.5")  # one network
    ours.seen_at("tracker.example", "203.0.113.5")
    assert ours.hosts == []
    ours.seen_at("tracker.example", "203.0.113.5")
    assert ours.hosts == []
    ours.seen_at("20.0.7.1", "203.0.113.5")
    assert ours.hosts == ["203.0.113.5"]
    ours.seen_at("20.0.8.1", "203.0.113.5")
    assert learnt == [["203.0.113.5"]]


def test_both_families_have_an_address_of_their_own() -> None:
    ours = Reachability()
    for network in range(3):
        ours.seen_at(f"20.0.{network}.1", "2001:db8::7")
        ours.seen_at(f"2001:db8:{network}::1", "203.0.113.5")
    assert ours.hosts == ["203.0.113.5", "2001:db8::7"]


def test_who_is_believed_at_once_is_not_believed_anything() -> None:
    ours = Reachability()
    for nowhere in ("192.168.1.5", "127.0.0.1", "0.0.0.0", "::", "255.255.255.255", "fe80::1"):
        ours.learned(nowhere)
        for network in range(5):
            ours.seen_at(f"20.0.{network}.1", nowhere)
    assert ours.hosts == []
    ours.learned("203.0.113.5")
    assert ours.hosts == ["203.0.113.5"]


def test_neighbours_say_nothing_of_the_world() -> None:
    ours = Reachability()
    for network in range(5):
        ours.seen_at(f"10.0.{network}.1", "203.0.113.5")
        ours.came(f"192.168.{network}.1")
    assert ours.hosts == []
    assert ours.verdict(1e9) is Verdict.UNKNOWN


def test_a_stranger_that_comes_proves_that_we_are_reached() -> None:
    ours = Reachability()
    ours.came("20.0.0.1")
    assert ours.verdict(0.0) is Verdict.REACHABLE
    ours.learned("203.0.113.5")  # where that was is known only now
    assert ours.verdict(0.0) is Verdict.REACHABLE
    ours.learned("203.0.113.99")  # we have moved
    assert ours.verdict(0.0) is Verdict.UNKNOWN


def test_that_nobody_comes_counts_after_a_while_among_many() -> None:
    ours = Reachability()
    for _ in range(100):
        ours.dialled("20.0.0.1", 0.0)  # all in one network
    assert ours.verdict(1000.0) is Verdict.UNKNOWN
    for network in range(50):
        ours.dialled(f"20.0.{network}.1", 10.0)
    assert ours.verdict(100.0) is Verdict.UNKNOWN
    assert ours.verdict(1000.0) is Verdict.FIREWALLED
    ours.came("30.0.0.1")
    assert ours.verdict(1000.0) is Verdict.REACHABLE


def test_what_is_remembered_is_bounded() -> None:
    ours = Reachability()
    for number in range(10_000):
        ours.dialled(f"20.{number // 256}.{number % 256}.1", 0.0)
    assert len(ours._dialled) <= 20
