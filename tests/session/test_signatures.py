"""ed25519 by the library: what is signed is genuine, anything else is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.session.signatures import Signer, verify

SEED = bytes(range(32))


@given(st.binary(max_size=100))
def test_what_is_signed_is_genuine(message: bytes) -> None:
    signer = Signer(SEED)
    assert verify(signer.key, signer.sign(message), message)
    assert not verify(signer.key, signer.sign(message), message + b"x")


@given(key=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_garbage_is_not_genuine_and_no_error(key: bytes, signature: bytes) -> None:
    assert not verify(key, signature, b"message")


def test_the_first_vector_of_rfc_8032() -> None:
    signer = Signer(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert signer.key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974")


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        Signer(b"short")
