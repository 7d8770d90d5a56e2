from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.dht.tokens import LIFETIME_S, TokenIssuer

HOST, TARGET = b"\x01\x02\x03\x04", b"t" * 20


@given(st.floats(0, 10_000), st.floats(0, 2000))
def test_tokens_live_for_one_to_two_lifetimes(asked_at: float, later: float) -> None:
    issuer = TokenIssuer(Random(1), 0.0)
    token = issuer.issue(HOST, TARGET, asked_at)
    is_good = issuer.accepts(token, HOST, TARGET, asked_at + later)
    if later < LIFETIME_S:
        assert is_good
    if later >= 2 * LIFETIME_S:
        assert not is_good


def test_tokens_are_of_one_address_and_one_key() -> None:
    issuer = TokenIssuer(Random(1), 0.0)
    token = issuer.issue(HOST, TARGET, 1.0)
    assert issuer.accepts(token, HOST, TARGET, 2.0)
    assert not issuer.accepts(token, b"\x01\x02\x03\x05", TARGET, 2.0)
    assert not issuer.accepts(token, HOST, b"u" * 20, 2.0)
    assert not issuer.accepts(b"", HOST, TARGET, 2.0)
    assert not TokenIssuer(Random(2), 0.0).accepts(token, HOST, TARGET, 2.0)
