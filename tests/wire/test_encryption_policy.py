"""What each wish of the user means."""

from __future__ import annotations

import pytest

from engine.wire.encryption import Method
from engine.wire.encryption_policy import EncryptionPolicy, Level, Wish

BOTH = Method.PLAINTEXT | Method.RC4


def test_how_a_call_begins() -> None:
    starts = {
        wish: tuple(EncryptionPolicy(wish).starts(worked) for worked in (None, False, True))
        for wish in Wish
    }
    assert starts == {
        Wish.DISABLED: ((False,),) * 3,
        Wish.ALLOWED: ((False, True), (False, True), (True, False)),
        Wish.PREFERRED: ((True, False), (False, True), (True, False)),
        Wish.REQUIRED: ((True,),) * 3,
    }


def test_who_may_come() -> None:
    assert {
        wish: (EncryptionPolicy(wish).takes_plain, EncryptionPolicy(wish).takes_encrypted)
        for wish in Wish
    } == {
        Wish.DISABLED: (True, False),
        Wish.ALLOWED: (True, True),
        Wish.PREFERRED: (True, True),
        Wish.REQUIRED: (False, True),
    }


@pytest.mark.parametrize(
    ("wish", "level", "methods", "preferred"),
    [
        (Wish.ALLOWED, Level.AUTOMATIC, BOTH, Method.PLAINTEXT),
        (Wish.PREFERRED, Level.AUTOMATIC, BOTH, Method.RC4),
        (Wish.REQUIRED, Level.AUTOMATIC, Method.RC4, Method.RC4),
        *((wish, Level.PLAINTEXT, BOTH, Method.PLAINTEXT) for wish in Wish),
        *((wish, Level.RC4, Method.RC4, Method.RC4) for wish in Wish),
    ],
)
def test_what_is_encrypted(wish: Wish, level: Level, methods: Method, preferred: Method) -> None:
    policy = EncryptionPolicy(wish, level)
    assert policy.methods == methods
    assert policy.preferred == preferred
