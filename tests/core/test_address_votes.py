from __future__ import annotations

from engine.core.address_votes import MAX_VOTES, MIN_AGREEING, AddressVotes


def test_enough_networks_must_agree() -> None:
    votes = AddressVotes()
    for voter in range(MIN_AGREEING - 1):
        assert not votes.vote(f"20.0.{voter}.1", "9.9.9.9")
    assert votes.host is None
    assert votes.vote("20.0.99.1", "9.9.9.9")
    assert votes.host == "9.9.9.9"
    assert not votes.vote("20.0.98.1", "9.9.9.9")


def test_one_network_has_one_vote() -> None:
    votes = AddressVotes()
    for voter in range(200):
        assert not votes.vote(f"20.0.0.{voter}", "9.9.9.9")
    assert votes.host is None


def test_a_minority_moves_nobody() -> None:
    votes = AddressVotes()
    for voter in range(10):
        votes.vote(f"20.0.{voter}.1", "9.9.9.9")
    for voter in range(6):
        assert not votes.vote(f"30.0.{voter}.1", "6.6.6.6")
    assert votes.host == "9.9.9.9"


def test_an_address_that_changed_is_learned() -> None:
    votes = AddressVotes()
    for voter in range(MAX_VOTES):
        votes.vote(f"20.0.{voter}.1", "9.9.9.9")
    changes = [votes.vote(f"20.0.{voter}.1", "8.8.8.8") for voter in range(MAX_VOTES)]
    assert changes.count(True) == 1
    assert votes.host == "8.8.8.8"


def test_local_networks_do_not_vote() -> None:
    votes = AddressVotes()
    for voter in range(20):
        assert not votes.vote(f"10.0.{voter}.1", "9.9.9.9")
    assert votes.host is None


def test_nobody_is_believed_to_be_in_a_local_network() -> None:
    votes = AddressVotes()
    for voter in range(20):
        assert not votes.vote(f"20.0.{voter}.1", "192.168.0.7")
    assert votes.host is None
