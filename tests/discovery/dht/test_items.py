from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.discovery.dht.items import (
    MAX_SEQ,
    MAX_VALUE_BYTES,
    ImmutableItem,
    MutableItem,
    encode_value,
    is_storable,
    mutable_target,
    signed_bytes,
    signed_item,
)
from engine.errors import InputError
from tests.discovery.dht.signatures import verify

VALUE = b"12:Hello World!"
KEY = bytes.fromhex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
SIGNATURE = bytes.fromhex(
    "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff"
    "1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"
)
SALTED_SIGNATURE = bytes.fromhex(
    "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d"
    "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"
)


def test_bep_44_vector_1_mutable() -> None:
    item = MutableItem(KEY, 1, VALUE, SIGNATURE)
    assert signed_bytes(b"", 1, VALUE) == b"3:seqi1e1:v12:Hello World!"
    assert item.target.hex() == "4a533d47ec9c7d95b1ad75f576cffc641853b750"
    assert item.is_genuine(verify)


def test_bep_44_vector_2_mutable_with_salt() -> None:
    item = MutableItem(KEY, 1, VALUE, SALTED_SIGNATURE, b"foobar")
    assert signed_bytes(b"foobar", 1, VALUE) == b"4:salt6:foobar3:seqi1e1:v12:Hello World!"
    assert item.target.hex() == "411eba73b6f087ca51a3795d9c8c938d365e32c1"
    assert item.is_genuine(verify)


def test_bep_44_vector_3_immutable() -> None:
    assert ImmutableItem(VALUE).target.hex() == "e5f96f6f38320f0f33959cb4d3d656452117aadb"


@pytest.mark.parametrize(
    "item",
    [
        MutableItem(KEY, 2, VALUE, SIGNATURE),
        MutableItem(KEY, 1, b"12:Hello world!", SIGNATURE),
        MutableItem(KEY, 1, VALUE, SIGNATURE, b"foobar"),
        MutableItem(KEY, 1, VALUE, SALTED_SIGNATURE),
        MutableItem(bytes(32), 1, VALUE, SIGNATURE),
        MutableItem(KEY, 1, VALUE, bytes(64)),
    ],
)
def test_forgeries(item: MutableItem) -> None:
    assert not item.is_genuine(verify)


def test_what_is_signed_is_genuine() -> None:
    private = Ed25519PrivateKey.from_private_bytes(Random(1).randbytes(32))
    key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for salt in (b"", b"s" * 64):
        item = signed_item(key, 7, {"a": [1, b"two"]}, private.sign, salt=salt)
        assert item.value == b"d1:ali1e3:twoee"
        assert item.target == mutable_target(key, salt)
        assert item.is_genuine(verify)


@pytest.mark.parametrize(
    ("key", "seq", "value", "salt"),
    [
        (KEY[:-1], 1, 1, b""),
        (KEY, -1, 1, b""),
        (KEY, MAX_SEQ + 1, 1, b""),
        (KEY, 1, 1, b"s" * 65),
        (KEY, 1, b"v" * MAX_VALUE_BYTES, b""),
    ],
)
def test_impossible_items_are_refused(
    key: bytes, seq: int, value: bencode.Encodable, salt: bytes
) -> None:
    with pytest.raises(InputError):
        signed_item(key, seq, value, lambda message: message[:64], salt=salt)


def test_values_have_a_limit() -> None:
    assert len(encode_value(b"v" * 996)) == MAX_VALUE_BYTES
    assert is_storable(encode_value(b"v" * 996))
    with pytest.raises(InputError, match="1001 bytes"):
        encode_value(b"v" * 997)
    assert not is_storable(bencode.encode(b"v" * 997))


@pytest.mark.parametrize(
    "value", [b"", b"x", b"i1", b"i01e", b"1:ab", b"d1:bi1e1:ai1ee", b"i1ei2e", b"l" * 100]
)
def test_what_is_not_canonical_is_not_stored(value: bytes) -> None:
    assert not is_storable(value)


@given(st.recursive(st.integers(-(2**63), 2**63) | st.binary(max_size=9), st.lists))
def test_canonical_values_are(value: bencode.Encodable) -> None:
    encoded = bencode.encode(value)
    assert is_storable(encoded) == (len(encoded) <= MAX_VALUE_BYTES)
