from __future__ import annotations

import contextlib
import hashlib
import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import PEER_ID_PREFIX, VERSION, InfoHash, PeerId
from engine.errors import InputError

raw_hashes = st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32)


@given(raw_hashes)
def test_text_round_trip(raw: bytes) -> None:
    info_hash = InfoHash(raw)
    assert InfoHash.parse(str(info_hash)) == info_hash == raw
    assert InfoHash.parse(str(info_hash).upper()) == info_hash
    assert hash(info_hash) == hash(raw)
    assert str(info_hash) in repr(info_hash)


@given(st.binary(max_size=40))
def test_other_lengths_are_refused(raw: bytes) -> None:
    if len(raw) not in (20, 32):
        with pytest.raises(InputError, match="20 or 32 bytes"):
            InfoHash(raw)
        with pytest.raises(InputError):
            InfoHash.parse(raw.hex())
    if len(raw) != 20:
        with pytest.raises(InputError, match="20 bytes"):
            PeerId(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g" * 40,
        "a" * 39,
        "a" * 41,
        " " * 40,
        "aa " * 20,
        "a" * 38 + "  ",
        "٠" * 40,
        "0x" + "a" * 38,
    ],
)
def test_what_is_not_hexadecimal_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="info-hash"):
        InfoHash.parse(text)


@given(st.text(max_size=70))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert str(InfoHash.parse(text)) == text.lower()


def test_the_hash_is_sha1_of_the_raw_bytes() -> None:
    assert InfoHash.of(b"d4:name1:ae") == hashlib.sha1(b"d4:name1:ae").digest()
    assert InfoHash.of(memoryview(b"")).hex() == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def test_our_peer_ids_bear_our_prefix() -> None:
    rng = random.Random(7)
    ids = {PeerId.generate(rng.randbytes) for _ in range(50)}
    assert len(ids) == 50
    assert all(len(one) == 20 and one.startswith(PEER_ID_PREFIX) for one in ids)
    assert len(PEER_ID_PREFIX) == 8
    assert PEER_ID_PREFIX[:1] == PEER_ID_PREFIX[-1:] == b"-"


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
    assert PEER_ID_PREFIX[3:7].decode() == "".join(VERSION.split(".")) + "0"
