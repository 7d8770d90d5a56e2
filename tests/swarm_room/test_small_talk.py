"""How many messages that move nothing are heard of one peer."""

from __future__ import annotations

from engine.swarm.small_talk import AT_ONCE, PER_S, SmallTalk


def test_a_burst_is_allowed_and_not_one_more() -> None:
    talk = SmallTalk(100.0, more=5)
    assert talk.allows(AT_ONCE, 100.0)
    assert talk.allows(5, 100.0)
    assert not talk.allows(1, 100.0)


def test_who_was_silent_may_speak_again() -> None:
    talk = SmallTalk(0.0)
    assert talk.allows(AT_ONCE, 0.0)
    assert talk.allows(2 * PER_S, 2.0)
    assert not talk.allows(1, 2.0)


def test_silence_is_not_saved_up_beyond_a_burst() -> None:
    talk = SmallTalk(0.0)
    assert talk.allows(AT_ONCE, 1e6)
    assert not talk.allows(1, 1e6)
